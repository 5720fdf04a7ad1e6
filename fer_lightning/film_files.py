"""Film files: read frame by frame, upright and with their own time stamps; written so that browsers play them."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image

from fer_lightning.errors import UserError
from fer_lightning.whole_files import replacing

ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv"),
)
"""Endings of the files that are taken for films."""

_TICKS = 90_000  # a second, in the films that are written
_FORMATS = "mov,matroska,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg"
"""FFmpeg's names of what a film may be; a playlist under a film's name could make it open other files."""

_WIDEST = 4.0  # shape of a pixel, from which on it is taken for a mistake
_MISSING_S, _MISSING = 0.5, 0.05  # seconds, and share of a film, that its last frame may lack to the stated end
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class Still(NamedTuple):
    """A frame without its faces: place in the film from 0, seconds from its start, upright RGB picture."""

    number: int
    time_s: float
    picture: Image.Image


def is_film(path: Path) -> bool:
    """Return True for a file that looks like a film by its name; hidden files are none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def film_frames(path: Path) -> int | None:
    """Return about how many frames a film has, by what it says of itself; None where it says nothing.

    Raises:
        UserError: If it cannot be read.
    """
    with _opened(path) as (film, stream):
        seconds = (film.duration or 0) / 1e6
        return int(stream.frames or round(seconds * float(stream.average_rate or 0))) or None


def stills(path: Path, fps: float | None) -> Iterator[Still]:
    """Decode a film; with ``fps``, the first frame of each interval of that length.

    Raises:
        UserError: If it cannot be opened, has no frame, or is damaged or cut off, which is said after its last frame.
    """
    with _opened(path) as (film, stream):
        damaged: list[str] = []
        start, due, number, passed = (film.start_time or 0) / 1e6, -math.inf, -1, 0.0
        for number, frame in enumerate(_decoded(film, stream, damaged)):
            passed = number / float(stream.average_rate or 25) if frame.time is None else frame.time - start
            if passed >= due:
                with _one_line(path, "cannot be decoded"):
                    picture = _upright(frame, stream.sample_aspect_ratio)
                yield Still(number, passed, picture)
                due = -math.inf if fps is None else (math.floor(passed * fps + 1e-6) + 1) / fps - 1e-6
        read = number + 1
        if not read:
            raise UserError(f"{path}: a film without a frame that can be decoded; replace or remove it")
        if damaged or _cut_off(film, stream, passed):
            raise UserError(f"{path}: damaged or cut off; {read:,} frames could be read; replace it by a whole copy")


def _decoded(film: Any, stream: Any, damaged: list[str]) -> Iterator[Any]:
    """Yield the frames of a film; notes what was damaged after the first, and goes on behind it."""
    from av import FFmpegError

    any_yet = False
    packets = film.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except FFmpegError as error:
            if any_yet:  # a recording that begins between two whole pictures is not damaged
                damaged.append(str(error))
            continue
        for frame in frames:
            any_yet = True
            yield frame


def _cut_off(film: Any, stream: Any, last_s: float) -> bool:
    """Return whether the film goes on behind the end of its file, by its index or, in Matroska, by its length.

    A length counts where it is the picture's own; that of a file may be its sound's.
    """
    entries = stream.index_entries
    if len(entries) and entries[-1].pos + entries[-1].size > film.size:
        return True
    if "matroska" not in film.format.name:
        return False
    length = _seconds(stream.metadata.get("DURATION", ""))
    if length is None and len(film.streams) == 1 and film.duration:
        length = film.duration / 1e6
    return length is not None and length - last_s > max(_MISSING_S, _MISSING * length)


def _seconds(clock: str) -> float | None:
    """Return the seconds of ``00:01:02.500000000``."""
    try:
        hours, minutes, seconds = map(float, clock.split(":"))
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


@contextmanager
def _one_line(path: Path, what: str) -> Iterator[None]:
    """Turn what FFmpeg raises on odd films into one line."""
    from av import FFmpegError

    try:
        yield
    except (FFmpegError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {what} ({reason}); replace or remove it") from None


def _upright(frame: Any, aspect: Fraction | None) -> Image.Image:
    """Return a frame as it is shown: its pixels square, and turned as the camera was held."""
    shape = float(aspect or 1)
    wide = round(frame.width * (shape if 1 / _WIDEST <= shape <= _WIDEST else 1))
    picture: Image.Image = frame.to_image(width=wide) if wide != frame.width else frame.to_image()
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a film; gives it and its picture stream."""
    av = _av()
    try:
        film = av.open(f"file:{path}", options={"format_whitelist": _FORMATS})  # else a colon makes it an address
    except FileNotFoundError:
        raise UserError(f"{path}: no such film; mend the path") from None
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{path}: unreadable film ({error.strerror or error}); replace or remove it") from None
    with film:
        streams = [s for s in film.streams.video if not s.disposition & s.disposition.__class__.attached_pic]
        if not streams:
            raise UserError(f"{path}: holds no moving picture; replace or remove it")
        yield film, streams[0]


def _av() -> Any:
    try:
        import av  # not everybody's, and a tenth of a second
    except ImportError:
        raise UserError("films need PyAV; run: pip install 'fer-lightning[video]'") from None
    return av


class FilmWriter:
    """Writes a film that browsers play: H.264 in MP4, ready to play before it is loaded whole.

    A context manager; the film appears when the block ends without an error, and never in part.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, quality: int = 23) -> None:
        """Say what is to be written; nothing is before the block is entered.

        Args:
            path: The film, ending in ``.mp4``.
            size: Width and height in pixels; an odd last row or column is left out, as the format has none.
            quality: x264's constant rate factor: 18 is hardly told from the original, 28 is small.
        """
        self.path = path
        self.size = (max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2))
        self.quality = quality
        self._last = -1

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            UserError: If the file cannot be written, or PyAV is missing.
        """
        av = _av()
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.path))
            self._film = stack.enter_context(
                av.open(str(part), "w", format="mp4", container_options={"movflags": "faststart"})
            )
            stack.enter_context(_one_line(self.path, "cannot be written as H.264"))
            options = {"crf": str(self.quality), "preset": "veryfast"}
            self._stream = self._film.add_stream("libx264", rate=30, options=options)
            self._stream.width, self._stream.height = self.size
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
            self._stream.codec_context.open()
            self._exit = stack.pop_all()
        return self

    def add(self, picture: Image.Image, time_s: float) -> None:
        """Add the next frame.

        Args:
            picture: The frame; one of another size is scaled.
            time_s: When it is shown, in seconds from the start, later than the one before.
        """
        from av import VideoFrame

        width, height = self.size
        if abs(picture.width - width) > 1 or abs(picture.height - height) > 1:
            picture = picture.resize(self.size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.asarray(picture.convert("RGB").crop((0, 0, width, height)))
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        self._last = frame.pts = max(self._last + 1, round(time_s * _TICKS))
        frame.time_base = Fraction(1, _TICKS)
        with _one_line(self.path, "cannot be written as H.264"):
            self._film.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the film, or remove what there is of it after an error."""
        with self._exit:
            if error is not None:
                raise error
            if self._last < 0:
                raise UserError(f"{self.path}: a film needs a frame at least")
            self._film.mux(self._stream.encode())
