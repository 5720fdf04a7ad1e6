"""What lies at a path is recognised and said; what is not is told with what it may be."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_lightning import cli
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.sources import SourceName
from fer_lightning.errors import UserError
from tests import fakes


def write_table(folder: Path, name: str = "faces.csv") -> Path:
    fakes.write_classes(folder / "pics", ["bored", "keen"], each=1)
    file = folder / name
    file.write_text("path,label\npics/bored/000.png,bored\npics/keen/001.png,keen\n")
    return file


def write_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("fer2013.csv", "\n".join(fakes.fer2013_lines(7)))
    return folder / "archive.zip"


def write_both(folder: Path) -> Path:
    fakes.write_fer2013(folder, 7)
    fakes.write_ferplus(folder, 7)
    return folder


KNOWN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "fer2013.csv": (lambda to: fakes.write_fer2013(to, 7), "fer2013"),
    "its folder": (lambda to: fakes.write_fer2013(to, 7).parent, "fer2013"),
    "the folder above": (lambda to: fakes.write_fer2013(to / "fer2013", 7).parents[1], "fer2013"),
    "an archive": (write_zip, "fer2013"),
    "an archive's folder": (lambda to: write_zip(to).parent, "fer2013"),
    "faces and votes": (write_both, "fer2013"),
    "CK+": (lambda to: fakes.write_ckplus(to, subjects=1, frames=1), "ckplus"),
    "the folder above CK+": (lambda to: fakes.write_ckplus(to / "CK+", subjects=1, frames=1).parent, "ckplus"),
    "CK+48": (lambda to: fakes.write_ck48(to, subjects=1), "ckplus"),
    "the folder above CK+48": (lambda to: fakes.write_ck48(to / "CK+48", subjects=1).parent, "ckplus"),
    "a table": (write_table, "csv"),
    "a table's folder": (lambda to: write_table(to).parent, "csv"),
    "one's own train.csv": (lambda to: write_table(to, "train.csv"), "csv"),
    "a folder with one's own train.csv": (lambda to: write_table(to, "train.csv").parent, "csv"),
    "class folders": (lambda to: fakes.write_classes(to, ["bored", "keen"], each=1), "folder"),
    "split folders": (
        lambda to: fakes.write_classes(to, [f"{split}/{c}" for split in ("train", "test") for c in "ab"], each=1),
        "folder",
    ),
}


@pytest.mark.parametrize("case", KNOWN)
def test_what_lies_there_is_recognised_and_said(case: str, tmp_path: Path) -> None:
    write, source = KNOWN[case]
    root = write(tmp_path)
    found = ExpressionDataModule(source="auto", root=str(root)).faces
    assert found.source == source
    assert found.remarks[0] == f"{root} taken for {source} (--data.source says otherwise)"
    named: SourceName = found.source  # type: ignore[assignment]
    again = ExpressionDataModule(source=named, root=str(root)).faces
    assert again.remarks == found.remarks[1:]
    assert again.fingerprint == found.fingerprint


def test_a_root_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    fakes.write_fer2013(tmp_path / "data", 7)
    assert len(ExpressionDataModule(root="~/data").faces) == 7


def write_garbage(to: Path) -> Path:
    (to / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x1b\x07")
    return to / "a.jpg"


def write_text(to: Path) -> Path:
    (to / "notes.txt").write_text("none")
    return to / "notes.txt"


def write_pictures(to: Path) -> Path:
    fakes.save(fakes.faces([0])[0], to / "a.png")
    return to


UNKNOWN: dict[str, tuple[SourceName, Callable[[Path], Path], str]] = {
    "nothing there": ("auto", lambda to: to / "nowhere", ": no such file or folder; it may be fer2013.csv or "),
    "nothing there, named": ("ckplus", lambda to: to / "nowhere", ": no such file or folder; it may be fer2013.csv"),
    "an empty folder": ("auto", lambda to: to, ": not recognised; it may be fer2013.csv or icml_face_data.csv"),
    "pictures without classes": ("auto", write_pictures, ": not recognised; it may be "),
    "a text file": ("auto", write_text, ": not recognised; it may be "),
    "a file for class folders": ("folder", write_text, ": no class folders with pictures here; "),
    "a file for CK+": ("ckplus", write_text, ": no CK+ here; "),
    "a picture for a table": ("csv", write_garbage, " line 1: no column path and label"),
    "a text for a table": ("csv", write_text, " line 1: no column path and label (found: 'none'); "),
    "a text for FER2013": ("fer2013", write_text, " line 1: no column emotion and pixels (found: 'none'); "),
    "CK+48 for FER2013": ("fer2013", lambda to: fakes.write_ck48(to, 1), ": no fer2013.csv, icml_face_data.csv or "),
    "class folders for FER+": ("ferplus", lambda to: fakes.write_classes(to, "ab", 1), ": no fer2013new.csv here; "),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_recognised_is_told_in_one_line(case: str, tmp_path: Path) -> None:
    source, write, reason = UNKNOWN[case]
    root = write(tmp_path)
    with pytest.raises(UserError) as caught:
        _ = ExpressionDataModule(source=source, root=str(root)).faces
    message = str(caught.value)
    assert message.removeprefix("--data.root ").startswith(f"{root}{reason}")
    assert message.isprintable()


@pytest.mark.parametrize("source", ["fer2013", "ferplus", "ckplus", "folder", "csv"])
def test_a_source_that_needs_a_root_says_so(source: SourceName) -> None:
    with pytest.raises(UserError, match=rf"--data\.source {source}: say where it lies, with --data\.root PATH"):
        _ = ExpressionDataModule(source=source).faces


def test_the_command_line_prints_one_line_and_returns_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_LIGHTNING_RUN", "")  # what fit tells of its run ends with this test
    fakes.write_classes(tmp_path / "own", ["train/a", "train/b", "test/c"], each=1)
    for args in (["--data.source", "csv"], ["--data.root", "own"], ["--data.root", "nowhere"]):
        assert cli.main(["fit", *args]) == 2
    assert [line[:60] for line in capfd.readouterr().err.strip().splitlines()] == [
        "error: --data.source csv: say where it lies, with --data.root PATH"[:60],
        "error: own: class folder c is not in train/ (classes there: a, b); rename it"[:60],
        "error: --data.root nowhere: no such file or folder; it may be"[:60],
    ]
