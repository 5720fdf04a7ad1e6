"""Small films of real faces on moving places, written by the tests that read them."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

SIZE = (320, 240)
TICKS = 90_000  # of the films' clock, a second
Place = tuple[float, float] | None
"""Where the middle of a face is; None where it is not on the frame."""


@cache
def astronaut(height: int = 110) -> Image.Image:
    """Return a smiling face with hair and collar (NASA, public domain)."""
    return _scaled(Image.fromarray(data.astronaut()).crop((160, 20, 290, 190)), height)


@cache
def hopper(height: int = 110) -> Image.Image:
    """Return a face under a hat (U.S. Navy, public domain; part of matplotlib)."""
    photo = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    return _scaled(photo.convert("RGB").resize((256, 300)).crop((76, 30, 186, 174)), height)


def _scaled(face: Image.Image, height: int) -> Image.Image:
    return face.resize((round(face.width * height / face.height), height), Image.Resampling.LANCZOS)


def scene(*faces: tuple[Image.Image, Place], size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a frame with faces around their places, later ones in front."""
    ramp = np.linspace(70, 150, size[0], dtype=np.uint8)
    frame = Image.fromarray(np.broadcast_to(ramp[None, :, None], (size[1], size[0], 3)).copy())
    for face, place in faces:
        if place is not None:
            frame.paste(face, (round(place[0] - face.width / 2), round(place[1] - face.height / 2)))
    return frame


def write(path: Path, frames: Iterable[Image.Image], times: Sequence[float] | None = None, turned: int = 0) -> Path:
    """Write an H.264 film.

    Args:
        path: Where; the ending says in which container.
        frames: Its frames, all of one even size.
        times: When each is shown, in seconds; without, 25 a second.
        turned: Degrees counter-clockwise by which a player is to turn the frames.
    """
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("libx264", rate=25, options={"crf": "18", "preset": "ultrafast"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        for number, picture in enumerate(frames):
            if number == 0:
                stream.width, stream.height = picture.size
                if turned:
                    stream.set_display_rotation(turned)
            frame: Any = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
            frame.pts = round((number / 25 if times is None else times[number]) * TICKS)
            frame.time_base = Fraction(1, TICKS)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def line(start: tuple[float, float], end: tuple[float, float], count: int) -> list[tuple[float, float]]:
    """Return places at equal steps from start to end."""
    steps: NDArray[np.float64] = np.linspace(start, end, count)
    return [(float(x), float(y)) for x, y in steps]
