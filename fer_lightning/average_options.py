"""The command line of ``average``, read by the standard library alone: ``--help`` and mistakes are instant."""

import argparse
from collections.abc import Sequence

from fer_lightning.command_line import Parser
from fer_lightning.errors import UserError

_DESCRIPTION = """\
Make one network of several: each weight is the mean of theirs, at the cost of
one network. It pays where they have much in common: a network and one that was
trained on from it, with other changes of the faces, say; or two with the same
start. Networks that began apart have no useful mean. All must be of one kind,
with the same options, and trained on the same rows. A file that stands twice
counts twice.

The mean is scored on the rows that chose its members, its temperature is fitted
on them, and it is written into a run of its own.
"""


def parse(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Read the words behind ``average``.

    Returns:
        What names the checkpoints, and options as ``validate`` takes them.

    Raises:
        UserError: If an option or its value is none, or there are fewer than two checkpoints.
    """
    found, unknown = _parser().parse_known_intermixed_args(words)
    if unknown:
        raise UserError(f"{unknown[0]}: no such option; see average --help")
    if len(found.files) < 2:
        raise UserError("average takes at least two FILES: checkpoints of the same network, trained on the same data")
    given = {name: value for name, value in vars(found).items() if name != "files" and value is not None}
    return found.files, [word for name, value in given.items() for word in (f"--{name}", value)]


def help_text() -> str:
    """Return the help, as wide as a terminal of 80 columns."""
    return _parser().format_help()


def _parser() -> Parser:
    parser = Parser("average", "FILE FILE... [options]", _DESCRIPTION, "")
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="a checkpoint's file, or the name of a shipped one")
    add("--data.root", metavar="PATH", help="the data that they were trained on (default: where the first file's lay)")
    add("--trainer.accelerator", metavar="NAME", help="where it is scored: auto, cpu, gpu, ... (default: auto)")
    add("--trainer.default_root_dir", metavar="DIR", help="where runs are kept (default: runs)")
    add("-h", "--help", action="store_true", default=argparse.SUPPRESS, help="show this, and stop")
    return parser
