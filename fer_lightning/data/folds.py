"""Which rows train, which choose the checkpoint, and which are scored: the official split, or k folds."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from fer_lightning.data.cache import cached, hash_arrays
from fer_lightning.data.duplicates import find_duplicates, joined
from fer_lightning.data.faceset import FaceSet, Role
from fer_lightning.errors import UserError

Protocol = Literal["auto", "official", "random", "grouped"]
Rows = NDArray[np.int64]
_HELD_OUT = 10  # one part in ten of the training rows chooses the checkpoint, where no official part does
_LARGEST_SEED = 2**32 - 1  # one less than NumPy's, as the hold-out takes the next
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, int64, disjoint and ascending.

    Attributes:
        train: Rows that the network learns from.
        validation: Rows that choose the checkpoint.
        test: Rows that are reported.
        names: What the parts are called in tables and reports.
        protocol: How the split was made, in words.
        before_drop: The training rows before any were dropped.
        dropped: How many training rows were dropped, by reason.
    """

    train: Rows
    validation: Rows
    test: Rows
    names: dict[Role, str]
    protocol: str
    before_drop: Rows
    dropped: dict[str, int] = field(default_factory=dict)


def make_split(
    faces: FaceSet,
    protocol: Protocol = "auto",
    folds: int = 5,
    fold: int = 0,
    seed: int = 0,
    drop_leaks: bool = False,
    clean: bool = False,
) -> Split:
    """Split a set; the result depends on nothing but the arguments.

    Args:
        faces: The set.
        protocol: ``official``; ``random`` or ``grouped`` folds, stratified by class; ``auto`` takes the official split
            where there is one, else grouped folds. Groups are clusters of identical and near-identical pictures,
            and where the set knows its subjects, all that a subject is on.
        folds: Number of folds.
        fold: Which fold is scored.
        seed: Seed of the shuffling.
        drop_leaks: Leave out training rows whose picture also stands in the other parts.
        clean: Leave out training rows that repeat the picture of an earlier one, and those known to show no face.

    Raises:
        UserError: If the set has no official split, or cannot be cut into so many folds.
    """
    if not 0 <= seed < _LARGEST_SEED:
        raise UserError(f"--data.split_seed {seed}: need a number from 0 to {_LARGEST_SEED - 1}")
    if protocol == "auto":
        protocol = "official" if faces.roles else "grouped"
    split = _official(faces, seed) if protocol == "official" else _folded(faces, protocol, folds, fold, seed)
    split = _without_leaks(faces, split) if drop_leaks else split
    return _cleaned(faces, split) if clean else split


def _official(faces: FaceSet, seed: int) -> Split:
    if faces.parts is None or "train" not in faces.roles:
        raise UserError(f"--data.split official: {faces.source} has no official split here; choose random or grouped")
    rows = {role: np.flatnonzero(faces.parts == name) for role, name in faces.roles.items()}
    names: dict[Role, str] = {"validation": "held out", "test": "held out to test", **faces.roles}
    if empty := [names[role] for role in rows if not len(rows[role])]:
        raise UserError(f"--data.split official: {faces.source} has no rows in {', '.join(empty)}; choose other data")
    missing: tuple[Role, ...] = ("test", "validation")
    for role in missing:
        if role not in rows:
            rows["train"], rows[role] = _hold_out(faces, rows["train"], _HELD_OUT, seed, grouped=True)
    return Split(rows["train"], rows["validation"], rows["test"], names, "official", rows["train"])


def _folded(faces: FaceSet, protocol: Literal["random", "grouped"], folds: int, fold: int, seed: int) -> Split:
    if folds < 2:
        raise UserError(f"--data.folds {folds}: need at least 2")
    if not 0 <= fold < folds:
        raise UserError(f"--data.fold {fold}: choose from 0 to {folds - 1}, as --data.folds is {folds}")
    grouped = protocol == "grouped"
    everything = np.arange(len(faces))
    place = _fold_of(faces, everything, folds, seed, grouped=grouped)
    rest, test = np.flatnonzero(place != fold), np.flatnonzero(place == fold)
    train, validation = _hold_out(faces, rest, _HELD_OUT, seed, grouped=grouped)
    names: dict[Role, str] = {"train": "training", "validation": "held out", "test": f"fold {fold} of {folds}"}
    how = f"{protocol} by {'subject' if faces.subjects is not None else 'picture'}" if grouped else protocol
    return Split(train, validation, test, names, f"{how}, {folds} folds, seed {seed}", train)


