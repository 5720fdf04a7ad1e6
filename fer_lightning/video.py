"""Films: faces found, followed and named chunk by chunk, in memory that stays flat however long the film is."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fer_lightning.errors import UserError
from fer_lightning.film_files import FilmWriter, Still, film_frames, is_film, stills
from fer_lightning.following import Follower, Sighting
from fer_lightning.recognizer import Recognizer
from fer_lightning.tracking import Smoother, TrackedFace

__all__ = ["FilmFrame", "FilmWriter", "film_frames", "is_film", "recognize_film"]

_CHUNK_BYTES = 256 << 20  # of pictures that are held at once


class FilmFrame(NamedTuple):
    """A frame of a film.

    Attributes:
        number: Its place in the film, from 0.
        time_s: When it is shown, in seconds from the film's start, as the film says.
        picture: The upright picture, RGB.
        faces: Its faces, the largest first.
    """

    number: int
    time_s: float
    picture: Image.Image
    faces: list[TrackedFace]


def recognize_film(
    recognizer: Recognizer, path: Path, *, every: int = 5, chunk: int = 32, fps: float | None = None
) -> Iterator[FilmFrame]:
    """Find, follow and name the faces of a film, frame after frame.

    Args:
        recognizer: What finds the faces and names their expressions.
        path: The film.
        every: A full search for faces on every frame of this number; new ones come in there. In between the known
            ones are followed.
        chunk: Frames whose faces go through the network together, and that are held in memory; fewer are where they
            are very large. It does not change the results.
        fps: Look at so many frames a second at most, where the film has more.

    Yields:
        Each frame that was looked at, in the order of time. Of a film that is damaged or cut off, these are the
        frames that can be decoded, before the error is raised.

    Raises:
        UserError: If it cannot be read, or not to its end; the frames before were yielded.
    """
    if every < 1 or chunk < 1 or (fps is not None and not fps > 0):
        raise UserError(f"every {every}, chunk {chunk}, fps {fps}: all must be above 0")
    follow, smooth = Follower(recognizer.detector, every), Smoother()
    held: list[tuple[Still, list[Sighting]]] = []
    broken = None
    try:
        for still in stills(path, fps):
            held.append((still, follow(still.picture, still.time_s)))
            if len(held) >= _most(chunk, still.picture):
                yield from _named(recognizer, smooth, held)
                held = []
    except UserError as error:  # what was decoded before comes first
        broken = error
    yield from _named(recognizer, smooth, held)
    if broken:
        raise broken


def _most(chunk: int, picture: Image.Image) -> int:
    return min(chunk, max(1, _CHUNK_BYTES // (3 * picture.width * picture.height)))


def _named(recognizer: Recognizer, smooth: Smoother, held: list[tuple[Still, list[Sighting]]]) -> Iterator[FilmFrame]:
    sightings = list(chain.from_iterable(seen for _, seen in held))
    faces = iter(recognizer.name_crops([s.found for s in sightings], [s.crop for s in sightings]))
    for still, seen in held:
        yield FilmFrame(*still, [smooth(next(faces), sighting.track, still.time_s) for sighting in seen])
