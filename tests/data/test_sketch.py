"""The drawn faces: the same every time, balanced, and moved by their action units where a face would be."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_lightning.data import sketch
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.faceset import FaceSet
from fer_lightning.data.sketch_face import Identity, draw_face
from fer_lightning.expressions import FER2013_CLASSES

STRAIGHT = {"x": 0.0, "y": 0.0, "scale": 1.0, "roll": 0.0, "turn": 0.0, "nod": 0.0}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sketch")


@pytest.fixture
def drawn(cache: Path, monkeypatch: pytest.MonkeyPatch) -> FaceSet:
    """The set, drawn once for this file."""
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(cache))
    return ExpressionDataModule(source="sketch").faces


def test_the_set_is_balanced_over_parts_people_and_expressions(drawn: FaceSet) -> None:
    assert drawn.faces.shape == (5_880, 48, 48)
    assert drawn.classes == FER2013_CLASSES
    assert np.bincount(drawn.labels).tolist() == [840] * 7
    assert drawn.parts is not None
    assert drawn.subjects is not None
    counts = {part: int((drawn.parts == part).sum()) for part in drawn.roles.values()}
    assert counts == {"Training": 4_410, "PublicTest": 735, "PrivateTest": 735}
    assert np.bincount(drawn.subjects * 7 + drawn.labels).tolist() == [7] * (120 * 7)


def test_nobody_stands_in_two_parts(drawn: FaceSet) -> None:
    assert drawn.parts is not None
    assert drawn.subjects is not None
    people = [set(drawn.subjects[drawn.parts == part].tolist()) for part in drawn.roles.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == 120


def test_no_two_faces_are_alike_and_none_is_blank(drawn: FaceSet) -> None:
    flat = drawn.faces.reshape(len(drawn), -1)
    assert len(np.unique(flat, axis=0)) == len(drawn)
    assert flat.std(1).min() > 5
    assert len(np.unique(drawn.row_ids)) == len(drawn)


def test_the_second_start_maps_them_in(drawn: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "_draw_all", None)
    again = ExpressionDataModule().faces  # without a root, auto takes the drawings
    assert again.source == "sketch"
    assert np.array_equal(again.faces, drawn.faces)
    assert again.fingerprint == drawn.fingerprint


def test_a_person_is_drawn_alike_whoever_else_is_drawn(
    drawn: FaceSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(tmp_path))
    monkeypatch.setattr(sketch, "_PEOPLE", {"Training": 2})
    few = sketch.read_sketch()
    assert np.array_equal(few.faces, drawn.faces[: 2 * 49])


def test_every_expression_has_the_action_units_of_the_literature() -> None:
    assert sketch.ACTION_UNITS == {
        "happy": (6, 12),
        "sad": (1, 4, 15),
        "surprise": (1, 2, 5, 26),
        "fear": (1, 2, 4, 5, 20, 26),
        "angry": (4, 5, 7, 23),
        "disgust": (9, 15),
        "neutral": (),
    }


def change(left: dict[int, float], right: dict[int, float]) -> NDArray[np.float64]:
    """How far a face differs from its neutral one in each pixel, on average over people."""
    people = [Identity.draw(np.random.default_rng(seed)) for seed in range(12)]
    faces = [(draw_face(who, left, right, STRAIGHT), draw_face(who, {}, {}, STRAIGHT)) for who in people]
    moves: NDArray[np.float64] = np.array([np.abs(moved - neutral) for moved, neutral in faces], dtype=np.float64)
    return np.asarray(moves.mean(0))


PLACES = {
    "brows": ((1, 2, 4), slice(6, 19)),
    "eyes": ((5, 6, 7), slice(13, 25)),
    "nose": ((9,), slice(12, 39)),
    "mouth and chin": ((12, 15, 20, 23, 26), slice(27, 48)),
}


@pytest.mark.parametrize("place", PLACES)
def test_action_units_move_what_they_are_named_for(place: str) -> None:
    units, rows = PLACES[place]
    for unit in units:
        moved = change({unit: 1.0}, {unit: 1.0})
        assert moved[rows].sum() > 0.85 * moved.sum(), unit
        assert moved[rows].max() > 10, unit


@pytest.mark.parametrize("unit", [2, 5, 6, 7])
def test_a_unit_of_one_half_leaves_the_other_alone(unit: int) -> None:
    moved = change({unit: 1.0}, {})
    assert moved[:, :24].max() > 10
    assert moved[:, 26:].max() < 1


def corner_height(units: dict[int, float]) -> float:
    """The row of the mouth's corners: of the darkest pixel below the eyes, 0.13 of the side beside the middle."""
    who = Identity.draw(np.random.default_rng(5))
    face = draw_face(who, units, units, STRAIGHT)[29:46]
    return float(np.mean([face[:, column].argmin() for column in (18, 29)]))


def test_a_smile_lifts_the_corners_of_the_mouth_and_sadness_lowers_them() -> None:
    assert corner_height({12: 1.0}) < corner_height({}) < corner_height({15: 1.0})
