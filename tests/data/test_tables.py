"""A CSV of one's own: paths, labels, and perhaps subjects and a split."""

from pathlib import Path

import numpy as np
import pytest

from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet, OnBadRow
from fer_lightning.errors import UserError
from tests import fakes

MOODS = ["bored", "keen", "tired"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with pics/0.png to pics/5.png."""
    for number, face in enumerate(fakes.faces([0, 1, 2, 0, 1, 2])):
        fakes.save(face, tmp_path / "pics" / f"{number}.png")
    return tmp_path


def read(root: Path, on_bad_row: OnBadRow = "error") -> FaceSet:
    return ExpressionDataModule(source="csv", root=str(root), on_bad_row=on_bad_row).faces


def table(folder: Path, *lines: str, name: str = "faces.csv") -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def rows(*columns: str) -> list[str]:
    """Header and six rows; a column is a name and a pattern of the row's number."""
    names, patterns = zip(*(column.split("=") for column in columns), strict=True)
    lines = [",".join(pattern.format(n=n, mood=MOODS[n % 3]) for pattern in patterns) for n in range(6)]
    return [",".join(names), *lines]


PLAIN = rows("path=pics/{n}.png", "label={mood}")
FORMS = {
    "commas": "\n".join(PLAIN),
    "semicolons": "\n".join(PLAIN).replace(",", ";"),
    "tabs": "\n".join(PLAIN).replace(",", "\t"),
    "byte order mark": "\ufeff" + "\n".join(PLAIN),
    "Windows line ends": "\r\n".join(PLAIN),
    "quoted": "\n".join(f'"{line}"'.replace(",", '","') for line in PLAIN),
    "capitals and spaces": "\n".join(["Path, Label", *(line.replace(",", " , ") for line in PLAIN[1:])]),
    "columns the other way round": "\n".join(rows("label={mood}", "note=x", "path=pics/{n}.png")),
    "blank lines": "\n\n".join(PLAIN) + "\n\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_faces(form: str, pictures: Path) -> None:
    file = pictures / "faces.csv"
    file.write_bytes(FORMS[form].encode())
    for root in (file, pictures):
        found = read(root)
        assert found.classes == ("bored", "keen", "tired")
        assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
        assert found.row_ids.tolist() == [f"pics/{n}.png" for n in range(6)]
        assert np.array_equal(found.faces, fakes.faces([0, 1, 2, 0, 1, 2]))
        assert found.subjects is None
        assert not found.roles


def test_paths_may_be_absolute_and_hold_commas_and_umlauts(pictures: Path) -> None:
    fakes.save(fakes.faces([4])[0], pictures / "Grüße, von fern.png")
    file = table(pictures, "path,label", f"{pictures}/pics/0.png,bored", '"Grüße, von fern.png",keen')
    assert np.array_equal(read(file).faces[1], fakes.faces([4])[0])


def test_subjects_group_the_rows(pictures: Path) -> None:
    found = read(table(pictures, *rows("path=pics/{n}.png", "label={mood}", "subject=p{n}")))
    assert found.subjects is not None
    assert found.subjects.tolist() == [0, 1, 2, 3, 4, 5]
    file = table(pictures, "path,label,subject", "pics/0.png,bored,zoe", "pics/1.png,keen,abe", "pics/2.png,keen,zoe")
    found = read(file)
    assert found.subjects is not None
    assert found.subjects.tolist() == [1, 0, 1]


def test_a_split_of_ones_own_is_kept(pictures: Path) -> None:
    splits = ["train", "Training", "val", "validation", "test", "TEST"]
    lines = [f"pics/{n}.png,{['bored', 'keen'][n % 2]},{split}" for n, split in enumerate(splits)]
    data = ExpressionDataModule(source="csv", root=str(table(pictures, "path,label,split", *lines)))
    assert {role: data.rows(role).tolist() for role in ("train", "validation", "test")} == {
        "train": [0, 1],
        "validation": [2, 3],
        "test": [4, 5],
    }


def test_known_expressions_take_this_packages_names_and_order(pictures: Path) -> None:
    file = table(pictures, "path,label", "pics/0.png,Sadness", "pics/1.png,anger", "pics/2.png,Awe")
    found = read(file)
    assert found.classes == ("angry", "sad", "Awe")
    assert found.labels.tolist() == [1, 0, 2]


GOOD = ["pics/0.png,bored,train", "pics/1.png,keen,train"]
BAD_ROWS = {
    "missing picture": ("pics/9.png,keen,train", "no picture pics/9.png (paths are relative to the folder of the CSV)"),
    "a folder for a picture": ("pics,keen,train", "no picture pics "),
    "no path": (",keen,train", "no path; "),
    "no label": ("pics/2.png,,train", "no label; "),
    "a lone cell": ("pics/2.png", "no label; "),
    "unknown split": ("pics/2.png,keen,dev", "unknown split dev (options: train, validation, test)"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_by_its_line_or_skipped(case: str, pictures: Path) -> None:
    row, reason = BAD_ROWS[case]
    file = table(pictures, "path,label,split", GOOD[0], "", row, GOOD[1])
    with pytest.raises(UserError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file} line 4: {reason}")
    assert "--data.on_bad_row skip" in str(caught.value)
    found = read(file, "skip")
    assert found.row_ids.tolist() == ["pics/0.png", "pics/1.png"]
    assert found.remarks == (f"1 bad rows skipped, the first: {str(caught.value).split('; ')[0]}",)


def test_an_unreadable_picture_is_named_or_skipped(pictures: Path) -> None:
    (pictures / "pics/1.png").write_text("no picture")
    file = table(pictures, *PLAIN)
    with pytest.raises(UserError, match=r"pics/1\.png: unreadable picture .*; .*--data\.on_bad_row skip"):
        read(file)
    found = read(file, "skip")
    assert found.row_ids.tolist() == [f"pics/{n}.png" for n in (0, 2, 3, 4, 5)]
    assert found.labels.tolist() == [0, 2, 0, 1, 2]
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith("1 bad rows skipped, the first: ")


WRONG = {
    "empty": ("", ": is empty"),
    "web page": ("<html>\n", ": is a saved web page"),
    "no label column": ("path,emotion\npics/0.png,keen\n", " line 1: no column label (found: 'path,emotion'); "),
    "header alone": ("path,label\n", ": holds no usable rows; "),
    "one class": ("path,label\npics/0.png,keen\npics/1.png,keen\n", ": only one class, keen; "),
    "a split for some": ("path,label,split\npics/0.png,keen,train\npics/1.png,bored,\n", ": some rows have no split; "),
    "a subject for some": ("path,label,subject\npics/0.png,keen,a\npics/1.png,bored,\n", ": some rows have no subject"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_table_is_told_in_one_line(case: str, pictures: Path) -> None:
    content, reason = WRONG[case]
    file = pictures / "faces.csv"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}{reason}")
    assert "\n" not in str(caught.value)


def test_none_and_two_tables_in_a_folder_are_refused(pictures: Path) -> None:
    table(pictures, "a,b", "1,2", name="other.csv")
    with pytest.raises(UserError, match="no CSV with the columns path and label here; write one: path,label"):
        read(pictures)
    for name in ("train.csv", "test.csv"):
        table(pictures, *PLAIN, name=name)
    with pytest.raises(UserError, match=r"more than one table \(test\.csv, train\.csv\); name one, or join them"):
        read(pictures)


def test_paths_written_on_windows_are_read(tmp_path: Path) -> None:
    fakes.write_classes(tmp_path / "pictures", ["no", "yes"], 3)
    rows = [f"pictures\\{name}\\{i:03d}.png,{name}" for i, name in enumerate(["no"] * 3 + ["yes"] * 3)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,label", *rows]))
    assert len(ExpressionDataModule(root=str(tmp_path)).faces) == 6


def test_an_open_quote_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text('path,label\n"a.png,yes\n' + "b.png,no\n" * 20_000)
    with pytest.raises(UserError, match=r"mine\.csv line \d+: .*; is a quote left open above"):
        _ = ExpressionDataModule(root=str(tmp_path)).faces
