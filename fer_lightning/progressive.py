"""Progressive resizing: a training's first epochs see smaller faces, which cost less."""

from torch import Tensor
from torch.nn import functional as F

from fer_lightning.preprocess import SIDE

SMALLER = (32, 40)
"""Sides in pixels that lead up to the full one, each for as long as the others."""


def side_at(done: float, share: float) -> int:
    """Return the side of the faces, in pixels, at a moment of the training.

    Args:
        done: Share of the training that lies behind, 0..1.
        share: Share of the training, at its beginning, in which faces are smaller, 0..1.
    """
    return SIDE if done >= share else SMALLER[int(done / share * len(SMALLER))]


def shown(faces: Tensor, side: int) -> Tensor:
    """Scale faces ``(N, 1, 48, 48)`` down to ``(N, 1, side, side)``, blurred so that no detail turns into a pattern."""
    if side == faces.shape[-1]:
        return faces
    return F.interpolate(faces, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
