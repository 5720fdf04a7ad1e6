"""The table of results: one fixed schema with a version, in four file formats.

One row for each face on each picture or frame. A photo without a face, and a film without one, has a single row whose
``face`` is empty, so that it can be told from one that was never looked at; a file that could not be read has a single
row with an ``error``. Frames without a face have no row. What does not apply is empty in CSV and null elsewhere.

==================  =======  ==========================================================================================
column              type     meaning
==================  =======  ==========================================================================================
source              text     the file, as the command line led to it
frame               integer  of a film: number of the frame, from 0
time_s              float    of a film: when the frame is shown, in seconds from the start
face                integer  number of the face on the picture or frame, from 1, the largest first
track               integer  of a film: number of the person, the same on all frames
x, y, w, h          float    box of the face in pixels of the upright picture: left, top, width, height; may reach
                             beyond the picture
detection           float    the detector's probability that this is a face; empty with ``--detector none``
p_<class>           float    probability of each class of the checkpoint, in its order; they sum to 1
label               text     the most probable class
confidence          float    its probability
smooth_p_<class>    float    of a film: the probabilities smoothed along the track
smooth_label        text     of a film: the most probable class of those
model               text     the checkpoint: its name and the start of its SHA-256;
                             several are joined by +, and views of a face follow
error               text     why the file could not be read
==================  =======  ==========================================================================================
"""

import csv
import importlib.util
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning.errors import UserError
from fer_lightning.whole_files import replacing

if TYPE_CHECKING:  # numpy, Pillow, torch: a table needs none of them
    from fer_lightning.recognizer import Face
    from fer_lightning.video import FilmFrame

FORMAT = "fer_lightning predictions 1"
"""Version of the schema; it stands in ``.json`` and in the metadata of ``.parquet``."""

Record = dict[str, Any]
_INTEGERS = ("frame", "face", "track")
_TEXTS = ("source", "label", "smooth_label", "model", "error")
_ROWS = 10_000  # of a row group of Parquet, which is what stays in memory


def columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns for a checkpoint's classes."""
    place = ("source", "frame", "time_s", "face", "track", "x", "y", "w", "h", "detection")
    raw = (*(f"p_{name}" for name in classes), "label", "confidence")
    smooth = (*(f"smooth_p_{name}" for name in classes), "smooth_label")
    return (*place, *raw, *smooth, "model", "error")


def face_records(source: str, faces: "Sequence[Face]", model: str) -> list[Record]:
    """Return a row for each face of a photo; none where there is no face.

    Args:
        source: What the table calls the photo.
        faces: Its faces.
        model: What the table calls the checkpoint.
    """
    return [_row(source, number, face, model) for number, face in enumerate(faces, 1)]


def film_records(source: str, frame: "FilmFrame", model: str) -> list[Record]:
    """Return a row for each face on a frame of a film; none where there is no face.

    Args:
        source: What the table calls the film.
        frame: The frame and its tracked faces.
        model: What the table calls the checkpoint.
    """
    rows = []
    for number, tracked in enumerate(frame.faces, 1):
        row = _row(source, number, tracked.face, model)
        row |= {"frame": frame.number, "time_s": frame.time_s, "track": tracked.track, "smooth_label": tracked.label}
        row |= _probabilities("smooth_p_", tracked.face.classes, tracked.smoothed)
        rows.append(row)
    return rows


def faceless_record(source: str, classes: Sequence[str], model: str, error: str | None = None) -> Record:
    """Return the one row of a photo or film without a face, or of a file that could not be read.

    Args:
        source: What the table calls the file.
        classes: Names of the checkpoint's classes.
        model: What the table calls the checkpoint.
        error: Why it could not be read.
    """
    return dict.fromkeys(columns(classes)) | {"source": source, "model": model, "error": error}


def _row(source: str, number: int, face: "Face", model: str) -> Record:
    left, top, right, bottom = face.box
    return (
        faceless_record(source, face.classes, model)
        | {"face": number, "x": left, "y": top, "w": right - left, "h": bottom - top}
        | {"detection": None if math.isnan(face.detection) else face.detection}
        | {"label": face.label, "confidence": face.confidence}
        | _probabilities("p_", face.classes, face.probabilities)
    )


