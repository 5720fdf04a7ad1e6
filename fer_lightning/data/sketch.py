"""The embedded set: faces drawn from action units, so that the tool can be tried without a download.

They are no substitute for faces. Weak, missing and spurious action units keep the task from being solved.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_lightning.data.cache import cached, hash_arrays
from fer_lightning.data.faceset import FaceSet, ReadOptions, Role
from fer_lightning.data.sketch_face import Identity, draw_face
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.preprocess import SIDE

ACTION_UNITS: dict[str, tuple[int, ...]] = {
    "angry": (4, 5, 7, 23),
    "disgust": (9, 15),
    "fear": (1, 2, 4, 5, 20, 26),
    "happy": (6, 12),
    "sad": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "neutral": (),
}
"""The action units of each expression (EMFACS: Friesen & Ekman 1983)."""

_ALL_UNITS = (1, 2, 4, 5, 6, 7, 9, 12, 15, 20, 23, 26)
_VERSION, _SEED = 2, 20200917
_PEOPLE: dict[str, int] = {"Training": 90, "PublicTest": 15, "PrivateTest": 15}
_OF_EACH = 7  # pictures of each person and expression
_ROLES: dict[Role, str] = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def read_sketch(root: Path | None = None, options: ReadOptions | None = None) -> FaceSet:
    """Return the drawn faces; the same at every call, split by person. The arguments are those of every reader."""
    entry = cached(f"sketch-v{_VERSION}", _draw_all)
    parts = np.repeat(list(_PEOPLE), [count * len(FER2013_CLASSES) * _OF_EACH for count in _PEOPLE.values()])
    each = np.arange(len(parts))
    labels, subjects = each // _OF_EACH % len(FER2013_CLASSES), each // (_OF_EACH * len(FER2013_CLASSES))
    names = [
        f"person{s:03d}/{FER2013_CLASSES[y]}/{i % _OF_EACH}"
        for i, (s, y) in enumerate(zip(subjects, labels, strict=True))
    ]
    return FaceSet(
        source="sketch",
        classes=FER2013_CLASSES,
        faces=entry["faces"],
        labels=labels.astype(np.int64),
        row_ids=np.array(names),
        fingerprint=hash_arrays(entry["faces"], labels.astype(np.int64)),
        subjects=subjects.astype(np.int64),
        parts=parts.astype(np.str_),
        roles=_ROLES,
    )


def _draw_all() -> dict[str, NDArray[np.uint8]]:
    faces = []
    for person in range(sum(_PEOPLE.values())):
        rng = np.random.default_rng((_SEED, person))
        who = Identity.draw(rng)
        for expression in FER2013_CLASSES:
            faces += [_photo(who, expression, rng) for _ in range(_OF_EACH)]
    return {"faces": np.stack(faces)}


def _photo(who: Identity, expression: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one picture of a person, under a light and through a camera of its own."""
    left, right = _strengths(expression, rng)
    view = {
        "x": rng.normal(0, 0.02),
        "y": rng.normal(0, 0.02),
        "scale": rng.uniform(0.92, 1.08),
        "roll": np.deg2rad(rng.normal(0, 7)),
        "turn": rng.normal(0, 0.03),
        "nod": rng.normal(0, 0.02),
    }
    return _exposed(draw_face(who, left, right, view), rng)


def _strengths(expression: str, rng: np.random.Generator) -> tuple[dict[int, float], dict[int, float]]:
    """Draw the strength of every action unit on both halves: most of the expression's own, few of the others'."""
    felt = rng.uniform(0.35, 1.0)
    left, right = {}, {}
    for unit in _ALL_UNITS:
        own = unit in ACTION_UNITS[expression]
        strength = felt * rng.uniform(0.6, 1.1) if own else rng.uniform(0.1, 0.4)
        if rng.random() < (0.06 if own else 0.94):  # missing, or not there by chance
            strength = 0.0
        tilt = rng.normal(0, 0.08)
        left[unit], right[unit] = (float(np.clip(strength * (1 + sign * tilt), 0, 1)) for sign in (-1, 1))
    return left, right


def _exposed(tones: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add light from a side, an object before the face at times, contrast, blur and noise."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.9)
    lit = tones * (1 + strength * (x * np.cos(angle) + y * np.sin(angle)))
    if rng.random() < 0.15:
        top, start = rng.integers(0, SIDE, 2)
        lit[top : top + rng.integers(4, 14), start : start + rng.integers(4, 14)] = rng.uniform(0, 255)
    contrast, brightness = rng.uniform(0.5, 1.1), rng.uniform(-30, 30)
    lit = (lit - 128) * contrast + 128 + brightness
    weight = rng.uniform(0, 0.25)  # of each neighbour
    for axis in (0, 1):
        lit = (1 - 2 * weight) * lit + weight * (np.roll(lit, 1, axis) + np.roll(lit, -1, axis))
    lit += rng.normal(0, rng.uniform(1, 12), lit.shape)
    exposed: NDArray[np.uint8] = np.clip(lit, 0, 255).round().astype(np.uint8)
    return exposed
