"""Pictures that stand in a set twice: which are joined, which are kept apart."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.data import duplicates
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.duplicates import find_duplicates
from tests import fakes

Picture = NDArray[np.uint8]


def rescaled(face: Picture) -> Picture:
    return np.asarray(Image.fromarray(face).resize((37, 37)).resize((48, 48)))


def jpeg(face: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


def mirrored(face: Picture) -> Picture:
    return face[:, ::-1]


def brighter(face: Picture) -> Picture:
    return (face * 0.8 + 50).astype(np.uint8)


def clusters(*pictures: Picture) -> duplicates.Duplicates:
    return find_duplicates(fakes.face_set([0] * len(pictures), np.stack(pictures)))


def test_equal_bytes_are_identical_and_near() -> None:
    a, b = fakes.scenes(2)
    found = clusters(a, b, a, a, b)
    assert found.identical.tolist() == found.near.tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("change", [rescaled, jpeg, mirrored, brighter, lambda face: rescaled(jpeg(mirrored(face)))])
def test_a_changed_copy_is_near_but_not_identical(change: Callable[[Picture], Picture]) -> None:
    a, b = fakes.scenes(2, seed=1)
    found = clusters(a, b, change(a))
    assert found.identical.tolist() == [0, 1, 2]
    assert found.near.tolist() == [0, 1, 0]


def test_different_pictures_stay_apart() -> None:
    labels = [row % 7 for row in range(200)]
    found = find_duplicates(fakes.face_set(labels, np.concatenate([fakes.scenes(100), fakes.faces(labels[100:])])))
    assert found.near.tolist() == list(range(200))


def test_an_inverted_or_turned_picture_is_another() -> None:
    (a,) = fakes.scenes(1)
    assert clusters(a, 255 - a, a[::-1], a.T).near.tolist() == [0, 1, 2, 3]


def test_blank_pictures_are_like_nothing_but_their_own_bytes() -> None:
    grey, black = np.full((48, 48), 90, np.uint8), np.zeros((48, 48), np.uint8)
    faint = fakes.scenes(1)[0] // 64  # what a codec leaves of nothing: 0 to 3 of 255
    found = clusters(grey, black, grey + faint, black + faint, grey)
    assert found.identical.tolist() == found.near.tolist() == [0, 1, 2, 3, 0]


def test_clusters_are_transitive_and_named_by_their_first_row() -> None:
    """The ends of a chain differ by more than neighbours may, and are joined by what lies between."""
    a, b = fakes.scenes(2, seed=4).astype(float)
    chain = [(a + share * (b - a)).astype(np.uint8) for share in (0, 0.1, 0.2)]
    assert clusters(chain[0], chain[2]).near.tolist() == [0, 1]
    assert clusters(chain[2], chain[0], chain[1]).near.tolist() == [0, 0, 0]


def test_twins_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = fakes.scenes(30, seed=2)
    faces[29], faces[17], faces[8] = mirrored(faces[0]), brighter(faces[3]), jpeg(faces[7])
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    near = list(range(30))
    near[29], near[17], near[8] = 0, 3, 7
    assert clusters(*faces).near.tolist() == near


def test_the_search_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = fakes.face_set([0, 1, 2], fakes.scenes(3, seed=99))
    first = find_duplicates(faces)
    monkeypatch.delattr(duplicates, "near_clusters")
    again = find_duplicates(faces)
    assert again.near.tolist() == first.near.tolist() == [0, 1, 2]


@pytest.mark.realdata
def test_the_known_twins_of_fer2013(real_data: Path) -> None:
    """290 and 279 rows with an identical picture in Training were counted by other means (shared/data/README.md)."""
    data = ExpressionDataModule(source="fer2013", root=str(real_data / "fer2013"))
    leakage = data.summary()["leakage"]
    assert leakage["test"]["identical"] == 290
    assert leakage["validation"]["identical"] == 279
    assert leakage["test"]["near_identical"] > 290
    assert data.twin_free().sum() == 3_285  # 3,589 less 290 and less 14 more in which FER+ saw no face


def test_without_a_cache_the_search_is_still_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(tmp_path / "file" / "cache"))  # nothing can be written there
    found = fakes.face_set([0, 1, 0, 1])
    assert find_duplicates(found) is find_duplicates(found)
