"""FER+: the crowd's votes as soft targets, and the cleaning of its authors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES, FERPLUS_CLASSES
from tests import fakes

ROWS = 49
HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def read(root: Path, classes: Literal[7, 8] = 8) -> FaceSet:
    return ExpressionDataModule(source="ferplus", root=str(root), ferplus_classes=classes).faces


def write_votes(folder: Path, votes: Sequence[Sequence[int]]) -> Path:
    """FER2013's first rows with given votes, in the order of FER+'s columns."""
    fakes.write_fer2013(folder, len(votes))
    rows = [f"Training,fer{row:07d}.png,{','.join(map(str, counts))}" for row, counts in enumerate(votes)]
    file = folder / "fer2013new.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    return file


def by_name(found: FaceSet, row: int) -> dict[str, float]:
    assert found.votes is not None
    return {name: round(float(share), 4) for name, share in zip(found.classes, found.votes[row], strict=True) if share}


@pytest.mark.parametrize("entered_by", ["the folder", "the votes", "the faces", "the folder above"])
def test_votes_become_shares_in_the_packages_order(entered_by: str, tmp_path: Path) -> None:
    folder = tmp_path / "below"
    faces, votes = fakes.write_fer2013(folder, ROWS), fakes.write_ferplus(folder, ROWS)
    roots = {"the folder": folder, "the votes": votes, "the faces": faces, "the folder above": tmp_path}
    data = ExpressionDataModule(source="ferplus", root=str(roots[entered_by]))
    found = data.faces
    assert found.classes == FERPLUS_CLASSES
    assert found.labels.tolist() == [row % 7 for row in range(ROWS)]
    assert by_name(found, 0) == {"angry": 0.7, "disgust": 0.3}
    assert by_name(found, 6) == {"neutral": 0.7, "angry": 0.3}
    assert np.array_equal(data.targets, found.votes if found.votes is not None else [])
    assert np.array_equal(found.faces, fakes.faces([row % 7 for row in range(ROWS)]))
    assert [len(data.rows(role)) for role in ("train", "validation", "test")] == [35, 7, 7]


# neutral happy surprise sad | angry disgust fear contempt | unknown NF
CLEANING = {
    "whole agreement": ([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], {"happy": 1.0}),
    "single votes are outliers": ([1, 5, 2, 1, 0, 0, 0, 0, 0, 0], {"happy": 0.7143, "surprise": 0.2857}),
    "three quarters are enough": ([2, 8, 0, 0, 0, 0, 0, 0, 0, 0], {"happy": 1.0}),
    "three choices": ([4, 3, 0, 3, 0, 0, 0, 0, 0, 0], {"neutral": 0.4, "happy": 0.3, "sad": 0.3}),
    "unknown behind counts for nothing": ([0, 0, 6, 0, 0, 0, 0, 0, 4, 0], {"surprise": 1.0}),
    "a single NF is an outlier too": ([0, 0, 0, 6, 3, 0, 0, 0, 0, 1], {"sad": 0.6667, "angry": 0.3333}),
    "contempt": ([4, 0, 0, 0, 0, 0, 0, 6, 0, 0], {"contempt": 0.6, "neutral": 0.4}),
    "as many unknown": ([4, 2, 0, 0, 0, 0, 0, 0, 4, 0], None),
    "as many NF": ([0, 0, 0, 0, 0, 5, 0, 0, 0, 5], None),
    "more unknown": ([0, 0, 0, 0, 0, 0, 4, 0, 6, 0], None),
    "four choices": ([3, 3, 2, 2, 0, 0, 0, 0, 0, 0], None),
    "half of the votes": ([0, 5, 0, 0, 0, 0, 0, 0, 5, 0], None),
    "single votes alone": ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], None),
}


def test_the_cleaning_of_the_authors(tmp_path: Path) -> None:
    kept = [case for case, (_, shares) in CLEANING.items() if shares]
    found = read(write_votes(tmp_path, [counts for counts, _ in CLEANING.values()]))
    assert {case: by_name(found, row) for row, case in enumerate(kept)} == {case: CLEANING[case][1] for case in kept}
    assert found.row_ids.tolist() == [str(row) for row in range(7)]
    assert np.array_equal(found.faces, fakes.faces([row % 7 for row in range(13)])[:7])
    assert found.remarks == ("FER+ left out 6 of 13 rows: unknown, no face, or no agreement",)


SEVEN = {
    "contempt's few votes are left out": ([6, 0, 0, 2, 0, 0, 0, 2, 0, 0], {"neutral": 0.75, "sad": 0.25}),
    "as much contempt": ([5, 0, 0, 0, 0, 0, 0, 5, 0, 0], {"neutral": 1.0}),
    "a contemptuous face is none of seven": ([4, 0, 0, 0, 0, 0, 0, 6, 0, 0], None),
    "contempt alone": ([0, 0, 0, 0, 0, 0, 0, 9, 0, 0], None),
}


def test_seven_classes_are_fer2013s_and_leave_contempt_out(tmp_path: Path) -> None:
    found = read(write_votes(tmp_path, [counts for counts, _ in SEVEN.values()]), 7)
    assert found.classes == FER2013_CLASSES
    assert [by_name(found, row) for row in range(len(found))] == [shares for _, shares in SEVEN.values() if shares]
    assert found.votes is not None
    assert np.allclose(found.votes.sum(1), 1)


def test_of_equal_votes_the_first_in_the_packages_order_is_the_label(tmp_path: Path) -> None:
    found = read(write_votes(tmp_path, [[5, 0, 0, 0, 5, 0, 0, 0, 0, 0]]))
    assert found.classes[found.labels[0]] == "angry"


MAJORITY = {
    "half is no majority": ([5, 0, 0, 5, 0, 0, 0, 0, 0, 0], False),
    "more than half": ([6, 0, 0, 4, 0, 0, 0, 0, 0, 0], True),
    "single votes do not count": ([4, 1, 1, 3, 1, 0, 0, 0, 0, 0], True),
    "unknown counts": ([4, 3, 0, 0, 0, 0, 0, 0, 3, 0], False),
}


@pytest.mark.parametrize("classes", [7, 8])
def test_rows_with_a_majority_are_marked(classes: Literal[7, 8], tmp_path: Path) -> None:
    found = read(write_votes(tmp_path, [counts for counts, _ in MAJORITY.values()]), classes)
    assert found.majority is not None
    assert found.majority.tolist() == [marked for _, marked in MAJORITY.values()]


def test_rows_where_half_saw_no_face_are_marked_in_fer2013(tmp_path: Path) -> None:
    write_votes(tmp_path, [[6, 0, 0, 0, 0, 0, 0, 0, 0, 4], [5, 0, 0, 0, 0, 0, 0, 0, 0, 5], [0] * 9 + [10]])
    found = ExpressionDataModule(source="fer2013", root=str(tmp_path)).faces
    assert found.not_face is not None
    assert found.not_face.tolist() == [False, True, True]
    assert found.votes is None
    assert any("2 rows are known not to be faces" in remark for remark in found.remarks)


def test_votes_of_other_rows_mark_nothing_in_fer2013(tmp_path: Path) -> None:
    fakes.write_fer2013(tmp_path, ROWS)
    fakes.write_ferplus(tmp_path, 14)
    assert ExpressionDataModule(source="fer2013", root=str(tmp_path)).faces.not_face is None


def test_votes_follow_their_rows_when_bad_rows_are_skipped(tmp_path: Path) -> None:
    file = fakes.write_fer2013(tmp_path, 14)
    fakes.write_ferplus(tmp_path, 14)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:4], "9,1 2,Training", *lines[5:]]) + "\n")
    found = ExpressionDataModule(source="ferplus", root=str(tmp_path), on_bad_row="skip").faces
    assert found.row_ids.tolist() == [str(row) for row in range(14) if row != 3]
    assert found.labels.tolist() == [row % 7 for row in range(14) if row != 3]


def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path) -> None:
    file = write_votes(tmp_path, [[9, 1, 0, 0, 0, 0, 0, 0, 0, 0]])
    file.write_text(file.read_text() + "\n\n")
    assert len(read(tmp_path)) == 1


ROW = "Training,fer0000000.png,0,0,0,0,0,0,0,9,1,0"
BROKEN = {
    "empty": ("", ": is empty"),
    "web page": ("<!DOCTYPE html><html>", ": is a saved web page"),
    "git-lfs pointer": ("version https://git-lfs.github.com/spec/v1\n", ": is a git-lfs pointer"),
    "FER2013 itself": ("emotion,pixels,Usage\n", " line 1: not FER+'s columns (found: 'emotion, pixels, usage')"),
    "a count too few": (f"{HEADER}\n{ROW}\n{ROW[:-2]}\n", " line 3: not a Usage, a name and ten counts"),
    "a count too many": (f"{HEADER}\n{ROW},0\n", " line 2: not a Usage, a name and ten counts"),
    "a word": (f"{HEADER}\n{ROW[:-1]}x\n", " line 2: not a Usage, a name and ten counts"),
    "a negative count": (f"{HEADER}\n{ROW[:-1]}-1\n", " line 2: not a Usage, a name and ten counts"),
    "too few rows": (f"{HEADER}\n{ROW}\n", ": 1 rows that are not those of FER2013 beside it"),
    "header alone": (f"{HEADER}\n", ": 0 rows that are not those of FER2013 beside it"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_of_votes_is_named_with_line_and_reason(case: str, tmp_path: Path) -> None:
    content, reason = BROKEN[case]
    fakes.write_fer2013(tmp_path, 2)
    file = tmp_path / "fer2013new.csv"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{file}{reason}")
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_votes_whose_parts_differ_from_the_faces_are_refused(tmp_path: Path) -> None:
    fakes.write_fer2013(tmp_path, ROWS)
    file = fakes.write_ferplus(tmp_path, ROWS)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with pytest.raises(UserError, match=r"fer2013new\.csv: 49 rows that are not those of FER2013 beside it"):
        read(tmp_path)


def test_missing_votes_or_faces_say_where_to_get_them(tmp_path: Path) -> None:
    fakes.write_fer2013(tmp_path / "faces", 7)
    (tmp_path / "votes").mkdir()
    fakes.write_ferplus(tmp_path / "votes", 7)
    with pytest.raises(
        UserError, match=r"faces: no fer2013new\.csv here; get fer2013new\.csv from Microsoft's FERPlus"
    ):
        read(tmp_path / "faces")
    with pytest.raises(UserError, match=r"votes: no fer2013\.csv, icml_face_data\.csv or train\.csv here; get "):
        read(tmp_path / "votes")


@pytest.mark.realdata
def test_real_ferplus_whole(real_data: Path) -> None:
    data = ExpressionDataModule(source="ferplus", root=str(real_data / "fer2013"))
    assert [len(data.rows(role)) for role in ("train", "validation", "test")] == [27_956, 3_505, 3_505]
    shares = data.targets
    assert np.allclose(shares.sum(1), 1, atol=1e-6)
    assert np.array_equal(shares.argmax(1), data.faces.labels)
    assert shares[shares > 0].min() > 0.19  # two votes of ten at least
    assert data.faces.majority is not None
    assert [int(data.faces.majority[data.rows(role)].sum()) for role in ("validation", "test")] == [3_199, 3_153]


def test_the_crowd_has_its_share_of_fer2013s_targets(tmp_path: Path) -> None:
    """Known votes give known mixtures; a row on which the rule finds no agreement keeps its label."""
    fakes.write_fer2013(tmp_path, 4)
    header = (fakes.write_ferplus(tmp_path, 4)).read_text().splitlines()[0]
    # neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
    votes = ["0,10,0,0,0,0,0,0,0,0", "5,0,0,5,0,0,0,0,0,0", "1,1,1,1,1,1,1,1,1,1", "0,0,0,0,0,0,0,0,0,10"]
    usage = [line.rsplit(",", 1)[1] for line in (tmp_path / "fer2013.csv").read_text().splitlines()[1:]]
    lines = [f"{part},fer{row:07}.png,{vote}" for row, (part, vote) in enumerate(zip(usage, votes, strict=True))]
    (tmp_path / "fer2013new.csv").write_text("\n".join([header, *lines]) + "\n")
    data = ExpressionDataModule(source="fer2013", root=str(tmp_path), crowd=0.3)
    names, labels = data.classes, data.faces.labels
    expected = np.eye(7)[labels]
    for row, share in ((0, {"happy": 1.0}), (1, {"neutral": 0.5, "sad": 0.5})):
        expected[row] *= 0.7
        for name, part in share.items():
            expected[row, names.index(name)] += 0.3 * part
    np.testing.assert_allclose(data.targets, expected, atol=1e-6)
    assert ExpressionDataModule(source="fer2013", root=str(tmp_path)).targets.max(1).tolist() == [1.0] * 4
    assert data.faces.not_face is not None
    assert data.faces.not_face.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(data.truth, np.eye(7, dtype=np.float32)[labels])  # scoring knows no crowd


@pytest.mark.parametrize(("crowd", "said"), [(0.3, "no votes here; give --data.crowd 0, or lay"), (1.5, "from 0 to 1")])
def test_a_share_of_a_crowd_that_is_not_there_is_refused(tmp_path: Path, crowd: float, said: str) -> None:
    fakes.write_fer2013(tmp_path)
    with pytest.raises(UserError, match=said):
        _ = ExpressionDataModule(source="fer2013", root=str(tmp_path), crowd=crowd).targets


def test_a_share_of_the_crowd_is_refused_where_all_is_the_crowds(tmp_path: Path) -> None:
    fakes.write_fer2013(tmp_path)
    fakes.write_ferplus(tmp_path)
    with pytest.raises(UserError, match=r"ferplus's targets are votes alone; give --data\.crowd 0"):
        _ = ExpressionDataModule(source="ferplus", root=str(tmp_path), crowd=0.3).targets


def test_real_crowd_agrees_with_ferplus(real_data: Path) -> None:
    """The seven classes' shares beside FER2013 are those of the FER+ source."""
    beside = ExpressionDataModule(source="fer2013", root=str(real_data / "fer2013")).faces
    alone = ExpressionDataModule(source="ferplus", root=str(real_data / "fer2013"), ferplus_classes=7).faces
    assert beside.crowd is not None
    assert alone.votes is not None
    known = np.flatnonzero(beside.crowd.sum(1) > 0)
    assert beside.row_ids[known].tolist() == alone.row_ids.tolist()
    np.testing.assert_array_equal(beside.crowd[known], alone.votes)
