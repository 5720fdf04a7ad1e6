"""Where a face lies on a picture, and the square around it that the networks were trained on.

FER2013's crops are squares of 0.95 times the height of MTCNN's box, centred on it; the eyes' midpoint then lies at
(0.50, 0.39) of the side, and the eyes 0.37 of the side apart (measured on the set).
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.preprocess import shrink

_SIDE_PER_BOX_HEIGHT = 0.95
_EYES_AT = (0.50, 0.39)
_EYES_APART = 0.37
_SMALLEST = 40  # pixels of the shorter side below which MTCNN fails
_SURE = 0.9  # detection probability


class Square(NamedTuple):
    """A square on a picture, in pixels: its centre and its side."""

    x: float
    y: float
    side: float


def square_of_box(box: NDArray[np.floating[Any]]) -> Square:
    """Return the crop for a detector's box ``(left, top, right, bottom)``."""
    left, top, right, bottom = (float(value) for value in box)
    return Square((left + right) / 2, (top + bottom) / 2, _SIDE_PER_BOX_HEIGHT * (bottom - top))


def square_of_eyes(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> Square:
    """Return the crop that puts the eyes, two points ``(x, y)``, where training had them."""
    side = float(np.hypot(*(np.asarray(right) - np.asarray(left)))) / _EYES_APART
    x, y = (np.asarray(left) + np.asarray(right)) / 2
    return Square(float(x) + (0.5 - _EYES_AT[0]) * side, float(y) + (0.5 - _EYES_AT[1]) * side, side)


def crop(picture: Image.Image, square: Square) -> NDArray[np.uint8]:
    """Cut a face out, grey uint8 ``[48, 48]``; beyond the picture's edge its border is repeated."""
    side = max(1, round(square.side))
    left, top = round(square.x - side / 2), round(square.y - side / 2)
    grey = np.asarray(picture.convert("L"))
    rows = np.clip(np.arange(top, top + side), 0, grey.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, grey.shape[1] - 1)
    return shrink(Image.fromarray(grey[np.ix_(rows, columns)]))


def largest_face(picture: Image.Image) -> NDArray[np.float64] | None:
    """Find the largest face with MTCNN (Zhang et al. 2016).

    Returns:
        Its box ``(left, top, right, bottom)`` in pixels, or None where there is no sure face.
    """
    if min(picture.size) < _SMALLEST:
        return None
    boxes, probabilities = _detector().detect(picture.convert("RGB"))
    if boxes is None:
        return None
    sure = np.asarray(boxes, dtype=np.float64)[np.asarray(probabilities, dtype=np.float64) > _SURE]
    if not len(sure):
        return None
    box: NDArray[np.float64] = sure[((sure[:, 2] - sure[:, 0]) * (sure[:, 3] - sure[:, 1])).argmax()]
    return box


@cache
def _detector() -> Any:
    from facenet_pytorch import MTCNN  # seconds of torch, and only this function needs it

    return MTCNN(keep_all=True, post_process=False)
