"""The cells of a cross-validation: what each is, where it lives, and whether it is finished."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fer_lightning import runs
from fer_lightning.errors import UserError
from fer_lightning.whole_files import replacing

FORMAT = "fer_lightning cell 1"
PLAN, RESULT, PREDICTIONS, LOG = "plan.json", "cell.json", "predictions.csv", "log.txt"


@dataclass(frozen=True)
class Cell:
    """One training and its score.

    Attributes:
        source: Name of the data.
        protocol: ``random`` or ``grouped``.
        network: Name of the network.
        start: ``scratch``, or the data that its start was trained on.
        seed: Seed of the training.
        folds: Number of folds.
        fold: The fold that is scored, from 0.
        words: Options of its ``fit``.
        tta: Views of a face that are scored, one list of predictions each.
    """

    source: str
    protocol: str
    network: str
    start: str
    seed: int
    folds: int
    fold: int
    words: tuple[str, ...] = field(default=(), repr=False)
    tta: tuple[str, ...] = ("none",)

    @property
    def name(self) -> str:
        """The name of its folder."""
        start = self.start if self.start == "scratch" else f"from-{self.start}"
        return f"{self.source}-{self.protocol}-{self.network}-{start}-seed{self.seed}-fold{self.fold}"

    def plan(self) -> dict[str, Any]:
        """Return the cell as plain JSON."""
        return {**asdict(self), "words": list(self.words), "tta": list(self.tta)}


def from_plan(plan: dict[str, Any]) -> Cell:
    """Return the cell that :meth:`Cell.plan` wrote down."""
    return Cell(**{**plan, "words": tuple(plan["words"]), "tta": tuple(plan["tta"])})


def folder_of(run: Path, cell: Cell) -> Path:
    """Return where a cell of a cross-validation lives."""
    return run / "cells" / cell.name


def finished(run: Path) -> Iterator[Path]:
    """Yield the folders of the finished cells below a run, sorted by name."""
    yield from sorted(file.parent for file in run.glob(f"cells/*/{RESULT}"))


def is_finished(folder: Path) -> bool:
    """Return whether a cell has been trained and scored."""
    return (folder / RESULT).is_file()


def read_json(file: Path) -> dict[str, Any]:
    """Return what a cell wrote down.

    Raises:
        UserError: If it is damaged.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); delete it, and run crossval again") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: damaged; delete it, and run crossval again")
    return content


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write what is known of a cell, whole or not at all."""
    with replacing(file) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_table(file: Path, rows: Iterator[Sequence[Any]]) -> None:
    """Write rows as CSV, whole or not at all."""
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)


def training_folder(folder: Path) -> Path | None:
    """Return the folder of a cell's training, the newest that has a checkpoint; None where none has."""
    found = [file.parents[1] for file in folder.glob(f"*/version_*/{runs.LAST}")]
    return max(found, key=lambda run: int(run.name.removeprefix("version_"))) if found else None


def history(folder: Path) -> list[dict[str, float]]:
    """Return the epochs of a cell's training so far."""
    found = sorted(folder.glob(f"*/version_*/{runs.HISTORY}"), key=lambda file: file.stat().st_mtime)
    if not found:
        return []
    with found[-1].open(newline="", encoding="utf-8") as handle:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(handle)]
