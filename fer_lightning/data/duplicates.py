"""Pictures that stand in a set more than once: to the byte, or nearly (re-scaled, re-compressed, mirrored)."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lightning.data.cache import cached
from fer_lightning.data.faceset import FaceSet

_VERSION = 1
_CELLS = 12  # pictures are compared at 12 x 12 cells ...
_ALIKE = 0.985  # ... and are near-identical above this correlation, which FER2013's known twins pass
_FLAT = 2.0  # a picture whose cells vary by less (of 255) is blank: it is like everything, and compared to nothing
_BLOCK = 2048


class Duplicates(NamedTuple):
    """Cluster of each row, int64 ``[N]``: rows with the same number show the same picture.

    ``identical`` is about equal bytes alone; ``near`` joins near-identical pictures too.
    """

    identical: NDArray[np.int64]
    near: NDArray[np.int64]


_known: WeakKeyDictionary[FaceSet, Duplicates] = WeakKeyDictionary()


def find_duplicates(faces: FaceSet) -> Duplicates:
    """Return the clusters of a set; they are searched for once, and later come from memory or from the cache."""
    if faces in _known:
        return _known[faces]

    def make() -> dict[str, NDArray[np.int64]]:
        identical = identical_clusters(faces.faces)
        return {"identical": identical, "near": near_clusters(faces.faces, identical)}

    entry = cached(f"duplicates-v{_VERSION}-{faces.fingerprint}", make)
    _known[faces] = Duplicates(np.asarray(entry["identical"]), np.asarray(entry["near"]))
    return _known[faces]


def identical_clusters(faces: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the first row with the same bytes for each row, int64 ``[N]``."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(face.tobytes(), row) for row, face in enumerate(faces)], dtype=np.int64)


def near_clusters(faces: NDArray[np.uint8], identical: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first row of each row's cluster of identical and near-identical pictures, int64 ``[N]``.

    Args:
        faces: uint8 ``[N, H, W]``, sides multiples of 12.
        identical: The clusters of identical pictures; one of each is compared.
    """
    rows = np.flatnonzero(identical == np.arange(len(identical)))
    left, right = _alike(_signatures(faces[rows]), _signatures(faces[rows][:, :, ::-1]))
    edges = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(rows), len(rows)))
    _, component = connected_components(edges, directed=False)
    _, first = np.unique(component, return_index=True)
    cluster = np.arange(len(identical))
    cluster[rows] = rows[first[component]]
    found: NDArray[np.int64] = cluster[identical]
    return found


def joined(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the finest groups that break neither of two groupings, int64 ``[N]``.

    Args:
        left: Group of each row; a joined group is called by its smallest number here.
        right: Another grouping of the same rows.
    """
    names, inside = np.unique(left, return_inverse=True)
    others, beside = np.unique(right, return_inverse=True)
    size = len(names) + len(others)
    edges = coo_array((np.ones(len(left), dtype=np.int8), (inside, len(names) + beside)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    _, first = np.unique(component[: len(names)], return_index=True)
    found: NDArray[np.int64] = names[first[component[inside]]]
    return found


def _signatures(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return each picture's cells with mean 0 and length 1, float32 ``[N, 144]``; zeros for a blank picture."""
    n, height, width = faces.shape
    cells = faces.reshape(n, _CELLS, height // _CELLS, _CELLS, width // _CELLS)
    flat = cells.mean((2, 4), dtype=np.float32).reshape(n, -1)
    flat -= flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    blank = length < _FLAT * _CELLS
    return np.where(blank, 0, flat / np.maximum(length, 1e-6)).astype(np.float32)


def _alike(upright: NDArray[np.float32], mirrored: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs (i, j), i < j, of which j or its mirror image is like i."""
    left, right = [], []
    for start in range(0, len(upright), _BLOCK):
        block = upright[start : start + _BLOCK]
        likeness = np.maximum(block @ upright[start:].T, block @ mirrored[start:].T)
        i, j = np.nonzero(likeness > _ALIKE)
        left.append(i[i < j] + start)
        right.append(j[i < j] + start)
    return np.concatenate([np.zeros(0, np.int64), *left]), np.concatenate([np.zeros(0, np.int64), *right])
