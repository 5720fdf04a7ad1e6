"""The scores of a finished set of predictions, with intervals: what cards and reports hold. Plain numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_SEED = 0
_BINS = 15


def score(probabilities: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Score predictions.

    Args:
        probabilities: ``[n, K]``, rows sum to 1, n at least 1.
        labels: Hard labels, int ``[n]``.
        classes: Names of the K classes.

    Returns:
        Plain JSON: ``n``, ``accuracy`` and ``macro_f1`` with bootstrap 95 % intervals, ``ece`` (15 equal bins of the
        top probability), ``nll`` (mean negative log-likelihood of the label), ``per_class`` (precision, recall, f1,
        support) and ``confusion`` (rows labelled, columns predicted). A class without rows scores 0 and counts in
        the macro mean, as in scikit-learn.
    """
    exact = np.asarray(probabilities, dtype=np.float64)
    k = len(classes)
    predicted = exact.argmax(1)
    confusion = np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)
    accuracy, precision, recall, f1 = _rates(confusion[None])
    bounds = _intervals(confusion)
    support = confusion.sum(1)
    per_class = {
        name: {
            "precision": float(precision[0, i]),
            "recall": float(recall[0, i]),
            "f1": float(f1[0, i]),
            "support": int(support[i]),
        }
        for i, name in enumerate(classes)
    }
    likelihood = exact[np.arange(len(labels)), labels]
    return {
        "n": len(labels),
        "accuracy": float(accuracy[0]),
        "accuracy_interval": bounds[0],
        "macro_f1": float(f1[0].mean()),
        "macro_f1_interval": bounds[1],
        "ece": calibration_error(exact.max(1), predicted == labels),
        "nll": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy over 15 bins, by their rows.

    Args:
        confidence: Probability of the predicted class, ``[n]`` in 0..1.
        correct: Whether the prediction was right, ``[n]``.
    """
    place = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    gap = np.bincount(place, confidence - correct, _BINS)
    return float(np.abs(gap).sum() / len(confidence))


def _rates(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return accuracy ``[B]`` and precision, recall and F1 ``[B, K]`` of confusion matrices ``[B, K, K]``."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    labelled, predicted = counts.sum(2), counts.sum(1)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(labelled, 1)
    f1 = 2 * hits / np.maximum(labelled + predicted, 1)
    return hits.sum(1) / np.maximum(counts.sum((1, 2)), 1), precision, recall, f1


def _intervals(confusion: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return bootstrap 95 % intervals of accuracy and macro-F1.

    Both depend on the cells of the confusion matrix alone, so drawing the cells from a multinomial is the same as
    drawing rows with replacement.
    """
    n = int(confusion.sum())
    draws = np.random.default_rng(_SEED).multinomial(n, confusion.ravel() / n, _RESAMPLES)
    accuracy, _, _, f1 = _rates(draws.reshape(_RESAMPLES, *confusion.shape))
    low_high = [2.5, 97.5]
    return list(map(float, np.percentile(accuracy, low_high))), list(map(float, np.percentile(f1.mean(1), low_high)))
