"""What happens beside the training: its history on disk and in the terminal, and the checkpoints it leaves."""

import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from torch import Tensor

from fer_lightning.runs import HISTORY

CHOSEN_BY = "val/macro_f1"
_COLUMNS = ("epoch", "learning_rate", "train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/macro_f1")
_ALL = (*_COLUMNS, "val/ece", "seconds", "images_per_second")


class History(Callback):
    """Appends a row to ``history.csv`` after each epoch; a resumed run goes on in the same file.

    It is printed when the checkpoints, which Lightning writes last, are safe: a kill cannot lose what was printed.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._began = self._trained = 0.0
        self._images = 0
        self._row: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the rows of the epochs that are not trained again."""
        if trainer.is_global_zero:
            kept = [row for row in _read(self.file) if int(row["epoch"]) < trainer.current_epoch]
            _write(self.file, kept)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch before, and start the clock."""
        self._print(trainer)
        self._began = time.perf_counter()
        self._images = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count images and time of training alone, so that validation does not blur the speed."""
        self._images += len(batch["labels"]) * trainer.world_size
        self._trained = time.perf_counter() - self._began

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch down."""
        if not trainer.is_global_zero:
            return
        row: dict[str, Any] = {name: float(trainer.callback_metrics.get(name, float("nan"))) for name in _ALL}
        row["epoch"] = trainer.current_epoch
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.perf_counter() - self._began, 2)
        row["images_per_second"] = round(self._images / self._trained, 1)
        _write(self.file, [*_read(self.file), row])
        self._row = row

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last epoch."""
        self._print(trainer)

    def _print(self, trainer: pl.Trainer) -> None:
        row, self._row = self._row, {}
        if not row:
            return
        done, total = row["epoch"] + 1, trainer.max_epochs or -1
        words = [f"epoch {done}/{total}" if total > 0 else f"epoch {done}", f"loss {row['train/loss']:.3f}"]
        if not math.isnan(row["val/accuracy"]):
            words += [f"validation accuracy {row['val/accuracy']:.1%}", f"macro-F1 {row['val/macro_f1']:.3f}"]
        words.append(f"{row['images_per_second']:.0f} images/s")
        if total > done:
            words.append(f"{_clock((total - done) * row['seconds'])} left")
        print(f"{words[0]}: {', '.join(words[1:])}", flush=True)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the epoch that was best, and of equal ones the later: on few validation rows many epochs are equal."""

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Return whether this epoch is kept."""
        better = super().check_monitor_top_k(trainer, current)
        return better or (
            current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        )


def callbacks(run: Path, patience: int) -> list[Callback]:
    """Return the callbacks of a training.

    Args:
        run: The folder of the run.
        patience: Epochs without a better validation macro-F1 after which to stop; 0 never stops early.
    """
    folder = run / "checkpoints"
    common: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    found: list[Callback] = [
        History(run / HISTORY),
        BestCheckpoint(**common, filename="best", monitor=CHOSEN_BY, mode="max"),
        ModelCheckpoint(**common, filename="last", monitor=None, save_on_train_epoch_end=True),
    ]
    if patience:
        found.append(EarlyStopping(CHOSEN_BY, mode="max", patience=patience))
    if sys.stdout.isatty():
        found.append(RichProgressBar())
    return found


def so_far(run: Path) -> tuple[int, float]:
    """Return the epochs that a run has had, in all its sessions, and the seconds that they took."""
    rows = _read(run / HISTORY)
    return len(rows), round(sum(float(row["seconds"]) for row in rows), 1)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, _ALL)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(file)
