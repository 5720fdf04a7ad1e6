"""The command line of ``predict``, read by the standard library alone: ``--help`` and mistakes are instant."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fer_lightning import options, records
from fer_lightning.answering import adjustment
from fer_lightning.command_line import Parser, whole_number
from fer_lightning.errors import UserError

if TYPE_CHECKING:  # torch stands behind it
    from fer_lightning.models.ensemble import Views

_DESCRIPTION = """\
Find faces on photos and films, and name their apparent expression.

INPUT is a photo, a film, a folder (with all folders in it; what --annotate
drew, *.faces.*, is passed over), or a pattern such as 'photos/**/*.jpg'.
"""
_TABLE = """\
The table has a row for each face: source, frame, time_s, face, track, x, y, w,
h, detection, p_<class>..., label, confidence, smooth_p_<class>...,
smooth_label, model, error (pydoc fer_lightning.records explains them). A photo
without a face has one row whose face is empty; a file that cannot be read has
one row with its error.

What is in FILE already is kept and not done again, except what failed, also
when other options have changed; --overwrite does all anew. A run that was
stopped leaves FILE.part, from which the same command goes on.

exit code: 0 done, 2 a mistake of yours, 3 some files could not be read
"""


@dataclass(frozen=True)
class Options:
    """What ``predict`` was asked to do; the help text of each stands in :func:`parse`."""

    inputs: tuple[str, ...]
    checkpoints: tuple[str, ...]
    tta: "Views"
    logit_adjustment: float
    out: Path | None
    annotate: Path | None
    detector: Literal["mtcnn", "none"]
    smallest_face: int
    working_side: int
    every: int
    batch: int
    device: str
    overwrite: bool


def parse(words: Sequence[str]) -> Options:
    """Read the words behind ``predict``.

    Raises:
        UserError: If an option or its value is none.
    """
    parser = _parser()
    found, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        raise UserError(f"{unknown[0]}: no such option; {_nearest(unknown[0], parser)}")
    if not found.inputs:
        raise UserError("predict needs at least one INPUT: a photo, a film, a folder or a pattern")
    if found.out:
        records.check_ending(found.out)
        if found.out.is_dir():
            raise UserError(f"--out {found.out}: is a folder; name a file")
    return Options(**{**vars(found), "inputs": tuple(found.inputs), "checkpoints": tuple(found.checkpoints)})


def help_text() -> str:
    """Return the help, as wide as a terminal of 80 columns."""
    return _parser().format_help()


def _parser() -> Parser:
    parser = Parser("predict", "INPUT... [--out FILE] [options]", _DESCRIPTION, _TABLE)
    add = parser.add_argument
    add("inputs", nargs="*", metavar="INPUT", help=argparse.SUPPRESS)
    add(
        "--checkpoint",
        action="append",
        default=[],
        dest="checkpoints",
        metavar="NAME",
        help="a checkpoint's file, or the name of a shipped one (default: the first); given several times, their "
        "probabilities are averaged",
    )
    add(
        "--tta",
        choices=options.VIEWS,
        default="none",
        help="average over views of each face: flip adds its mirror image, ten_crop takes ten crops (default: none)",
    )
    add(
        "--logit_adjustment",
        type=adjustment,
        default=0.0,
        metavar="POWER",
        help="name rare classes more often: divide each probability by this power of its class's share, "
        "such as 0.5 (default: 0)",
    )
    add("--out", type=Path, metavar="FILE", help=".csv, .json, .jsonl or .parquet; without it a table is printed")
    add("--annotate", type=Path, metavar="DIR", help="draw boxes, labels and bars on copies in this folder")
    add(
        "--detector",
        choices=("mtcnn", "none"),
        default="mtcnn",
        help="none takes each picture for a face that is cut out already (default: mtcnn)",
    )
    add("--smallest_face", **_number(20, 40, "height in pixels of the smallest face that is looked for"))
    add(
        "--working_side",
        **_number(
            320, 2048, "larger pictures are searched as large as a square of this side; there a face needs 20 pixels"
        ),
    )
    add("--every", **_number(1, 5, "films: look for faces on every N-th frame, follow them between"))
    add("--batch", **_number(1, 8, "photos whose faces go through the network together"))
    add("--device", default="cpu", help="where the network runs: cpu, cuda, cuda:1, mps (default: cpu)")
    add("--overwrite", action="store_true", help="start the table anew instead of adding to it")
    add("-h", "--help", action="store_true", default=argparse.SUPPRESS, help="show this, and stop")
    return parser


def _number(least: int, default: int, text: str) -> dict[str, Any]:
    return {"type": whole_number(least), "default": default, "metavar": "N", "help": f"{text} (default: {default})"}


def _nearest(word: str, parser: Parser) -> str:
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    near = difflib.get_close_matches(word.partition("=")[0], known, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"
