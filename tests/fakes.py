"""Small data sets in the real formats, written by the tests that read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fer_lightning import checkpoint
from fer_lightning.card import environment
from fer_lightning.data.cache import hash_arrays
from fer_lightning.data.faceset import FaceSet
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.models import NetworkName, build_network
from fer_lightning.preprocess import PREPROCESSING
from fer_lightning.scores import score

USAGES = ("Training", "PublicTest", "PrivateTest")


def faces(labels: Sequence[int], seed: int = 0) -> NDArray[np.uint8]:
    """Noise with a bright bar whose height tells the label, so that a network can learn it; uint8 [N, 48, 48]."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 120, (len(labels), 48, 48), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        picture[4 + 5 * label : 8 + 5 * label] += 120
    return pictures


def fer2013_lines(rows: int = 70, seed: int = 0) -> list[str]:
    """The lines of a fer2013.csv, header first: labels 0..6 in turn, five of seven rows Training."""
    labels = [row % 7 for row in range(rows)]
    lines = ["emotion,pixels,Usage"]
    for row, (label, face) in enumerate(zip(labels, faces(labels, seed), strict=True)):
        usage = USAGES[max(0, row // 7 % 7 - 4)]
        lines.append(f"{label},{' '.join(map(str, face.ravel().tolist()))},{usage}")
    return lines


def write_fer2013(folder: Path, rows: int = 70, seed: int = 0) -> Path:
    """Write a fer2013.csv of so many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "fer2013.csv"
    file.write_text("\n".join(fer2013_lines(rows, seed)) + "\n")
    return file


def write_ferplus(folder: Path, rows: int = 70) -> Path:
    """Write the fer2013new.csv that belongs to :func:`write_fer2013`: seven votes for the label, three for another."""
    order = [4, 5, 6, 1, 3, 2, 0]  # the vote column of FER2013's labels 0..6
    lines = [
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF",
    ]
    for row in range(rows):
        votes = [0] * 10
        votes[order[row % 7]] += 7
        votes[order[(row + 1) % 7]] += 3
        usage = USAGES[max(0, row // 7 % 7 - 4)]
        lines.append(f"{usage},fer{row:07d}.png,{','.join(map(str, votes))}")
    file = folder / "fer2013new.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def save(face: NDArray[np.uint8], path: Path, side: int = 48) -> Path:
    """Save a picture, scaled to a side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face).resize((side, side)).save(path)
    return path


def write_classes(root: Path, names: Sequence[str], each: int = 6, seed: int = 0, side: int = 48) -> Path:
    """Write a folder of pictures for each class."""
    labels = [label for label in range(len(names)) for _ in range(each)]
    for number, (label, face) in enumerate(zip(labels, faces(labels, seed), strict=True)):
        save(face, root / names[label] / f"{number:03d}.png", side)
    return root


def write_ck48(root: Path, subjects: int = 8) -> Path:
    """Write CK+48's class folders: three frames of one sequence for each subject and class."""
    names = ["anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"]
    for subject in range(subjects):
        labels = [label for label in range(7) for _ in range(3)]
        for number, (label, face) in enumerate(zip(labels, faces(labels, subject), strict=True)):
            save(face, root / names[label] / f"S{subject:03d}_{label:03d}_{number:08d}.png")
    return root


def write_ckplus(root: Path, subjects: int = 6, frames: int = 5, landmarks: bool = True) -> Path:
    """Write CK+'s official tree: 640x490 frames, an emotion file for each labelled sequence, 68 landmarks a frame."""
    for subject in range(subjects):
        for label in range(1, 8):
            sequence = f"S{subject:03d}/{label:03d}"
            for frame in range(1, frames + 1):
                name = f"S{subject:03d}_{label:03d}_{frame:08d}"
                face = faces([label - 1], seed=subject * 100 + frame)[0]
                picture = np.full((490, 640), 40, np.uint8)
                picture[145:345, 220:420] = np.asarray(Image.fromarray(face).resize((200, 200)))
                place = root / "cohn-kanade-images" / sequence / f"{name}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place)
                if landmarks:
                    _write_landmarks(root / "Landmarks" / sequence / f"{name}_landmarks.txt")
            if label != 7 or subject:  # the first subject's last sequence has no label, as many of CK+'s
                file = root / "Emotion" / sequence / f"{name}_emotion.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"   {label:.7e}\n")
    return root


def _write_landmarks(file: Path) -> None:
    points = np.full((68, 2), 300.0)
    points[36:42] = (220 + 0.315 * 200, 145 + 0.39 * 200)  # a face whose crop is the square drawn above
    points[42:48] = (220 + 0.685 * 200, 145 + 0.39 * 200)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points))


def scenes(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth pictures of which no two are alike, as photographs are; uint8 [N, 48, 48]."""
    coarse = np.random.default_rng(seed).integers(30, 220, (count, 8, 8), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(face).resize((48, 48), Image.Resampling.BICUBIC)) for face in coarse])


def face_set(labels: Sequence[int], pictures: NDArray[np.uint8] | None = None, **more: Any) -> FaceSet:
    """Return a set in the common form; without pictures each row gets one of its own."""
    shown = scenes(len(labels)) if pictures is None else pictures
    numbers = np.array(labels, dtype=np.int64)
    return FaceSet(
        source="fake",
        classes=tuple(f"class{label}" for label in range(int(numbers.max()) + 1)),
        faces=shown,
        labels=numbers,
        row_ids=np.arange(len(numbers)).astype(str),
        fingerprint=hash_arrays(shown, numbers),
        **more,
    )


def card(network: str = "improved_cnn", classes: Sequence[str] = FER2013_CLASSES, **options: Any) -> dict[str, Any]:
    """Return a card with all that ``fit`` writes, of a network that nobody trained."""
    names = tuple(classes)
    wrong_at_times = np.eye(len(names))[[0, 1, 1, *range(len(names))]] * 0.8 + 0.2 / len(names)
    between = {"rows": 10, "identical": 2, "near_identical": 3, "shared_subjects": None}
    return {
        "format": checkpoint.FORMAT,
        "network": {"name": network, "options": options},
        "parameters": 185_431,
        "multiply_adds": 18_460_800,
        "classes": list(names),
        "preprocessing": PREPROCESSING,
        "data": {
            "source": "fake",
            "fingerprint": "0123456789abcdef" * 4,
            "split": "official",
            "rows": {"Training": 100, "PublicTest": 10, "PrivateTest": 10},
            "dropped": {"identical": 4, "near-identical": 1},
            "leakage": {"validation": between, "test": between, "test_in_validation": between},
            "augment": "light",
            "remarks": [],
        },
        "training": {
            "command": "python -m fer_lightning fit --trainer.devices [0] --data.root /faces",
            "config": {"data": {}, "model": {}},
            "chosen_by": "val/macro_f1 on PublicTest",
            "started": "2025-01-01T00:00:00+00:00",
            "device": "cpu x 1",
            "epochs": 3,
            "best_epoch": 2,
            "seconds": 90.0,
        },
        "environment": environment(),
        "scores": {"PublicTest": score(wrong_at_times, np.array([0, 0, 1, *range(len(names))]), names)},
    }


def write_checkpoint(path: Path, network: NetworkName = "improved_cnn", **options: Any) -> Path:
    """Write a checkpoint of fresh weights with their card."""
    torch.manual_seed(0)
    made = build_network(network, len(FER2013_CLASSES), **options).eval()
    checkpoint.save(path, made, card(network, **options))
    return path
