"""The square around a face, at the place and size that the networks were trained on."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from fer_lightning.faces import (
    Detection,
    FaceDetector,
    Square,
    crop,
    cut_face,
    largest_face,
    square_of_box,
    square_of_eyes,
)


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


def detection(roll: float) -> Detection:
    """A face in a box of 100 x 120 around (200, 150), tilted clockwise by so many degrees."""
    reach = 22 * np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
    eyes = np.array([[200.0, 137.0], [200.0, 137.0]]) + np.outer([-1, 1], reach)
    return Detection((150.0, 90.0, 250.0, 210.0), 0.99, np.vstack([eyes, np.zeros((3, 2))]))


@pytest.mark.parametrize("roll", [-170, -90, -30, -15, 0, 10, 45])
def test_the_roll_is_that_of_the_line_of_the_eyes(roll: float) -> None:
    assert detection(roll).roll == pytest.approx(roll)


def stripe(roll: float) -> Image.Image:
    """A white line through (200, 150), tilted clockwise by so many degrees."""
    y, x = np.mgrid[:300, :400] - np.array([150, 200])[:, None, None]
    angle = np.radians(roll)
    return Image.fromarray((np.abs(y * np.cos(angle) - x * np.sin(angle)) < 4).astype(np.uint8) * 255)


@pytest.mark.parametrize(("roll", "left"), [(-40, -15), (-15, -15), (-7, -7), (0, 0), (14, 14), (16, 15), (60, 15)])
def test_only_what_training_never_saw_of_a_tilt_is_turned_back(roll: float, left: float) -> None:
    light = cut_face(stripe(roll), detection(roll)).astype(float)
    y, x = np.mgrid[:48, :48] - 23.5
    moments = (light * x * x).sum(), (light * x * y).sum(), (light * y * y).sum()
    tilt = np.degrees(np.arctan2(2 * moments[1], moments[0] - moments[2]) / 2)
    assert tilt == pytest.approx(left, abs=1)


def test_a_face_that_is_turned_back_keeps_its_middle_its_size_and_its_border() -> None:
    picture = Image.new("L", (400, 300), 255)
    picture.paste(0, (190, 140, 210, 160))
    cut = cut_face(picture, detection(40.0))
    dark = 255 - cut.astype(float)
    middles = np.arange(48) + 0.5
    assert [dark.sum(0) @ middles / dark.sum(), dark.sum(1) @ middles / dark.sum()] == pytest.approx([24, 24], abs=0.5)
    assert dark.sum() / 255 == pytest.approx(20 * 20 * (48 / (0.95 * 120)) ** 2, rel=0.05)
    assert cut[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [255] * 4


def test_a_detector_takes_grey_and_tiny_and_long_pictures() -> None:
    detect = FaceDetector()
    assert len(detect(photograph().convert("L"))) == 1
    for size in ((1, 1), (39, 600), (40, 40), (4000, 41), (20_000, 300)):
        assert detect(Image.new("RGB", size, "grey")) == []


def test_boxes_of_a_large_picture_are_in_its_own_pixels() -> None:
    (small,) = FaceDetector()(photograph())
    (large,) = FaceDetector(smallest=160, working_side=277)(photograph().resize((1024, 1200)))
    assert large.box == pytest.approx([4 * edge for edge in small.box], abs=12)  # 3 of the pixels that were searched
    np.testing.assert_allclose(large.landmarks, 4 * small.landmarks, atol=12)
