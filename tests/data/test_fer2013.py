"""FER2013 in every form that users have it in, and every way in which the file can be spoilt."""

import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fer_lightning import cli
from fer_lightning.data import fer2013
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet, OnBadRow
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES
from tests import fakes

ROWS = 49  # 35 Training, 7 PublicTest, 7 PrivateTest
ICML = "emotion, Usage, pixels"
PIXELS = " ".join(["7"] * 2304)


def read(root: Path, on_bad_row: OnBadRow = "error") -> FaceSet:
    return ExpressionDataModule(source="fer2013", root=str(root), on_bad_row=on_bad_row).faces


def text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def icml(lines: Sequence[str]) -> list[str]:
    """The same rows in the columns of icml_face_data.csv."""
    cells = [line.split(",") for line in lines[1:]]
    return [ICML, *(f"{label}, {usage}, {pixels}" for label, pixels, usage in cells)]


def quoted(lines: Sequence[str]) -> list[str]:
    cells = [line.split(",") for line in lines]
    return [f'"{label}","{pixels}","{usage}"' for label, pixels, usage in cells]


def zipped(file: Path, content: bytes, member: str, *others: str) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for other in others:
            archive.writestr(other, b"id,emotion\n1,2\n")
        archive.writestr(member, content)
    return file


def tarred(file: Path, content: bytes, member: str) -> Path:
    plain = file.parent / "member"
    plain.write_bytes(content)
    with tarfile.open(file, "w:gz") as tar:
        tar.add(plain, member)
    plain.unlink()
    return file


