"""One cell in a process of its own, ``python -m fer_lightning.cell FOLDER``: a ``fit``, and the scores of its fold.

A process of its own keeps cells apart, gives memory back, and lets Lightning start further processes for several GPUs.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fer_lightning import cells, runs, runtime
from fer_lightning.cells import Cell
from fer_lightning.errors import UserError
from fer_lightning.whole_files import csv_bytes, write

BUSY = 75
"""Exit code where another process is at work in the cell."""
_STDIN = 0  # read as a descriptor: the lock of sys.stdin must not be held by a thread when Python ends
_PATIENCE = 10.0  # seconds; so long the processes of a killed run may take to notice


def main(folder: Path, told: Cell | None) -> int:
    """Train and score a cell; a stopped training goes on.

    Args:
        folder: The cell's folder.
        told: The cell, which becomes the folder's ``plan.json`` once this process holds the folder; None in a further
            process of one training, which reads that file.

    Returns:
        The exit code: 0 finished, 2 a mistake of the user's, 75 at work elsewhere, 130 stopped by Ctrl-C.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")  # that of the first process covers those that join it
    if told is not None:
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            return BUSY
    try:
        if told is None:
            return _run(folder, cells.from_plan(cells.read_json(folder / cells.PLAN)), joining=True)
        cells.must_match(folder, told)  # another process may have been at work since crossval looked
        if cells.is_finished(folder):
            return 0
        cells.write_json(folder / cells.PLAN, told.plan())
        return _run(folder, told, joining=False)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        lock.release()


def _run(folder: Path, cell: Cell, *, joining: bool) -> int:
    runtime.hush()
    runtime.keep_memory()
    from fer_lightning.training import fit

    before = cells.training_folder(folder)
    if before is None or not (before / runs.BEST).exists():  # going on after an early stop would train another epoch
        code = fit(cell.words, str(before / runs.LAST) if before else None)
        if code or joining:
            return code
    trained = cells.training_folder(folder)
    if trained is None or not (trained / runs.BEST).exists():
        raise UserError(f"{folder}: the training left no checkpoint; see {folder / cells.LOG}")
    _score(folder, cell, trained / runs.BEST)
    return 0


def _score(folder: Path, cell: Cell, best: Path) -> None:
    """Write the predictions of held-out rows and of the fold, and what is known of the cell."""
    from fer_lightning.answering import Way
    from fer_lightning.calibration import fit_temperature
    from fer_lightning.checkpoint import read_card
    from fer_lightning.data.folds import groups_of
    from fer_lightning.evaluation import open_checkpoints, predict_rows
    from fer_lightning.known_rows import Predictions
    from fer_lightning.scores import score

    found: dict[tuple[str, str], Predictions] = {}
    temperature, scores = {}, {}
    for tta in cell.tta:
        way = Way(tta)  # type: ignore[arg-type]
        opened = open_checkpoints([best], _for_one_process(cell.words), way, calibrated=False)
        data = opened.cli.datamodule
        if data.faces.fingerprint != opened.cards[0]["data"]["fingerprint"]:
            raise UserError(f"{folder}: was trained on other data; use the same --data.root, or another --out")
        for part in ("held out", "fold"):
            rows = predict_rows(opened.cli, opened.network, "validation" if part == "held out" else "test")
            found[tta, part] = rows
        held_out, fold = found[tta, "held out"], found[tta, "fold"]
        temperature[tta] = fit_temperature(held_out.probabilities, held_out.labels)
        groups = groups_of(data.faces)
        scores[tta] = score(fold.probabilities, fold.labels, data.classes, groups=groups[fold.rows])
    faces = data.faces

    def table() -> Iterator[Sequence[Any]]:
        yield "tta", "part", "row", "group", "label", *(f"p_{name}" for name in faces.classes)
        for (tta, part), rows in found.items():
            for row, label, p in zip(rows.rows, rows.labels, rows.probabilities, strict=True):
                yield tta, part, faces.row_ids[row], groups[row], faces.classes[label], *p.astype("float32")

    write(folder / cells.PREDICTIONS, csv_bytes(table()))
    result = {
        "format": cells.FORMAT,
        "cell": cell.plan(),
        "training": str(best.parent.relative_to(folder)),
        "card": read_card(best),
        "temperature": temperature,
        "scores": scores,
    }
    cells.write_json(folder / cells.RESULT, result)


def _for_one_process(words: Sequence[str]) -> list[str]:
    """Return what scoring takes over of a training's options: where the data lie, and the kind of device."""
    from fer_lightning.options import pairs

    kept = ("data.root", "data.source", "trainer.accelerator")
    taken = [word for name, value in pairs(words) if name in kept and value for word in (f"--{name}", value)]
    return [*taken, "--trainer.devices", "1"]


def _told(stream: int = _STDIN) -> Cell | None:
    """Return the cell that ``crossval`` sends as one line of JSON; None if it has gone without a word."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(stream, 1 << 16)
        if not piece:
            return None
        line += piece
    return cells.from_plan(json.loads(line))


def _end_with_parent() -> None:
    """Stop when standard input ends: ``crossval``, which holds its other end, is gone, and nobody would wait."""
    while os.read(_STDIN, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    joins = runs.is_joined()  # it was started by the first process of a training, which has had the line
    cell = None if joins else _told()
    if cell is None and not joins:
        sys.exit(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()  # not before the line was read
    sys.exit(main(Path(sys.argv[1]), cell))
