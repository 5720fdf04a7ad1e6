"""What training gives away of the scored rows, counted on sets made by hand."""

import numpy as np
import pytest

from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet, Role
from fer_lightning.data.folds import make_split
from fer_lightning.data.leakage import leakage, twin_free
from tests import fakes

ROLES: dict[Role, str] = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
USAGE = np.array(["Training"] * 6 + ["PublicTest"] * 3 + ["PrivateTest"] * 4)


def leaky() -> FaceSet:
    """Rows 0-5 train, 6-8 choose, 9-12 are scored: row 6 repeats 0, 9 repeats 1, 10 mirrors 2, 11 mirrors 6 and 0."""
    pictures = fakes.scenes(13)
    pictures[6], pictures[9] = pictures[0], pictures[1]
    pictures[10], pictures[11] = pictures[2][:, ::-1], pictures[6][:, ::-1]
    subjects = np.array([0, 1, 2, 3, 4, 5, 0, 6, 7, 1, 2, 8, 9])
    return fakes.face_set([0, 1] * 6 + [0], pictures, parts=USAGE, roles=ROLES, subjects=subjects)


def test_counts_of_a_set_made_by_hand() -> None:
    faces = leaky()
    assert leakage(faces, make_split(faces)) == {
        "validation": {"rows": 3, "identical": 1, "near_identical": 1, "shared_subjects": 1},
        "test": {"rows": 4, "identical": 1, "near_identical": 3, "shared_subjects": 2},
        "test_in_validation": {"rows": 4, "identical": 0, "near_identical": 1, "shared_subjects": 0},
    }


def test_dropped_leaks_are_gone_from_the_count() -> None:
    faces = leaky()
    split = make_split(faces, drop_leaks=True)
    assert split.train.tolist() == [3, 4, 5]
    found = leakage(faces, split)
    assert found["test"] == {"rows": 4, "identical": 0, "near_identical": 0, "shared_subjects": 0}
    assert found["test_in_validation"]["near_identical"] == 1


def test_unknown_subjects_are_not_counted_as_none_shared() -> None:
    faces = fakes.face_set([0, 1] * 6 + [0], parts=USAGE, roles=ROLES)
    assert leakage(faces, make_split(faces))["test"]["shared_subjects"] is None


@pytest.mark.parametrize("drop", [False, True])
def test_twin_free_rows_are_the_same_whichever_way_one_trained(drop: bool) -> None:
    faces = leaky()
    assert twin_free(faces, make_split(faces, drop_leaks=drop)).tolist() == [False, True, True, True]


def test_rows_without_a_face_are_not_twin_free() -> None:
    not_face = np.zeros(13, bool)
    not_face[[0, 12]] = True
    faces = fakes.face_set([0, 1] * 6 + [0], parts=USAGE, roles=ROLES, not_face=not_face)
    assert twin_free(faces, make_split(faces)).tolist() == [True, True, True, False]


def test_the_drawn_set_shares_neither_pictures_nor_persons() -> None:
    leaks = ExpressionDataModule().summary()["leakage"]
    assert [(part["identical"], part["shared_subjects"]) for part in leaks.values()] == [(0, 0)] * 3


def test_clean_training_rows_are_distinct_faces() -> None:
    pictures = fakes.scenes(13)
    pictures[2], pictures[4] = pictures[0], pictures[1]  # two copies among the training rows
    pictures[5] = pictures[9]  # a copy of a scored row, which drop_leaks is about
    not_face = np.zeros(13, bool)
    not_face[[1, 3, 10]] = True
    faces = fakes.face_set([0, 1] * 6 + [0], pictures, parts=USAGE, roles=ROLES, not_face=not_face)
    split = make_split(faces, clean=True)
    assert split.train.tolist() == [0, 5]  # row 1, no face, was the first of two copies
    assert split.dropped == {"repeated": 2, "faceless": 2}
    assert split.protocol == "official, cleaned"
    assert split.test.tolist() == [9, 10, 11, 12]
    both = make_split(faces, drop_leaks=True, clean=True)
    assert both.train.tolist() == [0]
    assert both.dropped == {"identical": 1, "near-identical": 0, "repeated": 2, "faceless": 2}
    assert sum(both.dropped.values()) == len(both.before_drop) - len(both.train)
    assert twin_free(faces, both).tolist() == twin_free(faces, make_split(faces)).tolist()


def test_cleaning_without_the_crowd_drops_copies_alone() -> None:
    faces = fakes.face_set([0, 1] * 6 + [0], fakes.scenes(13), parts=USAGE, roles=ROLES)
    assert make_split(faces, clean=True).dropped == {"repeated": 0}
