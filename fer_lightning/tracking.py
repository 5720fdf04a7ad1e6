"""Whose face is whose from frame to frame: numbers that stay with a person, and probabilities smoothed in time.

Everything is counted in seconds, never in frames, so that a film's frame rate, or a webcam's, changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lightning.boxes import Boxes, centres, distances, heights, overlaps
from fer_lightning.faces import Detection, square_of_box
from fer_lightning.recognizer import Face

_OVERLAP = 0.2  # of a face with where it was expected, as intersection over union, from which it is taken for the same
_CROWDED = 1.2  # distance of two faces, in heights, below which one may hide a part of the other
_UNCHANGED = 0.9  # correlation with how a face looked from which nothing seems to hide it
_NEAR = 1.5  # how far away, in heights of the face, a lost one may come back
_GROWN = 1.6  # by which factor it may have grown or shrunk
_ALIKE = 0.7  # correlation with how it looked; in CK+ 97 % of one person's pairs of crops have it, 43 % of two persons'
_GRAIN = 2  # pixels of a crop that are averaged before crops are compared, so that a slight shift counts little
_STEADY = 0.3  # seconds over which speed is averaged
_FAMILIAR = 0.5  # seconds over which looks are averaged


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face on a frame of a film.

    Attributes:
        face: The face, with the probabilities of this frame alone.
        track: Number of the person, from 1, the same on all frames.
        smoothed: Probabilities averaged over the last moments, float64 ``[K]``, sums to 1.
    """

    face: Face
    track: int
    smoothed: NDArray[np.float64]

    @property
    def label(self) -> str:
        """The most probable class after smoothing."""
        return self.face.classes[int(self.smoothed.argmax())]

    @property
    def confidence(self) -> float:
        """Its smoothed probability."""
        return float(self.smoothed.max())


class Smoother:
    """Exponential average in time of the probabilities of each track."""

    def __init__(self, seconds: float = 0.5, patience: float = 2.5) -> None:
        """Start without any track.

        Args:
            seconds: Time constant: after it a change has come through to 63 %.
            patience: Seconds after which a track that got no probabilities is forgotten.
        """
        self.seconds = seconds
        self.patience = patience
        self._last: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def __call__(self, face: Face, track: int, time_s: float) -> TrackedFace:
        """Take in what a frame says of a track, in the order of time."""
        self._last = {number: last for number, last in self._last.items() if time_s - last[0] <= self.patience}
        before, value = self._last.get(track, (time_s, face.probabilities))
        value = value + _weight(time_s - before, self.seconds) * (face.probabilities - value)
        self._last[track] = (time_s, value)
        return TrackedFace(face, track, value)


class _Seen(NamedTuple):
    """A face on the newest frame: place, looks as a unit vector, and whether all of its crop lies on the frame."""

    found: Detection
    looks: NDArray[np.float64]
    whole: bool


@dataclass(eq=False)
class _Track:
    number: int
    time_s: float
    found: Detection
    looks: NDArray[np.float64]
    speed: NDArray[np.float64]  # pixels/s

    def expected(self, time_s: float) -> Detection:
        by = self.speed * max(0.0, time_s - self.time_s)
        box = np.array(self.found.box) + np.tile(by, 2)
        return self.found._replace(box=tuple(box.tolist()), landmarks=self.found.landmarks + by)

    def take(self, time_s: float, seen: _Seen, alone: bool) -> None:
        """Take in where the face was found; only an unhindered view tells of its speed and looks."""
        passed = time_s - self.time_s
        unchanged = bool(_likeness([self.looks], [seen.looks]) > _UNCHANGED)
        if seen.whole and (alone or unchanged) and passed > 0:
            speed = (centres(_boxes([seen.found])) - centres(_boxes([self.found])))[0] / passed
            self.speed = self.speed + _weight(passed, _STEADY) * (speed - self.speed)
            self.looks = self.looks + _weight(passed, _FAMILIAR) * (seen.looks - self.looks)
        self.time_s, self.found = time_s, seen.found


