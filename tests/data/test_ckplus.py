"""CK+ in its official layout, with landmarks and without, and as the CK+48 folders."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.data import ckplus
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet, OnBadRow
from fer_lightning.errors import UserError
from fer_lightning.faces import crop, largest_face, square_of_box
from tests import fakes

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "contempt")  # this package's order
CODES = {1: "angry", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}


def read(root: Path, frames: int = 3, first_as_neutral: bool = False, on_bad_row: OnBadRow = "error") -> FaceSet:
    return ExpressionDataModule(
        source="ckplus", root=str(root), frames=frames, first_as_neutral=first_as_neutral, on_bad_row=on_bad_row
    ).faces


def of(found: FaceSet, sequence: str) -> list[tuple[str, str]]:
    """The frame numbers and labels that were taken of a sequence."""
    rows = [row for row, name in enumerate(found.row_ids) if name.startswith(sequence)]
    return [(found.row_ids[row][-6:-4], found.classes[found.labels[row]]) for row in rows]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official tree that tests only read."""
    return fakes.write_ckplus(tmp_path_factory.mktemp("ck"), subjects=3)


def small(folder: Path, landmarks: bool = True) -> Path:
    """A tree to spoil: one subject, six labelled sequences of three frames."""
    return fakes.write_ckplus(folder, subjects=1, frames=3, landmarks=landmarks)


def test_the_last_frames_of_each_labelled_sequence_are_taken(tree: Path) -> None:
    found = read(tree)
    assert found.classes == CLASSES
    assert len(found) == 20 * 3
    for code, name in CODES.items():  # the emotion files hold them as "   3.0000000e+00"
        assert of(found, f"S001/{code:03d}/") == [("03", name), ("04", name), ("05", name)]
    assert of(found, "S000/007/") == []
    assert "1 sequences without an emotion file left out" in found.remarks


def test_subjects_come_from_the_names(tree: Path) -> None:
    found = read(tree, frames=1)
    assert found.subjects is not None
    assert [int(name[1:4]) for name in found.row_ids] == found.subjects.tolist()
    assert found.parts is None


@pytest.mark.parametrize(("frames", "numbers"), [(1, ["05"]), (2, ["04", "05"]), (9, ["01", "02", "03", "04", "05"])])
def test_frames_says_how_many(frames: int, numbers: list[str], tree: Path) -> None:
    assert [number for number, _ in of(read(tree, frames), "S002/005/")] == numbers


def test_the_first_frame_is_neutral_on_request(tree: Path) -> None:
    found = read(tree, frames=2, first_as_neutral=True)
    assert found.classes == (*CLASSES[:6], "neutral", "contempt")
    assert of(found, "S002/005/") == [("01", "neutral"), ("04", "happy"), ("05", "happy")]
    every = read(tree, frames=5, first_as_neutral=True)
    assert "neutral" not in every.classes  # a frame is not taken twice with two labels


def test_landmarks_cut_out_the_face(tree: Path) -> None:
    found = read(tree, frames=1)
    assert found.remarks[-1] == "20 of 20 faces cropped by their landmarks, the others by the face detector"
    for row, name in enumerate(found.row_ids):
        subject, code = int(name[1:4]), int(name[5:8])
        drawn = Image.fromarray(fakes.faces([code - 1], seed=subject * 100 + 5)[0]).resize((200, 200))
        square = np.asarray(drawn.resize((48, 48), Image.Resampling.BOX))
        assert np.array_equal(found.faces[row], square)


def test_folders_may_lie_as_the_archives_unpack(tmp_path: Path, tree: Path) -> None:
    layout = {
        "extended-cohn-kanade-images/cohn-kanade-images": "cohn-kanade-images",
        "Emotion_labels/Emotion": "Emotion",
        "Landmarks/Landmarks": "Landmarks",
    }
    for place, folder in layout.items():
        (tmp_path / "CK+" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "CK+" / place).symlink_to(tree / folder)
    found = read(tmp_path)
    assert found.fingerprint == read(tree).fingerprint
    assert found.remarks == read(tree).remarks


def test_the_folder_of_the_images_leads_to_the_tree_above(tree: Path) -> None:
    data = ExpressionDataModule(root=str(tree / "cohn-kanade-images"))
    assert data.faces.classes == CLASSES  # not S000, S001, S002


def test_mended_landmarks_are_not_hidden_by_the_cache(tmp_path: Path) -> None:
    small(tmp_path)
    before = read(tmp_path, frames=1)
    points = tmp_path / "Landmarks/S000/001/S000_001_00000003_landmarks.txt"
    points.write_text(points.read_text().replace("2.8300000e+02", "2.6300000e+02"))
    after = read(tmp_path, frames=1)
    assert not np.array_equal(before.faces[0], after.faces[0])
    assert np.array_equal(before.faces[1:], after.faces[1:])


EMOTIONS = ["", "happy", "8", "-1", "3.5", "nan", "inf", "3 4"]


