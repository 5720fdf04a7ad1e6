"""Cells side by side, each in a process of its own: what runs, what is left, what went wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import mean

from fer_lightning import cells, options
from fer_lightning.cell import BUSY
from fer_lightning.cells import Cell
from fer_lightning.crossval_options import Options
from fer_lightning.errors import UserError

_PAUSE, _SAY_EVERY = 0.2, 60.0  # seconds
_WINDOWS = os.name == "nt"


class Work:
    """The cells at work, in processes of their own."""

    def __init__(self, wanted: Options, own: Sequence[Cell]) -> None:
        """Take stock of what is to be done.

        Args:
            wanted: What the command line asked for.
            own: The cells of this call, in their order.
        """
        self.wanted, self.own = wanted, own
        self.open = [cell for cell in own if not cells.is_finished(cells.folder_of(wanted.out, cell))]
        self.waiting = list(self.open)
        self.gpus = _gpus() if wanted.jobs > 1 else []
        self.running: dict[int, tuple[Cell, subprocess.Popen[bytes]]] = {}  # by slot
        self.failed: list[Cell] = []
        self.mistakes: list[str] = []
        self.elsewhere: list[Cell] = []

    def run(self) -> int:
        """Run all that waits.

        Returns:
            The exit code: 0 all are finished, 1 some failed or are at work in another process, 130 stopped by Ctrl-C.

        Raises:
            UserError: If all ended by the same mistake of the user's.
        """
        said = time.monotonic()
        for cell in self.open:  # so that a report can say what was left out
            cells.announce(cells.folder_of(self.wanted.out, cell), cell)
        try:
            while self.waiting or self.running:
                for slot in range(self.wanted.jobs):
                    if slot not in self.running and self.waiting:
                        self._start(slot, self.waiting.pop(0))
                time.sleep(_PAUSE)
                for slot, (cell, process) in list(self.running.items()):
                    if process.poll() is not None:
                        del self.running[slot]
                        self._ended(cell, process.returncode)
                if time.monotonic() - said > _SAY_EVERY:
                    said = time.monotonic()
                    print(self._progress(), flush=True)
        except KeyboardInterrupt:
            print("\nstopping; the same command goes on from the last finished epochs", file=sys.stderr, flush=True)
            self._stop(signal.SIGINT)
            return 130
        except BaseException:
            self._stop(signal.SIGTERM)
            raise
        if self.elsewhere:
            print(f"{len(self.elsewhere)} at work in another process: {', '.join(c.name for c in self.elsewhere)}")
        return 1 if self.failed or self.elsewhere else 0

    def _start(self, slot: int, cell: Cell) -> None:
        folder = cells.folder_of(self.wanted.out, cell)
        print(f"begins: {cell.name}", flush=True)
        with (folder / cells.LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fer_lightning.cell", str(folder)],
                stdin=subprocess.PIPE,  # stays open: the cell ends when this process does
                stdout=log,
                stderr=log,
                env={**os.environ, **self._share_of_the_machine(slot)},
            )
        self.running[slot] = (cell, process)
        assert process.stdin is not None
        with suppress(OSError):  # it has died already; _ended says so
            process.stdin.write(json.dumps(cell.plan()).encode() + b"\n")
            process.stdin.flush()

    def _share_of_the_machine(self, slot: int) -> dict[str, str]:
        """Return the environment that gives each of several jobs its cores, and its GPU where there are several."""
        jobs, share = self.wanted.jobs, {}
        if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
            share["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
        devices = dict(options.pairs(self.wanted.fit)).get("trainer.devices", "1")
        if len(self.gpus) > 1 and devices in ("1", "-1", "auto"):  # several of them, or one by number, are chosen
            share["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        return share

    def _ended(self, cell: Cell, code: int) -> None:
        folder = cells.folder_of(self.wanted.out, cell)
        if code == BUSY:
            self.elsewhere.append(cell)
        elif code:
            self.failed.append(cell)
            said = _last_line(folder)
            print(f"failed: {cell.name}, exit code {code}: {said}; see {folder / cells.LOG}", flush=True)
            if code == 2:
                self.mistakes.append(said.removeprefix("error: "))
            self._stop_if_hopeless()
        else:
            found = cells.read_json(folder / cells.RESULT)["scores"][cell.tta[0]]
            scores = f"accuracy {found['accuracy']:.1%}, macro-F1 {found['macro_f1']:.3f} on {found['n']:,} rows"
            print(f"done: {cell.name}: {scores}\n{self._progress()}", flush=True)

    def _stop_if_hopeless(self) -> None:
        """End the call in one line where all its cells so far have ended by the same mistake of the user's.

        Raises:
            UserError: With that mistake; a cell with a mistake of its own does not keep the others waiting.
        """
        ended = len(self.open) - len(self.waiting) - len(self.running)
        enough = ended == len(self.open) or (ended > 1 and not self.running)
        if enough and len(self.mistakes) == ended and len(set(self.mistakes)) == 1:
            raise UserError(self.mistakes[0])

    def _progress(self) -> str:
        done = sum(cells.is_finished(cells.folder_of(self.wanted.out, cell)) for cell in self.own)
        words = [f"{done} of {len(self.own)} cells finished"]
        for cell, _ in self.running.values():
            epochs = len(cells.history(cells.folder_of(self.wanted.out, cell)))
            words.append(f"{cell.name} has {epochs} of {self._epochs(cell)} epochs")
        if (left := self._seconds_left()) is not None:
            words.append(f"about {left // 3600:.0f}:{left % 3600 // 60:02.0f} h left")
        return ", ".join(words)

    def _seconds_left(self) -> float | None:
        """Estimate by the epochs so far: how long they took for each network, and how many are to come."""
        took: dict[str, list[float]] = {}
        left: dict[str, int] = {}
        for cell in self.own:
            epochs = cells.history(cells.folder_of(self.wanted.out, cell))
            took.setdefault(cell.network, []).extend(row["seconds"] for row in epochs)
            if not cells.is_finished(cells.folder_of(self.wanted.out, cell)):
                left[cell.network] = left.get(cell.network, 0) + max(0, self._epochs(cell) - len(epochs))
        known = {network: mean(seconds) for network, seconds in took.items() if seconds}
        if not known:
            return None
        unknown = mean(known.values())
        return sum(known.get(network, unknown) * epochs for network, epochs in left.items()) / self.wanted.jobs

    def _epochs(self, cell: Cell) -> int:
        given = dict(options.pairs(cell.words)).get("trainer.max_epochs") or ""
        if given.isdecimal():  # of anything else fit complains, or takes its own length
            return int(given)
        return options.EPOCHS_OF_DRAWINGS if cell.source == "sketch" else options.EPOCHS

    def _stop(self, how: signal.Signals) -> None:
        with ExitStack() as stack:
            for _, process in self.running.values():
                stack.callback(process.wait)
                if _WINDOWS:  # it knows no SIGINT for a process
                    process.terminate()
                else:
                    process.send_signal(how)


def _gpus() -> list[str]:
    """Return the GPUs by the names that ``CUDA_VISIBLE_DEVICES`` knows, those that it leaves to this process."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(len(re.findall("^GPU ", found, re.MULTILINE)))]


def _last_line(folder: Path) -> str:
    lines = (folder / cells.LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no word in its log"
