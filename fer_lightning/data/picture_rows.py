"""From a list of picture files with labels to the common form; what folders, tables and CK+ have in common."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.data.cache import cached, hash_arrays
from fer_lightning.data.faceset import BadRows, FaceSet, ReadOptions, Role
from fer_lightning.errors import UserError
from fer_lightning.expressions import canonical, in_order
from fer_lightning.pictures import open_picture
from fer_lightning.preprocess import shrink

ToFace = Callable[[Image.Image, Path], NDArray[np.uint8]]
_VERSION = 1


class Row(NamedTuple):
    """One picture: its file, its name in tables, its label as the source spells it, and what else is known."""

    file: Path
    name: str
    label: str
    subject: str = ""
    part: str = ""


def plain(picture: Image.Image, file: Path) -> NDArray[np.uint8]:
    """Take the whole picture for the face."""
    return shrink(picture)


def face_set(
    source: str,
    rows: Sequence[Row],
    options: ReadOptions,
    *,
    roles: dict[Role, str] | None = None,
    to_face: ToFace = plain,
    method: str = "whole picture",
    beside: Sequence[Path] = (),
    remarks: Sequence[str] = (),
) -> FaceSet:
    """Read the pictures of a source into the common form, through the cache.

    Args:
        source: The source's name.
        rows: Its pictures, at least one.
        options: Uses ``on_bad_row``.
        roles: Which part plays which role, if the rows have parts.
        to_face: Cuts the face out of a picture.
        method: How it does that, for the cache to tell faces cut in other ways apart.
        beside: Files other than the pictures that it reads.
        remarks: What the user should know.

    Raises:
        UserError: If a picture cannot be read and the policy says so, or none can.
    """
    names = {row.label: canonical(row.label) for row in rows}
    if len(set(names.values())) < len(names):  # two folders, one expression: a user's own distinction is kept
        alike = sorted(label for label in names if list(names.values()).count(names[label]) > 1)
        remarks = (*remarks, f"{' and '.join(alike)} are alike, but taken for different classes; rename to join them")
        names = {label: label for label in names}
    classes = in_order(list(names.values()))
    key = _key([*(row.file for row in rows), *beside], f"{method}-{options.on_bad_row}")
    entry = cached(f"pictures-v{_VERSION}-{key}", lambda: _read(rows, to_face, options))
    kept = [rows[i] for i in entry["kept"]]
    if not kept:
        raise UserError(f"{rows[0].file.parent}: not one of {len(rows)} pictures could be read; {entry['remarks'][0]}")
    labels = np.array([classes.index(names[row.label]) for row in kept], dtype=np.int64)
    ids = np.array([row.name for row in kept])
    people = sorted({row.subject for row in kept})
    subjects = np.array([people.index(row.subject) for row in kept], dtype=np.int64) if all(people) else None
    parts = np.array([row.part for row in kept]) if roles else None
    known = [array for array in (subjects, parts) if array is not None]
    return FaceSet(
        source=source,
        classes=classes,
        faces=entry["faces"],
        labels=labels,
        row_ids=ids,
        fingerprint=hash_arrays(entry["faces"], labels, ids, np.array(classes), *known),
        subjects=subjects,
        parts=parts,
        roles=roles or {},
        remarks=(*remarks, *(str(remark) for remark in entry["remarks"])),
    )


def _key(files: Sequence[Path], method: str) -> str:
    """Return what changes whenever a file of the list does."""
    digest = hashlib.sha256(method.encode())
    for file in files:
        try:
            state = file.stat()
        except OSError:
            digest.update(f"{file.resolve()}?".encode())
        else:
            digest.update(f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}".encode())
    return digest.hexdigest()


def _read(rows: Sequence[Row], to_face: ToFace, options: ReadOptions) -> dict[str, NDArray[np.generic]]:
    bad = BadRows(options.on_bad_row)
    faces, kept = [], []
    for number, row in enumerate(rows):
        try:
            faces.append(to_face(open_picture(row.file), row.file))
            kept.append(number)
        except UserError as error:
            place, _, reason = str(error).partition(": ")
            bad.add(place, reason.split("; ")[0], "mend or remove it, or skip such rows: --data.on_bad_row skip")
    return {
        "faces": np.stack(faces) if faces else np.zeros((0, 48, 48), np.uint8),
        "kept": np.array(kept, dtype=np.int64),
        "remarks": np.array(bad.remarks(), dtype=np.str_),
    }
