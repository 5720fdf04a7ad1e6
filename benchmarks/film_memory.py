"""Memory over a long film: the largest resident size of its second half against that of its first (Linux).

    python benchmarks/film_memory.py [--checkpoint NAME] [--frames 10000] [--width 160]

A synthetic film of two faces that cross again and again is written first, and then recognized in a process of its
own, drawn and written anew, with its timeline, as ``predict --annotate`` and the demo do.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import matplotlib
from PIL import Image
from skimage import data

from fer_lightning.drawing import draw_faces
from fer_lightning.recognizer import Recognizer
from fer_lightning.timeline import Timeline, timeline_picture
from fer_lightning.video import FilmWriter, recognize_film


def frames(width: int) -> Iterator[Image.Image]:
    """Yield frames without end: one face goes right and left in a hundred frames, the other against it."""
    size = (width, width * 3 // 4)
    side = size[1] * 6 // 10
    hopper = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    astronaut = Image.fromarray(data.astronaut())
    right = astronaut.crop((160, 20, 290, 190)).resize((side * 3 // 4, side))
    left = hopper.resize((256, 300)).crop((76, 30, 186, 174)).resize((side * 3 // 4, side))
    number = 0
    while True:
        swing = abs((number / 50 + 1) % 2 - 1) * (width - right.width)
        frame = Image.new("RGB", size, (110, 120, 130))
        frame.paste(left, (round(width - right.width - swing), size[1] // 8))
        frame.paste(right, (round(swing), size[1] // 6))
        yield frame
        number += 1


def resident() -> float:
    """Return the resident size of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def watch(film: Path, checkpoint: str | None, count: int, smallest: int) -> None:
    recognizer = Recognizer.from_checkpoint(checkpoint, smallest_face=smallest)
    timeline, sizes, tracks, seen = Timeline(recognizer.classes), [], set(), 0
    began = time.perf_counter()
    with FilmWriter(film.with_name("faces.mp4"), Image.open(film.with_suffix(".png")).size) as writer:
        for frame in recognize_film(recognizer, film):
            timeline.add(frame.time_s, frame.faces)
            tracks |= {face.track for face in frame.faces}
            seen += len(frame.faces)
            writer.add(draw_faces(frame.picture, [face.face for face in frame.faces], bars=False), frame.time_s)
            sizes.append(resident())
    took = time.perf_counter() - began
    timeline_picture(timeline)
    first, last = max(sizes[: count // 2]), max(sizes[count // 2 :])
    print(f"{len(sizes):,} frames, {seen:,} faces, {len(tracks)} tracks, {1e3 * took / len(sizes):.1f} ms a frame")
    print(f"largest resident size: first half {first:.1f} MB, last half {last:.1f} MB, ratio {last / first:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=160)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        first = next(frames(args.width))
        first.save(film.with_suffix(".png"))
        with FilmWriter(film, first.size) as writer:
            for number, frame in enumerate(islice(frames(args.width), args.frames)):
                writer.add(frame, number / 25)
        smallest = max(20, args.width // 6)
        process = multiprocessing.get_context("spawn").Process(
            target=watch, args=(film, args.checkpoint, args.frames, smallest)
        )
        process.start()
        process.join()
        raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
