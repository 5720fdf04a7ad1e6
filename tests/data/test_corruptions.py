"""What ``--corruption`` does to faces: what it says, as much as it says, and the same for every network."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fer_lightning.answering import CORRUPTIONS, CorruptionName, Way
from fer_lightning.data.corruptions import Corruption
from fer_lightning.data.sketch import read_sketch
from fer_lightning.errors import UserError

Faces = NDArray[np.uint8]
ALONE = CORRUPTIONS[1:-1]


@pytest.fixture(scope="module")
def faces() -> Faces:
    return np.ascontiguousarray(read_sketch().faces[:60])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_form_is_kept_and_the_input_not_changed(name: CorruptionName, faces: Faces) -> None:
    before = faces.copy()
    out = Corruption(name)(faces, 1)
    assert out.shape == faces.shape
    assert out.dtype == np.uint8
    assert np.array_equal(faces, before)
    changed = (out != before).any((1, 2))
    assert not changed.any() if name == "none" else changed.all()


def test_another_name_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match=r"^corruption fog: choose from none, blur, jpeg, low_resolution, noise,"):
        Way(corruption="fog")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CORRUPTIONS[1:])
def test_a_face_is_changed_alike_wherever_it_stands(name: CorruptionName, faces: Faces) -> None:
    corruption = Corruption(name)
    turned = corruption(np.ascontiguousarray(faces[::-1]), 7)[::-1]
    assert np.array_equal(corruption(faces, 1), turned)


def test_a_blur_is_as_wide_as_it_says() -> None:
    point = np.zeros((1, 48, 48), np.uint8)
    point[0, 24, 24] = 255
    out = Corruption("blur")(point)[0].astype(float)
    place = np.arange(48) - 24
    assert np.sqrt((out.sum(0) * place**2).sum() / out.sum()) == pytest.approx(1.2, abs=0.1)


def test_a_jpeg_has_blocks_of_eight_pixels(faces: Faces) -> None:
    steps = np.abs(np.diff(Corruption("jpeg")(faces).astype(float), axis=2)).mean((0, 1))
    before = np.abs(np.diff(faces.astype(float), axis=2)).mean((0, 1))
    more = steps - before  # the step from pixel 8 k - 1 to 8 k crosses blocks
    assert more[7::8].mean() > np.delete(more, np.s_[7::8]).mean() + 1


def test_noise_is_as_strong_as_it_says() -> None:
    grey = np.full((40, 48, 48), 128, np.uint8) + np.arange(40, dtype=np.uint8)[:, None, None]
    added = Corruption("noise")(grey) - grey.astype(float)
    assert added.mean() == pytest.approx(0, abs=0.2)
    assert added.std() == pytest.approx(12, abs=0.2)
    assert np.abs(np.corrcoef(added.reshape(40, -1)) - np.eye(40)).max() < 0.1  # each face has its own


def pairs_of_spots() -> Faces:
    """Faces with a bright spot in each of two places, no two alike."""
    out = np.full((200, 48, 48), 20, np.uint8)
    out[:, 22:26, 12:16] = out[:, 22:26, 32:36] = 250
    out[np.arange(200), 0, 0], out[np.arange(200), 0, 1] = np.arange(200) % 100, np.arange(200) // 100
    return out


def spots(face: Faces) -> NDArray[np.float64]:
    """Return where the two spots are, in pixels from the centre, ``[2, (y, x)]``, the left one first."""
    labels, count = ndimage.label(face[4:-4, 4:-4] > 120)
    assert count == 2
    found = np.array(ndimage.center_of_mass(face[4:-4, 4:-4], labels, [1, 2])) + 4 - 23.5
    return found[found[:, 1].argsort()]


def test_faces_are_turned_by_up_to_15_degrees() -> None:
    found = np.array([spots(face) for face in Corruption("rotation")(pairs_of_spots())])
    assert np.abs(found.mean(1)).max() < 0.5  # about the centre
    across = found[:, 1] - found[:, 0]
    angles = np.degrees(np.arctan2(across[:, 0], across[:, 1]))
    assert 13 < angles.max() < 16
    assert -16 < angles.min() < -13
    assert angles.std() == pytest.approx(30 / np.sqrt(12), rel=0.15)
    assert np.hypot(*across.T) == pytest.approx(20, abs=1)


def test_faces_are_framed_more_tightly_or_loosely_and_off_the_centre() -> None:
    found = np.array([spots(face) for face in Corruption("crop")(pairs_of_spots())])
    sides = 20 / (found[:, 1, 1] - found[:, 0, 1])
    assert 0.83 < sides.min() < 0.88
    assert 1.16 < sides.max() < 1.23
    off = found.mean(1) * sides[:, None] / 48
    assert np.abs(off.mean(0)).max() < 0.008
    assert np.abs(off).max() < 0.092
    assert (off.max(0) > 0.06).all()
    assert (off.min(0) < -0.06).all()


def test_mixed_does_one_of_them_to_each_face(faces: Faces) -> None:
    mixed = Corruption("mixed")(faces)
    drawing = {"noise", "rotation", "crop"}  # these draw on after the choice
    same = {name: (mixed == Corruption(name)(faces)).all((1, 2)) for name in ALONE if name not in drawing}
    assert all(4 <= chosen.sum() <= 18 for chosen in same.values())  # of 60, about 10 each
    assert 20 <= (~np.any(list(same.values()), axis=0)).sum() <= 40
