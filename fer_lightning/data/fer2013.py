"""FER2013 (Goodfellow et al. 2013) in the CSV forms in which the challenge and Kaggle hand it on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_lightning.data import ferplus
from fer_lightning.data.cache import cached, content_hash, hash_arrays
from fer_lightning.data.faceset import BadRows, FaceSet, ReadOptions, Role
from fer_lightning.data.pixel_csv import ARCHIVES, SOURCE_HINT, PixelRows, members, read_pixel_csv
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES

PARTS: dict[Role, str] = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
_WHOLE = ("fer2013.csv", "icml_face_data.csv")
_LABELLED = "train.csv"  # Kaggle's own: Training rows alone; its test.csv has no labels
_VERSION = 1


def find_fer2013(root: Path) -> Path | None:
    """Return the file that holds FER2013 at or just below a path, or None."""
    if root.is_file():
        return root if root.name.lower() in (*_WHOLE, _LABELLED) or _is_archive(root) else None
    candidates = list(_candidates(root))
    for wanted in (*_WHOLE, _LABELLED):
        for file in candidates:
            if file.name.lower() == wanted:
                return file
    return next((file for file in candidates if _is_archive(file) and _pick(members(file))), None)


def _candidates(root: Path) -> Iterator[Path]:
    for folder in (root, *sorted(child for child in root.glob("*") if child.is_dir())):
        yield from sorted(file for file in folder.glob("*") if file.is_file())


def _is_archive(file: Path) -> bool:
    return file.name.lower().endswith(ARCHIVES)


def _pick(names: list[str]) -> str | None:
    """Return the CSV of an archive that holds the most, or None."""
    for wanted in (*_WHOLE, _LABELLED):
        for name in names:
            if name.rpartition("/")[2].lower() == wanted:
                return name
    return None


def read_fer2013(root: Path, options: ReadOptions) -> FaceSet:
    """Read FER2013.

    Args:
        root: ``fer2013.csv``, ``icml_face_data.csv``, Kaggle's ``train.csv``, an archive that holds one of them, or
            the folder in which it lies.
        options: Uses ``on_bad_row``.

    Returns:
        Its rows in the order of the file, with the official split where the file has a ``Usage`` column, and with
        ``not_face`` and ``crowd`` where FER+'s ``fer2013new.csv`` lies beside it.

    Raises:
        UserError: If there is no such file, or it cannot be read.
    """
    path = root if root.is_file() else find_fer2013(root)
    if path is None:
        raise UserError(f"{root}: no fer2013.csv, icml_face_data.csv or train.csv here; {SOURCE_HINT}")
    member = _pick(members(path)) if _is_archive(path) else None
    if _is_archive(path) and member is None:
        raise UserError(f"{path}: holds no fer2013.csv, icml_face_data.csv or train.csv; {SOURCE_HINT}")
    key = f"fer2013-v{_VERSION}-{options.on_bad_row}-{content_hash(path)}"
    entry = cached(key, lambda: _make(path, member, options))
    parts = entry.get("usage")
    rows = entry["rows"]
    beside = ferplus.find_ferplus(path)
    crowd = ferplus.crowd(beside, rows, parts) if beside and parts is not None else None
    return FaceSet(
        source="fer2013",
        classes=FER2013_CLASSES,
        faces=entry["faces"],
        labels=np.asarray(entry["labels"]),
        row_ids=rows.astype(str),
        fingerprint=str(entry["fingerprint"]),
        parts=np.asarray(parts) if parts is not None else None,
        roles=PARTS if parts is not None else {},
        crowd=crowd.shares if crowd else None,
        not_face=crowd.not_face if crowd else None,
        remarks=tuple(str(remark) for remark in entry["remarks"]) + _beside(beside, crowd),
    )


def _make(path: Path, member: str | None, options: ReadOptions) -> dict[str, NDArray[np.generic]]:
    bad = BadRows(options.on_bad_row)
    found: PixelRows = read_pixel_csv(path, member, FER2013_CLASSES, tuple(PARTS.values()), bad)
    remarks = [remark.replace(str(path), path.name) for remark in bad.remarks()]  # a cached remark outlives its folder
    if found.usage is None:
        remarks.append(f"{member or path.name} has no Usage column: all its rows are training rows")
    arrays: dict[str, NDArray[np.generic]] = {
        "faces": found.faces,
        "labels": found.labels,
        "rows": found.rows,
        "remarks": np.array(remarks, dtype=np.str_),
    }
    if found.usage is not None:
        arrays["usage"] = found.usage
    usage = [] if found.usage is None else [found.usage]
    arrays["fingerprint"] = np.array(hash_arrays(found.faces, found.labels, *usage))
    return arrays


def _beside(file: Path | None, crowd: ferplus.Crowd | None) -> tuple[str, ...]:
    if file is None:
        return ()
    if crowd is None:
        return (f"{file.name} lies beside, but not for these very rows, so it is not used",)
    return (f"{file.name} lies beside: {int(crowd.not_face.sum())} rows are known not to be faces; its votes are "
            "learned with --data.source ferplus, or with --data.crowd beside the labels",)  # fmt: skip
