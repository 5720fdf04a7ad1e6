"""What the page does with a photo, a stream and a film: plain functions, without Gradio."""

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning import records
from fer_lightning.drawing import draw_faces
from fer_lightning.drawn_film import draw_tracked
from fer_lightning.errors import UserError
from fer_lightning.live import LiveSession
from fer_lightning.pictures import as_picture
from fer_lightning.recognizer import Face, Recognizer
from fer_lightning.timeline import Timeline
from fer_lightning.tracking import TrackedFace
from fer_lightning.video import FilmFrame, FilmWriter, film_frames, recognize_film

LARGEST_PHOTO = 10 << 20
"""Bytes of a photo file; more are refused."""

LARGEST_PICTURE = 24_000_000
"""Pixels of a photo from which Pillow warns; from twice as many on it refuses."""

LONGEST_FILM = 180.0
"""Seconds of a film that are read."""

_SHOWN_SIDE = 1600  # longer side in pixels of the photo that goes back to the page
_FILM_SIDE = 1280
_FILM_RATE = 30.0  # frames a second
_LIVE_SIDE = 640
_RATE_OVER = 2.0  # seconds over which the frame rate of a stream is counted
HISTORY = 12.0
"""Seconds of a stream that its chart shows."""


def read_photo(recognizer: Recognizer, path: Path) -> tuple[Image.Image, list[Face]]:
    """Return the upright picture, and its faces in its own pixels, the largest first.

    Raises:
        UserError: If it is no picture, or too large; the text names the file without its folders.
    """
    if not path.is_file():
        raise UserError("the picture was deleted from the server already; upload it once more")
    if path.stat().st_size > LARGEST_PHOTO:
        raise UserError(f"{path.name}: larger than {LARGEST_PHOTO >> 20} MB; scale it down")
    try:
        picture = as_picture(path)
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from None
    return picture, recognizer.recognize(picture)


def marked(picture: Image.Image, faces: Sequence[Face]) -> Image.Image:
    """Return a copy of at most 1600 pixels with its faces boxed and numbered."""
    small = picture.convert("RGB")
    small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), reducing_gap=2.0)
    return draw_faces(small, [_scaled(face, small.width / picture.width) for face in faces], bars=False)


def _scaled(face: Face, scale: float) -> Face:
    left, top, right, bottom = (scale * edge for edge in face.box)
    return dataclasses.replace(face, box=(left, top, right, bottom), landmarks=scale * face.landmarks)


def photo_rows(recognizer: Recognizer, faces: Sequence[Face], source: str) -> list[records.Record]:
    """Return the rows that ``predict`` writes of a photo."""
    rows = records.face_records(source, faces, recognizer.model)
    return rows or [records.faceless_record(source, recognizer.classes, recognizer.model)]


def prediction(recognizer: Recognizer, path: Path) -> dict[str, Any]:
    """Return of a photo the very JSON that ``predict --out x.json`` writes.

    Raises:
        UserError: If it is no picture, or too large.
    """
    _, faces = read_photo(recognizer, path)
    rows = photo_rows(recognizer, faces, path.name)
    head = {"format": records.FORMAT, "model": recognizer.model, "classes": list(recognizer.classes)}
    return {**head, "records": rows}


class LiveView(NamedTuple):
    """What the page shows of one frame of a stream.

    Attributes:
        picture: The frame with its faces drawn.
        faces: The faces, the largest first.
        rate: Frames a second over the last two seconds.
    """

    picture: Image.Image
    faces: list[TrackedFace]
    rate: float


class Visitor:
    """One visitor's stream: what follows the faces, and what the chart needs."""

    def __init__(self, recognizer: Recognizer, clock: Callable[[], float] = time.monotonic) -> None:
        """Start a stream.

        Args:
            recognizer: What names the expressions.
            clock: Returns the time in seconds; never goes back.
        """
        self.recognizer = recognizer
        self.track: int | None = None  # whom the chart is about
        self.times: deque[float] = deque()
        self.rows: deque[NDArray[np.float64]] = deque()
        self.frames = 0
        self._clock = clock
        self._session = LiveSession(recognizer, clock=clock)
        self._arrivals: deque[float] = deque()

    def look(self, frame: NDArray[np.uint8]) -> LiveView:
        """Take in the newest frame, RGB uint8 ``[H, W, 3]``."""
        now = self._clock()
        self.frames += 1
        picture = as_picture(frame).convert("RGB")
        picture.thumbnail((_LIVE_SIDE, _LIVE_SIDE))
        faces = self._session.step(np.asarray(picture))
        self._remember(now, faces)
        return LiveView(draw_tracked(picture, faces), faces, self._rate(now))

    def _rate(self, now: float) -> float:
        self._arrivals.append(now)
        while now - self._arrivals[0] > _RATE_OVER:
            self._arrivals.popleft()
        passed = now - self._arrivals[0]
        return (len(self._arrivals) - 1) / passed if passed > 0 else 0.0

    def _remember(self, now: float, faces: Sequence[TrackedFace]) -> None:
        if faces and self.track not in {face.track for face in faces}:
            self.track = faces[0].track
            self.times.clear()
            self.rows.clear()
        for face in faces:
            if face.track == self.track:
                self.times.append(now)
                self.rows.append(face.smoothed)
        while self.times and now - self.times[0] > HISTORY:
            self.times.popleft()
            self.rows.popleft()


