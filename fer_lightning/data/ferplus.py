"""FER+ (Barsoum et al. 2016): ten crowd votes for each row of FER2013, as soft targets."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lightning.data.cache import hash_arrays
from fer_lightning.data.faceset import FaceSet, ReadOptions
from fer_lightning.data.pixel_csv import refuse_stand_in
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES, FERPLUS_CLASSES, FERPLUS_COLUMNS

FILE = "fer2013new.csv"
_HINT = f"get {FILE} from Microsoft's FERPlus repository and lay it beside fer2013.csv"
_HEADER = ("usage", "image name", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
           "unknown", "nf")  # fmt: skip
_NOT_A_FACE = 5  # votes, of ten, for NF


class Votes(NamedTuple):
    """Counts of votes, int64 ``[N, 10]`` in the file's columns (8 expressions, unknown, NF), and Usage ``[N]``."""

    counts: NDArray[np.int64]
    usage: NDArray[np.str_]


def find_ferplus(root: Path) -> Path | None:
    """Return FER+'s file at a path, beside it, or just below it, or None."""
    if root.is_file():
        return root if root.name.lower() == FILE else find_ferplus(root.parent)
    for folder in (root, *sorted(child for child in root.glob("*") if child.is_dir())):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def read_votes(file: Path) -> Votes:
    """Read ``fer2013new.csv``.

    Raises:
        UserError: If it is no such file, or a row is broken.
    """
    with file.open("rb") as handle:
        refuse_stand_in(file, handle.read(200))
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        rows = csv.reader(text, quoting=csv.QUOTE_NONE)
        header = tuple(column.strip().lower() for column in next(rows))
        if header != _HEADER:
            raise UserError(f"{file} line 1: not FER+'s columns (found: {', '.join(header)[:80]!r}); {_HINT}")
        usage, counts = [], []
        for row in filter(any, rows):
            if len(row) != len(_HEADER) or not all(cell.strip().isdigit() for cell in row[2:]):
                raise UserError(f"{file} line {rows.line_num}: not a Usage, a name and ten counts; {_HINT}")
            usage.append(row[0].strip())
            counts.append([int(cell) for cell in row[2:]])
    return Votes(np.array(counts, dtype=np.int64).reshape(-1, 10), np.array(usage, dtype=np.str_))


class Crowd(NamedTuple):
    """What FER+'s people say of FER2013's rows: no face at all, bool ``[N]``, and shares, float32 ``[N, 7]``."""

    not_face: NDArray[np.bool_]
    shares: NDArray[np.float32]


def crowd(file: Path, rows: NDArray[np.int64], parts: NDArray[np.str_]) -> Crowd | None:
    """Return the crowd's word on FER2013's rows; None if the file is of other rows.

    Args:
        file: ``fer2013new.csv``.
        rows: Row numbers in ``fer2013.csv``, int64 ``[N]``.
        parts: Their official parts, ``[N]``.

    Returns:
        ``not_face`` where at least five of ten people saw none; ``shares`` of the seven classes by :func:`shares`,
        zeros for the rows that it drops.
    """
    votes = read_votes(file)
    if not _same_rows(votes, rows, parts):
        return None
    counts = votes.counts[rows]
    soft, keep = shares(counts, len(FER2013_CLASSES))
    return Crowd(_saw_none(counts), np.where(keep[:, None], soft, 0).astype(np.float32))


def _same_rows(votes: Votes, rows: NDArray[np.int64], parts: NDArray[np.str_]) -> bool:
    return bool(rows.max() < len(votes.usage) and np.array_equal(votes.usage[rows], parts))


