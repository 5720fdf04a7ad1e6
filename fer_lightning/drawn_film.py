"""A copy of a film with its faces marked, and beside it a picture of each person's expressions over time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from fer_lightning.drawing import draw_faces
from fer_lightning.inputs import DRAWN, TIMELINE
from fer_lightning.timeline import Timeline, timeline_picture
from fer_lightning.tracking import TrackedFace
from fer_lightning.video import FilmFrame, FilmWriter
from fer_lightning.whole_files import replacing


@contextmanager
def drawn_film(copy: Path, classes: Sequence[str]) -> Iterator[Callable[[FilmFrame], None]]:
    """Give a function that takes the frames; both files appear when the block ends without an error.

    Args:
        copy: Where the copy goes, ending in ``.faces.mp4``; the timeline goes beside it, ending in ``.timeline.png``.
        classes: Names of the checkpoint's classes.
    """
    name = copy.stem.removesuffix(DRAWN)
    timeline = Timeline(classes)
    with ExitStack() as stack:
        writer: FilmWriter | None = None

        def add(frame: FilmFrame) -> None:
            nonlocal writer
            if writer is None:  # only now the size is known
                writer = stack.enter_context(FilmWriter(copy, frame.picture.size))
            writer.add(draw_tracked(frame.picture, frame.faces), frame.time_s)
            timeline.add(frame.time_s, frame.faces)

        yield add
    with replacing(copy.with_name(f"{name}{TIMELINE}.png")) as part:
        part.write_bytes(timeline_picture(timeline, name))


def draw_tracked(picture: Image.Image, faces: Sequence[TrackedFace], *, bars: bool = True) -> Image.Image:
    """Return a frame with its faces marked by the numbers of their tracks and their smoothed probabilities.

    Args:
        picture: The frame.
        faces: Its faces, in its pixels.
        bars: Whether bars over all classes stand beside each face.
    """
    smoothed, numbers = [face.smoothed for face in faces], [face.track for face in faces]
    return draw_faces(picture, [face.face for face in faces], probabilities=smoothed, numbers=numbers, bars=bars)
