"""The files that the words of a command line lead to: photos, films, folders of them, and patterns."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fer_lightning.errors import UserError
from fer_lightning.film_files import is_film
from fer_lightning.pictures import ENDINGS, is_picture

DRAWN, TIMELINE = ".faces", ".timeline"
"""What stands before the ending of what ``--annotate`` draws: ``a.faces.jpg``; folders are read without such files."""


class Source(NamedTuple):
    """A file to work on; what tables call it, and the same below the folder that was given."""

    path: Path
    name: str
    inner: Path


def find_sources(words: Sequence[str]) -> list[Source]:
    """Return the files, each once, folders in the order of their names.

    Args:
        words: Files, folders (searched with all folders in them), and patterns with ``*``, ``?`` or ``**``.

    Raises:
        UserError: If a word leads to nothing.
    """
    found: dict[Path, Source] = {}
    for word in words:
        for source in _sources(word):
            found.setdefault(source.path.resolve(), source)
    return list(found.values())


def _sources(word: str) -> Iterator[Source]:
    path = Path(word).expanduser()
    if path.is_file():
        yield _source(path, path.parent)
    elif path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_wanted(file, path)]
        if not files:
            raise UserError(f"{word}: no picture or film in this folder; the endings are {_endings()}")
        yield from (_source(file, path) for file in files)
    elif glob.has_magic(word):
        yield from _matches(word, path)
    else:
        raise UserError(f"{word}: no such file or folder; mend the path")


def _matches(word: str, pattern: Path) -> Iterator[Source]:
    places = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]
    files = [file for file in places if _is_wanted(file, file.parent)]
    if not files:
        raise UserError(f"{word}: matches no picture or film; the endings are {_endings()}")
    fixed = next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))
    yield from (_source(file, fixed) for file in files)


def _is_wanted(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    drawn = file.stem.endswith((DRAWN, TIMELINE))
    return not hidden and not drawn and (is_picture(file) or is_film(file)) and file.is_file()


def _source(path: Path, folder: Path) -> Source:
    name = str(path).encode("utf-8", "backslashreplace").decode()  # tables are UTF-8, names of files are anything
    return Source(path, name, path.relative_to(folder))


def _endings() -> str:
    return ", ".join(ENDINGS) + " and those of films"
