"""Reading the finished cells of cross-validations, and refusing those that do not belong together."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fer_lightning import cells
from fer_lightning.ancestry import drew_on
from fer_lightning.errors import UserError
from fer_lightning.report.experiments import Experiment, Key, recipe
from fer_lightning.report.table import KEY, P, from_rows, lines_of


class _Part(NamedTuple):
    """What one cell gave to an experiment: its result, its header and its rows of the fold."""

    result: dict[str, Any]
    header: list[str]
    rows: list[list[str]]

    @property
    def place(self) -> tuple[int, int]:
        return self.result["cell"]["seed"], self.result["cell"]["fold"]


def read_runs(runs: Sequence[Path]) -> list[Experiment]:
    """Read the finished cells of cross-validations.

    Args:
        runs: Their folders.

    Raises:
        UserError: If there is none, one is damaged, or cells do not belong together.
    """
    gathered: dict[Key, list[_Part]] = {}
    for run in runs:
        for folder in cells.finished(run):
            for key, part in _parts(folder):
                gathered.setdefault(key, []).append(part)
    if not gathered:
        raise UserError(f"{runs[0]}: no finished cell below; run crossval --out {runs[0]} first")
    return [_pooled(key, parts) for key, parts in gathered.items()]


def _parts(folder: Path) -> Iterator[tuple[Key, _Part]]:
    """Yield what a cell gave, for each way of viewing a face."""
    result = cells.read_json(folder / cells.RESULT)
    damaged = f"{folder}: its {cells.RESULT} or {cells.PREDICTIONS} is damaged; delete both, and run crossval again"
    if result.get("format") != cells.FORMAT:
        raise UserError(damaged)
    lines = list(lines_of(folder / cells.PREDICTIONS))
    try:
        result["history"] = cells.history(folder)
        for tta in result["temperature"]:
            key = Key(*({**result["cell"], "tta": tta}[name] for name in KEY))
            rows = [line[2:] for line in lines[1:] if line[:2] == [tta, "fold"]]
            if not rows or any(len(row) != len(lines[0]) - 2 for row in rows):
                raise UserError(damaged)
            recipe(result["card"])
            yield key, _Part(result, lines[0][2:], rows)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError):
        raise UserError(damaged) from None


def _pooled(key: Key, parts: Sequence[_Part]) -> Experiment:
    parts = sorted(parts, key=lambda part: part.place)
    cards = [part.result["card"] for part in parts]
    differing: tuple[tuple[str, list[str]], ...] = (
        ("data", [str(card["data"]["fingerprint"]) for card in cards]),
        ("start", [drew_on(card["training"]).get("init_from", "").rpartition("@")[2] for card in cards]),
        ("settings", [str(recipe(card)) for card in cards]),
        ("classes", [str(part.header) for part in parts]),
    )
    for what, each in differing:
        if len(set(each)) > 1:
            raise UserError(
                f"{key.name}: its cells were trained with other {what} in part; keep them in an --out of their own"
            )
    classes = tuple(name.removeprefix(P) for name in parts[0].header[3:])
    table = [
        (*part.place, *row[:3], part.result["temperature"][key.tta], row[3:]) for part in parts for row in part.rows
    ]
    return from_rows(key, classes, table, tuple(part.result for part in parts))
