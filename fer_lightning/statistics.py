"""Intervals and paired tests for out-of-fold predictions, for rows that come in groups (a person, alike pictures)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_RESAMPLES = 2000
_SEED = 0
Rates = dict[str, NDArray[np.float64]]


def rates(confusion: NDArray[Any]) -> Rates:
    """Return the scores of confusion matrices ``[..., K, K]`` (rows labelled, columns predicted).

    Returns:
        ``accuracy`` and ``macro_f1`` ``[...]``; ``precision``, ``recall`` and ``f1`` ``[..., K]``. What has no rows
        scores 0, as in scikit-learn with ``zero_division=0``.
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


def confusion_matrix(label: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return counts int64 ``[K, K]``, rows labelled, columns predicted."""
    return np.bincount(label * k + predicted, minlength=k * k).reshape(k, k)


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


def interval(values: NDArray[np.float64]) -> list[float]:
    """Return the 95 % interval of draws ``[B]``."""
    return [float(value) for value in np.percentile(values, (2.5, 97.5))]


def intervals(draws: Rates) -> dict[str, Any]:
    """Return the 95 % interval of each score: ``[low, high]``, or for scores of classes a list of those."""
    return {
        name: interval(values) if values.ndim == 1 else [interval(column) for column in values.T]
        for name, values in draws.items()
    }


def mcnemar(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> dict[str, Any]:
    """Return McNemar's exact test of two networks on the same rows.

    Args:
        right: Where the first was right, ``[n]``.
        other: Where the second was right, ``[n]``.

    Returns:
        ``only_first`` and ``only_second``, the rows that one alone had right, and the two-sided ``p``.
    """
    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    p = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    return {"only_first": first, "only_second": second, "p": float(p)}


def corrected_t(differences: Sequence[float], test_to_train: float) -> dict[str, Any]:
    """Return the corrected resampled t-test (Nadeau and Bengio 2003) of differences, one for each fold and seed.

    Folds share most of their training rows, so their scores are not independent; the correction widens the variance.

    Args:
        differences: Score of the first minus score of the second.
        test_to_train: Rows of a fold divided by the rows that its training had.

    Returns:
        ``mean``, ``t``, ``degrees`` of freedom and the two-sided ``p``; t and p are None for fewer than two
        differences, or if all are the same.
    """
    values = np.asarray(differences, dtype=np.float64)
    found: dict[str, Any] = {"mean": float(values.mean()), "degrees": len(values) - 1, "t": None, "p": None}
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    if variance > 1e-18:
        t = found["mean"] / np.sqrt(variance * (1 / len(values) + test_to_train))
        found |= {"t": float(t), "p": float(2 * stats.t.sf(abs(t), len(values) - 1))}
    return found


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15) -> dict[str, list[float]]:
    """Return the reliability diagram: for each bin that has rows its mean ``confidence``, ``accuracy`` and ``rows``.

    Args:
        confidence: Probability of the predicted class, ``[n]`` in 0..1.
        right: Whether the prediction was right, ``[n]``.
        bins: Number of equal bins; the upper edge belongs to a bin.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    there = rows > 0

    def mean(values: NDArray[Any]) -> list[float]:
        return [float(value) for value in np.bincount(place, values, bins)[there] / rows[there]]

    return {"confidence": mean(confidence), "accuracy": mean(right.astype(np.float64)), "rows": rows[there].tolist()}


def of_folds(
    values: Callable[[NDArray[np.bool_]], Rates], parts: Sequence[NDArray[np.bool_]]
) -> tuple[Rates, Rates, list[Rates]]:
    """Return mean and standard deviation over parts, and the scores of each part.

    Args:
        values: Gives the scores of the rows of a mask.
        parts: Masks of the folds (and seeds).
    """
    each = [values(part) for part in parts]
    stacked = {name: np.stack([one[name] for one in each]) for name in each[0]}
    mean = {name: value.mean(0) for name, value in stacked.items()}
    spread = {name: value.std(0, ddof=1) if len(parts) > 1 else value.std(0) for name, value in stacked.items()}
    return mean, spread, each
