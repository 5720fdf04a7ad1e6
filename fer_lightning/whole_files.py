"""A file appears whole or not at all: it grows under another name in its own folder, and is renamed at the end."""

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_lightning.errors import WriteError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to, with the same ending; it becomes ``path`` when the block ends, and goes if it fails.

    Args:
        path: The file to make or to replace; its folder is made if it is not there.

    Raises:
        WriteError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)  # mkstemp's 0600 would keep other readers of a shared folder out
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WriteError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all, and return its path.

    Raises:
        WriteError: If it cannot be written.
    """
    with replacing(path) as part:
        part.write_bytes(content)
    return path


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as the bytes of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
