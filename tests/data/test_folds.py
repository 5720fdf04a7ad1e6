"""Splits of any set: complete, disjoint, repeatable, and where that was asked for no picture or person on two sides."""

from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_lightning.data.duplicates import find_duplicates
from fer_lightning.data.faceset import FaceSet, ReadOptions, Role
from fer_lightning.data.folds import Protocol, Split, make_split
from fer_lightning.data.sources import SourceName, read_source
from fer_lightning.errors import UserError
from tests import fakes

ROLES: dict[Role, str] = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
PROTOCOLS: tuple[Literal["random", "grouped"], ...] = ("random", "grouped")
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def sets(draw: st.DrawFn) -> FaceSet:
    """2 to 4 classes of 8 to 20 rows, of which some show a picture of another row; with subjects or without.

    With subjects there are 8 of them, on pictures of their own, but for one picture that two of them may share.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(8, 20), min_size=2, max_size=4))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    own = np.concatenate([np.arange(size) < 8 for size in sizes])  # so that each class has 8 groups at least
    pictures = rng.integers(0, 256, (len(labels), 12, 12), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    people = np.concatenate([rng.permutation(np.arange(size) % 8) for size in sizes])
    subjects = people if draw(st.booleans()) else None
    copies = np.flatnonzero(~own & (rng.random(len(labels)) < draw(st.sampled_from([0, 0.3, 1]))))
    for place, row in enumerate(copies):
        anyone = subjects is None or place == 0
        other = pictures[rng.choice(np.flatnonzero(anyone | (people == people[row])))]
        pictures[row] = [other, other[:, ::-1], other // 2 + 60][rng.integers(3)]
    return fakes.face_set(labels.tolist(), pictures, subjects=subjects)


def parts(split: Split) -> tuple[list[int], list[int], list[int]]:
    return split.train.tolist(), split.validation.tolist(), split.test.tolist()


def crossing(groups: Any, split: Split) -> bool:
    """Whether any group has rows in more than one part."""
    known = [set(groups[rows].tolist()) for rows in parts(split)]
    return bool(known[0] & known[1] or known[0] & known[2] or known[1] & known[2])


@few
@given(sets(), st.sampled_from(PROTOCOLS), st.integers(2, 5), st.integers(0, 99))
def test_folds_cover_every_row_once(faces: FaceSet, protocol: Protocol, folds: int, seed: int) -> None:
    scored: list[int] = []
    for fold in range(folds):
        split = make_split(faces, protocol, folds, fold, seed)
        assert all(part == sorted(part) and part for part in parts(split))
        assert sorted(chain(*parts(split))) == list(range(len(faces)))
        scored += split.test.tolist()
    assert sorted(scored) == list(range(len(faces)))


@few
@given(sets(), st.integers(2, 5), st.integers(0, 99))
def test_grouped_parts_share_neither_subject_nor_picture(faces: FaceSet, folds: int, seed: int) -> None:
    groups = [find_duplicates(faces).near, *([] if faces.subjects is None else [faces.subjects])]
    for fold in range(folds):
        split = make_split(faces, "grouped", folds, fold, seed)
        assert not any(crossing(group, split) for group in groups)


@few
@given(sets(), st.integers(2, 5), st.integers(0, 99))
def test_random_folds_have_their_share_of_each_class(faces: FaceSet, folds: int, seed: int) -> None:
    whole = np.bincount(faces.labels)
    for fold in range(folds):
        taken = np.bincount(faces.labels[make_split(faces, "random", folds, fold, seed).test])
        assert (abs(taken - whole / folds) < 1).all()


def test_grouped_folds_have_about_their_share_of_each_class() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(7, 1400, p=[0.3, 0.02, 0.1, 0.28, 0.1, 0.1, 0.1])
    pictures = rng.integers(0, 256, (1400, 12, 12), dtype=np.uint8)
    faces = fakes.face_set(labels.tolist(), pictures, subjects=rng.integers(0, 100, 1400))
    whole = np.bincount(labels) / 1400
    for fold in range(5):
        split = make_split(faces, "grouped", 5, fold)
        for rows in (split.train, split.validation, split.test):
            assert abs(np.bincount(labels[rows], minlength=7) / len(rows) - whole).max() < 0.05
        assert len(split.test) == pytest.approx(280, abs=28)
        assert len(split.validation) == pytest.approx(112, abs=28)


@few
@given(sets(), st.sampled_from(PROTOCOLS), st.integers(0, 99))
def test_a_split_depends_on_its_arguments_alone(faces: FaceSet, protocol: Protocol, seed: int) -> None:
    first = make_split(faces, protocol, 4, 1, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_LIGHTNING_CACHE", "/proc/none")  # a cache that cannot be written: all is made anew
        again = make_split(faces, protocol, 4, 1, seed)
    assert parts(again) == parts(first)
    assert any(parts(make_split(faces, protocol, 4, 1, seed + more)) != parts(first) for more in (1, 2, 3, 4))


@few
@given(sets(), st.integers(0, 99))
def test_dropping_leaks_leaves_no_twin_in_training(faces: FaceSet, seed: int) -> None:
    before = make_split(faces, "random", 4, 0, seed)
    after = make_split(faces, "random", 4, 0, seed, drop_leaks=True)
    assert parts(after)[1:] == parts(before)[1:]
    assert after.before_drop.tolist() == before.train.tolist()
    near = find_duplicates(faces).near
    scored = {*near[after.validation], *near[after.test]}
    assert after.train.tolist() == [row for row in before.train.tolist() if near[row] not in scored]
    assert sum(after.dropped.values()) == len(before.train) - len(after.train)


def test_dropped_rows_are_counted_by_reason() -> None:
    pictures = fakes.scenes(12)
    pictures[0], pictures[1], pictures[2] = pictures[9], pictures[10], pictures[11][:, ::-1]
    names = np.array(["Training"] * 6 + ["PublicTest"] * 4 + ["PrivateTest"] * 2)
    faces = fakes.face_set([0, 1] * 6, pictures, parts=names, roles=ROLES)
    split = make_split(faces, drop_leaks=True)
    assert parts(split) == ([3, 4, 5], [6, 7, 8, 9], [10, 11])
    assert split.dropped == {"identical": 2, "near-identical": 1}
    assert split.protocol == "official, leaks dropped"


def test_auto_takes_the_official_split_and_else_groups() -> None:
    names = np.array(["Training"] * 20 + ["PublicTest"] * 10 + ["PrivateTest"] * 10)
    official = make_split(fakes.face_set([0, 1] * 20, parts=names, roles=ROLES))
    assert (len(official.train), len(official.validation), len(official.test)) == (20, 10, 10)
    assert official.protocol == "official"
    assert official.names == ROLES
    assert make_split(fakes.face_set([0, 1] * 20)).protocol == "grouped by picture, 5 folds, seed 0"
    known = fakes.face_set([0, 1] * 20, subjects=np.arange(40) // 2)
    assert make_split(known).protocol == "grouped by subject, 5 folds, seed 0"


@pytest.mark.parametrize("missing", [("validation",), ("test",), ("validation", "test")])
def test_a_missing_official_part_is_held_out_of_training(missing: tuple[Role, ...]) -> None:
    pictures = fakes.scenes(120)
    pictures[50:90:2] = pictures[0:40:2]  # twins must not be parted
    roles = {role: name for role, name in ROLES.items() if role not in missing}
    usage = ["Training"] * 100 + [list(roles.values())[-1]] * 20
    faces = fakes.face_set([row % 2 for row in range(120)], pictures, parts=np.array(usage), roles=roles)
    split = make_split(faces, "official")
    assert sorted(chain(*parts(split))) == list(range(120))
    assert not crossing(find_duplicates(faces).near, split)
    assert "held out" in split.names[missing[0]]
    for role in missing:
        assert 8 <= len(getattr(split, role)) <= 16
    assert [split.names[role] for role in roles] == list(roles.values())
    assert parts(make_split(faces, "official", seed=1)) != parts(split)


@pytest.mark.parametrize(
    ("labels", "words", "message"),
    [
        ([0, 1] * 9, {"fold": 5}, "--data.fold 5: choose from 0 to 4, as --data.folds is 5"),
        ([0, 1] * 9, {"fold": -1}, "--data.fold -1: choose from 0 to 4"),
        ([0, 1] * 9, {"folds": 1}, "--data.folds 1: need at least 2"),
        ([0, 1] * 9, {"folds": 10}, "class class0 has only 9 rows for 10 parts; choose fewer folds"),
        ([0] * 9 + [1] * 3, {}, "class class1 has only 3 rows for 5 parts; choose fewer folds"),
        ([0] * 9 + [1] * 2, {"folds": 2}, "class class1 has only one row to train and to validate on; add rows of it"),
        ([0, 1] * 9, {"protocol": "official"}, "fake has no official split here; choose random or grouped"),
        ([0, 1] * 9, {"seed": -1}, "--data.split_seed -1: need a number from 0"),
        ([0, 1] * 9, {"seed": 2**32 - 1}, "--data.split_seed 4294967295: need a number from 0"),
    ],
)
def test_impossible_splits_are_refused_in_one_line(labels: list[int], words: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        make_split(fakes.face_set(labels), **{"protocol": "random", **words})
    assert "\n" not in str(refused.value)


def test_one_person_cannot_be_split() -> None:
    faces = fakes.face_set([0, 1] * 9, subjects=np.zeros(18, np.int64))
    with pytest.raises(UserError, match="class class0 has only 1 subjects or pictures for 5 parts"):
        make_split(faces, "grouped")


def test_an_empty_official_part_is_named() -> None:
    faces = fakes.face_set([0, 1] * 9, parts=np.array(["Training", "PublicTest"] * 9), roles=ROLES)
    with pytest.raises(UserError, match="fake has no rows in PrivateTest; choose other data"):
        make_split(faces, "official")


def test_a_class_with_one_picture_cannot_be_held_out() -> None:
    roles: dict[Role, str] = {"train": "Training", "test": "PrivateTest"}
    faces = fakes.face_set([0, 0, 1, 0, 1], parts=np.array(["Training"] * 3 + ["PrivateTest"] * 2), roles=roles)
    with pytest.raises(UserError, match="class class1 has only one subject or picture to train and to validate on"):
        make_split(faces)


def test_training_on_nothing_but_leaks_is_refused() -> None:
    names = np.array(["Training", "PublicTest", "PrivateTest"])
    faces = fakes.face_set([0, 0, 0], fakes.scenes(1)[[0, 0, 0]], parts=names, roles=ROLES)
    with pytest.raises(UserError, match="no training row is left"):
        make_split(faces, "official", drop_leaks=True)


@pytest.mark.realdata
@pytest.mark.parametrize(("source", "folder", "rows"), [("ckplus", "CK+48", 981), ("fer2013", "fer2013", 35_887)])
def test_no_real_person_or_picture_crosses_a_grouped_fold(
    source: SourceName, folder: str, rows: int, real_data: Path
) -> None:
    faces = read_source(source, real_data / folder, ReadOptions())
    near, identical = find_duplicates(faces).near, find_duplicates(faces).identical
    scored = []
    for fold in range(5):
        split = make_split(faces, "grouped", 5, fold)
        assert not crossing(near, split)
        assert not crossing(identical, split)
        assert faces.subjects is None or not crossing(faces.subjects, split)
        scored.append(split.test)
        random = make_split(faces, "random", 5, fold)
        assert crossing(near if faces.subjects is None else faces.subjects, random)  # so the check can fail
    assert sorted(np.concatenate(scored).tolist()) == list(range(rows))
