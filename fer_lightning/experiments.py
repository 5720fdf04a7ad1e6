"""Experiments: the cells of one source, protocol, network, start and view of a face, pooled over folds and seeds.

Their predictions are out of fold: each row was predicted by a network that neither learned from it nor was chosen on
it. They are kept as a table with a row for each, from which every figure of a report can be computed again.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lightning import cells
from fer_lightning.errors import UserError
from fer_lightning.whole_files import replacing

_KEY = ("source", "protocol", "network", "start", "tta", "folds")
_ROW = ("seed", "fold", "row", "group", "label", "temperature")
_P = "p_"


class Key(NamedTuple):
    """What makes an experiment."""

    source: str
    protocol: str
    network: str
    start: str
    tta: str
    folds: int

    @property
    def name(self) -> str:
        """A name for files and titles."""
        tta = "" if self.tta == "none" else f", {self.tta}"
        start = "from scratch" if self.start == "scratch" else f"from {self.start}"
        return f"{self.network} {start}{tta} on {self.source}, {self.protocol} folds"

    @property
    def slug(self) -> str:
        """A name for files."""
        return "-".join(
            [self.source, self.protocol, self.network, self.start, *([] if self.tta == "none" else [self.tta])]
        )


@dataclass(frozen=True, eq=False)
class Experiment:
    """Out-of-fold predictions; place ``i`` of every array belongs to one prediction.

    Attributes:
        key: What was tried.
        classes: Names of the K classes.
        seed: Seed of the training, int64 ``[n]``.
        fold: The fold that the row was scored in, int64 ``[n]``.
        row: Name of the row, ``[n]`` strings; once for each seed.
        group: Subject or cluster of alike pictures, int64 ``[n]``.
        label: Hard label, int64 ``[n]``.
        probabilities: float64 ``[n, K]``, as the network gave them.
        temperature: Fitted on rows held out of the same training, float64 ``[n]``.
        cells: What the finished cells wrote down, by seed and fold; empty where only the table is known.
    """

    key: Key
    classes: tuple[str, ...]
    seed: NDArray[np.int64]
    fold: NDArray[np.int64]
    row: NDArray[np.str_]
    group: NDArray[np.int64]
    label: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    temperature: NDArray[np.float64]
    cells: tuple[dict[str, Any], ...] = ()

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each, int64 ``[n]``."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The pairs of seed and fold that are there, in order."""
        return sorted(set(zip(self.seed.tolist(), self.fold.tolist(), strict=True)))

    @property
    def is_complete(self) -> bool:
        """Whether every fold of every seed is there."""
        return len(self.parts) == self.key.folds * len(np.unique(self.seed))


def read_runs(runs: Sequence[Path]) -> list[Experiment]:
    """Read the finished cells of cross-validations.

    Args:
        runs: Their folders.

    Raises:
        UserError: If there is none, or one is damaged.
    """
    gathered: dict[Key, list[tuple[dict[str, Any], list[list[str]], list[str]]]] = {}
    for run in runs:
        for folder in cells.finished(run):
            result = cells.read_json(folder / cells.RESULT)
            spec = result["cell"]
            by_view: dict[str, list[list[str]]] = {}
            for tta, part, *rest in _rows(folder / cells.PREDICTIONS):
                if tta == "tta":
                    header = rest
                elif part == "fold":
                    by_view.setdefault(tta, []).append(rest)
            result["history"] = cells.history(folder)
            for tta, rows in by_view.items():
                values = {**spec, "tta": tta}
                gathered.setdefault(Key(*(values[name] for name in _KEY)), []).append((result, rows, header))
    if not gathered:
        raise UserError(f"{runs[0]}: no finished cell below; run crossval --out {runs[0]} first")
    return [_pooled(key, gathered[key]) for key in sorted(gathered, key=_order)]


def _order(key: Key) -> tuple[object, ...]:
    """Sort as the paper does: its data and its folds first, the baseline before the improved network."""
    return (
        key.source,
        key.start != "scratch",
        key.protocol != "random",
        key.network != "plain_cnn",
        key.tta != "none",
        key,
    )


def _pooled(key: Key, parts: Sequence[tuple[dict[str, Any], list[list[str]], list[str]]]) -> Experiment:
    parts = sorted(parts, key=lambda part: (part[0]["cell"]["seed"], part[0]["cell"]["fold"]))
    taken = [(part[0]["cell"]["seed"], part[0]["cell"]["fold"]) for part in parts]
    if len(set(taken)) < len(taken):
        raise UserError(f"{key.name}: fold and seed {max(taken, key=taken.count)} are there twice; give each run once")
    for what, of in (("data", _data_of), ("start", _start_of)):
        if len({of(result["card"]) for result, _, _ in parts}) > 1:
            raise UserError(f"{key.name}: its cells were trained on other {what} in part; run them anew in one --out")
    classes = tuple(name.removeprefix(_P) for name in parts[0][2][3:])
    table = [
        (result["cell"]["seed"], result["cell"]["fold"], *row[:3], result["temperature"][key.tta], row[3:])
        for result, rows, _ in parts
        for row in rows
    ]
    return _from_rows(key, classes, table, tuple(result for result, _, _ in parts))


