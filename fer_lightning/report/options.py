"""The command line of ``report``, read by the standard library alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_lightning.command_line import Parser
from fer_lightning.errors import UserError

_DESCRIPTION = """\
Write what a cross-validation found: the paper's tables and figures beside ours,
scores with intervals, paired tests, random against grouped folds, calibration.
RUN is the --out of crossval, at any time, also while it works; several are
reported together. An out_of_fold-*.csv that a report wrote may stand in their
place: the same figures are computed from it again.
"""
_FILES = """\
DIR gets index.html (one page, needs no other file), report.md, findings.json
(every figure in full), scores.csv, tables/, figures/ and out_of_fold-*.csv.
"""


@dataclass(frozen=True)
class Options:
    """What ``report`` was asked to do; the help text of each stands in :func:`parse`."""

    runs: tuple[Path, ...]
    out: Path
    speed: bool


def parse(words: Sequence[str]) -> Options:
    """Read the words behind ``report``.

    Raises:
        UserError: If an option or a run is none.
    """
    found = _parser().parse_args(words)
    runs: list[Path] = found.runs
    for run in runs:
        if not run.exists():
            raise UserError(f"{run}: no such folder or table; give the --out of a crossval")
    tables = [run for run in runs if run.is_file()]
    if tables and len(tables) < len(runs):
        raise UserError(f"{tables[0]}: give either runs or tables, not both")
    out = found.out or (runs[0].parent / "recomputed" if tables else runs[0] / "report")
    if out.is_file():
        raise UserError(f"--out {out}: is a file; name a folder")
    return Options(tuple(runs), out, found.speed)


def help_text() -> str:
    """Return the help, as wide as a terminal of 80 columns."""
    return _parser().format_help()


def _parser() -> Parser:
    parser = Parser("report", "RUN... [--out DIR] [--no_speed]", _DESCRIPTION, _FILES)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to (default: RUN/report)")
    parser.add_argument(
        "--no_speed", action="store_false", dest="speed", help="do not measure how fast each network is here"
    )
    return parser
