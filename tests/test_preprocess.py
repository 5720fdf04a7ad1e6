"""The one path from a picture to the network's input."""

import numpy as np
import pytest
import torch
from PIL import Image

from fer_lightning.preprocess import SIDE, shrink, to_tensor
from tests import fakes


@pytest.mark.parametrize("size", [(48, 48), (20, 20), (96, 96), (300, 200), (31, 400), (1, 1)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "CMYK"])
def test_any_picture_becomes_a_grey_face(size: tuple[int, int], mode: str) -> None:
    face = shrink(Image.new("RGB", size, (102, 102, 102)).convert(mode))
    assert face.shape == (SIDE, SIDE)
    assert face.dtype == np.uint8
    assert abs(face.astype(int) - 102).max() <= 2


def test_a_face_of_the_right_size_is_kept_to_the_bit() -> None:
    (face,) = fakes.scenes(1)
    assert np.array_equal(shrink(Image.fromarray(face)), face)


def test_downwards_every_pixel_counts() -> None:
    """Area averaging: each cell is the mean of its source pixels, so no line of a picture is skipped."""
    picture = np.random.default_rng(0).integers(0, 256, (192, 192), dtype=np.uint8)
    expected = picture.reshape(48, 4, 48, 4).mean((1, 3))
    assert abs(shrink(Image.fromarray(picture)) - expected).max() <= 1  # Pillow rounds once for each direction


def test_upwards_is_smooth_and_keeps_the_light() -> None:
    picture = np.repeat(np.array([[0, 240]], np.uint8), 2, 0)
    face = shrink(Image.fromarray(picture)).astype(int)
    assert (np.diff(face, axis=1) >= 0).all()
    assert face.mean() == pytest.approx(120, abs=1)
    assert len(np.unique(face)) > 10


def test_grey_is_the_luma_of_the_standard() -> None:
    colours = np.zeros((48, 48, 3), np.uint8)
    colours[:16, :, 0], colours[16:32, :, 1], colours[32:, :, 2] = 200, 200, 200
    face = shrink(Image.fromarray(colours))
    assert [face[row, 0] for row in (0, 20, 40)] == pytest.approx([0.299 * 200, 0.587 * 200, 0.114 * 200], abs=1)


def test_another_side_is_possible() -> None:
    assert shrink(Image.new("L", (100, 100)), side=224).shape == (224, 224)


def test_the_networks_input_is_from_zero_to_one() -> None:
    faces = np.stack([np.zeros((48, 48), np.uint8), np.full((48, 48), 255, np.uint8), np.full((48, 48), 51, np.uint8)])
    tensor = to_tensor(faces)
    assert tensor.shape == (3, 1, 48, 48)
    assert tensor.dtype == torch.float32
    assert tensor[:, 0, 0, 0].tolist() == pytest.approx([0, 1, 0.2])


def test_arrays_views_and_tensors_give_the_same_input() -> None:
    faces = fakes.scenes(3)
    assert torch.equal(to_tensor(torch.from_numpy(faces)), to_tensor(faces))
    assert torch.equal(to_tensor(faces[:, :, ::-1]), to_tensor(faces).flip(3))
    to_tensor(faces).zero_()
    assert faces.any()  # the input is a copy
