"""A webcam's frames, one after the other as they come: the state that one visitor's stream needs."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from fer_lightning.faces import FaceDetector
from fer_lightning.following import Follower
from fer_lightning.pictures import as_picture
from fer_lightning.recognizer import Recognizer
from fer_lightning.tracking import Smoother, TrackedFace

_SIDE = 320  # of the square that has as many pixels as the picture that is searched
_SMALLEST = 1 / 8  # of the longer side; a face at two metres from a laptop
_FACTOR = 0.6  # between the scales that are searched


class LiveSession:
    """Recognizes the faces of one stream; cheap to make, one for each visitor, who share the recognizer.

    The search sees a small copy of a frame now and then; in between faces are followed. Crops are cut from the frame
    itself.
    """

    def __init__(self, recognizer: Recognizer, *, every: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        """Start a stream.

        Args:
            recognizer: What names the expressions.
            every: A full search for new faces on every frame of this number; without a known face, on each.
            clock: Returns the time in seconds; never goes back.
        """
        self.recognizer = recognizer
        self.every = every
        self._clock = clock
        self._size: tuple[int, int] | None = None
        self._restart((_SIDE, _SIDE))

    def _restart(self, size: tuple[int, int]) -> None:
        self._size = size
        self._follow = Follower(_detector(max(size)), self.every, eager=True)
        self._smooth = Smoother()

    def step(self, frame: NDArray[Any]) -> list[TrackedFace]:
        """Return the faces of the newest frame, the largest first, in its own pixels.

        Args:
            frame: RGB or grey, uint8 ``[H, W, 3]`` or ``[H, W]``. When its size changes, tracks begin anew.

        Raises:
            UserError: If it is no picture.
        """
        now = self._clock()
        picture = as_picture(frame)
        if picture.size != self._size:
            self._restart(picture.size)
        sightings = self._follow(picture, now)
        faces = self.recognizer.name_crops([s.found for s in sightings], [s.crop for s in sightings])
        return [self._smooth(face, s.track, now) for face, s in zip(faces, sightings, strict=True)]


@lru_cache(maxsize=8)
def _detector(side: int) -> FaceDetector:
    """Return the detector for frames of a size; visitors share it."""
    return FaceDetector(smallest=round(side * _SMALLEST), working_side=_SIDE, factor=_FACTOR)