class Tracker:
    """Gives faces the numbers of the persons they belong to.

    A face keeps its number where it overlaps with the place that its track, moving on at constant velocity, should
    have reached. Where two faces cross, both the motion and the looks decide, and speed is not measured meanwhile. A
    face that was lost gets its number back near that place or where it was seen last, if it is alike.
    """

    def __init__(self, patience: float = 2.5) -> None:
        """Start without any track.

        Args:
            patience: Seconds after which a face that is not seen is forgotten.
        """
        self.patience = patience
        self._tracks: list[_Track] = []
        self._count = 0
        self._now = 0.0

    def expected(self, time_s: float) -> list[Detection]:
        """Return where the faces of the last frame should be at a later time."""
        return [track.expected(time_s) for track in self._tracks if track.time_s == self._now]

    def update(
        self, time_s: float, found: Sequence[Detection], crops: Sequence[NDArray[np.uint8]], size: tuple[int, int]
    ) -> list[int | None]:
        """Number the faces of the next frame.

        Args:
            time_s: Time of the frame, not before that of the last one.
            found: Its faces.
            crops: How each looks, grey uint8 ``[48, 48]``.
            size: Width and height of the frame.

        Returns:
            The number of each face's track. None for one that is seen in part only, at the edge of the frame or behind
            another, where somebody was lost just now: it cannot be told yet whether it is the same.
        """
        self._now = time_s
        self._tracks = [track for track in self._tracks if time_s - track.time_s <= self.patience]
        faces = [_Seen(face, _looks(crop), _inside(face, size)) for face, crop in zip(found, crops, strict=True)]
        owners, doubtful = self._owners(time_s, faces)
        places = self._places(time_s)
        alone = (distances(places, places) < _CROWDED).sum(1) == 1
        tracks = {face: self._tracks[owner] for face, owner in owners.items()}
        for face, owner in owners.items():
            self._tracks[owner].take(time_s, faces[face], bool(alone[owner]))
        for face in set(range(len(faces))) - set(tracks) - doubtful:
            tracks[face] = self._new(time_s, faces[face])
        return [tracks[face].number if face in tracks else None for face in range(len(faces))]

    def _new(self, time_s: float, seen: _Seen) -> _Track:
        self._count += 1
        self._tracks.append(_Track(self._count, time_s, seen.found, seen.looks, np.zeros(2)))
        return self._tracks[-1]

    def _places(self, time_s: float) -> Boxes:
        return _boxes([track.expected(time_s) for track in self._tracks])

    def _owners(self, time_s: float, faces: Sequence[_Seen]) -> tuple[dict[int, int], set[int]]:
        """Return for each face that is known the place of its track, and which of the others are doubtful.

        Tracks that go on come first, then those that return. Doubtful is a face near a track that is lost
        if the edge or another face may hide a part of it.
        """
        if not self._tracks or not faces:
            return {}, set()
        boxes, places = _boxes([face.found for face in faces]), self._places(time_s)
        last = _boxes([track.found for track in self._tracks])
        unlike = 1 - _likeness([track.looks for track in self._tracks], [face.looks for face in faces])
        overlap = overlaps(places, boxes)
        away = np.minimum(distances(places, boxes), distances(last, boxes))
        grown = np.abs(np.log(heights(boxes)[None] / heights(last)[:, None]))
        near = (away < _NEAR) & (grown < np.log(_GROWN))
        owners: dict[int, int] = {}
        _assign(np.where(overlap > _OVERLAP, 1 - overlap + unlike, np.inf), owners)
        _assign(np.where(near & (unlike < 1 - _ALIKE), away + unlike, np.inf), owners)
        near[list(owners.values())] = False
        clear = ((distances(boxes, boxes) < _CROWDED).sum(1) == 1) & [face.whole for face in faces]
        return owners, set(np.flatnonzero(near.any(0) & ~clear).tolist()) - set(owners)


def _assign(costs: NDArray[np.float64], owners: dict[int, int]) -> None:
    """Add pairs of face and track to ``owners``, the cheapest first, until none is left that is not infinite."""
    costs[list(owners.values())] = np.inf
    costs[:, list(owners)] = np.inf
    while np.isfinite(costs).any():
        track, face = divmod(int(costs.argmin()), costs.shape[1])
        owners[face] = track
        costs[track], costs[:, face] = np.inf, np.inf


def _weight(passed: float, constant: float) -> float:
    """Return what a new value weighs in an exponential average after so many seconds."""
    return float(-np.expm1(-max(0.0, passed) / constant))


def _boxes(found: Sequence[Detection]) -> Boxes:
    return np.array([face.box for face in found], dtype=np.float64).reshape(-1, 4)


def _inside(found: Detection, size: tuple[int, int]) -> bool:
    square = square_of_box(np.array(found.box))
    half = square.side / 2
    return half <= square.x <= size[0] - half and half <= square.y <= size[1] - half


def _looks(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return a crop as a vector whose products with others are correlations."""
    side = len(crop) // _GRAIN
    coarse = crop.reshape(side, _GRAIN, side, _GRAIN).mean((1, 3)).ravel()
    coarse -= coarse.mean()
    return np.asarray(coarse / max(float(np.linalg.norm(coarse)), 1e-9))


def _likeness(averaged: Sequence[NDArray[np.float64]], looks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the correlation of averages of looks, which are shorter than looks, with looks: ``[A, B]``."""
    rows = np.stack(averaged)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9) @ np.stack(looks).T)
