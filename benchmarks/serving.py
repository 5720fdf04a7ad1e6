"""Speed of serving, in one run: a webcam's frames, a photo with many faces, and ``predict`` from a cold start.

    python benchmarks/serving.py [--checkpoint NAME] [--frames 300]

The live path (find or follow, cut out, classify, draw) is timed frame by frame on a face that moves over 640 x 480,
against a plain loop that does the same but searches every frame by MTCNN with its default settings.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import MTCNN
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from fer_lightning.drawing import draw_faces
from fer_lightning.faces import Detection
from fer_lightning.live import LiveSession
from fer_lightning.recognizer import Recognizer

Frame = NDArray[np.uint8]


def astronaut(height: int) -> Image.Image:
    """Return a face with hair and collar (NASA, public domain)."""
    face = Image.fromarray(data.astronaut()).crop((160, 20, 290, 190))
    return face.resize((round(face.width * height / face.height), height), Image.Resampling.LANCZOS)


def moving_face(frames: int) -> list[Frame]:
    """Return frames of 640 x 480 on which a face goes round once in four seconds of 25 frames."""
    face, made = astronaut(260), []
    ground = Image.fromarray(data.astronaut()).crop((0, 300, 512, 512)).resize((640, 480))
    for angle in np.arange(frames) * 2 * np.pi / 100:
        frame = ground.copy()
        frame.paste(face, (round(220 + 150 * np.cos(angle)), round(110 + 60 * np.sin(angle))))
        made.append(np.asarray(frame))
    return made


def live(recognizer: Recognizer) -> Callable[[Frame], int]:
    """Return the live path: a frame -> number of faces that were drawn."""
    session = LiveSession(recognizer)

    def step(frame: Frame) -> int:
        faces = session.step(frame)
        shown = {"probabilities": [face.smoothed for face in faces], "numbers": [face.track for face in faces]}
        draw_faces(Image.fromarray(frame), [face.face for face in faces], **shown)  # type: ignore[arg-type]
        return len(faces)

    return step


def plain(recognizer: Recognizer) -> Callable[[Frame], int]:
    """Return the plain loop's step: a frame -> number of faces that were drawn."""
    mtcnn: Any = MTCNN(keep_all=True)

    def step(frame: Frame) -> int:
        picture = Image.fromarray(frame)
        boxes, sure, points = mtcnn.detect(picture, landmarks=True)
        found = [Detection(tuple(b.tolist()), float(s), p) for b, s, p in zip(boxes, sure, points, strict=True)]
        faces = recognizer.name_faces([picture], [found])[0]
        draw_faces(picture, faces)
        return len(faces)

    return step


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def frame_by_frame(name: str, step: Callable[[Frame], int], frames: list[Frame]) -> float:
    """Time a path, print a line, and return its frames/s."""
    for frame in frames[:10]:
        step(frame)
    faces: list[int] = []
    times = [milliseconds(lambda frame=frame: faces.append(step(frame))) for frame in frames]  # type: ignore[misc]
    rate = 1e3 * len(times) / sum(times)
    middle, late = np.percentile(times, (50, 95))
    found = sum(count > 0 for count in faces) / len(faces)
    print(f"{name}: {rate:.1f} frames/s, p50 {middle:.1f} ms, p95 {late:.1f} ms, face on {found:.0%} of the frames")
    return rate


def crowd(recognizer: Recognizer, faces: int = 12) -> None:
    picture = Image.new("RGB", (1280, 960), (110, 120, 130))
    for place in range(faces):
        picture.paste(astronaut(230), (40 + place % 4 * 310, 45 + place // 4 * 300))
    found = len(recognizer.recognize(picture))
    times = [milliseconds(lambda: recognizer.recognize(picture)) for _ in range(5)]
    print(f"photo of {picture.width} x {picture.height}, {found} faces: median {statistics.median(times):.0f} ms")


def cold(checkpoint: str | None, runs: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "astronaut.png"
        Image.fromarray(data.astronaut()).save(photo)
        words = [sys.executable, "-m", "fer_lightning", "predict", str(photo)]
        words += ["--checkpoint", checkpoint] if checkpoint else []
        times = [
            milliseconds(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)) for _ in range(runs)
        ]
    print(f"predict of a photo, from the shell: first {times[0] / 1e3:.2f} s, median {np.median(times) / 1e3:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint")
    parser.add_argument("--frames", type=int, default=300)
    args = parser.parse_args()
    recognizer = Recognizer.from_checkpoint(args.checkpoint)
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, {recognizer.model}")
    frames = moving_face(args.frames)
    fast = frame_by_frame("live, 640 x 480", live(recognizer), frames)
    slow = frame_by_frame("plain MTCNN loop", plain(recognizer), frames[: max(10, args.frames // 6)])
    print(f"live is {fast / slow:.1f} times as fast")
    crowd(recognizer)
    cold(args.checkpoint)


if __name__ == "__main__":
    main()
