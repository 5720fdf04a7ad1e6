"""A memory-mapped cache of arrays that are costly to make: pixels read from text, duplicates searched for.

An entry is a folder of ``.npy`` files under a key that names its content. It is written beside its place and renamed
into it, so a kill leaves at most a stray temporary folder, and of two processes at once one simply wins.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
_NAMES = "names.json"  # an entry is whole when all that is named here can be mapped
_HASH_CHUNK = 1 << 22


def cache_folder() -> Path:
    """Return the cache folder: ``$FER_LIGHTNING_CACHE``, else the platform's own place for caches."""
    return Path(os.environ.get("FER_LIGHTNING_CACHE") or platformdirs.user_cache_dir("fer_lightning"))


def cached(key: str, make: Callable[[], Arrays]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an entry as read-only memory maps, made first if the cache lacks them.

    Args:
        key: Name of the entry; it has to change whenever the content would.
        make: Called without arguments when the entry is missing; what it raises passes through, nothing is written.
    """
    place = cache_folder() / key
    if place.is_dir():
        with contextlib.suppress(OSError, ValueError):  # damaged, or another user's: made again
            return _mapped(place)
        shutil.rmtree(place, ignore_errors=True)
    arrays = make()
    try:
        _store(place, arrays)
        return _mapped(place)
    except OSError:  # a cache that cannot be written (read-only, full) costs time, not the run
        return dict(arrays)


def _mapped(place: Path) -> dict[str, NDArray[Any]]:
    names = json.loads((place / _NAMES).read_text())
    return {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}


def _store(place: Path, arrays: Arrays) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{place.name}.part-", dir=place.parent))
    try:
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        (part / _NAMES).write_text(json.dumps(list(arrays)))
        part.chmod(0o755)  # mkdtemp's 0700 would keep the other users of a shared cache out
        os.replace(part, place)
    except OSError:
        if not place.is_dir():  # else another process was first: its entry is as good
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)  # it is gone already where it took its place


def content_hash(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, remembered until its size or time of change differ."""
    state = path.stat()
    stamp = [state.st_size, state.st_mtime_ns]
    note = cache_folder() / "hashes" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()}.json"
    try:
        known = json.loads(note.read_text())
        if known["stamp"] == stamp:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no note, or a broken one: hash again
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    _note(note, {"stamp": stamp, "sha256": digest.hexdigest()})
    return digest.hexdigest()


def _note(note: Path, record: dict[str, Any]) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(record))
        part.replace(note)
    except OSError:
        pass  # the hash is only remembered to save time


def hash_arrays(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 (hex) over the dtype, shape and bytes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