def _probabilities(prefix: str, classes: Sequence[str], values: Iterable[float]) -> Record:
    return {f"{prefix}{name}": float(value) for name, value in zip(classes, values, strict=True)}


def check_ending(path: Path) -> None:
    """Refuse a file that :func:`write` could not write, before any work is done.

    Raises:
        UserError: With the endings that there are, or how to install what is missing.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UserError(f"{path}: no format for the ending {path.suffix!r}; choose from {', '.join(_WRITERS)}")
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(f"{path}: .parquet needs pyarrow; run: pip install pyarrow, or choose .csv, .json or .jsonl")


def write(path: Path, records: Iterable[Record], classes: Sequence[str]) -> None:
    """Write a table in the format of the file's ending; it appears whole or not at all.

    Rows are written as they come, so memory stays flat however long a film is.

    Args:
        path: A file ending in ``.csv``, ``.json``, ``.jsonl`` or ``.parquet``.
        records: Its rows, of one checkpoint.
        classes: Names of that checkpoint's classes.

    Raises:
        UserError: If there is no such format, or the file cannot be written.
    """
    check_ending(path)
    with replacing(path) as part:
        _WRITERS[path.suffix.lower()](part, records, classes)


def read(path: Path) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Read a table that :func:`write` wrote.

    Returns:
        The names of its classes, and its rows one after the other.

    Raises:
        UserError: If it is no such table.
    """
    check_ending(path)
    rows = _rows(path)
    first = next(rows, None)
    names = tuple(first or ())
    classes = tuple(name.removeprefix("p_") for name in names if name.startswith("p_"))
    if first is None or names != columns(classes):
        raise _foreign(path)
    return classes, itertools.chain([first], rows)


def _rows(path: Path) -> Iterator[Record]:
    try:
        yield from map(dict, _READERS[path.suffix.lower()](path))
    except (ValueError, OSError, LookupError, TypeError, AttributeError, csv.Error):  # no text, no JSON, no Parquet
        raise _foreign(path) from None


def _foreign(path: Path) -> UserError:
    return UserError(f"{path}: no table of predict's, or a damaged one; choose another --out, or --overwrite it")


def _write_csv(path: Path, records: Iterable[Record], classes: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns(classes), lineterminator="\n")
        table.writeheader()
        table.writerows(records)


def _read_csv(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: _parsed(name, text) for name, text in row.items()}


def _parsed(name: str, text: str) -> Any:
    if text == "":
        return None
    return text if name in _TEXTS else int(text) if name in _INTEGERS else float(text)


def _write_jsonl(path: Path, records: Iterable[Record], classes: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(record)}\n" for record in records)


def _read_jsonl(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _write_json(path: Path, records: Iterable[Record], classes: Sequence[str]) -> None:
    rows = iter(records)
    first = next(rows, None)
    head = {"format": FORMAT, "model": first["model"] if first else None, "classes": list(classes), "records": []}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head).removesuffix("]}"))
        for number, record in enumerate(itertools.chain([first] if first else [], rows)):
            file.write(f"{',' if number else ''}\n{json.dumps(record)}")
        file.write("\n]}\n")


def _read_json(path: Path) -> Iterator[Record]:
    yield from json.loads(path.read_text(encoding="utf-8"))["records"]


def _write_parquet(path: Path, records: Iterable[Record], classes: Sequence[str]) -> None:
    import pyarrow as pa  # not everybody's, and half a second
    import pyarrow.parquet as pq

    types = {name: pa.int64() if name in _INTEGERS else pa.string() for name in (*_INTEGERS, *_TEXTS)}
    fields = [pa.field(name, types.get(name, pa.float64())) for name in columns(classes)]
    schema = pa.schema(fields, metadata={"format": FORMAT, "classes": json.dumps(list(classes))})
    rows = iter(records)
    with pq.ParquetWriter(path, schema) as table:
        while chunk := list(itertools.islice(rows, _ROWS)):
            table.write_table(pa.Table.from_pylist(chunk, schema))


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(_ROWS):
            yield from batch.to_pylist()


_WRITERS: dict[str, Callable[[Path, Iterable[Record], Sequence[str]], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
_READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
