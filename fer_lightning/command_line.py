"""What the command lines of our own verbs share: argparse, whose complaint is one line, and whole numbers."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from fer_lightning.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser for one verb; its help is as wide as a terminal of 80 columns."""

    def __init__(self, verb: str, usage: str, description: str, epilog: str) -> None:
        """Set up the parser.

        Args:
            verb: The verb.
            usage: What may stand behind it.
            description: What it does, broken into lines.
            epilog: What stands at the end of its help, broken into lines.
        """
        super().__init__(
            prog=f"python -m fer_lightning {verb}",
            usage=f"python -m fer_lightning {verb} {usage}",
            description=description,
            epilog=epilog,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=80, max_help_position=28),
            allow_abbrev=False,
            add_help=False,
        )
        self._verb = verb

    def error(self, message: str) -> NoReturn:
        """Raise the complaint, for the command line to print.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message.removeprefix('argument ')}; see {self._verb} --help")


def whole_number(least: int) -> Callable[[str], int]:
    """Return what reads a whole number that is not below the least."""

    def read(word: str) -> int:
        if not word.isdecimal() or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word} is no whole number from {least} on")
        return int(word)

    return read