def _saw_none(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = counts[:, 9] >= _NOT_A_FACE
    return found


def shares(counts: NDArray[np.int64], classes: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Turn counts of votes into shares, by the rule that FER+'s authors train their soft targets with.

    Single votes are outliers and do not count. The foremost choices are taken until they hold three quarters of the
    votes, at most three of them; ``unknown`` or ``NF`` among them ends the taking. A row is left out when one of those
    two comes first, when what was taken holds no more than half of the votes, or when more than three tie.

    Args:
        counts: int64 ``[N, 10]``.
        classes: 8, or 7 to leave out contempt's votes, and rows where it comes first, after that.

    Returns:
        Shares float32 ``[N, classes]`` in the package's order, and bool ``[N]``, True for the rows that stay.
    """
    taken, keep = _foremost(_without_outliers(counts))
    names = FERPLUS_CLASSES if classes == len(FERPLUS_CLASSES) else FER2013_CLASSES
    votes = taken[:, [FERPLUS_COLUMNS.index(name) for name in names]]
    if classes < len(FERPLUS_CLASSES):  # a contemptuous face is none of the seven
        keep &= votes.max(1) >= taken[:, FERPLUS_COLUMNS.index("contempt")]
    total = np.maximum(votes.sum(1, keepdims=True), 1)
    return (votes / total).astype(np.float32), keep


def _without_outliers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(counts > 1, counts, 0)


def _foremost(clean: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the votes of the choices that are taken, int64 ``[N, 10]``, and which rows stay, bool ``[N]``."""
    total = clean.sum(1)
    left, taken = clean.copy(), np.zeros_like(clean)
    gathered, count = np.zeros(len(clean)), np.zeros(len(clean), dtype=np.int64)
    open_ = np.ones(len(clean), dtype=bool)
    for _ in range(3):  # each round takes at least one choice
        open_ &= (gathered < 0.75 * total) & (count < 3)
        highest = left.max(1)
        ending = np.zeros(len(clean), dtype=bool)
        for choice in range(clean.shape[1]):
            chosen = open_ & ~ending & (left[:, choice] == highest)
            taken[chosen, choice] = highest[chosen]
            left[chosen, choice] = 0
            gathered[chosen] += highest[chosen]
            count[chosen] += 1
            if choice >= len(FERPLUS_COLUMNS):  # unknown or not a face; behind an expression it is not counted
                behind = chosen & (taken.sum(1) > highest)
                taken[behind, choice] = 0
                count[behind] -= 1
                ending |= chosen
        open_ &= ~ending
    keep = (taken.sum(1) > 0.5 * total) & (count <= 3) & (taken.argmax(1) < len(FERPLUS_COLUMNS))
    return taken, keep


def read_ferplus(root: Path, options: ReadOptions) -> FaceSet:
    """Read FER2013's faces with FER+'s votes.

    Args:
        root: The folder that holds both files, or one of them.
        options: Uses ``on_bad_row`` and ``ferplus_classes``.

    Returns:
        The rows that the cleaning leaves, with vote shares; the hard label is the foremost expression (of equals the
        first in the package's order). ``majority`` marks those that FER+'s authors score on.

    Raises:
        UserError: If a file is missing or broken, or the two do not belong together.
    """
    from fer_lightning.data.fer2013 import PARTS, read_fer2013

    file = find_ferplus(root)
    if file is None:
        raise UserError(f"{root}: no {FILE} here; {_HINT}")
    base = read_fer2013(file.parent if root == file else root, options)
    votes = read_votes(file)
    rows = base.row_ids.astype(np.int64)
    if base.parts is None or not _same_rows(votes, rows, base.parts):
        raise UserError(
            f"{file}: {len(votes.usage):,} rows that are not those of FER2013 beside it; both must be whole"
        )
    soft, keep = shares(votes.counts[rows], options.ferplus_classes)
    labels = soft[keep].argmax(1).astype(np.int64)
    clean = _without_outliers(votes.counts[rows][keep])
    left_out = f"FER+ left out {int((~keep).sum()):,} of {len(keep):,} rows: unknown, no face, or no agreement"
    return FaceSet(
        source="ferplus",
        classes=FERPLUS_CLASSES[: options.ferplus_classes],
        faces=base.faces[keep],
        labels=labels,
        row_ids=base.row_ids[keep],
        fingerprint=hash_arrays(np.array(base.fingerprint), soft[keep], rows[keep]),
        votes=soft[keep],
        parts=base.parts[keep],
        roles=PARTS,
        not_face=_saw_none(votes.counts[rows][keep]),
        majority=2 * clean.max(1) > clean.sum(1),
        remarks=(*(remark for remark in base.remarks if FILE not in remark), left_out),
    )
