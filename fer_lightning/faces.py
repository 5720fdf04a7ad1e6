"""Where a face lies on a picture, and the square around it that the networks were trained on.

FER2013's crops are squares of 0.95 times the height of MTCNN's box, centred on it; the eyes' midpoint then lies at
(0.50, 0.39) of the side, and the eyes 0.37 of the side apart (measured on the set).
"""

import copy
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.preprocess import shrink

_SIDE_PER_BOX_HEIGHT = 0.95
_EYES_AT = (0.50, 0.39)
_EYES_APART = 0.37
_SMALLEST = 40  # pixels of the shorter side below which MTCNN fails
_FLOOR = 20  # pixels of the smallest face that MTCNN finds
_SURE = 0.9  # detection probability
_STILL_THERE = 0.7  # that of a face which is known already; what MTCNN's last stage asks for
_STAGE = 48  # side in pixels of what MTCNN's last stage looks at
_ROLL = 15.0  # degrees; 90 % of FER2013's heads are tilted less, and so are those that augmentation makes


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


def crop(picture: Image.Image, square: Square, turn: float = 0.0) -> NDArray[np.uint8]:
    """Cut a face out, grey uint8 ``[48, 48]``; beyond the picture's edge its border is repeated.

    Args:
        picture: The picture.
        square: Where the face is.
        turn: Degrees by which the head is tilted clockwise on the picture and is turned back.
    """
    side = max(1, round(square.side))
    rim = side // 4 + 1 if turn else 0  # what a turned square needs around it
    left, top = round(square.x - side / 2) - rim, round(square.y - side / 2) - rim
    rows = np.clip(np.arange(top, top + side + 2 * rim), 0, picture.height - 1)
    columns = np.clip(np.arange(left, left + side + 2 * rim), 0, picture.width - 1)
    part = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)  # of a large picture the rest need not become grey
    grey = np.asarray(picture.crop(part).convert("L"))
    rows, columns = rows - rows[0], columns - columns[0]
    face = Image.fromarray(grey[np.ix_(rows, columns)])
    if turn:
        face = face.rotate(turn, Image.Resampling.BILINEAR).crop((rim, rim, rim + side, rim + side))
    return shrink(face)


class Detection(NamedTuple):
    """A face on a picture, in pixels of the picture.

    Attributes:
        box: ``(left, top, right, bottom)``; may reach beyond the edge.
        probability: The detector's, 0..1.
        landmarks: float64 ``[5, 2]``, x and y of the eye on the left of the picture, the eye on its right, the nose,
            and the left and right corner of the mouth.
    """

    box: tuple[float, float, float, float]
    probability: float
    landmarks: NDArray[np.float64]

    @property
    def roll(self) -> float:
        """Degrees by which the line of the eyes is tilted clockwise."""
        x, y = self.landmarks[1] - self.landmarks[0]
        return float(np.degrees(np.arctan2(y, x)))


def cut_face(picture: Image.Image, found: Detection) -> NDArray[np.uint8]:
    """Cut a detected face out as training had its faces, grey uint8 ``[48, 48]``.

    A head tilted further than training saw is turned back to the limit of that; a lesser tilt is left as it is.
    """
    turn = found.roll - float(np.clip(found.roll, -_ROLL, _ROLL))
    return crop(picture, square_of_box(np.array(found.box)), turn)


