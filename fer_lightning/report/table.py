"""The table of out-of-fold predictions: a row for each, from which every figure of a report can be computed again."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.report.experiments import Experiment, Key, order
from fer_lightning.whole_files import csv_bytes, write

KEY = Key._fields
_ROW = ("seed", "fold", "row", "group", "label", "temperature")
P = "p_"
"""What stands before the class in the name of a column of probabilities."""


def write_tables(folder: Path, experiments: Sequence[Experiment]) -> list[Path]:
    """Write the out-of-fold predictions, ``out_of_fold-<source>.csv`` for each source; return the files."""
    files = []
    for source in sorted({experiment.key.source for experiment in experiments}):
        mine = [experiment for experiment in experiments if experiment.key.source == source]
        file = folder / f"out_of_fold-{source}.csv"
        files.append(write(file, csv_bytes(_table(mine))))
    return files


def _table(experiments: Sequence[Experiment]) -> Iterator[Sequence[Any]]:
    yield *KEY, *_ROW, *(f"{P}{name}" for name in experiments[0].classes)
    for one in experiments:
        columns = (one.seed, one.fold, one.row, one.group, one.label, one.temperature, one.probabilities)
        for seed, fold, row, group, label, temperature, p in zip(*columns, strict=True):
            yield *one.key, seed, fold, row, group, one.classes[label], temperature, *p.astype(np.float32)


def read_table(file: Path) -> list[Experiment]:
    """Read a table that :func:`write_tables` wrote.

    Raises:
        UserError: If it is none.
    """
    lines = lines_of(file)
    header = next(lines, [])
    fixed = len(KEY) + len(_ROW)
    if tuple(header[:fixed]) != (*KEY, *_ROW) or len(header) < fixed + 2:
        raise UserError(f"{file}: no table of out-of-fold predictions; give a run of crossval, or a report's own table")
    classes = tuple(name.removeprefix(P) for name in header[fixed:])
    gathered: dict[Key, list[Sequence[Any]]] = {}
    for place, line in enumerate(lines, 2):
        try:
            source, protocol, network, start, tta, folds, seed, fold, row, group, label, temperature, *shares = line
            if label not in classes or len(shares) != len(classes):
                raise ValueError
            values = (int(seed), int(fold), row, int(group), label, float(temperature), [float(p) for p in shares])
            key = Key(source, protocol, network, start, tta, int(folds))
        except ValueError:
            raise UserError(f"{file} row {place}: damaged; write the table again with report RUN") from None
        gathered.setdefault(key, []).append(values)
    if not gathered:
        raise UserError(f"{file}: holds no prediction; write the table again with report RUN")
    return [from_rows(key, classes, rows) for key, rows in gathered.items()]


def lines_of(file: Path) -> Iterator[list[str]]:
    """Yield the lines of a CSV file.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            yield from csv.reader(handle)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); delete the cell, and run crossval again") from None


def from_rows(
    key: Key, classes: tuple[str, ...], table: Sequence[Sequence[Any]], known: tuple[dict[str, Any], ...] = ()
) -> Experiment:
    """Return an experiment from its rows.

    Args:
        key: What was tried.
        classes: Names of the classes.
        table: For each prediction seed, fold, row, group, label, temperature and the list of probabilities.
        known: What its cells wrote down.
    """
    seed, fold, row, group, label, temperature, probabilities = zip(*table, strict=True)
    index = {name: place for place, name in enumerate(classes)}
    return Experiment(
        key,
        classes,
        np.array(seed, dtype=np.int64),
        np.array(fold, dtype=np.int64),
        np.array(row),
        np.array(group, dtype=np.int64),
        np.array([index[name] for name in label], dtype=np.int64),
        np.array(probabilities, dtype=np.float64),
        np.array(temperature, dtype=np.float64),
        known,
    )


def checked(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the experiments in the paper's order: its data and folds first, the baseline before the improved network.

    Raises:
        UserError: If an experiment, or a row in one, is there twice, or two of the same source are of other data.
    """
    known: dict[str, Experiment] = {}
    keys = [one.key for one in experiments]
    for one in experiments:
        if keys.count(one.key) > 1 or len(set(zip(one.seed.tolist(), one.row.tolist(), strict=True))) < len(one.row):
            raise UserError(f"{one.key.name}: is there twice, or rows of it; give each run once, each split its own")
        first = known.setdefault(one.key.source, one)
        if one.classes != first.classes or one.fingerprint != first.fingerprint:
            raise UserError(
                f"{one.key.name}: is of other data than {first.key.name}; "
                "report them apart, each with an --out of its own"
            )
    return sorted(experiments, key=lambda one: order(one.key))
