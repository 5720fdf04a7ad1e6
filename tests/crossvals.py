"""Finished cross-validations without the trainings: cells in the real format, with predictions that were drawn."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning import cells
from fer_lightning.callbacks import _ALL as HISTORY_COLUMNS
from fer_lightning.cells import Cell
from fer_lightning.expressions import FER2013_CLASSES, FERPLUS_CLASSES
from fer_lightning.models import build_network
from fer_lightning.models.cost import multiply_adds, parameters
from fer_lightning.whole_files import csv_bytes, write
from tests import fakes

CLASSES = {"ckplus": tuple(name for name in FERPLUS_CLASSES if name != "neutral"), "fer2013": FER2013_CLASSES}
SKILL = {"improved_cnn": 2.0, "plain_cnn": 1.6, "random": 0.8, "grouped": 0.0}


def write_cell(
    run: Path,
    cell: Cell,
    rows: int = 140,
    classes: Sequence[str] | None = None,
    drawn_as: str | None = None,
    **config: Any,
) -> Path:
    """Write one finished cell; three rows are of the same group, and a row is the same one in every cell.

    Args:
        run: Folder of the cross-validation.
        cell: The cell.
        rows: Rows in a fold.
        classes: Names of the classes; by default those of the source.
        drawn_as: What the draws of the predictions depend on; by default the name of the cell.
        config: Settings of the model that are not the default.
    """
    folder = cells.folder_of(run, cell)
    classes = classes or CLASSES[cell.source]
    cells.write_json(folder / cells.PLAN, cell.plan())
    training = folder / f"{cell.source}-{cell.network}" / "version_0"
    write(training / "history.csv", csv_bytes(_history()))
    card = fakes.card(cell.network, classes)
    card["data"] |= {"source": cell.source}
    card["training"] |= {"epochs": 3, "seconds": 90.0}
    card["training"]["config"] = {"data": {}, "model": config, "trainer": {"max_epochs": 3}}
    net = build_network(cell.network, len(classes))  # type: ignore[arg-type]
    card |= {"parameters": parameters(net), "multiply_adds": multiply_adds(net)}
    write(folder / cells.PREDICTIONS, csv_bytes(_predictions(cell, classes, rows, drawn_as or cell.name)))
    scores = {"accuracy": 0.5, "macro_f1": 0.5, "n": rows}
    result = {
        "format": cells.FORMAT,
        "cell": cell.plan(),
        "training": f"{training.parent.name}/version_0",
        "card": card,
        "temperature": dict.fromkeys(cell.tta, 1.3 + 0.1 * cell.fold),
        "scores": dict.fromkeys(cell.tta, scores),
    }
    cells.write_json(folder / cells.RESULT, result)
    return folder


def write_run(
    run: Path,
    sources: Sequence[str] = ("ckplus", "fer2013"),
    networks: Sequence[str] = ("improved_cnn", "plain_cnn"),
    protocols: Sequence[str] = ("random", "grouped"),
    folds: int = 3,
    seeds: Sequence[int] = (42,),
    starts: Sequence[str] = ("scratch",),
    tta: tuple[str, ...] = ("none", "flip"),
) -> Path:
    """Write the finished cells of a whole cross-validation, and return its folder."""
    for source in sources:
        for protocol in protocols:
            for network in networks:
                for start in starts:
                    for seed in seeds:
                        for fold in range(folds):
                            write_cell(run, Cell(source, protocol, network, start, seed, folds, fold, (), tta))
    return run


def _history() -> Iterator[Sequence[Any]]:
    yield HISTORY_COLUMNS
    for epoch in range(3):
        yield [epoch, 1e-3, 1.5 - epoch / 4, 0.4 + epoch / 8, 1.6, 0.35 + epoch / 9, 0.3, 0.05, 30.0, 200.0 + epoch]


def _predictions(cell: Cell, classes: Sequence[str], rows: int, drawn_as: str) -> Iterator[Sequence[Any]]:
    yield "tta", "part", "row", "group", "label", *(f"p_{name}" for name in classes)
    rng = np.random.default_rng(zlib.crc32(drawn_as.encode()))
    everyone = np.arange(rows * cell.folds)
    fold_of = everyone % cell.folds if cell.protocol == "random" else everyone // 3 % cell.folds
    labels = np.random.default_rng(1).choice(len(classes), len(everyone))
    skill = SKILL.get(cell.network, 1.0) + SKILL[cell.protocol]
    for tta in cell.tta:
        for part, taken in (("held out", fold_of == (cell.fold + 1) % cell.folds), ("fold", fold_of == cell.fold)):
            for row in np.flatnonzero(taken):
                logits = rng.normal(size=len(classes)) + skill * np.eye(len(classes))[labels[row]]
                p = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
                yield tta, part, f"row{row}", row // 3, classes[labels[row]], *p
