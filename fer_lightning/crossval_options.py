"""The command line of ``crossval``, read by the standard library alone: ``--help`` and mistakes are instant."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_lightning import options, presets
from fer_lightning.command_line import Parser, whole_number
from fer_lightning.errors import UserError

_DESCRIPTION = """\
Train and score networks on every fold. Each cell (network, protocol, start,
seed, fold) is a fit of its own in a folder of its own; a finished cell is never
run again, a stopped one goes on. Every option of fit may be added: --data.*,
--model.*, --trainer.*, --patience, --preset. Without --data.root it takes
drawn faces.
"""
_MORE = """\
The checkpoint of a cell is chosen on rows held out of its training folds, never
on the fold that is scored. `report RUN` reads what is there at any time.

A cluster's job array shares the cells (SLURM, ten jobs):
  #SBATCH --array=1-10
  python -m fer_lightning crossval ... --cell $SLURM_ARRAY_TASK_ID/10

exit code: 0 all cells of this call are finished, 1 some failed (their log.txt
says why) or are at work in another process, 2 a mistake of yours, 130 stopped
by Ctrl-C
"""
_OURS = {
    "data.split": "--protocols",
    "data.fold": "--folds",
    "data.folds": "--folds",
    "model.network": "--networks",
    "seed_everything": "--seeds",
    "init_from": "--starts",
    **dict.fromkeys(("config", "data", "model", "trainer"), "the options themselves"),
    "ckpt_path": "nothing: cells go on by themselves",
    "tta": "--tta behind crossval once, as a list",
    "trainer.default_root_dir": "--out",
    "trainer.num_nodes": "--cell I/N, a share for each node",
}
_NEITHER = ("print_config", "help_all", "verbose", "logit_adjustment", "corruption")
_CHOICES = {
    "networks": options.options("model")["model.network"].choices,
    "protocols": ("random", "grouped"),
    "tta": options.VIEWS,
}


@dataclass(frozen=True)
class Options:
    """What ``crossval`` was asked to do; the help text of each stands in :func:`parse`."""

    out: Path
    networks: tuple[str, ...]
    protocols: tuple[str, ...]
    folds: int
    only_folds: tuple[int, ...]
    starts: tuple[str, ...]
    seeds: tuple[int, ...]
    tta: tuple[str, ...]
    jobs: int
    share: tuple[int, int]
    list_only: bool
    fit: tuple[str, ...]


def parse(words: Sequence[str]) -> Options:
    """Read the words behind ``crossval``.

    Raises:
        UserError: If an option or its value is none.
    """
    found, rest = _parser().parse_known_args(words)
    rest = presets.expanded(rest)
    options.check(rest)
    for name, _ in options.pairs(rest):
        if name in _OURS:
            raise UserError(f"--{name}: crossval sets it for each cell; use {_OURS[name]}")
        if name in _NEITHER:
            raise UserError(f"--{name}: is not for crossval; see crossval --help")
    fit = options.spelled_out(rest)
    if stray := next((word for place, word in enumerate(fit) if _is_stray(fit, place)), None):
        raise UserError(f"{stray}: crossval takes options alone; see crossval --help")
    for name, value in options.pairs(fit):
        if value is None or value.startswith("--"):
            raise UserError(f"--{name}: needs a value; see crossval --help")
    for fold in found.only_folds:
        if fold >= found.folds:
            raise UserError(f"--only_folds {fold}: choose from 0 to {found.folds - 1}, as --folds is {found.folds}")
    only = found.only_folds or tuple(range(found.folds))
    return Options(**{**vars(found), "only_folds": only, "fit": tuple(fit)})


def help_text() -> str:
    """Return the help, as wide as a terminal of 80 columns."""
    return _parser().format_help()


def _parser() -> Parser:
    parser = Parser("crossval", "--data.root PATH [--out RUN] [options]", _DESCRIPTION, _MORE)
    add = parser.add_argument
    add(
        "--out",
        type=Path,
        default=Path("runs/crossval"),
        metavar="RUN",
        help="folder of the cells; several calls may fill it (default: runs/crossval)",
    )
    add("--networks", **_names("networks", "improved_cnn,plain_cnn"))
    add("--protocols", **_names("protocols", "random,grouped"))
    add("--folds", type=whole_number(2), default=5, metavar="K", help="number of folds (default: 5)")
    add("--only_folds", type=_numbers, default=(), metavar="I,...", help="run these folds, from 0 (default: all)")
    add(
        "--starts",
        type=_words,
        default=("scratch",),
        metavar="S,...",
        help="scratch, or checkpoints to start from: FILE or NAME=FILE, also names of shipped ones and folders of "
        "finished cells; without NAME a start is called by its data (default: scratch)",
    )
    add("--seeds", type=_numbers, default=(42,), metavar="N,...", help="one training for each seed (default: 42)")
    add("--tta", **_names("tta", "none,flip"))
    add(
        "--jobs",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="cells side by side, sharing cores or GPUs (default: 1)",
    )
    add(
        "--cell", type=_share, default=(1, 1), dest="share", metavar="I/N", help="run the I-th of N shares of the cells"
    )
    add("--list", action="store_true", dest="list_only", help="print the cells and what is done, and stop")
    return parser


def _names(option: str, default: str) -> dict[str, Any]:
    def read(text: str) -> tuple[str, ...]:
        names = _words(text)
        if wrong := [name for name in names if name not in _CHOICES[option]]:
            raise argparse.ArgumentTypeError(f"{wrong[0]}: choose from {', '.join(_CHOICES[option])}")
        return names

    text = f"from {', '.join(_CHOICES[option])} (default: {default})"
    return {"type": read, "default": tuple(default.split(",")), "metavar": "X,...", "help": text}


def _words(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word for word in text.split(",") if word))
    if not words:
        raise argparse.ArgumentTypeError("needs at least one, divided by commas")
    return words


def _numbers(text: str) -> tuple[int, ...]:
    if wrong := [word for word in _words(text) if not word.isdecimal()]:
        raise argparse.ArgumentTypeError(f"{wrong[0]} is no whole number")
    return tuple(dict.fromkeys(int(word) for word in _words(text)))


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text} is no share such as 3/10, from 1/10 to 10/10")
    return int(found[1]), int(found[2])


def _is_stray(words: Sequence[str], place: int) -> bool:
    before = words[place - 1] if place else ""
    return not words[place].startswith("--") and not (before.startswith("--") and "=" not in before)
