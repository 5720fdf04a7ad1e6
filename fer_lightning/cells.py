"""The cells of a cross-validation: what each is, where it lives, and whether it is finished."""

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fer_lightning import checkpoint, options, runs
from fer_lightning.ancestry import DRAWN_ON, drew_on
from fer_lightning.errors import UserError, WriteError
from fer_lightning.whole_files import write

FORMAT = "fer_lightning cell 1"
PLAN, RESULT, PREDICTIONS, LOG = "plan.json", "cell.json", "predictions.csv", "log.txt"
_MAY_CHANGE = {  # fit itself compares the data's fingerprint, and what start and teachers hold wherever they lie
    *("data.root", "data.source", "data.num_workers", "data.on_bad_row", "trainer.default_root_dir"),
    *DRAWN_ON,
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
}


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


def announce(folder: Path, cell: Cell) -> None:
    """Write down what a cell is to be, where nothing says so yet; one that is at work keeps its own plan.

    Raises:
        WriteError: If it cannot be written.
    """
    file = folder / PLAN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), file.open("x", encoding="utf-8") as handle:
            handle.write(json.dumps(cell.plan(), indent=1))
    except OSError as error:
        raise WriteError(f"{file}: cannot be written ({error.strerror}); choose another place") from None


def must_match(folder: Path, cell: Cell) -> None:
    """Compare a cell with what its folder holds, once that is an epoch or a result: only those could be lost.

    Raises:
        UserError: If it was begun with other options.
    """
    finished = is_finished(folder)
    file = folder / (RESULT if finished else PLAN)
    if not finished and not (file.exists() and training_folder(folder)):
        return
    before, now = (_settings(of, scored=finished) for of in (_cell_in(file), cell))
    if finished:
        before |= _start_and_teachers_in(file)
        now |= {name: ", ".join(map(checkpoint.identity, files)) for name, files in _given_files(cell).items()}
    for name in sorted(before.keys() | now.keys()):
        was, is_now = before.get(name), now.get(name)
        if not (checkpoint.are_same(was, is_now) if name in DRAWN_ON else was == is_now):
            cure = "use the same options, or another --out"
            if name == "tta":
                cure += f", or delete its {RESULT}: a cell that has its checkpoint is scored again, not trained"
            raise UserError(f"{folder}: was begun with {_shown(name, before)}, now it is {_shown(name, now)}; {cure}")


def _cell_in(file: Path) -> Cell:
    content = read_json(file)
    try:
        return from_plan(content["cell"] if file.name == RESULT else content)
    except (KeyError, TypeError):
        raise _damaged(file) from None


def _settings(cell: Cell, *, scored: bool) -> dict[str, str | None]:
    fixed = {name: value for name, value in options.pairs(cell.words) if name not in _MAY_CHANGE}
    return {**fixed, "tta": ",".join(cell.tta)} if scored else fixed


def _start_and_teachers_in(result: Path) -> dict[str, str | None]:
    """Return the start and the teachers of a finished cell, by their identities."""
    try:
        return dict(drew_on(read_json(result)["card"]["training"]))
    except (KeyError, TypeError, AttributeError):
        raise _damaged(result) from None


def _given_files(cell: Cell) -> dict[str, list[Path]]:
    """Return the start and the teachers that a cell is to have."""
    start = dict(options.pairs(cell.words)).get("init_from")
    names = {"init_from": [start] if start else [], "model.teacher": options.teachers(cell.words)}
    return {option: [checkpoint.find(name) for name in of] for option, of in names.items() if of}


def _shown(name: str, settings: dict[str, str | None]) -> str:
    return f"--{name} {settings[name]}" if name in settings else f"no --{name}"


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
        raise _damaged(file)
    return content


def _damaged(file: Path) -> UserError:
    return UserError(f"{file}: damaged; delete it, and run crossval again")


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write what is known of a cell, whole or not at all."""
    write(file, json.dumps(content, indent=1).encode())


def trained_in(folder: Path) -> Path:
    """Return the folder of a finished cell's training, which holds its checkpoint.

    Raises:
        UserError: If the cell is not finished, or damaged.
    """
    if not is_finished(folder):
        raise UserError(f"{folder}: no finished cell, as it holds no {RESULT}; let crossval finish it, or give a file")
    name = read_json(folder / RESULT).get("training")
    if not isinstance(name, str):
        raise _damaged(folder / RESULT)
    return folder / name


def training_folder(folder: Path) -> Path | None:
    """Return the folder of a cell's training, the newest that has a checkpoint; None where none has."""
    return _newest(file.parents[1] for file in folder.glob(f"*/version_*/{runs.LAST}"))


def history(folder: Path) -> list[dict[str, float]]:
    """Return the epochs of a finished cell's training, or those of the newest training so far."""
    begun = (file.parent for file in folder.glob(f"*/version_*/{runs.HISTORY}"))
    training = trained_in(folder) if is_finished(folder) else _newest(begun)
    if training is None or not (training / runs.HISTORY).exists():
        return []
    with (training / runs.HISTORY).open(newline="", encoding="utf-8") as handle:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(handle)]


def _newest(trainings: Iterable[Path]) -> Path | None:
    return max(trainings, key=lambda run: int(run.name.removeprefix("version_")), default=None)
