"""``predict`` from the command line: real files in, tables and drawn-on copies out, mistakes in one line."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning import checkpoint, records
from fer_lightning.cli import main
from fer_lightning.recognizer import Recognizer
from tests import fakes, films, networks

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of fresh weights."""
    return fakes.write_checkpoint(tmp_path_factory.mktemp("fresh") / "fresh.safetensors")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with ``photos`` in it: three with a face, one without, and files that are no pictures."""
    folder = tmp_path / "work" / "photos"
    (folder / "deeper").mkdir(parents=True)
    monkeypatch.chdir(folder.parent)
    scene((90, 120)).save(folder / "b.png")
    scene((150, 120)).save(folder / "deeper" / "a.jpg", quality=95)
    films.scene((films.astronaut(), (90, 120)), (films.hopper(), (230, 120))).save(folder / "two.webp", lossless=True)
    Image.new("RGB", (120, 90), "grey").save(folder / "none.png")
    (folder / "Thumbs.db").write_bytes(b"no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    return folder


def scene(place: tuple[float, float]) -> Image.Image:
    return films.scene((films.astronaut(), place))


def predict(checkpoint_file: Path, *words: str | Path, code: int = 0) -> None:
    assert main(["predict", *map(str, words), "--checkpoint", str(checkpoint_file)]) == code


def table(path: Path) -> list[dict[str, Any]]:
    return list(records.read(path)[1])


def files_below(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.skipif(not checkpoint.shipped(), reason="no checkpoint is shipped")
def test_the_astronaut_is_happy(tmp_path: Path) -> None:
    from skimage.data import astronaut

    Image.fromarray(astronaut()).save(tmp_path / "astronaut.png")
    assert main(["predict", str(tmp_path / "astronaut.png"), "--out", str(tmp_path / "x.csv")]) == 0
    (row,) = table(tmp_path / "x.csv")
    assert row["label"] == "happy"


def test_a_folder_gives_a_row_for_each_face_in_the_order_of_names(fresh: Path, photos: Path, capsys: Said) -> None:
    predict(fresh, "photos", "--out", "x.csv")
    rows = table(Path("x.csv"))
    assert [(row["source"], row["face"]) for row in rows] == [
        (str(Path("photos/b.png")), 1),
        (str(Path("photos/deeper/a.jpg")), 1),
        (str(Path("photos/none.png")), None),
        (str(Path("photos/two.webp")), 1),
        (str(Path("photos/two.webp")), 2),
    ]
    assert capsys.readouterr().out == "x.csv: 4 faces in 4 files, 1 without a face\n"
    assert {row["model"] for row in rows} == {checkpoint.identity(fresh)}


def test_rows_are_what_the_recognizer_says(fresh: Path, photos: Path) -> None:
    predict(fresh, "photos/two.webp", "--out", "x.json", "--smallest_face", "30")
    recognizer = Recognizer.from_checkpoint(fresh, smallest_face=30)
    expected = records.face_records("photos/two.webp", recognizer.recognize("photos/two.webp"), recognizer.model)
    assert table(Path("x.json")) == expected


def test_every_format_holds_the_same(fresh: Path, photos: Path) -> None:
    pytest.importorskip("pyarrow")
    for ending in ("csv", "json", "jsonl", "parquet"):
        predict(fresh, "photos", "--out", f"x.{ending}")
    assert table(Path("x.csv")) == table(Path("x.json")) == table(Path("x.jsonl")) == table(Path("x.parquet"))


def test_without_out_a_table_is_printed(fresh: Path, photos: Path, capsys: Said) -> None:
    before = files_below(photos.parent)
    predict(fresh, "photos/b.png", "photos/none.png")
    said = capsys.readouterr().out
    assert "photos/b.png" in said
    assert "no face found" in said
    assert "1 face in 2 files, 1 without a face" in said
    assert files_below(photos.parent) == before


def test_a_picture_without_faces_is_no_failure(fresh: Path, photos: Path, capsys: Said) -> None:
    predict(fresh, "photos/none.png", "--out", "x.jsonl")
    assert "0 faces in 1 file, 1 without a face" in capsys.readouterr().out
    (row,) = table(Path("x.jsonl"))
    assert {name for name, value in row.items() if value is not None} == {"source", "model"}


def test_broken_files_become_rows_and_the_rest_goes_on(fresh: Path, photos: Path, capsys: Said) -> None:
    (photos / "a-broken.png").write_bytes(b"no picture")
    (photos / "cut.png").write_bytes((photos / "b.png").read_bytes()[:3000])
    predict(fresh, "photos", "photos/Thumbs.db", "--out", "x.csv", code=3)
    rows = {row["source"]: row for row in table(Path("x.csv"))}
    assert len(rows) == 7
    failed = ["photos/a-broken.png", "photos/cut.png", "photos/Thumbs.db"]
    assert [name for name, row in rows.items() if row["error"]] == failed
    assert rows["photos/a-broken.png"]["error"] == "unreadable picture (of no known format); replace or remove it"
    said = capsys.readouterr()
    assert said.out == "x.csv: 4 faces in 7 files, 1 without a face, 3 could not be read\n"
    assert [line.split(":")[0] for line in said.err.splitlines()] == failed


def test_patterns_are_found_without_the_help_of_a_shell(fresh: Path, photos: Path) -> None:
    predict(fresh, "photos/**/*.jpg", "photos/[bn]*", "photos/b.png", "--out", "x.csv")
    assert [row["source"] for row in table(Path("x.csv"))] == ["photos/deeper/a.jpg", "photos/b.png", "photos/none.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(fresh: Path, photos: Path) -> None:
    (photos / "b.png").rename(photos / "[1].png")
    predict(fresh, "photos/[1].png", "--out", "x.csv")
    assert [row["source"] for row in table(Path("x.csv"))] == ["photos/[1].png"]


def test_crops_are_classified_as_they_are(fresh: Path, photos: Path) -> None:
    crops = [Image.fromarray(fakes.faces([label])[0]) for label in (1, 5)]
    for number, crop in enumerate(crops):
        crop.resize((96, 80)).save(photos / f"crop{number}.png")
    predict(fresh, "photos/crop*.png", "--detector", "none", "--out", "x.csv")
    rows = table(Path("x.csv"))
    expected = Recognizer.from_checkpoint(fresh).classify([photos / "crop0.png", photos / "crop1.png"])
    found = [[row[f"p_{name}"] for name in checkpoint.read_card(fresh)["classes"]] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [(row["x"], row["y"], row["w"], row["h"], row["detection"]) for row in rows] == [(0, 0, 96, 80, None)] * 2


@pytest.mark.parametrize("batch", ["1", "3"])
def test_the_size_of_the_batch_changes_nothing(batch: str, fresh: Path, photos: Path) -> None:
    predict(fresh, "photos", "--out", "x.csv")
    predict(fresh, "photos", "--out", "y.csv", "--batch", batch)
    for one, other in zip(table(Path("x.csv")), table(Path("y.csv")), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


# Several checkpoints, and several views of a face


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return networks.write(folder / "a.safetensors", 1), networks.write(folder / "b.safetensors", 2, "plain_cnn")


def probabilities(path: Path, file: Path) -> NDArray[np.float64]:
    names = checkpoint.read_card(file)["classes"]
    return np.array([[row[f"p_{name}"] for name in names] for row in table(path)])


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_several_checkpoints_fill_one_table_with_their_mean(ending: str, pair: tuple[Path, Path], photos: Path) -> None:
    one, other, both = (Path(f"{name}.{ending}") for name in ("one", "other", "both"))
    predict(pair[0], "photos/b.png", "photos/two.webp", "--out", one)
    predict(pair[1], "photos/b.png", "photos/two.webp", "--out", other)
    predict(pair[1], "photos/b.png", "--checkpoint", pair[0], "photos/two.webp", "--out", both)
    expected = probabilities(one, pair[0]), probabilities(other, pair[1])
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    np.testing.assert_allclose(probabilities(both, pair[0]), np.mean(expected, axis=0), atol=1e-6)
    assert {row["model"] for row in table(both)} == {"+".join(map(checkpoint.identity, pair))}


def test_views_of_a_face_are_averaged(pair: tuple[Path, Path], photos: Path) -> None:
    face = fakes.scenes(1)[0]
    for name, crop in (("crop0", face), ("crop1", face[:, ::-1])):
        fakes.save(crop, photos / f"{name}.png")
    for tta in ("none", "flip"):
        predict(pair[0], "photos/crop*.png", "--detector", "none", "--tta", tta, "--out", f"{tta}.csv")
    plain, flipped = (probabilities(Path(f"{tta}.csv"), pair[0]) for tta in ("none", "flip"))
    assert np.abs(plain[0] - plain[1]).max() > 0.01
    np.testing.assert_allclose(flipped, [plain.mean(0)] * 2, atol=1e-6)
    assert {row["model"] for row in table(Path("flip.csv"))} == {f"{checkpoint.identity(pair[0])}, flip"}


def test_rare_classes_are_named_more_often_where_that_is_wanted(photos: Path) -> None:
    told = networks.write(photos / "told.safetensors", 1, temperature=2.0)
    for power in ("0", "0.5"):
        predict(told, "photos/b.png", "--logit_adjustment", power, "--out", f"{power}.csv")
    plain, lifted = (probabilities(Path(f"{power}.csv"), told) for power in ("0", "0.5"))
    expected = plain / np.sqrt([4, 3, 2, 2, 2, 2, 2])  # the fake card's rows, and one more of each class
    np.testing.assert_allclose(lifted, expected / expected.sum(1, keepdims=True), atol=1e-6)
    named = f"{checkpoint.identity(told)}, logit adjustment 0.5"
    assert {row["model"] for row in table(Path("0.5.csv"))} == {named}


def test_a_table_goes_on_with_the_same_checkpoints_and_views_alone(
    pair: tuple[Path, Path], photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    words = ("photos", "--checkpoint", str(pair[0]), "--tta", "flip", "--batch", "1")
    predict(pair[1], *words, "--out", "whole.csv")
    with monkeypatch.context() as patch:
        spied(patch, stop_after=3)
        predict(pair[1], *words, "--out", "x.csv", code=130)
    before = Path("x.csv.part").read_bytes()
    was = f"{'+'.join(map(checkpoint.identity, pair))}, flip"
    for others, now in (
        (["--checkpoint", str(pair[0])], was.removesuffix(", flip")),
        (["--tta", "flip"], f"{checkpoint.identity(pair[1])}, flip"),
        (["--checkpoint", str(pair[0]), "--tta", "ten_crop"], was.replace("flip", "ten_crop")),
    ):
        capsys.readouterr()
        predict(pair[1], "photos", *others, "--out", "x.csv", code=2)
        said = f"error: x.csv.part: holds results of the checkpoint {was}, and this is {now}; choose another --out"
        assert capsys.readouterr().err.startswith(said)
    assert Path("x.csv.part").read_bytes() == before
    batches = spied(monkeypatch)
    predict(pair[1], *words, "--out", "x.csv")
    assert batches == [1]
    assert Path("x.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_checkpoints_of_other_classes_are_told_in_a_line(pair: tuple[Path, Path], photos: Path, capsys: Said) -> None:
    other = networks.write(photos.parent / "other.safetensors", 1, classes=("happy", "sad"))
    predict(other, "photos", "--checkpoint", pair[0], "--out", "x.csv", code=2)
    said = capsys.readouterr().err
    assert said.startswith(f"error: {other}: has other classes (happy, sad) than {pair[0]} (angry, ")
    assert said.count("\n") == 1
    assert not list(Path.cwd().glob("*.csv*"))


# --annotate


def test_copies_are_drawn_on_and_keep_their_folders(fresh: Path, photos: Path) -> None:
    before = {name: (photos / name).read_bytes() for name in files_below(photos)}
    predict(fresh, "photos", "--annotate", "drawn")
    assert files_below(Path("drawn")) == {"b.faces.png", "deeper/a.faces.jpg", "none.faces.png", "two.faces.png"}
    original = np.asarray(Image.open(photos / "b.png")).astype(int)
    drawn = np.asarray(Image.open("drawn/b.faces.png")).astype(int)
    assert original.shape == drawn.shape
    assert 0.02 < (np.abs(original - drawn).max(-1) > 30).mean() < 0.5
    assert np.array_equal(Image.open("drawn/none.faces.png").convert("RGB"), Image.open(photos / "none.png"))  # type: ignore[arg-type]
    assert {name: (photos / name).read_bytes() for name in files_below(photos)} == before


def test_copies_among_the_photos_are_neither_read_nor_lost(fresh: Path, photos: Path) -> None:
    predict(fresh, "photos", "--annotate", "photos", "--out", "x.csv")
    predict(fresh, "photos", "--out", "y.csv")
    assert table(Path("x.csv")) == table(Path("y.csv"))


def test_two_of_one_name_get_two_copies(fresh: Path, photos: Path) -> None:
    (photos / "a.jpg").write_bytes((photos / "none.png").read_bytes())
    predict(fresh, "photos/a.jpg", "photos/deeper/a.jpg", "--annotate", "drawn")
    assert files_below(Path("drawn")) == {"a.faces.jpg", "a-2.faces.jpg"}


def test_copies_that_are_missing_are_drawn_later(fresh: Path, photos: Path) -> None:
    predict(fresh, "photos", "--out", "x.csv")
    before = sorted(table(Path("x.csv")), key=str)
    predict(fresh, "photos", "--out", "x.csv", "--annotate", "drawn")
    assert len(files_below(Path("drawn"))) == 4
    assert sorted(table(Path("x.csv")), key=str) == before


# Going on


def spied(monkeypatch: pytest.MonkeyPatch, stop_after: int = 99) -> list[int]:
    """Note how many pictures each batch has; stop as Ctrl-C does after so many batches."""
    batches: list[int] = []
    recognize = Recognizer.recognize_batch

    def spy(self: Recognizer, pictures: Sequence[Any]) -> Any:
        if len(batches) == stop_after:
            raise KeyboardInterrupt
        batches.append(len(pictures))
        return recognize(self, pictures)

    monkeypatch.setattr(Recognizer, "recognize_batch", spy)
    return batches


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
def test_what_is_in_the_table_is_not_done_again(
    ending: str, fresh: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    predict(fresh, "photos", "--out", f"x.{ending}")
    before = table(Path(f"x.{ending}"))
    scene((200, 100)).save(photos / "new.png")
    capsys.readouterr()
    batches = spied(monkeypatch)
    predict(fresh, "photos", "--out", f"x.{ending}")
    assert batches == [1]
    after = table(Path(f"x.{ending}"))
    assert after[:-1] == before
    assert after[-1]["source"] == "photos/new.png"
    assert f"x.{ending}: has results of 4 already, which are kept; 1 to do" in capsys.readouterr().out


def test_a_stopped_run_goes_on(fresh: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    predict(fresh, "photos", "--out", "whole.csv", "--batch", "1")
    with monkeypatch.context() as patch:
        spied(patch, stop_after=3)
        predict(fresh, "photos", "--out", "x.csv", "--batch", "1", code=130)
    assert "the same command goes on from x.csv.part" in capsys.readouterr().err
    assert not Path("x.csv").exists()
    with Path("x.csv.part").open("a") as file:  # a kill would leave the like of this
        file.write('{"source": "photos/two.webp", "frame": null, "fa')
    batches = spied(monkeypatch)
    predict(fresh, "photos", "--out", "x.csv", "--batch", "1")
    assert batches == [1]
    assert Path("x.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not Path("x.csv.part").exists()


def test_what_failed_is_tried_again(fresh: Path, photos: Path) -> None:
    whole = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(whole[:3000])
    predict(fresh, "photos", "--out", "x.csv", code=3)
    predict(fresh, "photos", "--out", "x.csv", code=3)
    (photos / "b.png").write_bytes(whole)
    predict(fresh, "photos", "--out", "x.csv")
    rows = table(Path("x.csv"))
    assert len(rows) == 5
    assert not any(row["error"] for row in rows)


def test_overwrite_does_all_anew(fresh: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict(fresh, "photos", "--out", "x.csv")
    before = Path("x.csv").read_bytes()
    batches = spied(monkeypatch)
    predict(fresh, "photos", "--out", "x.csv", "--overwrite")
    assert batches == [4]
    assert Path("x.csv").read_bytes() == before


def test_results_of_two_checkpoints_are_not_mixed(fresh: Path, photos: Path, tmp_path: Path, capsys: Said) -> None:
    predict(fresh, "photos", "--out", "x.csv")
    before = Path("x.csv").read_bytes()
    other = fakes.write_checkpoint(tmp_path / "other.safetensors", "plain_cnn")
    predict(other, "photos", "--out", "x.csv", code=2)
    said = capsys.readouterr().err
    assert said.startswith("error: x.csv: holds results of the checkpoint fresh@")
    assert said.count("\n") == 1
    assert Path("x.csv").read_bytes() == before
    predict(other, "photos", "--out", "x.csv", "--overwrite")
    assert {row["model"] for row in table(Path("x.csv"))} == {checkpoint.identity(other)}


def test_a_foreign_file_is_not_overwritten(fresh: Path, photos: Path, capsys: Said) -> None:
    Path("x.csv").write_text("my,own,notes\n1,2,3\n")
    predict(fresh, "photos", "--out", "x.csv", code=2)
    assert "x.csv: no table of predict's" in capsys.readouterr().err
    assert Path("x.csv").read_text() == "my,own,notes\n1,2,3\n"
    assert files_below(Path.cwd()) == {"x.csv", *(f"photos/{name}" for name in files_below(photos))}


# Films


def test_a_film_gives_rows_for_its_frames(fresh: Path, photos: Path, capsys: Said) -> None:
    path = films.line((90, 120), (200, 120), 12)
    films.write(photos / "walk.mp4", [films.scene((films.astronaut(), place)) for place in path])
    films.write(photos / "empty.mp4", [films.scene() for _ in range(3)])
    predict(fresh, "photos/*.mp4", "photos/b.png", "--out", "x.csv", "--annotate", "drawn", "--every", "3")
    rows = table(Path("x.csv"))
    walk = [row for row in rows if row["source"] == "photos/walk.mp4"]
    assert [row["frame"] for row in walk] == list(range(12))
    assert [row["time_s"] for row in walk] == pytest.approx(np.arange(12) / 25, abs=1e-3)
    assert {row["track"] for row in walk} == {1}
    names = checkpoint.read_card(fresh)["classes"]
    for prefix in ("p_", "smooth_p_"):
        assert [sum(row[prefix + name] for name in names) for row in walk] == pytest.approx([1] * 12)
    assert [row["face"] for row in rows if row["source"] == "photos/empty.mp4"] == [None]
    drawn = {"walk.faces.mp4", "walk.timeline.png", "empty.faces.mp4", "empty.timeline.png", "b.faces.png"}
    assert files_below(Path("drawn")) == drawn
    assert "2 faces in 3 files, 1 without a face" in capsys.readouterr().out


def test_without_out_a_film_is_a_line_for_each_person(fresh: Path, photos: Path, capsys: Said) -> None:
    both = films.scene((films.astronaut(), (90, 120)), (films.hopper(), (230, 120)))
    films.write(photos / "two.mp4", [both] * 6)
    predict(fresh, "photos/two.mp4")
    lines = [line for line in capsys.readouterr().out.splitlines() if "track" in line]
    assert len(lines) == 2
    assert all("0.0 to 0.2 s" in line for line in lines)


def test_a_broken_film_becomes_a_row(fresh: Path, photos: Path) -> None:
    (photos / "bad.mp4").write_bytes(b"no film")
    predict(fresh, "photos/bad.mp4", "photos/b.png", "--out", "x.csv", "--annotate", "drawn", code=3)
    bad, good = table(Path("x.csv"))
    assert bad["error"].startswith("unreadable film (")
    assert good["face"] == 1
    assert files_below(Path("drawn")) == {"b.faces.png"}


# Mistakes, and what is left alone

MISTAKES = {
    "": "predict needs at least one INPUT",
    "gone.jpg": "gone.jpg: no such file or folder",
    "photos/*.bmp": "photos/*.bmp: matches no picture or film; the endings are .png,",
    "void": "void: no picture or film in this folder",
    "photos --ouT x.csv": "--ouT: no such option; did you mean --out?",
    "photos --smallest-face 60": "--smallest-face: no such option; did you mean --smallest_face?",
    "photos --zzz": "--zzz: no such option; choose from --checkpoint, --tta, --logit_adjustment, --out,",
    "photos --out x.xlsx": "x.xlsx: no format for the ending '.xlsx'; choose from .csv, .json, .jsonl, .parquet",
    "photos --out": "--out: expected one argument",
    "photos --every 0": "--every: 0 is no whole number from 1 on",
    "photos --smallest_face 10": "--smallest_face: 10 is no whole number from 20 on",
    "photos --batch some": "--batch: some is no whole number from 1 on",
    "photos --detector haar": "--detector: invalid choice: 'haar'",
    "photos --tta sideways": "--tta: invalid choice: 'sideways'",
    "photos --tta": "--tta: expected one argument",
    "photos --logit_adjustment some": "logit_adjustment some: need a number from 0 to 10, such as 0.5",
    "photos --logit_adjustment -1": "logit_adjustment -1: need a number from 0 to 10, such as 0.5",
    "photos --device abacus": "--device abacus: not to be had here",
    "photos --annotate photos/b.png": "--annotate photos/b.png: no folder can be made there",
    "photos --out photos/b.png/x.csv": "photos/b.png/x.csv",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_gets_one_line(words: str, fresh: Path, photos: Path, capsys: Said) -> None:
    Path("void").mkdir()
    before = files_below(Path.cwd())
    predict(fresh, *words.split(), code=2)
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert MISTAKES[words] in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert files_below(Path.cwd()) == before


def test_an_unknown_checkpoint_gets_one_line(photos: Path, capsys: Said) -> None:
    predict(Path("none.safetensors"), "photos", code=2)
    assert "none.safetensors: no such checkpoint" in capsys.readouterr().err


def test_help_is_immediate() -> None:
    code = "import sys; from fer_lightning.cli import main; main(['predict', '--help'])"
    code += "; print(*({'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("usage: python -m fer_lightning predict INPUT...")
    assert done.stdout.endswith("could not be read\n\n")  # what was imported is nothing heavy
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_nothing_is_written_elsewhere(fresh: Path, photos: Path, tmp_path: Path) -> None:
    """A process with a home, a temp and a working folder of its own leaves them as they were."""
    watched = {name: tmp_path / name for name in ("home", "temp", "cwd", "out")}
    for folder in watched.values():
        folder.mkdir()
    films.write(photos / "walk.mp4", [scene((90, 120))] * 4)
    places = {"HOME": "home", "XDG_CACHE_HOME": "home", "TMPDIR": "temp", "TEMP": "temp"}
    env = os.environ | {key: str(watched[name]) for key, name in places.items()} | {"PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):  # set in this process by an earlier test
        env.pop(name, None)
    env |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    words = [str(photos), "--checkpoint", str(fresh), "--out", str(tmp_path / "out" / "x.csv")]
    words += ["--annotate", str(tmp_path / "out" / "drawn")]
    before = files_below(photos)
    command = [sys.executable, "-m", "fer_lightning", "predict", *words]
    done = subprocess.run(command, cwd=watched["cwd"], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: list(watched[name].iterdir()) for name in ("home", "temp", "cwd")} == {
        "home": [],
        "temp": [],
        "cwd": [],
    }
    assert files_below(photos) == before
    stems = {"b.faces.png", "none.faces.png", "two.faces.png", "deeper/a.faces.jpg"}
    stems |= {"walk.faces.mp4", "walk.timeline.png"}
    assert files_below(watched["out"]) == {"x.csv", *(f"drawn/{name}" for name in stems)}
    with (tmp_path / "out" / "x.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 9
    assert done.stdout.count("\n") == 1


def test_outputs_that_cannot_be_are_told_in_a_line(fresh: Path, photos: Path, capsys: Said) -> None:
    Path("folder.csv").mkdir()
    predict(fresh, "photos/b.png", "--out", "folder.csv", code=2)
    assert "folder.csv: is a folder; name a file" in capsys.readouterr().err
    Path("drawn/b.faces.png").mkdir(parents=True)
    predict(fresh, "photos/b.png", "--annotate", "drawn", code=2)
    assert "cannot be written" in capsys.readouterr().err
    Path("big.csv").write_text("x," + "a" * 200_000 + "\n")
    predict(fresh, "photos/b.png", "--out", "big.csv", code=2)
    assert capsys.readouterr().err.count("\n") == 1


def test_two_runs_never_write_one_table(fresh: Path, photos: Path, capsys: Said) -> None:
    with filelock.FileLock(".x.csv.lock"):
        predict(fresh, "photos/b.png", "--out", "x.csv", code=2)
    assert "x.csv: another run is at work on it" in capsys.readouterr().err
    predict(fresh, "photos/b.png", "--out", "x.csv")
    assert files_below(Path.cwd()) & {"x.csv", "x.csv.part", ".x.csv.lock"} == {"x.csv"}


def test_a_file_given_in_two_ways_is_read_once(fresh: Path, photos: Path) -> None:
    predict(fresh, "photos/b.png", photos / "b.png", "photos/../photos/b.png", "--out", "x.csv")
    assert len(table(Path("x.csv"))) == 1


def test_small_faces_of_a_large_photo_are_found(fresh: Path, tmp_path: Path) -> None:
    photo = Image.new("RGB", (4000, 3000), (120, 120, 120))
    for number in range(12):
        photo.paste(films.astronaut(75), (300 + number % 4 * 900, 300 + number // 4 * 900))  # faces 49 pixels high
    photo.save(tmp_path / "group.png")
    predict(fresh, tmp_path / "group.png", "--out", tmp_path / "x.csv")
    assert len(table(tmp_path / "x.csv")) == 12
