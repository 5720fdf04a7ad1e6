"""What the training rows give away of the rows that are scored."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_lightning.data.duplicates import find_duplicates
from fer_lightning.data.faceset import FaceSet
from fer_lightning.data.folds import Split


def leakage(faces: FaceSet, split: Split) -> dict[str, Any]:
    """Count the scored rows of which the training rows hold the picture or the person.

    Args:
        faces: The set.
        split: Its split; the training rows count as they are used, after leaks were dropped.

    Returns:
        For ``validation`` and ``test`` each: ``rows``, those with an ``identical`` picture in training, those with an
        identical or near-identical one (``near_identical``), and the number of ``shared_subjects`` (None if the set
        does not know its subjects). The same for ``test_in_validation``, as those rows choose the checkpoint.
    """
    return {
        "validation": _between(faces, split.train, split.validation),
        "test": _between(faces, split.train, split.test),
        "test_in_validation": _between(faces, split.validation, split.test),
    }


def _between(faces: FaceSet, known: NDArray[np.int64], scored: NDArray[np.int64]) -> dict[str, Any]:
    clusters = find_duplicates(faces)
    subjects = faces.subjects
    shared = None if subjects is None else len(np.intersect1d(subjects[known], subjects[scored]))
    return {
        "rows": len(scored),
        "identical": int(np.isin(clusters.identical[scored], clusters.identical[known]).sum()),
        "near_identical": int(np.isin(clusters.near[scored], clusters.near[known]).sum()),
        "shared_subjects": shared,
    }


def twin_free(faces: FaceSet, split: Split) -> NDArray[np.bool_]:
    """Return bool ``[test rows]``: True for a face without an identical picture in the whole training part.

    Leaks that were dropped still count as training rows, so that the rows are the same whichever way one trained.
    """
    identical = find_duplicates(faces).identical
    alone = ~np.isin(identical[split.test], identical[split.before_drop])
    if faces.not_face is not None:
        alone &= ~faces.not_face[split.test]
    found: NDArray[np.bool_] = alone
    return found
