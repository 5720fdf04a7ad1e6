"""CK+ (Lucey et al. 2010) in its official layout, and as the CK+48 folders that are handed on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.data.faceset import BadRows, FaceSet, ReadOptions
from fer_lightning.data.folders import class_folders
from fer_lightning.data.picture_rows import Row, face_set
from fer_lightning.errors import UserError
from fer_lightning.expressions import CKPLUS_CODES, canonical
from fer_lightning.faces import crop, largest_face, square_of_box, square_of_eyes
from fer_lightning.pictures import is_picture

_FRAME = re.compile(r"^(S\d+)_(\d+)_(\d+)$")
_FORM = "CK+ needs cohn-kanade-images/ and Emotion/ side by side, or class folders of S010_004_00000017.png"
_IMAGES = "cohn-kanade-images"
_SKIP = "--data.on_bad_row skip"
_LEFT_EYE, _RIGHT_EYE = slice(36, 42), slice(42, 48)  # of the 68 landmarks


def find_ckplus(root: Path) -> Path | None:
    """Return the folder at or just below a path that holds CK+ in either layout, or None."""
    if not root.is_dir():
        return None
    if root.name == _IMAGES:  # else its subjects would pass for classes
        return root.parent
    for folder in (root, *sorted(child for child in root.iterdir() if child.is_dir())):
        if _images(folder) is not None or _has_named_frames(folder):
            return folder
    return None


def read_ckplus(root: Path, options: ReadOptions) -> FaceSet:
    """Read CK+.

    Args:
        root: The folder that holds ``cohn-kanade-images`` and ``Emotion`` (and perhaps ``Landmarks``), or the class
            folders of CK+48.
        options: Uses ``on_bad_row`` and, for the official layout, ``frames`` and ``first_as_neutral``.

    Returns:
        The faces, with the subjects that the file names tell.

    Raises:
        UserError: If neither layout is there, or a file cannot be read.
    """
    folder = find_ckplus(root)
    if folder is None:
        raise UserError(f"{root}: no CK+ here; {_FORM}")
    images = _images(folder)
    return _named_frames(folder, options) if images is None else _official(folder, images, options)


def _has_named_frames(folder: Path) -> bool:
    first = (min(filter(is_picture, child.iterdir()), default=None) for child in class_folders(folder))
    return any(file is not None and _FRAME.match(file.stem) for file in first)


def _named_frames(folder: Path, options: ReadOptions) -> FaceSet:
    rows = []
    bad = BadRows(options.on_bad_row)
    for child in class_folders(folder):
        if canonical(child.name) not in CKPLUS_CODES:
            reason = f"unknown class folder (options: {', '.join(CKPLUS_CODES)})"
            bad.add(f"{child}", reason, f"rename it, leave it out ({_SKIP}), or take any classes: --data.source folder")
            continue
        for file in sorted(file for file in child.iterdir() if is_picture(file)):
            match = _FRAME.match(file.stem)
            if match is None:
                cure = f"rename or remove it ({_SKIP} does), or take any folders: --data.source folder"
                bad.add(f"{file}", "the name tells no subject, as S010_004_00000017.png would", cure)
            else:
                rows.append(Row(file, f"{child.name}/{file.name}", child.name, match[1]))
    return face_set("ckplus", rows, options, remarks=bad.remarks())


def _images(folder: Path) -> Path | None:
    for name in (_IMAGES, f"extended-{_IMAGES}/{_IMAGES}"):
        if (folder / name).is_dir():
            return folder / name
    return None


def _beside(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _official(folder: Path, images: Path, options: ReadOptions) -> FaceSet:
    if options.frames < 1:
        raise UserError(f"--data.frames {options.frames}: need at least 1")
    emotions = _beside(folder, "Emotion", "Emotion_labels/Emotion", "Emotion_labels")
    if emotions is None:
        raise UserError(f"{folder}: no Emotion/ folder beside cohn-kanade-images/; {_FORM}")
    landmarks = _beside(folder, "Landmarks/Landmarks", "Landmarks")
    rows: list[Row] = []
    bad = BadRows(options.on_bad_row)
    unlabelled = 0
    for sequence in sorted(images.glob("S*/*/")):
        file = next(iter(sorted((emotions / sequence.relative_to(images)).glob("[!.]*_emotion.txt"))), None)
        if file is None:
            unlabelled += 1
        elif label := _label(file, bad):
            rows += _sequence(images, sequence, label, options)
    if not rows:
        raise UserError(f"{emotions}: no *_emotion.txt fits a sequence of {images}; {_FORM}")
    points = {} if landmarks is None else _points([row.file for row in rows], images, landmarks)
    remarks = [*bad.remarks()]
    if unlabelled:
        remarks.append(f"{unlabelled} sequences without an emotion file left out")
    remarks.append(f"{len(points)} of {len(rows)} faces cropped by their landmarks, the others by the face detector")
    to_face = partial(_face, points=points)
    beside = tuple(points.values())
    return face_set("ckplus", rows, options, to_face=to_face, method="landmarks", beside=beside, remarks=remarks)


def _points(files: Sequence[Path], images: Path, landmarks: Path) -> dict[Path, Path]:
    """Return the file of landmarks of each picture that has one."""
    wanted = {file: landmarks / file.relative_to(images).with_name(f"{file.stem}_landmarks.txt") for file in files}
    return {file: points for file, points in wanted.items() if points.is_file()}


def _label(file: Path, bad: BadRows) -> str | None:
    """Return the expression of a sequence, from a file that holds a code such as ``3.0000000e+00``."""
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    try:
        code = float(text)
        if code < 0 or code != int(code):
            raise ValueError
        return CKPLUS_CODES[int(code)]
    except (ValueError, OverflowError, IndexError):
        options = ", ".join(f"{code} = {name}" for code, name in enumerate(CKPLUS_CODES))
        reason = f"{text[:20]!r} is no emotion code (options: {options})"
        bad.add(f"{file}", reason, f"restore the file, or skip such sequences: {_SKIP}")
        return None


def _sequence(images: Path, folder: Path, label: str, options: ReadOptions) -> Iterator[Row]:
    files = sorted(file for file in folder.iterdir() if is_picture(file))
    subject = folder.parent.name
    chosen = [(file, label) for file in files[-options.frames :]]
    if options.first_as_neutral and len(files) > options.frames:
        chosen.insert(0, (files[0], "neutral"))
    for file, name in chosen:
        yield Row(file, file.relative_to(images).as_posix(), name, subject)


def _face(picture: Image.Image, file: Path, *, points: Mapping[Path, Path]) -> NDArray[np.uint8]:
    if file in points:
        return crop(picture, square_of_eyes(*_eyes(points[file])))
    box = largest_face(picture)
    if box is None:
        raise UserError(f"{file}: the detector finds no face; remove the picture")
    return crop(picture, square_of_box(box))


def _eyes(file: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        points = np.array(file.read_text(encoding="utf-8", errors="replace").split(), dtype=np.float64)
    except ValueError:
        points = np.zeros(0)
    if len(points) != 2 * 68 or not np.isfinite(points).all():
        raise UserError(f"{file}: does not hold 68 landmarks (x y a line); restore the file")
    points = points.reshape(68, 2)
    return points[_LEFT_EYE].mean(0), points[_RIGHT_EYE].mean(0)