def _data_of(card: dict[str, Any]) -> str:
    return str(card["data"]["fingerprint"])


def _start_of(card: dict[str, Any]) -> str:
    return str((card["training"].get("init_from") or {}).get("checkpoint"))


def _from_rows(
    key: Key, classes: tuple[str, ...], table: Sequence[Sequence[Any]], known: tuple[dict[str, Any], ...] = ()
) -> Experiment:
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


def write_tables(folder: Path, experiments: Sequence[Experiment]) -> list[Path]:
    """Write the out-of-fold predictions, ``out_of_fold-<source>.csv`` for each source; return the files."""
    files = []
    for source in sorted({experiment.key.source for experiment in experiments}):
        mine = [experiment for experiment in experiments if experiment.key.source == source]
        file = folder / f"out_of_fold-{source}.csv"
        with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows(_table(mine))
        files.append(file)
    return files


def _table(experiments: Sequence[Experiment]) -> Iterator[Sequence[Any]]:
    yield *_KEY, *_ROW, *(f"{_P}{name}" for name in experiments[0].classes)
    for one in experiments:
        columns = (one.seed, one.fold, one.row, one.group, one.label, one.temperature, one.probabilities)
        for seed, fold, row, group, label, temperature, p in zip(*columns, strict=True):
            yield *one.key, seed, fold, row, group, one.classes[label], temperature, *p.astype(np.float32)


def read_table(file: Path) -> list[Experiment]:
    """Read a table that :func:`write_tables` wrote.

    Raises:
        UserError: If it is none.
    """
    lines = _rows(file)
    header = next(lines, [])
    fixed = len(_KEY) + len(_ROW)
    if tuple(header[:fixed]) != (*_KEY, *_ROW) or len(header) < fixed + 2:
        raise UserError(f"{file}: no table of out-of-fold predictions; give a run of crossval, or a report's own table")
    classes = tuple(name.removeprefix(_P) for name in header[fixed:])
    gathered: dict[Key, list[Sequence[Any]]] = {}
    for place, line in enumerate(lines, 2):
        try:
            source, protocol, network, start, tta, folds = line[: len(_KEY)]
            key = Key(source, protocol, network, start, tta, int(folds))
            values = line[len(_KEY) : fixed]
            if values[4] not in classes or len(line) != len(header):
                raise ValueError
        except (ValueError, TypeError, IndexError):
            raise UserError(f"{file} row {place}: damaged; write the table again with report RUN") from None
        gathered.setdefault(key, []).append((*values, line[fixed:]))
    if not gathered:
        raise UserError(f"{file}: holds no prediction; write the table again with report RUN")
    return [_from_rows(key, classes, gathered[key]) for key in sorted(gathered, key=_order)]


def _rows(file: Path) -> Iterator[list[str]]:
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            yield from csv.reader(handle)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); delete the cell, and run crossval again") from None


def ensembles(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Average the networks and seeds that were tried alike: the paper's "integrated models", out of fold.

    Returns:
        An experiment for each source, protocol, start and view where several trainings know the same rows; its
        predictions are those of the rows that all of them know, and its probabilities are averaged after each was
        brought to its own temperature, so its temperature is 1.
    """
    from fer_lightning.calibration import with_temperature

    alike: dict[Key, list[Experiment]] = {}
    for experiment in experiments:
        alike.setdefault(experiment.key._replace(network=""), []).append(experiment)
    found = []
    for key, members in sorted(alike.items(), key=lambda item: _order(item[0])):
        trained = [(member, seed) for member in members for seed in np.unique(member.seed)]
        if len(trained) < 2:
            continue
        tables = []
        for member, seed in trained:
            mine = np.flatnonzero(member.seed == seed)
            order = mine[np.argsort(member.row[mine])]
            calibrated = with_temperature(member.probabilities[order], member.temperature[order])
            tables.append((member, order, calibrated, member.row[order]))
        shared = tables[0][3]
        for _, _, _, rows in tables[1:]:
            shared = np.intersect1d(shared, rows)
        if not len(shared):
            continue
        probabilities = np.mean([table[2][np.isin(table[3], shared)] for table in tables], axis=0)
        first, order = tables[0][0], tables[0][1][np.isin(tables[0][3], shared)]
        names = " + ".join(
            f"{member.key.network}" + (f" x {n}" if (n := len(np.unique(member.seed))) > 1 else "")
            for member in members
        )
        found.append(
            Experiment(
                key._replace(network=names),
                first.classes,
                np.zeros(len(order), dtype=np.int64),
                first.fold[order],
                first.row[order],
                first.group[order],
                first.label[order],
                probabilities,
                np.ones(len(order)),
            )
        )
    return found
