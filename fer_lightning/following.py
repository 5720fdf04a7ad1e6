"""Faces followed through a film: a full search now and then, and in between only a look at where they should be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.boxes import areas, nested
from fer_lightning.faces import Detection, FaceDetector, cut_face
from fer_lightning.tracking import Tracker

_SAME = 0.5  # of a face within another from which the two are taken for one


class Sighting(NamedTuple):
    """A face on a frame: number of its track, its place, and its crop, grey uint8 ``[48, 48]``."""

    track: int
    found: Detection
    crop: NDArray[np.uint8]


class Follower:
    """Finds the faces of a film frame after frame.

    New faces come in by the full search. Known ones are followed by the detector's last stage, which costs a
    fraction; when one gets lost, the full search comes at once.
    """

    def __init__(self, detector: FaceDetector, every: int, *, eager: bool = False) -> None:
        """Start before the first frame.

        Args:
            detector: What searches, and follows.
            every: A full search on every frame of this number, from 1.
            eager: Whether it comes on each frame as long as no face is known.
        """
        self.detector = detector
        self.every = every
        self.eager = eager
        self._tracker = Tracker()
        self._next = 0  # frames until the next full search

    def __call__(self, picture: Image.Image, time_s: float) -> list[Sighting]:
        """Return the faces of the next frame, the largest first.

        Args:
            picture: The frame, of mode ``L`` or ``RGB``.
            time_s: Its time, not before that of the last one.
        """
        found = self._found(picture, self._tracker.expected(time_s))
        found.sort(key=lambda face: -float(areas(np.array([face.box]))[0]))
        crops = [cut_face(picture, face) for face in found]
        tracks = self._tracker.update(time_s, found, crops, picture.size)
        numbered = zip(tracks, found, crops, strict=True)
        return [Sighting(track, face, crop) for track, face, crop in numbered if track is not None]

    def _found(self, picture: Image.Image, expected: Sequence[Detection]) -> list[Detection]:
        followed = [face for face in self.detector.refine(picture, expected) if face is not None]
        followed.sort(key=lambda face: -face.probability)
        faces = _distinct(followed)
        lost = len(faces) < len(expected)
        if self._next <= 0 or lost or (self.eager and not faces):
            self._next = self.every
            # A face that the search misses, turned away or blurred, stays as long as the last stage sees it.
            faces = _distinct([*self.detector(picture), *faces])
        self._next -= 1
        return faces


def _distinct(faces: Sequence[Detection]) -> list[Detection]:
    """Return the faces without those that are one with an earlier one."""
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    same = nested(boxes, boxes) > _SAME
    kept: list[int] = []
    for number in range(len(faces)):
        if not same[number, kept].any():
            kept.append(number)
    return [faces[number] for number in kept]
