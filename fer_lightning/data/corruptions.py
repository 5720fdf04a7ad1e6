"""Faces as bad photographs and hasty detectors have them: what ``--corruption`` scores networks on.

Blur, JPEG, low resolution and noise after Hendrycks and Dietterich (2019), in strengths for faces of 48 pixels. Done by
Pillow, one face after the other, and not by the code that changes training faces. What is drawn for a face depends on
its pixels alone, so that all networks meet the same faces.
"""

import io
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fer_lightning.answering import CorruptionName
from fer_lightning.preprocess import SIDE, shrink

_BLUR = 1.2  # standard deviation in pixels
_JPEG = 30  # quality
_COARSE = 24  # pixels of the face's side
_NOISE = 12.0  # standard deviation in grey levels
_TURN = 15.0  # degrees to either side, where faces.py begins to turn heads back
_BOX, _OFF = (0.85, 1.2), 0.08  # side of the detector's box, and how far it is off, in sides of the face
_EDGE = 12  # pixels by which the edges are repeated before the face is turned or framed anew

_Change = Callable[[Image.Image, np.random.Generator], Image.Image]


class Corruption:
    """Changes each face of a batch; the same face always in the same way."""

    def __init__(self, name: CorruptionName) -> None:
        """Choose what is done.

        Args:
            name: ``none``; ``blur`` (Gaussian, 1.2 pixels); ``jpeg`` (quality 30); ``low_resolution`` (24 pixels,
                enlarged); ``noise`` (Gaussian, 12 grey levels); ``rotation`` (up to 15 degrees); ``crop`` (a box of .85
                to 1.2 sides, up to .08 off); ``mixed``, one of these six for each face.
        """
        self.name = name

    def __call__(self, faces: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
        """Map faces, uint8 ``[N, 48, 48]``, to corrupted ones of the same shape; a seed changes nothing."""
        return faces if self.name == "none" else np.stack([self._one(face) for face in faces])

    def _one(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        rng = np.random.default_rng(zlib.crc32(face.tobytes()))
        name = list(_CHANGES)[rng.integers(len(_CHANGES))] if self.name == "mixed" else self.name
        return shrink(_CHANGES[name](Image.fromarray(face), rng))


def _blurred(face: Image.Image, _: np.random.Generator) -> Image.Image:
    return face.filter(ImageFilter.GaussianBlur(_BLUR))


def _compressed(face: Image.Image, _: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    face.save(file, "jpeg", quality=_JPEG)
    return Image.open(file)


def _coarse(face: Image.Image, _: np.random.Generator) -> Image.Image:
    return face.resize((_COARSE, _COARSE), Image.Resampling.BOX)


def _noisy(face: Image.Image, rng: np.random.Generator) -> Image.Image:
    tones = np.asarray(face) + rng.normal(0, _NOISE, (SIDE, SIDE))
    return Image.fromarray(tones.round().clip(0, 255).astype(np.uint8))


def _turned(face: Image.Image, rng: np.random.Generator) -> Image.Image:
    turned = _with_edges(face).rotate(rng.uniform(-_TURN, _TURN), Image.Resampling.BILINEAR)
    return turned.crop((_EDGE, _EDGE, _EDGE + SIDE, _EDGE + SIDE))


def _cropped(face: Image.Image, rng: np.random.Generator) -> Image.Image:
    half = rng.uniform(*_BOX) * SIDE / 2
    x, y = _EDGE + SIDE / 2 + rng.uniform(-_OFF, _OFF, 2) * SIDE
    box = (x - half, y - half, x + half, y + half)
    return _with_edges(face).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)


def _with_edges(face: Image.Image) -> Image.Image:
    return Image.fromarray(np.pad(np.asarray(face), _EDGE, mode="edge"))


_CHANGES: dict[str, _Change] = {
    "blur": _blurred,
    "jpeg": _compressed,
    "low_resolution": _coarse,
    "noise": _noisy,
    "rotation": _turned,
    "crop": _cropped,
}
