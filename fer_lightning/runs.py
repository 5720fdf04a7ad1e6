"""Where a run lives: ``runs/<source>-<network>/version_<n>/`` with history, config, checkpoints and test results."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from fer_lightning.checkpoint import shipped
from fer_lightning.errors import UserError

_ENV = "FER_LIGHTNING_RUN"  # tells the processes of a distributed run which folder their first one made
_LOCK = ".lock"
_locks: dict[Path, FileLock] = {}
LAST, BEST, HISTORY = "checkpoints/last.ckpt", "best.safetensors", "history.csv"


def new_run(base: Path, name: str) -> Path:
    """Make and return the folder of a new run, ``base/name/version_<n>``; two at once get two folders.

    Raises:
        UserError: If it cannot be made.
    """
    if inherited := os.environ.get(_ENV):
        return Path(inherited)
    number = max((_number(run) for run in _versions(base / name)), default=-1) + 1
    while True:
        run = base / name / f"version_{number}"
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            reason = f"{error.strerror}; choose another with --trainer.default_root_dir DIR"
            raise UserError(f"{base}: cannot make a folder for the run there ({reason})") from None
        else:
            return run


def share_run(run: Path) -> None:
    """Take the run for this process and those that it starts, which join it.

    Raises:
        UserError: If another training is at work in it.
    """
    if not os.environ.get(_ENV):
        lock = FileLock(run / _LOCK)  # the system lifts it when the process ends, however it ends
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{run}: another training is at work in it; wait for its end, or start a new run") from None
        _locks[run] = lock
    os.environ[_ENV] = str(run)


def is_joined() -> bool:
    """Return whether this process was started by a training, to share its work."""
    return bool(os.environ.get(_ENV))


def leave_run(run: Path) -> None:
    """End the sharing, so that a later training of the same process makes a run of its own; an empty run vanishes."""
    os.environ.pop(_ENV, None)
    with contextlib.suppress(OSError):
        if lock := _locks.pop(run, None):
            lock.release()
            (run / _LOCK).unlink(missing_ok=True)
        run.rmdir()


def last_checkpoint(base: Path, name: str) -> Path:
    """Return the newest ``last.ckpt`` of the runs of a source and network.

    Raises:
        UserError: If there is none: going on would silently start afresh.
    """
    for run in sorted(_versions(base / name), key=_number, reverse=True):
        if (run / LAST).is_file():
            return run / LAST
    others = sorted({str(found.parents[2]) for found in base.glob(f"*/version_*/{LAST}")})
    known = f"; there are runs in {', '.join(others)}" if others else ""
    raise UserError(f"--ckpt_path last: no checkpoint below {base / name}{known}; start without --ckpt_path")


def run_of(checkpoint: Path) -> Path | None:
    """Return the run that a checkpoint lies in, or None if it lies elsewhere."""
    for folder in checkpoint.resolve().parents[:2]:
        if folder.name.startswith("version_") and any((folder / file).exists() for file in (HISTORY, BEST)):
            return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return None


def best_checkpoint(base: Path) -> Path:
    """Return what ``test`` and ``validate`` score by default: the newest run's best, else a shipped one.

    Raises:
        UserError: If there is neither.
    """
    found = sorted(base.glob(f"*/version_*/{BEST}"), key=lambda file: file.stat().st_mtime)
    found = found or shipped()[:1]
    if not found:
        raise UserError(f"no checkpoint below {base} or in checkpoints/; train one with fit, or give --ckpt_path FILE")
    return found[-1]


def _versions(folder: Path) -> list[Path]:
    return [run for run in folder.glob("version_*") if run.name.removeprefix("version_").isdigit()]


def _number(run: Path) -> int:
    return int(run.name.removeprefix("version_"))
