"""The CSV of pixels in which FER2013 is handed on: 2,304 numbers a row, in a plain file or inside an archive."""

import contextlib
import lzma
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lightning.data.faceset import BadRows
from fer_lightning.errors import UserError
from fer_lightning.preprocess import SIDE

PIXELS = SIDE * SIDE
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
SOURCE_HINT = (
    "get fer2013.csv or icml_face_data.csv from the Kaggle challenge "
    "challenges-in-representation-learning-facial-expression-recognition-challenge"
)
_BROKEN = (EOFError, zlib.error, zipfile.BadZipFile, tarfile.ReadError, lzma.LZMAError, OSError)


class PixelRows(NamedTuple):
    """Faces uint8 ``[N, 48, 48]``, labels int64 ``[N]``, Usage strings ``[N]`` or None, and row numbers ``[N]``.

    ``rows`` numbers the data rows of the file from 0, with gaps where a bad row was skipped.
    """

    faces: NDArray[np.uint8]
    labels: NDArray[np.int64]
    usage: NDArray[np.str_] | None
    rows: NDArray[np.int64]


def members(path: Path) -> list[str]:
    """Return the CSV files inside an archive; for a plain file, none.

    Raises:
        UserError: If the archive is cut off, damaged, or no archive.
    """
    with _archive_mistakes(path):
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if path.name.lower().endswith(ARCHIVES):
            with tarfile.open(path) as tar:
                return [name for name in tar.getnames() if name.lower().endswith(".csv")]
    return []


@contextlib.contextmanager
def opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """Open a CSV, plain or inside an archive, as bytes."""
    with _archive_mistakes(path), contextlib.ExitStack() as stack:
        if member is None:
            yield stack.enter_context(path.open("rb"))
        elif path.name.lower().endswith(".zip"):
            yield stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open(member))
        else:
            inner = stack.enter_context(tarfile.open(path)).extractfile(member)
            assert inner is not None
            yield inner


@contextlib.contextmanager
def _archive_mistakes(path: Path) -> Iterator[None]:
    try:
        if path.name.lower().endswith(ARCHIVES):
            with path.open("rb") as file:
                refuse_stand_in(path, file.read(200))
        yield
    except (RuntimeError, NotImplementedError) as error:  # how zipfile says that it needs a password, or a method
        raise UserError(f"{path}: cannot be unpacked ({error}); unpack it by hand and name the CSV") from None
    except (*_BROKEN, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cut off or damaged ({error}); download it again") from None


def refuse_stand_in(path: Path, start: bytes) -> None:
    """Refuse what is often saved in place of the data: a web page, a git-lfs pointer, nothing at all.

    Args:
        path: The file, to name it.
        start: Its first bytes.

    Raises:
        UserError: If it is one of these.
    """
    head = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        raise UserError(f"{path}: is empty; {SOURCE_HINT}")
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UserError(f"{path}: is a saved web page, not the data; download it while logged in: {SOURCE_HINT}")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: is a git-lfs pointer, not the data; run `git lfs pull` where it came from")


def read_pixel_csv(
    path: Path, member: str | None, labels: tuple[str, ...], usages: tuple[str, ...], bad: BadRows
) -> PixelRows:
    """Read the faces of a CSV with the columns ``emotion``, ``pixels`` and perhaps ``Usage``, in any order.

    Args:
        path: The file or archive.
        member: The CSV inside the archive; None for a plain file.
        labels: Names of the labels 0, 1, ... that ``emotion`` may hold.
        usages: What ``Usage`` may hold.
        bad: What to do with a bad row; rows are numbered as lines of the file, the header is line 1.

    Raises:
        UserError: If the file is no such CSV, or a row is bad and the policy says so.
    """
    name = f"{path}" if member is None else f"{path}:{member}"
    faces, emotions, parts, rows = [], [], [], []
    with opened(path, member) as file:
        header = file.readline()
        refuse_stand_in(path, header[:200])
        columns = _columns(name, header)
        has_usage = "usage" in columns
        parse = _row_parser(columns, labels, usages if has_usage else ())
        for number, line in enumerate(file):
            if not line.strip():
                continue
            parsed = parse(line)
            if isinstance(parsed, str):
                cut = "" if line.endswith(b"\n") else "; it is the last line: the download may be cut off"
                bad.add(f"{name} line {number + 2}", parsed + cut)
                continue
            faces.append(parsed[0])
            emotions.append(parsed[1])
            parts.append(parsed[2])
            rows.append(number)
    if not faces:
        raise UserError(f"{name}: holds no usable row; {SOURCE_HINT}")
    return PixelRows(
        np.stack(faces).reshape(-1, SIDE, SIDE),
        np.array(emotions, dtype=np.int64),
        np.array(parts) if has_usage else None,
        np.array(rows, dtype=np.int64),
    )


def _columns(name: str, header: bytes) -> dict[str, int]:
    text = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    found = {column.strip(' "\r\n').lower(): place for place, column in enumerate(text.split(","))}
    if missing := [column for column in ("emotion", "pixels") if column not in found]:
        shown = repr(text.strip()[:80])
        raise UserError(f"{name} line 1: no column {' and '.join(missing)} (found: {shown}); {SOURCE_HINT}")
    return found


def _row_parser(
    columns: dict[str, int], labels: tuple[str, ...], usages: tuple[str, ...]
) -> Callable[[bytes], tuple[NDArray[np.uint8], int, str] | str]:
    """Return what turns a line into pixels, label and usage, or into the reason why it cannot."""
    emotion_at, pixels_at, usage_at = columns["emotion"], columns["pixels"], columns.get("usage", 0)
    known = {str(label).encode(): label for label in range(len(labels))}
    parts = {usage.encode(): usage for usage in usages}
    options = ", ".join(f"{label} = {name}" for label, name in enumerate(labels))

    def parse(line: bytes) -> tuple[NDArray[np.uint8], int, str] | str:
        fields = [field.strip(b' "\r\n') for field in line.split(b",")]
        if len(fields) <= max(emotion_at, pixels_at, usage_at if usages else 0):
            return f"{len(fields)} columns instead of {len(columns)}"
        if fields[emotion_at] not in known:
            return f"unknown emotion {_shown(fields[emotion_at])} (options: {options})"
        if usages and fields[usage_at] not in parts:
            return f"unknown Usage {_shown(fields[usage_at])} (options: {', '.join(usages)})"
        values = _numbers(fields[pixels_at])
        if isinstance(values, str):
            return values
        return values, known[fields[emotion_at]], parts.get(fields[usage_at], "") if usages else ""

    return parse


def _numbers(text: bytes) -> NDArray[np.uint8] | str:
    """Parse the numbers of one row; int64, as smaller types would wrap a number that is too large into the range."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how older NumPy tells of what is no number
            values = np.fromstring(text, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        strange = next((word for word in text.split() if not word.removeprefix(b"-").isdigit()), text)
        return f"{_shown(strange)} is no pixel value from 0 to 255"
    if len(values) != PIXELS:
        return f"{len(values):,} pixels instead of {PIXELS:,}"
    if values.min() < 0 or values.max() > 255:
        worst = int(values[(values < 0) | (values > 255)][0])
        return f"pixel value {worst} is not from 0 to 255"
    return values.astype(np.uint8)


def _shown(field: bytes) -> str:
    return repr(field[:20].decode("utf-8", "replace"))