class FaceDetector:
    """MTCNN (Zhang et al. 2016), with a floor on the size of a face and a cap on that of the picture it searches."""

    def __init__(self, smallest: int = 40, working_side: int = 2048, factor: float = 0.709) -> None:
        """Load the detector; its weights are part of facenet-pytorch.

        Args:
            smallest: Height in pixels of the smallest face that is looked for, at least 20.
            working_side: A picture of more pixels than a square of this side is scaled down to as many for the search,
                and there a face needs 20 pixels.
            factor: Step between the scales that are searched, below 1; smaller is faster and misses more.
        """
        from facenet_pytorch import MTCNN  # seconds of torch, and only this function needs it

        self.smallest = smallest
        self.working_side = working_side
        self._mtcnn: Any = MTCNN(keep_all=True, post_process=False, factor=factor)

    def __call__(self, picture: Image.Image) -> list[Detection]:
        """Return the faces of a picture, the largest first."""
        scale = min(1.0, self.working_side / math.sqrt(picture.width * picture.height))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if min(size) < _SMALLEST:
            return []
        working = picture.convert("RGB")
        if size != picture.size:
            working = working.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        mtcnn = copy.copy(self._mtcnn)  # the networks are shared, the setting is not: several threads may search
        mtcnn.min_face_size = max(_FLOOR, self.smallest * scale)
        try:
            boxes, probabilities, points = mtcnn.detect(working, landmarks=True)
        except RuntimeError as error:
            if "non-empty list" in str(error):  # how it says that at no scale there was a candidate
                return []
            raise
        if boxes is None:
            return []
        return [
            Detection(
                tuple((np.asarray(box, np.float64) / scale).tolist()), float(sure), np.asarray(five, np.float64) / scale
            )
            for box, sure, five in zip(boxes, probabilities, points, strict=True)
            if sure > _SURE
        ]

    def refine(self, picture: Image.Image, detections: Sequence[Detection]) -> list[Detection | None]:
        """Follow known faces from one frame of a film to the next, by MTCNN's last stage alone.

        That stage looks at the square around a face and says how sure it is of it and where exactly it lies, in a few
        milliseconds a face. It looks twice, as the first look is off by up to a fifth of the face.

        Args:
            picture: The frame.
            detections: Where the faces should be, such as on the frame before.

        Returns:
            For each the face that is there, or None where it is lost.
        """
        first = self._last_stage(picture, detections)
        second = iter(self._last_stage(picture, [face for face in first if face is not None]))
        return [None if face is None else next(second) for face in first]

    def _last_stage(self, picture: Image.Image, detections: Sequence[Detection]) -> list[Detection | None]:
        if not detections:
            return []
        squares = [_stage_square(found.box) for found in detections]
        looks = np.stack([_look(picture, square) for square in squares])
        with torch.inference_mode():
            tensor = torch.from_numpy(looks).permute(0, 3, 1, 2).to(self._mtcnn.device)
            out = self._mtcnn.onet((tensor - 127.5) * 0.0078125)
        shifts, points, sure = (part.double().cpu().numpy() for part in out)
        return [
            _followed(*parts) if parts[-1] > _STILL_THERE else None
            for parts in zip(squares, shifts, points, sure[:, 1], strict=True)
        ]


def _stage_square(box: tuple[float, float, float, float]) -> tuple[int, int, int]:
    """Return the square that MTCNN's last stage looks at for a box: its left and top edge and its side."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top)
    return round((left + right - side) / 2), round((top + bottom - side) / 2), max(1, round(side))


def _look(picture: Image.Image, square: tuple[int, int, int]) -> NDArray[np.float32]:
    """Cut a square out, float32 ``[48, 48, 3]`` in 0..255, black beyond the edge."""
    left, top, side = square
    face = picture.crop((left, top, left + side, top + side)).convert("RGB")
    return np.asarray(face.resize((_STAGE, _STAGE), Image.Resampling.BOX), dtype=np.float32)


def _followed(
    square: tuple[int, int, int], shifts: NDArray[np.float64], points: NDArray[np.float64], sure: np.float64
) -> Detection:
    """Bring what the last stage said of a square, all in parts of its side, back to pixels of the picture."""
    left, top, side = square
    corners = np.array([left, top, left + side, top + side]) + side * shifts
    landmarks = np.array([left, top]) + side * points.reshape(2, 5).T
    return Detection(tuple(corners.tolist()), float(sure), landmarks)


def largest_face(picture: Image.Image) -> NDArray[np.float64] | None:
    """Return the box ``(left, top, right, bottom)`` of the largest face, in pixels, or None without a sure face."""
    found = _detector()(picture)
    return np.array(found[0].box) if found else None


@cache
def _detector() -> FaceDetector:
    return FaceDetector(smallest=_FLOOR)
