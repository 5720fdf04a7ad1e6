"""The scores of a finished set of predictions, with intervals: what cards and reports hold. Plain numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_SEED = 0
_BINS = 15
_SMALLEST = 1e-12
HONESTY = ("ece", "nll", "brier", "kl_to_votes")
"""The scores that a temperature changes; the last only where there are votes."""


def score(
    probabilities: NDArray[Any],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    votes: NDArray[np.floating] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Score predictions.

    Args:
        probabilities: ``[n, K]``, rows sum to 1, n at least 1.
        labels: Hard labels, int ``[n]``.
        classes: Names of the K classes.
        votes: Shares of a crowd's votes, ``[n, K]``, where there are some.
        groups: Group of each row ``[n]``, a person or a cluster of alike pictures; None where each row is its own.

    Returns:
        Plain JSON: ``n``, ``accuracy`` and ``macro_f1`` with 95 % intervals (bootstrap of whole groups), ``ece`` (15
        equal bins of the top probability), ``nll`` (mean negative log-likelihood of the label), ``brier`` (mean
        squared distance to the one-hot label, 0..2), with votes ``kl_to_votes`` (mean divergence of the probabilities
        from the shares, in nats), ``per_class`` (precision, recall, f1, support) and ``confusion`` (rows labelled,
        columns predicted). A class without rows scores 0 and counts in the macro mean, as in scikit-learn.
    """
    exact = np.asarray(probabilities, dtype=np.float64)
    k = len(classes)
    predicted = exact.argmax(1)
    confusion = confusion_matrix(labels, predicted, k)
    found = rates(confusion)
    bounds = _intervals(resampled(np.arange(len(labels)) if groups is None else groups, labels, [predicted], k)[0])
    support = confusion.sum(1)
    per_class = {
        name: {
            "precision": float(found["precision"][i]),
            "recall": float(found["recall"][i]),
            "f1": float(found["f1"][i]),
            "support": int(support[i]),
        }
        for i, name in enumerate(classes)
    }
    return {
        "n": len(labels),
        "accuracy": float(found["accuracy"]),
        "accuracy_interval": bounds[0],
        "macro_f1": float(found["macro_f1"]),
        "macro_f1_interval": bounds[1],
        **_honesty(exact, labels, votes),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def _honesty(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], votes: NDArray[np.floating] | None
) -> dict[str, float]:
    """Return the scores that are about the probabilities themselves, and not only about which is the highest."""
    found = {
        "ece": calibration_error(probabilities.max(1), probabilities.argmax(1) == labels),
        "nll": negative_log_likelihood(probabilities, labels),
        "brier": brier(probabilities, labels),
    }
    if votes is not None:
        shares = np.asarray(votes, dtype=np.float64)
        own = np.log(shares, where=shares > 0, out=np.zeros_like(shares))  # a share of 0 adds nothing
        found["kl_to_votes"] = float((shares * (own - np.log(np.maximum(probabilities, _SMALLEST)))).sum(1).mean())
    return found


def negative_log_likelihood(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of the labels, in nats, with probabilities of at least 1e-12.

    Args:
        probabilities: ``[n, K]``.
        labels: int ``[n]``.
    """
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _SMALLEST)).mean())


def brier(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the Brier score of several classes: the mean squared distance to the one-hot label, 0..2.

    Args:
        probabilities: ``[n, K]``.
        labels: int ``[n]``.
    """
    wanted = np.eye(probabilities.shape[1])[labels]
    return float(np.square(probabilities - wanted).sum(1).mean())


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy over 15 bins, by their rows.

    Args:
        confidence: Probability of the predicted class, ``[n]`` in 0..1.
        correct: Whether the prediction was right, ``[n]``.
    """
    gap = np.bincount(_bins(confidence), confidence - correct, _BINS)
    return float(np.abs(gap).sum() / len(confidence))


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Return the reliability diagram: for each of 15 bins that has rows mean ``confidence``, ``accuracy`` and ``rows``.

    Args:
        confidence: Probability of the predicted class, ``[n]`` in 0..1.
        correct: Whether the prediction was right, ``[n]``.
    """
    place = _bins(confidence)
    rows = np.bincount(place, minlength=_BINS)
    there = rows > 0
    found = {
        name: np.bincount(place, values, _BINS)[there] / rows[there]
        for name, values in (("confidence", confidence), ("accuracy", correct))
    }
    return {**{name: values.tolist() for name, values in found.items()}, "rows": rows[there].tolist()}


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each confidence; the upper edge belongs to a bin."""
    found: NDArray[np.int64] = np.clip(np.ceil(confidence * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    return found


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return counts int64 ``[K, K]``, rows labelled, columns predicted."""
    return np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def rates(confusion: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return the scores of confusion matrices ``[..., K, K]``, rows labelled, columns predicted.

    Returns:
        ``accuracy`` and ``macro_f1`` ``[...]``; ``precision``, ``recall`` and ``f1`` ``[..., K]``. What has no rows
        scores 0, as in scikit-learn.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    labelled, predicted = counts.sum(-1), counts.sum(-2)
    f1 = 2 * hits / np.maximum(labelled + predicted, 1)
    return {
        "accuracy": hits.sum(-1) / np.maximum(counts.sum((-2, -1)), 1),
        "macro_f1": f1.mean(-1),
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(labelled, 1),
        "f1": f1,
    }


def resampled(
    group: NDArray[np.int64], label: NDArray[np.int64], predictions: Sequence[NDArray[np.int64]], k: int
) -> list[NDArray[np.int64]]:
    """Draw whole groups with replacement (cluster bootstrap), for several sets of predictions together.

    Rows of one group are much alike, so drawing single rows would make intervals too narrow. Scores depend on the
    confusion matrix alone, so groups with the same counts are one pattern, and the patterns are drawn.

    Args:
        group: Group of each row, ``[n]``.
        label: Label of each row, ``[n]``.
        predictions: For each set the predicted class of each row, ``[n]``.
        k: Number of classes.

    Returns:
        For each set the confusion matrices of the draws, int64 ``[2000, K, K]``.
    """
    names, place = np.unique(group, return_inverse=True)
    patterns = np.zeros((len(names), len(predictions) * k * k), dtype=np.int64)
    for number, predicted in enumerate(predictions):
        np.add.at(patterns, (place, number * k * k + label * k + predicted), 1)
    kinds, count = np.unique(patterns, axis=0, return_counts=True)
    drawn = np.random.default_rng(_SEED).multinomial(len(names), count / len(names), _RESAMPLES) @ kinds
    return [part.reshape(-1, k, k) for part in np.split(drawn, len(predictions), axis=1)]


def _intervals(draws: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return bootstrap 95 % intervals of accuracy and macro-F1 from drawn confusion matrices ``[B, K, K]``."""
    found = rates(draws)
    accuracy, macro_f1 = (np.percentile(found[name], [2.5, 97.5]).tolist() for name in ("accuracy", "macro_f1"))
    return accuracy, macro_f1
