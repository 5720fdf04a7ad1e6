"""Experiments: the cells of one source, protocol, network, start and view of a face, pooled over folds and seeds.

Their predictions are out of fold: each row was predicted by a network that neither learned from it nor was chosen on
it. They are kept as a table with a row for each, from which every figure of a report can be computed again.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lightning import options
from fer_lightning.ancestry import drew_on
from fer_lightning.calibration import with_temperature

_OF_THE_CELL = ("root", "source", "split", "folds", "fold", "seed", "num_workers", "on_bad_row", "network", "teacher")


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
        """A name for people."""
        tta = "" if self.tta == "none" else f", {self.tta}"
        start = "from scratch" if self.start == "scratch" else f"from {self.start}"
        return f"{self.network} {start}{tta} on {self.source}, {self.folds} {self.protocol} folds"

    @property
    def slug(self) -> str:
        """The same for files."""
        words = [self.source, f"{self.protocol}{self.folds}", self.network, self.start, self.tta]
        return re.sub(r"[^\w.-]+", "_", "-".join(word for word in words if word not in ("", "none")))


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
        temperature: Fitted on rows held out of the same training, float64 ``[n]``; nan for an average of several.
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
    def fingerprint(self) -> str:
        """The fingerprint of the data; empty where only the table is known."""
        return str(self.cells[0]["card"]["data"]["fingerprint"]) if self.cells else ""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each, int64 ``[n]``."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The pairs of seed and fold that are there, in order."""
        return sorted(set(zip(self.seed.tolist(), self.fold.tolist(), strict=True)))

    @property
    def wanted(self) -> int:
        """How many pairs of seed and fold there are when every fold of its seeds is finished."""
        return self.key.folds * len(np.unique(self.seed))

    @property
    def recipe(self) -> dict[str, str]:
        """The settings of its trainings, see :func:`recipe`; empty where only the table is known."""
        return recipe(self.cells[0]["card"]) if self.cells else {}


def order(key: Key) -> tuple[object, ...]:
    """Sort as the paper does: its data and folds first, the baseline before the improved network."""
    first = (key.start == "scratch", key.protocol == "random", key.network == "plain_cnn", key.tta == "none")
    return key.source, key.folds, *(not is_first for is_first in first), key


def recipe(card: dict[str, Any]) -> dict[str, str]:
    """Return the settings of a training that are not the default, by their names, and its length.

    Args:
        card: The card of its checkpoint.

    Returns:
        Options of data, network and trainer, ``patience``, ``teacher`` (which checkpoints they were) and ``processes``,
        of which each has its share of the rows and a whole batch of its own.
    """
    training = card["training"]
    config = training["config"]
    trainer = config.get("trainer", {})
    found = {"epochs": str(trainer["max_epochs"])} if trainer.get("max_epochs") else {}
    for group in ("data", "model"):
        defaults = options.options(group)
        for name, value in config[group].items():
            known = defaults.get(f"{group}.{name}")
            if known and name not in _OF_THE_CELL and str(value) != known.default:
                found[name] = str(value)
    for name, usual in options.OF_THE_TRAINER.items():
        if trainer.get(name) not in (None, usual):
            found[name] = str(trainer[name])
    if config.get("patience"):
        found["patience"] = str(config["patience"])
    if teachers := drew_on(training).get("model.teacher"):
        found["teacher"] = teachers
    if (processes := training["device"].rpartition(" x ")[2]) != "1":
        found["processes"] = processes
    return found


def ensembles(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Average the networks and seeds that were tried alike: the paper's "integrated models", out of fold.

    Returns:
        An experiment for each source, protocol, start and view of which several trainings scored the very same folds.
        Each was brought to its own temperature before; the average has none of its own.
    """
    alike: dict[tuple[Key, frozenset[tuple[int, str]]], list[tuple[Experiment, int]]] = {}
    for one in experiments:
        for seed in np.unique(one.seed).tolist():
            mine = one.seed == seed
            folds = frozenset(zip(one.fold[mine].tolist(), one.row[mine].tolist(), strict=True))
            alike.setdefault((one.key._replace(network=""), folds), []).append((one, seed))
    found = [_average(key, members) for (key, _), members in alike.items() if len(members) > 1]
    return sorted(found, key=lambda one: order(one.key))


def _average(key: Key, members: Sequence[tuple[Experiment, int]]) -> Experiment:
    """Average trainings, each an experiment and a seed, that scored the same rows."""
    orders = []
    for one, seed in members:
        mine = np.flatnonzero(one.seed == seed)
        orders.append(mine[np.argsort(one.row[mine])])
    calm = [
        with_temperature(one.probabilities[order], one.temperature[order])
        for (one, _), order in zip(members, orders, strict=True)
    ]
    counts = Counter(one.key.network for one, _ in members)
    names = [network if count == 1 else f"{network} x {count}" for network, count in counts.items()]
    first, order = members[0][0], orders[0]
    return Experiment(
        key._replace(network=" + ".join(names)),
        first.classes,
        np.zeros(len(order), dtype=np.int64),
        first.fold[order],
        first.row[order],
        first.group[order],
        first.label[order],
        np.mean(calm, axis=0),
        np.full(len(order), np.nan),
    )
