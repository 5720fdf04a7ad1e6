"""Intervals and paired tests for out-of-fold predictions, for rows that come in groups (a person, alike pictures)."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fer_lightning.scores import rates

Rates = dict[str, NDArray[np.float64]]


def rates_of_those_there(confusion: NDArray[Any]) -> Rates:
    """Return the scores of confusion matrices ``[..., K, K]``, where a class without a labelled row has none.

    Args:
        confusion: Rows labelled, columns predicted.

    Returns:
        ``accuracy`` and ``macro_f1`` ``[...]``, ``precision``, ``recall`` and ``f1`` ``[..., K]``. A class that no row
        is labelled with has nan, and no part in the mean: a fold or a draw may lack a rare one.
    """
    found = rates(confusion)
    absent = np.asarray(confusion).sum(-1) == 0
    for name in ("precision", "recall", "f1"):
        found[name] = np.where(absent, np.nan, found[name])
    found["macro_f1"] = np.nanmean(found["f1"], axis=-1)
    return found


def over_folds(each: Sequence[Rates]) -> tuple[Rates, Rates]:
    """Return mean and standard deviation of each score over folds; nan where no fold, or only one, has the class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a class that no fold, or only one, has
        stacked = {name: np.stack([one[name] for one in each]) for name in each[0]}
        mean = {name: np.nanmean(values, axis=0) for name, values in stacked.items()}
        return mean, {name: np.nanstd(values, axis=0, ddof=1) for name, values in stacked.items()}


def interval(values: NDArray[np.float64]) -> list[float]:
    """Return the 95 % interval of draws ``[B]``; draws without a score (nan) are left out."""
    there = values[~np.isnan(values)]
    return [float(value) for value in np.percentile(there, (2.5, 97.5))] if len(there) else [np.nan, np.nan]


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
    """Return the corrected resampled t-test (Nadeau and Bengio 2003) of differences, one for each fold.

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
