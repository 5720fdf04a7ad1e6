"""The table: its columns, and the same values back from every format."""

import csv
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from fer_lightning import records
from fer_lightning.errors import UserError
from fer_lightning.recognizer import Face
from fer_lightning.records import Record
from fer_lightning.tracking import TrackedFace
from fer_lightning.video import FilmFrame

CLASSES = ("calm", "a,b", 'says "hm"')
ENDINGS = [".csv", ".json", ".jsonl", ".parquet"]


def face(*probabilities: float, detection: float = 0.99) -> Face:
    return Face(
        (10.25, -3.0, 60.5, 80.0),
        detection,
        np.zeros((5, 2)),
        CLASSES,
        np.array(probabilities),
        np.zeros((48, 48), np.uint8),
    )


def rows() -> list[Record]:
    """A photo with two faces, one without, a file that failed, and two frames of a film."""
    tracked = TrackedFace(face(0.1, 0.2, 0.7), 4, np.array([1 / 3, 2 / 3, 0.0]))
    frames = [cast(FilmFrame, SimpleNamespace(number=n, time_s=n / 30, faces=[tracked])) for n in (0, 7)]
    return [
        *records.face_records("a.jpg", [face(0.1, 0.7, 0.2), face(1 / 3, 0.1, 17 / 30, detection=math.nan)], "m@1"),
        records.faceless_record("b,\nc.jpg", CLASSES, "m@1"),
        records.faceless_record("d.jpg", CLASSES, "m@1", 'no "picture", really'),
        *(row for frame in frames for row in records.film_records("é.mp4", frame, "m@1")),
    ]


def test_the_columns_are_those_of_format_1() -> None:
    assert records.FORMAT == "fer_lightning predictions 1"
    assert records.columns(("happy", "sad")) == (
        *("source", "frame", "time_s", "face", "track", "x", "y", "w", "h", "detection"),
        *("p_happy", "p_sad", "label", "confidence", "smooth_p_happy", "smooth_p_sad", "smooth_label"),
        *("model", "error"),
    )
    assert all(tuple(row) == records.columns(CLASSES) for row in rows())


def test_a_row_says_what_the_face_says() -> None:
    first, second, none, failed, frame, later = rows()
    assert (first["source"], first["face"], second["face"]) == ("a.jpg", 1, 2)
    assert (first["x"], first["y"], first["w"], first["h"]) == (10.25, -3.0, 50.25, 83.0)
    assert (first["label"], first["confidence"], first["p_a,b"], first["detection"]) == ("a,b", 0.7, 0.7, 0.99)
    assert second["detection"] is None
    assert first["track"] is first["frame"] is first["smooth_label"] is first["smooth_p_calm"] is None
    assert (none["face"], none["label"], none["error"], none["model"]) == (None, None, None, "m@1")
    assert (failed["face"], failed["error"]) == (None, 'no "picture", really')
    assert (frame["frame"], later["frame"], later["time_s"], later["track"]) == (0, 7, 7 / 30, 4)
    assert (frame["label"], frame["smooth_label"], frame["smooth_p_calm"]) == ('says "hm"', "a,b", 1 / 3)


def test_a_photo_without_faces_has_no_face_records() -> None:
    assert records.face_records("a.jpg", [], "m@1") == []


def from_csv(path: Path) -> list[Record]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]


def from_json(path: Path) -> list[Record]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert {key: content[key] for key in ("format", "model", "classes")} == {
        "format": records.FORMAT,
        "model": "m@1",
        "classes": list(CLASSES),
    }
    return cast("list[Record]", content["records"])


def from_parquet(path: Path) -> list[Record]:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(path)
    assert table.schema.metadata[b"format"] == records.FORMAT.encode()
    assert json.loads(table.schema.metadata[b"classes"]) == list(CLASSES)
    assert {str(table.schema.field(name).type) for name in ("frame", "face", "track")} == {"int64"}
    return cast("list[Record]", table.to_pylist())


READ: dict[str, Callable[[Path], list[Record]]] = {
    ".csv": from_csv,
    ".json": from_json,
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()],
    ".parquet": from_parquet,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_other_readers_find_the_same_values(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{ending}"
    records.write(path, rows(), CLASSES)
    assert list(tmp_path.iterdir()) == [path]
    expected: list[Record] = rows()
    if ending == ".csv":  # all text; repr of a float is exact
        expected = [{n: None if v is None else str(v) for n, v in row.items()} for row in rows()]
    assert READ[ending](path) == expected


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_written_is_read_back_to_the_bit(ending: str, tmp_path: Path) -> None:
    records.write(tmp_path / f"table{ending}", rows(), CLASSES)
    classes, found = records.read(tmp_path / f"table{ending}")
    assert classes == CLASSES
    assert list(found) == rows()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_appears_whole_or_not_at_all(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{ending}"
    path.write_text("what was there")

    def fails() -> Iterator[Record]:
        yield from rows()
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        records.write(path, fails(), CLASSES)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "what was there"


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_written_as_they_come(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file grows while the rows are still being made, so they are not all in memory."""
    monkeypatch.setattr(records, "_ROWS", 100)
    sizes = []

    def many() -> Iterator[Record]:
        for number in range(3_000):
            if number % 500 == 0:
                sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            yield rows()[0] | {"source": f"{number}.jpg"}

    records.write(tmp_path / f"table{ending}", many(), CLASSES)
    assert all(later > earlier for earlier, later in itertools.pairwise(sizes[1:]))


@pytest.mark.parametrize("name", ["table.xlsx", "table", "table.csv.gz"])
def test_an_unknown_ending_gets_the_choices(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"choose from \.csv, \.json, \.jsonl, \.parquet"):
        records.write(tmp_path / name, rows(), CLASSES)
    assert not list(tmp_path.iterdir())


def test_parquet_without_pyarrow_gets_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow"):
        records.check_ending(tmp_path / "table.parquet")


FOREIGN: dict[str, bytes] = {
    "other.csv": b"name,age\na,3\n",
    "empty.csv": b"",
    "header.csv": ",".join(records.columns(["a"])).encode() + b"\n",
    "words.csv": b"\xff\xfe\x00",
    "other.json": b'{"a": 1}',
    "list.json": b"[1, 2]",
    "broken.json": b'{"records": [',
    "other.jsonl": b'{"a": 1}\n',
    "number.jsonl": b"3\n",
    "text.parquet": b"PAR1 or not",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_such_table_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FOREIGN[name])
    with pytest.raises(UserError, match="no table of predict's, or a damaged one") as caught:
        records.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_table_is_damaged_in_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    records.write(path, rows(), CLASSES)
    path.write_text(path.read_text() + '{"half": ')
    found: Any = records.read(path)[1]
    with pytest.raises(UserError, match="damaged"):
        list(found)