@dataclasses.dataclass
class Halt:
    """Whether a visitor asked for the reading of a film to end."""

    asked: bool = False


class FilmReading(NamedTuple):
    """What the page shows of a film.

    Attributes:
        film: The annotated film.
        table: Its table, in the schema of ``predict``.
        timeline: The smoothed probabilities of everybody in it.
        frames: How many frames were read.
        cut: Whether the film is longer than what is read.
        damage: What is wrong with a film that could not be read to its end.
    """

    film: Path
    table: Path
    timeline: Timeline
    frames: int
    cut: bool
    damage: str = ""


def read_film(
    recognizer: Recognizer, path: Path, folder: Path, go_on: Callable[[int, int | None], bool]
) -> FilmReading:
    """Read a film: draw its faces on a copy, write its table, and follow everybody in it.

    Args:
        recognizer: What finds the faces and names their expressions.
        path: The film.
        folder: Where the copy and the table go.
        go_on: Is told after each frame how many are done, and how many there are if that is known; False ends it there.

    Raises:
        UserError: If it cannot be read; the text names the file without its folders.
    """
    try:
        return _read_film(recognizer, path, folder, go_on)
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from None


def _read_film(
    recognizer: Recognizer, path: Path, folder: Path, go_on: Callable[[int, int | None], bool]
) -> FilmReading:
    film, table = folder / f"{path.stem}.faces.mp4", folder / f"{path.stem}.csv"
    total = film_frames(path)
    timeline = Timeline(recognizer.classes)
    found: list[records.Record] = []
    count, cut, damage = 0, False, ""
    frames = recognize_film(recognizer, path, fps=_FILM_RATE)
    first = next(frames)

    def to_the_end() -> Iterator[FilmFrame]:
        nonlocal damage
        yield first
        try:
            yield from frames
        except UserError as error:  # what could be read of it is shown
            damage = str(error).replace(str(path), path.name)

    with FilmWriter(film, _film_size(first.picture)) as writer:
        for frame in to_the_end():
            if cut := frame.time_s > LONGEST_FILM:
                break
            writer.add(_drawn_frame(frame), frame.time_s)
            found += records.film_records(path.name, frame, recognizer.model)
            timeline.add(frame.time_s, frame.faces)
            count += 1
            if not go_on(frame.number + 1, total):
                break
    nobody = [records.faceless_record(path.name, recognizer.classes, recognizer.model)]
    records.write(table, found or nobody, recognizer.classes)
    return FilmReading(film, table, timeline, count, cut, damage)


def _film_size(picture: Image.Image) -> tuple[int, int]:
    scale = min(1.0, _FILM_SIDE / max(picture.size))
    return round(picture.width * scale), round(picture.height * scale)


def _drawn_frame(frame: FilmFrame) -> Image.Image:
    small = frame.picture.resize(_film_size(frame.picture), reducing_gap=2.0)
    scale = small.width / frame.picture.width
    faces = [dataclasses.replace(face, face=_scaled(face.face, scale)) for face in frame.faces]
    return draw_tracked(small, faces)


class Stay(NamedTuple):
    """A person in a film.

    Attributes:
        track: The number on the film.
        crop: The face as the network saw it first, grey uint8 ``[48, 48]``.
        times: Seconds, rising.
        rows: The smoothed probabilities ``[K]`` at each.
        label: The class that was on top the longest.
        share: For which share of the time.
    """

    track: int
    crop: NDArray[np.uint8]
    times: list[float]
    rows: list[NDArray[np.float64]]
    label: str
    share: float


def stays(timeline: Timeline) -> list[Stay]:
    """Say of everybody in a film how they looked the most; those seen the longest come first."""
    found = []
    for track, curve in sorted(timeline.curves.items(), key=lambda item: -item[1].seen):
        best, count = Counter(int(row.argmax()) for row in curve.values).most_common(1)[0]
        share = count / len(curve.values)
        found.append(Stay(track, curve.crop, curve.times, curve.values, timeline.classes[best], share))
    return found
