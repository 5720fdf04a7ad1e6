"""The square around a face, at the place and size that the networks were trained on."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from fer_lightning.faces import Square, crop, largest_face, square_of_box, square_of_eyes


def test_the_crop_of_a_box_is_a_little_lower_than_it_and_shares_its_centre() -> None:
    assert square_of_box(np.array([10.0, 20.0, 90.0, 120.0])) == pytest.approx((50, 70, 95))


@pytest.mark.parametrize("side", [48, 100, 301])
def test_eyes_come_to_lie_where_training_had_them(side: int) -> None:
    left, right = np.array([200.0, 150.0]), np.array([200 + 0.37 * side, 150.0])
    square = square_of_eyes(left, right)
    assert square.side == pytest.approx(side)
    corner = np.array([square.x, square.y]) - square.side / 2
    assert (left - corner) / square.side == pytest.approx([0.315, 0.39])
    assert (right - corner) / square.side == pytest.approx([0.685, 0.39])


def test_a_rolled_head_keeps_the_distance_of_its_eyes() -> None:
    square = square_of_eyes(np.array([100.0, 100.0]), np.array([130.0, 140.0]))
    assert square.side == pytest.approx(50 / 0.37)


def test_a_square_of_48_pixels_is_taken_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    face = crop(Image.fromarray(picture), Square(60, 40, 48))
    assert np.array_equal(face, picture[16:64, 36:84])


def test_larger_squares_are_averaged_and_smaller_ones_enlarged() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    face = crop(Image.fromarray(picture), Square(100, 100, 96))
    means = picture[52:148, 52:148].reshape(48, 2, 48, 2).mean((1, 3))
    assert np.abs(face - means).max() <= 1
    small = crop(Image.fromarray(picture), Square(100, 100, 12))
    assert small.shape == (48, 48)
    assert np.corrcoef(small[2::4, 2::4].ravel(), picture[94:106, 94:106].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("square", "beyond", "edge"),
    [
        (Square(0, 45, 48), np.s_[:, :24], np.s_[21:69, :1]),
        (Square(120, 45, 48), np.s_[:, 24:], np.s_[21:69, -1:]),
        (Square(60, 0, 48), np.s_[:24], np.s_[:1, 36:84]),
        (Square(60, 90, 48), np.s_[24:], np.s_[-1:, 36:84]),
    ],
)
def test_beyond_the_picture_its_border_is_repeated(
    square: Square, beyond: tuple[slice, slice], edge: tuple[slice, slice]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    face = crop(Image.fromarray(picture), square)
    assert np.array_equal(face[beyond], np.broadcast_to(picture[edge], face[beyond].shape))


def test_a_square_that_holds_the_whole_picture_and_one_of_no_size_still_give_faces() -> None:
    picture = Image.fromarray(np.full((30, 50), 77, np.uint8))
    for square in (Square(25, 15, 400), Square(25, 15, 0), Square(-500, -500, 20)):
        assert np.array_equal(crop(picture, square), np.full((48, 48), 77))


def test_colours_become_grey_by_luma() -> None:
    face = crop(Image.new("RGB", (60, 60), (255, 0, 0)), Square(30, 30, 50))
    assert np.array_equal(face, np.full((48, 48), 76))


def photograph() -> Image.Image:
    return Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").resize((256, 300))


def test_the_face_of_a_photograph_is_found_and_its_eyes_lie_near_their_place() -> None:
    box = largest_face(photograph())
    assert box is not None
    square = square_of_box(box)
    eyes = np.array([[111, 94], [153, 93]])  # placed by hand; the hat draws the box down a little
    left, right = (eyes - np.array([square.x, square.y]) + square.side / 2) / square.side
    assert left == pytest.approx([0.315, 0.39], abs=0.1)
    assert right == pytest.approx([0.685, 0.39], abs=0.1)


def test_of_two_faces_the_larger_is_taken() -> None:
    photo = photograph()
    both = Image.new("RGB", (420, 300), "white")
    both.paste(photo.resize((128, 150)), (0, 0))
    both.paste(photo, (140, 0))
    box = largest_face(both)
    assert box is not None
    assert box[0] > 140


def test_no_face_is_found_where_there_is_none() -> None:
    assert largest_face(Image.new("L", (200, 200), 128)) is None
    assert largest_face(photograph().resize((39, 39))) is None  # too small for the detector, which would raise