@pytest.mark.parametrize("content", EMOTIONS)
def test_a_bad_emotion_file_is_named_with_the_options(content: str, tmp_path: Path) -> None:
    small(tmp_path)
    file = tmp_path / "Emotion/S000/002/S000_002_00000003_emotion.txt"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{file}: {content!r} is no emotion code (options: 0 = neutral, 1 = angry, ")
    found = read(tmp_path, on_bad_row="skip")
    assert of(found, "S000/002/") == []
    assert len(found) == 5 * 3
    assert found.remarks[0].startswith(f"1 bad rows skipped, the first: {file}: ")


@pytest.mark.parametrize("content", ["", "1 2\n", "a b\n" * 68, "nan nan\n" * 68, "1 2 3\n" * 68, "\xff"])
def test_broken_landmarks_are_named(content: str, tmp_path: Path) -> None:
    small(tmp_path)
    file = tmp_path / "Landmarks/S000/003/S000_003_00000003_landmarks.txt"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{file}: does not hold 68 landmarks (x y a line); ")
    assert len(read(tmp_path, on_bad_row="skip")) == 6 * 3 - 1


def test_what_a_tree_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no CK\+ here; CK\+ needs cohn-kanade-images/ and Emotion/ side by side"):
        read(tmp_path)
    (tmp_path / "cohn-kanade-images/S005/001").mkdir(parents=True)
    with pytest.raises(UserError, match="no Emotion/ folder beside cohn-kanade-images/"):
        read(tmp_path)
    (tmp_path / "Emotion").mkdir()
    with pytest.raises(UserError, match=r"Emotion: no \*_emotion\.txt fits a sequence of .*cohn-kanade-images"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"--data\.frames 0: need at least 1"):
        read(tmp_path, frames=0)


def test_without_landmarks_the_detectors_box_is_cut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(tmp_path, landmarks=False)
    height = 200 / 0.95
    box = np.array([260.0, 245 - height / 2, 380.0, 245 + height / 2])  # of which the drawn square is the crop
    monkeypatch.setattr(ckplus, "largest_face", lambda picture: box)
    found = read(tmp_path, frames=1)
    assert found.remarks[-1] == "0 of 6 faces cropped by their landmarks, the others by the face detector"
    drawn = Image.fromarray(fakes.faces([0], seed=3)[0]).resize((200, 200))
    assert np.array_equal(found.faces[0], np.asarray(drawn.resize((48, 48), Image.Resampling.BOX)))


def test_a_picture_without_a_face_is_an_error_or_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(tmp_path, landmarks=False)
    blank = tmp_path / "cohn-kanade-images/S000/004/S000_004_00000003.png"
    Image.new("L", (640, 490)).save(blank)

    def find(picture: Image.Image) -> NDArray[np.float64] | None:
        return np.array([220.0, 145.0, 420.0, 345.0]) if np.asarray(picture).any() else None

    monkeypatch.setattr(ckplus, "largest_face", find)
    with pytest.raises(UserError, match=r"S000_004_00000003\.png: the detector finds no face; "):
        read(tmp_path)
    found = read(tmp_path, on_bad_row="skip")
    assert len(found) == 6 * 3 - 1
    assert any("the first:" in remark and "no face" in remark for remark in found.remarks)


def test_the_real_detector_finds_the_face_of_a_photograph(tmp_path: Path) -> None:
    photo = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").resize((256, 300))
    for code in (1, 5):
        frame = f"S000/{code:03d}/S000_{code:03d}_00000001"
        (tmp_path / "cohn-kanade-images" / frame).parent.mkdir(parents=True)
        (tmp_path / "Emotion" / frame).parent.mkdir(parents=True)
        photo.save(tmp_path / "cohn-kanade-images" / f"{frame}.png")
        (tmp_path / "Emotion" / f"{frame}_emotion.txt").write_text(f"   {code:.7e}\n")
    found = read(tmp_path)
    box = largest_face(photo)
    assert box is not None
    assert np.array_equal(found.faces[0], crop(photo, square_of_box(box)))
    assert np.array_equal(found.faces[0], found.faces[1])


def test_ck48_folders(tmp_path: Path) -> None:
    found = read(fakes.write_ck48(tmp_path / "CK+48", subjects=4))
    assert found.classes == CLASSES
    assert len(found) == 4 * 7 * 3
    assert found.subjects is not None
    for name, label, subject in zip(found.row_ids, found.labels, found.subjects, strict=True):
        folder, file = name.split("/")
        assert {"anger": "angry", "sadness": "sad"}.get(folder, folder) == found.classes[label]
        assert int(file[1:4]) == subject
    assert np.array_equal(found.faces[found.row_ids == "anger/S002_000_00000001.png"][0], fakes.faces([0, 0], 2)[1])


@pytest.mark.parametrize("name", ["000.png", "zzz.png"])  # sorted before and behind the good ones
def test_a_name_that_tells_no_subject_is_an_error_or_skipped(name: str, tmp_path: Path) -> None:
    stray = fakes.save(fakes.faces([1])[0], fakes.write_ck48(tmp_path, subjects=2) / "fear" / name)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{stray}: the name tells no subject, as S010_004_00000017.png would; ")
    found = read(tmp_path, on_bad_row="skip")
    assert len(found) == 2 * 7 * 3
    assert found.remarks == (f"1 bad rows skipped, the first: {str(caught.value).split('; ')[0]}",)


@pytest.mark.realdata
def test_real_ck48_whole(real_data: Path) -> None:
    found = read(real_data / "CK+48")
    assert found.classes == CLASSES
    assert np.bincount(found.labels).tolist() == [135, 177, 75, 207, 84, 249, 54]
    assert found.subjects is not None
    assert len(np.unique(found.subjects)) == 118
    assert found.remarks == ()


def test_an_unknown_class_folder_is_an_error_or_skipped(tmp_path: Path) -> None:
    fakes.write_ck48(tmp_path, subjects=2)
    (tmp_path / "sadness").rename(tmp_path / "sadd")
    with pytest.raises(UserError, match=r"sadd: unknown class folder \(options: neutral, .*; rename it"):
        read(tmp_path)
    assert "sad" not in read(tmp_path, on_bad_row="skip").classes
