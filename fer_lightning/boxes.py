"""Geometry of boxes ``(left, top, right, bottom)`` in pixels, each of one list with each of another."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""Float64 ``[N, 4]``."""


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Return the areas, ``[N]``."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1))


def heights(boxes: Boxes) -> NDArray[np.float64]:
    """Return the heights, ``[N]``, a pixel at least."""
    return np.asarray((boxes[:, 3] - boxes[:, 1]).clip(1))


def centres(boxes: Boxes) -> NDArray[np.float64]:
    """Return the centres, ``[N, 2]``."""
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2)


def common(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the areas that ``[A, 4]`` and ``[B, 4]`` share, ``[A, B]``."""
    start = np.maximum(first[:, None, :2], second[None, :, :2])
    end = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray((end - start).clip(0).prod(-1))


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return intersection over union, ``[A, B]``, 0..1."""
    shared = common(first, second)
    return np.asarray(shared / (areas(first)[:, None] + areas(second)[None] - shared).clip(1e-9))


def nested(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return which part of the smaller box lies within the larger, ``[A, B]``, 0..1."""
    smaller = np.minimum(areas(first)[:, None], areas(second)[None])
    return np.asarray(common(first, second) / smaller.clip(1e-9))


def distances(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return how far the centres are apart, ``[A, B]``, in heights of the first."""
    apart = np.linalg.norm(centres(first)[:, None] - centres(second)[None], axis=-1)
    return np.asarray(apart / heights(first)[:, None])