def _hold_out(faces: FaceSet, rows: Rows, parts: int, seed: int, *, grouped: bool) -> tuple[Rows, Rows]:
    """Take one part in so many out of the rows, fewer where a class is rare; return what stays and what was taken."""
    count, name = min((count, name) for name, count in _members(faces, rows, grouped=grouped).items())
    if count < 2:
        what = "subject or picture" if grouped else "row"
        raise UserError(f"--data.split: class {name} has only one {what} to train and to validate on; add rows of it")
    place = _fold_of(faces, rows, min(parts, count), seed + 1, grouped=grouped)
    return rows[place != 0], rows[place == 0]


def _fold_of(faces: FaceSet, rows: Rows, folds: int, seed: int, *, grouped: bool) -> Rows:
    """Return the fold of each of the rows, int64; from the cache where it was made before."""
    labels = faces.labels[rows]
    groups = groups_of(faces)[rows] if grouped else rows
    what = "subjects or pictures" if grouped else "rows"
    for name, count in _members(faces, rows, grouped=grouped).items():
        if count < folds:
            raise UserError(f"--data.folds: class {name} has only {count} {what} for {folds} parts; choose fewer folds")

    def make() -> dict[str, Rows]:
        splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(folds, shuffle=True, random_state=seed)
        place = np.zeros(len(rows), dtype=np.int64)
        for fold, (_, taken) in enumerate(splitter.split(labels, labels, groups if grouped else None)):
            place[taken] = fold
        return {"fold": place}

    key = hash_arrays(labels, groups, np.array([folds, seed, grouped]))
    return np.asarray(cached(f"folds-v{_VERSION}-{key}", make)["fold"])


def groups_of(faces: FaceSet) -> Rows:
    """Return what grouped folds keep on one side, int64 ``[N]``: clusters of alike pictures, joined by subject."""
    near = find_duplicates(faces).near
    return near if faces.subjects is None else joined(faces.subjects, near)


def _members(faces: FaceSet, rows: Rows, *, grouped: bool) -> dict[str, int]:
    """Return how many groups (or rows) each class has among the rows; classes without any are left out."""
    labels, groups = faces.labels[rows], groups_of(faces)[rows] if grouped else rows
    counts = (len(np.unique(groups[labels == label])) for label in range(len(faces.classes)))
    return {name: count for name, count in zip(faces.classes, counts, strict=True) if count}


def _without_leaks(faces: FaceSet, split: Split) -> Split:
    """Drop training rows of which an identical or near-identical picture stands in the other parts."""
    clusters = find_duplicates(faces)
    scored = np.concatenate([split.validation, split.test])
    identical = np.isin(clusters.identical[split.train], clusters.identical[scored])
    near = np.isin(clusters.near[split.train], clusters.near[scored])
    reasons = {"identical": identical, "near-identical": near & ~identical}
    return _without(split, reasons, "leaks dropped", "--data.drop_leaks")


def _cleaned(faces: FaceSet, split: Split) -> Split:
    """Drop training rows that teach nothing new, or nothing about faces; of copies the first row stays."""
    _, first = np.unique(find_duplicates(faces).identical[split.train], return_index=True)
    repeated = ~np.isin(np.arange(len(split.train)), first)
    reasons = {"repeated": repeated}
    if faces.not_face is not None:
        faceless = faces.not_face[split.train]
        reasons = {"repeated": repeated & ~faceless, "faceless": faceless}
    return _without(split, reasons, "cleaned", "--data.clean")


def _without(split: Split, reasons: dict[str, NDArray[np.bool_]], how: str, option: str) -> Split:
    """Drop training rows for reasons that exclude each other, each bool ``[training rows]``."""
    kept = split.train[~np.logical_or.reduce(list(reasons.values()))]
    if not len(kept):
        raise UserError(f"{option}: no training row is left; choose other data or another split")
    dropped = {**split.dropped, **{why: int(rows.sum()) for why, rows in reasons.items()}}
    return replace(split, train=kept, protocol=f"{split.protocol}, {how}", dropped=dropped)
