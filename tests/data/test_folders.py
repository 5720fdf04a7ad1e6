"""Folders named after classes, of anyone's own and as Kaggle hands FER2013 on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet, OnBadRow
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES
from tests import fakes

NAMES = ("bored", "keen", "tired")


def read(root: Path, on_bad_row: OnBadRow = "error") -> FaceSet:
    return ExpressionDataModule(source="folder", root=str(root), on_bad_row=on_bad_row).faces


def by_class(found: FaceSet) -> dict[str, list[str]]:
    """The names of the pictures of each class."""
    return {
        name: [str(row) for row in found.row_ids[found.labels == label]] for label, name in enumerate(found.classes)
    }


def test_any_class_names(tmp_path: Path) -> None:
    found = read(fakes.write_classes(tmp_path, NAMES, each=2))
    assert by_class(found) == {
        "bored": ["bored/000.png", "bored/001.png"],
        "keen": ["keen/002.png", "keen/003.png"],
        "tired": ["tired/004.png", "tired/005.png"],
    }
    assert np.array_equal(found.faces, fakes.faces([0, 0, 1, 1, 2, 2]))
    assert found.parts is None
    assert found.subjects is None
    assert found.remarks == ()


def test_known_expressions_take_this_packages_names_and_order(tmp_path: Path) -> None:
    found = read(fakes.write_classes(tmp_path, ["Anger", "Joy", "SURPRISED", "neutral", "Contempt", "awe"], each=1))
    assert {name: rows[0].split("/")[0] for name, rows in by_class(found).items()} == {
        "angry": "Anger",
        "happy": "Joy",
        "surprise": "SURPRISED",
        "neutral": "neutral",
        "contempt": "Contempt",
        "awe": "awe",
    }
    assert found.classes == ("angry", "happy", "surprise", "neutral", "contempt", "awe")


def test_two_folders_that_mean_one_expression_stay_apart(tmp_path: Path) -> None:
    found = read(fakes.write_classes(tmp_path, ["fear", "scared", "joy"], each=1))
    assert by_class(found) == {"fear": ["fear/000.png"], "joy": ["joy/002.png"], "scared": ["scared/001.png"]}


def test_pictures_may_lie_deeper_and_other_files_do_not_count(tmp_path: Path) -> None:
    fakes.write_classes(tmp_path, NAMES, each=1)
    fakes.save(fakes.faces([0])[0], tmp_path / "keen" / "more" / "x.JPG")
    fakes.save(fakes.faces([0])[0], tmp_path / ".thumbnails" / "x.png")
    (tmp_path / "keen" / "._001.png").write_text("a Mac's shadow of the picture")
    (tmp_path / "keen" / "notes.txt").write_text("none")
    (tmp_path / "empty").mkdir()
    found = read(tmp_path)
    assert found.classes == NAMES
    assert by_class(found)["keen"] == ["keen/001.png", "keen/more/x.JPG"]


@pytest.mark.parametrize("side", [24, 96, 131])
def test_pictures_of_other_sizes_are_resized(side: int, tmp_path: Path) -> None:
    found = read(fakes.write_classes(tmp_path, NAMES, each=1, side=side))
    assert found.faces.shape == (3, 48, 48)
    for label, face in enumerate(found.faces):  # the bright bar is where it was drawn
        assert abs(int(face.mean(1).argmax()) - (5.5 + 5 * label)) <= 3


def write_kaggle(root: Path, splits: Sequence[str], ending: str = "jpg") -> Path:
    """FER2013 as image folders, five pictures of each class in every split."""
    for seed, split in enumerate(splits):
        for label, name in enumerate(FER2013_CLASSES):
            for number, face in enumerate(fakes.faces([label] * 5, seed)):
                fakes.save(face, root / split / name / f"{split}_{number}.{ending}")
    return root


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_kaggles_folders_keep_their_split(ending: str, tmp_path: Path) -> None:
    data = ExpressionDataModule(source="folder", root=str(write_kaggle(tmp_path, ["train", "test"], ending)))
    assert data.faces.classes == FER2013_CLASSES
    assert set(data.faces.roles) == {"train", "test"}
    rows = {role: data.faces.row_ids[data.rows(role)] for role in ("train", "validation", "test")}
    assert all(name.startswith("test/") for name in rows["test"])
    assert len(rows["test"]) == 35
    assert all(name.startswith("train/") for name in (*rows["train"], *rows["validation"]))
    assert len(rows["train"]) + len(rows["validation"]) == 35
    for label, name in zip(data.faces.labels, data.faces.row_ids, strict=True):
        assert name.split("/")[1] == data.faces.classes[label]


@pytest.mark.parametrize("validation", ["validation", "valid", "val"])
def test_three_split_folders(validation: str, tmp_path: Path) -> None:
    root = write_kaggle(tmp_path, ["Train", validation, "test"])
    data = ExpressionDataModule(source="folder", root=str(root))
    assert [len(data.rows(role)) for role in ("train", "validation", "test")] == [35, 35, 35]
    assert all(name.startswith(f"{validation}/") for name in data.faces.row_ids[data.rows("validation")])


def test_an_unreadable_picture_is_named_or_skipped(tmp_path: Path) -> None:
    fakes.write_classes(tmp_path, NAMES, each=2)
    (tmp_path / "keen" / "002.png").write_text("no picture")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/keen/002.png: unreadable picture (")
    assert str(caught.value).endswith("--data.on_bad_row skip")
    found = read(tmp_path, "skip")
    assert by_class(found)["keen"] == ["keen/003.png"]
    assert np.array_equal(found.faces, fakes.faces([0, 0, 1, 1, 2, 2])[[0, 1, 3, 4, 5]])
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith(f"1 bad rows skipped, the first: {tmp_path}/keen/002.png: unreadable picture")


def test_where_no_picture_can_be_read_skipping_ends_too(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_text("no picture")
    with pytest.raises(
        UserError, match=r"not one of 3 pictures could be read; 3 bad rows skipped, the first: .*a\.png"
    ):
        read(tmp_path, "skip")


def test_a_changed_and_an_added_picture_are_read_anew(tmp_path: Path) -> None:
    before = read(fakes.write_classes(tmp_path, NAMES, each=1))
    fakes.save(fakes.faces([6])[0], tmp_path / "tired" / "002.png")
    changed = read(tmp_path)
    assert np.array_equal(changed.faces[2], fakes.faces([6])[0])
    fakes.save(fakes.faces([5])[0], tmp_path / "tired" / "003.png")
    assert len(read(tmp_path)) == 4
    assert len({before.fingerprint, changed.fingerprint, read(tmp_path).fingerprint}) == 3


def test_equal_folders_elsewhere_have_equal_fingerprints(tmp_path: Path) -> None:
    first = read(fakes.write_classes(tmp_path / "a", NAMES))
    assert read(fakes.write_classes(tmp_path / "b", NAMES)).fingerprint == first.fingerprint
    (tmp_path / "b" / "keen").rename(tmp_path / "b" / "eager")
    assert read(tmp_path / "b").fingerprint != first.fingerprint


WRONG: dict[str, tuple[Sequence[str], str]] = {
    "nothing": ([], "no class folders with pictures here; a folder needs one sub-folder for each class"),
    "one class": (["keen"], "only one class, keen; "),
    "one class in the splits": (["train/keen", "test/keen"], "only one class, keen; "),
    "a class that is not in train": (
        ["train/keen", "train/bored", "test/tired"],
        "class folder tired is not in train/ (classes there: bored, keen); rename it",
    ),
    "another spelling in train": (
        ["train/anger", "train/joy", "test/angry"],
        "class folder angry is not in train/ (classes there: anger, joy); rename it",
    ),
    "no train": (["test/keen", "test/bored"], "no train/ folder beside test; "),
    "a class beside the splits": (["train/keen", "train/bored", "tired"], "tired/ stands beside train/; "),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_folders_are_told_in_one_line(case: str, tmp_path: Path) -> None:
    folders, reason = WRONG[case]
    fakes.write_classes(tmp_path, folders, each=1)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.realdata
def test_real_fer2013_as_image_folders(real_data: Path) -> None:
    data = ExpressionDataModule(source="folder", root=str(real_data / "fer2013_folders"))
    assert data.faces.classes == FER2013_CLASSES
    assert np.bincount(data.faces.labels).tolist() == [4953, 547, 5121, 8989, 6077, 4002, 6198]
    assert data.faces.parts is not None
    assert int((data.faces.parts == "train").sum()) == 28_709


def test_fer2013s_own_part_names_are_known(tmp_path: Path) -> None:
    for number, part in enumerate(("Training", "PublicTest", "PrivateTest")):
        fakes.write_classes(tmp_path / part, ["happy", "sad"], 3, seed=number)
    data = ExpressionDataModule(root=str(tmp_path))
    assert [len(data.rows(role)) for role in ("train", "validation", "test")] == [6, 6, 6]


def test_classes_one_folder_deeper_are_pointed_at(tmp_path: Path) -> None:
    fakes.write_classes(tmp_path / "pictures", ["happy", "sad"], 3)
    with pytest.raises(UserError, match=f"holds one folder, pictures/; did you mean --data.root {tmp_path}/pictures"):
        _ = ExpressionDataModule(root=str(tmp_path)).faces


def test_names_that_differ_in_case_alone_are_told(tmp_path: Path) -> None:
    fakes.write_classes(tmp_path, ["Happy", "happy", "sad"], 3)
    faces = ExpressionDataModule(root=str(tmp_path)).faces
    assert faces.classes == ("happy", "sad", "Happy")
    assert any("Happy and happy are alike" in remark for remark in faces.remarks)