def saved(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


FORMS: dict[str, Callable[[Path, list[str]], Path]] = {
    "the challenge's file": lambda to, lines: saved(to / "fer2013.csv", text(lines)),
    "Kaggle's columns": lambda to, lines: saved(to / "icml_face_data.csv", text(icml(lines))),
    "byte order mark": lambda to, lines: saved(to / "fer2013.csv", b"\xef\xbb\xbf" + text(lines)),
    "Windows line ends": lambda to, lines: saved(to / "fer2013.csv", text(lines).replace(b"\n", b"\r\n")),
    "quoted fields": lambda to, lines: saved(to / "fer2013.csv", text(quoted(lines))),
    "quoted, mark, Windows": lambda to, lines: saved(
        to / "fer2013.csv", b"\xef\xbb\xbf" + text(quoted(lines)).replace(b"\n", b"\r\n")
    ),
    "no newline at the end": lambda to, lines: saved(to / "fer2013.csv", text(lines).rstrip()),
    "zip": lambda to, lines: zipped(to / "archive.zip", text(lines), "fer2013.csv"),
    "zip of the challenge": lambda to, lines: zipped(
        to / "challenges.zip", text(icml(lines)), "icml_face_data.csv", "train.csv", "test.csv"
    ),
    "tar.gz, in a sub-folder": lambda to, lines: tarred(to / "fer2013.tar.gz", text(lines), "fer2013/fer2013.csv"),
    "tgz": lambda to, lines: tarred(to / "fer2013.tgz", text(icml(lines)), "data/icml_face_data.csv"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_faces(form: str, tmp_path: Path) -> None:
    truth = read(fakes.write_fer2013(tmp_path / "truth", ROWS))
    file = FORMS[form](tmp_path, fakes.fer2013_lines(ROWS))
    for root in (file, tmp_path):  # the file itself, and the folder in which it lies
        found = read(root)
        assert found.fingerprint == truth.fingerprint
        assert np.array_equal(found.faces, truth.faces)
        assert found.labels.tolist() == truth.labels.tolist()
        assert found.row_ids.tolist() == truth.row_ids.tolist()
        assert found.parts is not None
        assert truth.parts is not None
        assert found.parts.tolist() == truth.parts.tolist()


def test_faces_labels_parts_and_roles_are_those_of_the_file(tmp_path: Path) -> None:
    labels = [row % 7 for row in range(ROWS)]
    data = ExpressionDataModule(source="fer2013", root=str(fakes.write_fer2013(tmp_path, ROWS)))
    found = data.faces
    assert found.classes == FER2013_CLASSES
    assert np.array_equal(found.faces, fakes.faces(labels))
    assert found.faces.dtype == np.uint8
    assert found.labels.tolist() == labels
    assert found.row_ids.tolist() == [str(row) for row in range(ROWS)]
    assert found.parts is not None
    assert found.parts.tolist() == ["Training"] * 35 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
    assert data.rows("train").tolist() == list(range(35))
    assert data.rows("validation").tolist() == list(range(35, 42))
    assert data.rows("test").tolist() == list(range(42, 49))
    assert found.votes is None
    assert found.not_face is None
    assert found.remarks == ()


def test_a_training_batch_holds_the_rows_of_the_training_part(tmp_path: Path) -> None:
    root = fakes.write_fer2013(tmp_path, ROWS)
    data = ExpressionDataModule(source="fer2013", root=str(root), augment="none", batch_size=35)
    (batch,) = data.train_dataloader()
    rows = batch["rows"].numpy()
    assert sorted(rows.tolist()) == list(range(35))
    assert np.array_equal(batch["faces"].numpy(), data.faces.faces[rows])
    assert batch["labels"].tolist() == (rows % 7).tolist()


def test_kaggles_train_csv_is_all_training_rows(tmp_path: Path) -> None:
    lines = fakes.fer2013_lines(ROWS)
    (tmp_path / "train.csv").write_bytes(text([line.rpartition(",")[0] for line in lines]))
    (tmp_path / "test.csv").write_bytes(text(["pixels", PIXELS]))
    found = read(tmp_path)
    assert np.array_equal(found.faces, fakes.faces([row % 7 for row in range(ROWS)]))
    assert found.parts is None
    assert not found.roles
    assert found.remarks == ("train.csv has no Usage column: all its rows are training rows",)


def test_the_whole_set_is_taken_before_the_training_rows_alone(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(text(["emotion,pixels", f"0,{PIXELS}"]))
    fakes.write_fer2013(tmp_path / "below", ROWS)
    assert len(read(tmp_path)) == ROWS


def line(label: object = 3, pixels: str = PIXELS, usage: str = "Training") -> str:
    return f"{label},{pixels},{usage}"


BAD_ROWS = {
    "114 pixels": (line(pixels=" ".join(["7"] * 114)), "114 pixels instead of 2,304"),
    "one pixel too many": (line(pixels=f"{PIXELS} 7"), "2,305 pixels instead of 2,304"),
    "no pixels": (line(pixels=""), "0 pixels instead of 2,304"),
    "over 255": (line(pixels=f"{PIXELS[:-1]}256"), "pixel value 256 is not from 0 to 255"),
    "so large that it wraps": (line(pixels=f"{PIXELS[:-1]}{2**32 + 1}"), f"pixel value {2**32 + 1} is not"),
    "negative": (line(pixels=f"-1 {PIXELS[2:]}"), "pixel value -1 is not from 0 to 255"),
    "a word": (line(pixels=f"7 NaN {PIXELS[4:]}"), "'NaN' is no pixel value from 0 to 255"),
    "a fraction at the end": (line(pixels=f"{PIXELS[:-1]}7.5"), "'7.5' is no pixel value"),
    "unknown label": (line(7), "unknown emotion '7' (options: 0 = angry, 1 = disgust, 2 = fear, 3 = happy,"),
    "a name for a label": (line("happy"), "unknown emotion 'happy'"),
    "unknown Usage": (line(usage="Test"), "unknown Usage 'Test' (options: Training, PublicTest, PrivateTest)"),
    "a column too few": (f"3,{PIXELS}", "2 columns instead of 3"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_with_file_line_reason_and_cure(case: str, tmp_path: Path) -> None:
    row, reason = BAD_ROWS[case]
    lines = fakes.fer2013_lines(7)
    file = saved(tmp_path / "fer2013.csv", text([*lines[:3], row, *lines[3:]]))
    with pytest.raises(UserError) as caught:
        read(file)
    message = str(caught.value)
    assert message.startswith(f"{file} line 4: {reason}")
    assert message.endswith("--data.on_bad_row skip")
    assert "\n" not in message


def test_bad_rows_are_skipped_counted_and_leave_gaps_in_the_numbers(tmp_path: Path) -> None:
    lines = fakes.fer2013_lines(14)
    lines[3] = line(9)
    lines[9] = line(pixels="1 2 3")
    found = read(saved(tmp_path / "fer2013.csv", text(lines)), "skip")
    kept = [row for row in range(14) if row not in (2, 8)]
    assert found.row_ids.tolist() == [str(row) for row in kept]
    assert np.array_equal(found.faces, fakes.faces([row % 7 for row in range(14)])[kept])
    (remark,) = found.remarks
    assert remark.startswith("2 bad rows skipped, the first: fer2013.csv line 4: unknown emotion '9'")


def test_a_file_of_bad_rows_alone_is_refused_even_when_skipping(tmp_path: Path) -> None:
    file = saved(tmp_path / "fer2013.csv", text(["emotion,pixels,Usage", line(9), line(9)]))
    with pytest.raises(UserError, match="holds no usable row"):
        read(file, "skip")


SPOILT = {
    "empty": (b"", "is empty"),
    "blank lines alone": (b"\n\n", "is empty"),
    "saved web page": (b"<!DOCTYPE html>\n<html><title>Kaggle</title>", "is a saved web page"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "is a git-lfs pointer"),
    "header alone": (b"emotion,pixels,Usage\n", "holds no usable row"),
    "other columns": (b"path,label\n1.png,happy\n", "line 1: no column emotion and pixels (found: 'path,label')"),
    "Kaggle's test.csv": (text(["pixels", PIXELS]), "line 1: no column emotion (found: 'pixels')"),
    "a picture": (b"\xff\xd8\xff\xe0\r\x00\x10JFIF\x00\n\x01", "line 1: no column emotion and pixels"),
}


@pytest.mark.parametrize("case", SPOILT)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_such_csv_is_refused_with_the_place_to_get_it(case: str, packed: bool, tmp_path: Path) -> None:
    content, reason = SPOILT[case]
    saved(tmp_path / "fer2013.csv", content)
    file = tmp_path / "fer2013.csv"
    if packed:
        file = zipped(tmp_path / "a.zip", content, "x/fer2013.csv")
    with pytest.raises(UserError) as caught:
        read(file)
    message = str(caught.value)
    assert message.startswith(f"{file}")
    assert reason in message
    assert "Kaggle" in message or "git lfs pull" in message
    assert message.isprintable()


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_a_saved_web_page_with_an_archives_name_is_told_as_such(ending: str, tmp_path: Path) -> None:
    file = saved(tmp_path / f"archive.{ending}", b"\n<html><body>Sign in</body></html>")
    with pytest.raises(UserError, match=r"archive.* is a saved web page"):
        read(file)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("form", ["zip", "tar.gz, in a sub-folder"])
def test_a_cut_archive_is_told_as_such(form: str, share: float, tmp_path: Path) -> None:
    file = FORMS[form](tmp_path, fakes.fer2013_lines(ROWS))
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    for root in (file, tmp_path):
        with pytest.raises(UserError, match=r"cut off or damaged \(.*\); download it again") as caught:
            read(root)
        assert str(caught.value).startswith(str(file))


def test_a_changed_digit_in_a_zip_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("fer2013.csv", text(["emotion,pixels,Usage", line(3), line(4)]))
    file.write_bytes(file.read_bytes().replace(b"\n3,7 7", b"\n3,8 7"))  # every row is still a good one
    with pytest.raises(UserError, match="cut off or damaged"):
        read(file)


@pytest.mark.parametrize("cut", [4_000, 9, 3])  # within the pixels, behind them, within the Usage
def test_a_cut_csv_is_told_by_its_last_line(cut: int, tmp_path: Path) -> None:
    file = saved(tmp_path / "fer2013.csv", text(fakes.fer2013_lines(14))[:-cut])
    with pytest.raises(UserError, match=r"line 15: .*; it is the last line: the download may be cut off; "):
        read(file)


def test_an_archive_without_the_set_says_what_it_looked_for(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", b"1,2", "other.csv")
    with pytest.raises(UserError, match=r"a\.zip: holds no fer2013\.csv, icml_face_data\.csv or train\.csv; get "):
        read(file)


def test_a_folder_without_the_set_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r": no fer2013\.csv, icml_face_data\.csv or train\.csv here; get "):
        read(tmp_path)


def test_the_command_line_prints_one_line_and_returns_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_LIGHTNING_RUN", "")  # what fit tells of its run ends with this test
    file = saved(tmp_path / "fer2013.csv", text(["emotion,pixels,Usage", line(), line(pixels="1 2")]))
    assert cli.main(["fit", "--data.source", "fer2013", "--data.root", str(file)]) == 2
    missing = tmp_path / "nowhere.csv"
    assert cli.main(["fit", "--data.source", "fer2013", "--data.root", str(missing)]) == 2
    first, second = capfd.readouterr().err.strip().splitlines()
    assert first.startswith(f"error: {file} line 3: 2 pixels instead of 2,304; ")
    assert second.startswith(f"error: --data.root {missing}: no such file or folder; it may be fer2013.csv or ")


def test_a_second_start_reads_the_cache_not_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(fakes.write_fer2013(tmp_path / "a", ROWS, seed=11))
    elsewhere = fakes.write_fer2013(tmp_path / "b", ROWS, seed=11)  # the same content under another path
    monkeypatch.setattr(fer2013, "read_pixel_csv", None)
    for root in (tmp_path / "a", elsewhere):
        again = read(root)
        assert isinstance(again.faces, np.memmap)
        assert np.array_equal(again.faces, first.faces)
        assert again.fingerprint == first.fingerprint
    with pytest.raises(TypeError):  # the parser is poisoned indeed
        read(fakes.write_fer2013(tmp_path / "c", ROWS, seed=12))


def test_the_remark_of_a_cached_file_names_no_folder_of_before(tmp_path: Path) -> None:
    content = text([*fakes.fer2013_lines(8), line(8)])
    for folder in (tmp_path / "before", tmp_path / "after"):
        folder.mkdir()
        (remark,) = read(saved(folder / "fer2013.csv", content), "skip").remarks
        assert "before" not in remark


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    file = fakes.write_fer2013(tmp_path, ROWS, seed=1)
    before = read(file)
    content = file.read_bytes()
    stamp = file.stat().st_mtime_ns
    file.write_bytes(content.replace(b"\n3,", b"\n4,"))  # the same size
    os.utime(file, ns=(stamp, stamp + 1_000_000))
    after = read(file)
    assert before.labels.tolist().count(3) == 7
    assert after.labels.tolist().count(3) == 0
    assert after.fingerprint != before.fingerprint


def test_skipped_rows_do_not_come_back_from_the_cache_of_the_strict_reading(tmp_path: Path) -> None:
    file = saved(tmp_path / "fer2013.csv", text([*fakes.fer2013_lines(7), line(8)]))
    assert len(read(file, "skip")) == 7
    with pytest.raises(UserError, match="unknown emotion '8'"):
        read(file, "error")


@pytest.mark.realdata
def test_real_fer2013_whole(real_data: Path) -> None:
    root = real_data / "fer2013"
    data = ExpressionDataModule(source="fer2013", root=str(root))
    found = data.faces
    assert len(found) == 35_887
    assert [len(data.rows(role)) for role in ("train", "validation", "test")] == [28_709, 3_589, 3_589]
    assert np.bincount(found.labels).tolist() == [4953, 547, 5121, 8989, 6077, 4002, 6198]
    assert len(np.unique(found.faces.reshape(len(found), -1), axis=0)) == 34_032
    assert found.not_face is not None
    assert int(found.not_face.sum()) == 176
    assert read(root).fingerprint == found.fingerprint


def test_a_zip_with_a_password_is_named(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", b"emotion,pixels\n", "fer2013.csv")
    content = bytearray(file.read_bytes())
    content[6] |= 1  # the flag of encryption, in the member's own header ...
    content[content.index(b"PK\x01\x02") + 8] |= 1  # ... and in the directory
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip: cannot be unpacked \(.*password.*\); unpack it by hand"):
        _ = ExpressionDataModule(root=str(file)).faces
