"""What the out-of-fold predictions say: scores with intervals, paired tests, calibration, what the leak is worth."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fer_lightning.calibration import with_temperature
from fer_lightning.report import statistics as st
from fer_lightning.report.experiments import Experiment, Key, ensembles
from fer_lightning.scores import (
    brier,
    calibration_error,
    confusion_matrix,
    negative_log_likelihood,
    reliability,
    resampled,
)

FORMAT = "fer_lightning findings 1"
HELD_OUT = 10
"""One part in so many of the training folds chooses the checkpoint (as data/folds.py has it)."""


def findings(experiments: Sequence[Experiment]) -> dict[str, Any]:
    """Compute a report's figures; they depend on the predictions alone.

    Args:
        experiments: Out-of-fold predictions.

    Returns:
        Plain JSON: ``experiments`` and ``ensembles`` (scores of each), ``comparisons`` (networks on the same rows) and
        ``leaks`` (random against grouped folds).
    """
    return {
        "format": FORMAT,
        "experiments": [scores(one) for one in experiments],
        "ensembles": [scores(one) for one in ensembles(experiments)],
        "comparisons": list(_comparisons(experiments)),
        "leaks": list(_leaks(experiments)),
    }


def scores(one: Experiment) -> dict[str, Any]:
    """Return the scores of an experiment.

    Returns:
        ``key``, ``name``, ``slug``, ``classes``, ``parts`` (seed and fold of each) of ``wanted``, ``n`` rows in so many
        ``groups``; ``mean`` and ``spread`` (standard deviation) of each score over folds, ``folds`` (the scores of
        each), ``pooled`` scores of all rows with their ``intervals``; ``confusion``; ``calibration`` before and after
        temperature: ``ece``, ``nll``, ``brier`` and the ``reliability`` diagram (``after`` is None for an ensemble),
        and the mean ``temperature``. Scores of classes are lists in the order of ``classes``; None stands for a score
        that there is not: of a class without rows, or the spread of a single fold.
    """
    k = len(one.classes)
    each = [
        st.rates_of_those_there(confusion_matrix(one.label[mask], one.predicted[mask], k))
        for mask in ((one.seed == seed) & (one.fold == fold) for seed, fold in one.parts)
    ]
    mean, spread = st.over_folds(each)
    confusion = confusion_matrix(one.label, one.predicted, k)
    draws = resampled(one.group, one.label, [one.predicted], k)[0]
    averaged = bool(np.isnan(one.temperature).any())
    return {
        "key": one.key._asdict(),
        "name": one.key.name,
        "slug": one.key.slug,
        "classes": list(one.classes),
        "parts": [list(part) for part in one.parts],
        "wanted": one.wanted,
        "n": len(one.label),
        "groups": len(np.unique(one.group)),
        "mean": _plain(mean),
        "spread": _plain(spread),
        "folds": [_plain(rates) for rates in each],
        "pooled": _plain(st.rates_of_those_there(confusion)),
        "intervals": _without_nan(st.intervals(st.rates_of_those_there(draws))),
        "confusion": confusion.tolist(),
        "calibration": {
            "before": _calibration(one, one.probabilities),
            "after": None if averaged else _calibration(one, with_temperature(one.probabilities, one.temperature)),
            "temperature": None if averaged else float(one.temperature.mean()),
        },
    }


def _calibration(one: Experiment, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    confidence, right = probabilities.max(1), one.predicted == one.label
    return {
        "ece": calibration_error(confidence, right),
        "nll": negative_log_likelihood(probabilities, one.label),
        "brier": brier(probabilities, one.label),
        "reliability": reliability(confidence, right),
    }


def _plain(rates: st.Rates) -> dict[str, Any]:
    found: dict[str, Any] = _without_nan({name: np.asarray(value).tolist() for name, value in rates.items()})
    return found


def _without_nan(value: Any) -> Any:
    """Return the same lists and dicts with None for nan, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _alike(
    experiments: Sequence[Experiment], field: Literal["network", "start", "protocol"]
) -> Iterator[tuple[Key, Experiment, Experiment, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs that differ in one field alone, with the places of the predictions of the same rows and seeds."""
    for first, second in combinations(experiments, 2):
        if _without(first.key, field) != _without(second.key, field):
            continue
        ours, theirs = ({name: i for i, name in enumerate(zip(e.seed, e.row, strict=True))} for e in (first, second))
        shared = sorted(ours.keys() & theirs.keys())
        if shared:
            left, right = (np.array([places[name] for name in shared]) for places in (ours, theirs))
            yield first.key, first, second, left, right


def _without(key: Key, field: str) -> Key:
    return Key._make("" if name == field else value for name, value in key._asdict().items())


def _comparisons(experiments: Sequence[Experiment]) -> Iterator[dict[str, Any]]:
    """Compare networks, and starts, on the rows that both have scored in the same folds."""
    fields: tuple[Literal["network", "start"], ...] = ("network", "start")
    for field in fields:
        for key, second, first, right, left in _alike(experiments, field):  # the baseline stands before: it is second
            same = first.fold[left] == second.fold[right]
            if same.any():
                about = {"about": _without(key, field)._asdict(), "by": field}
                sides = {"first": getattr(first.key, field), "second": getattr(second.key, field)}
                yield {**about, **sides, **_compared(first, second, left[same], right[same])}


def _compared(
    first: Experiment, second: Experiment, left: NDArray[np.int64], right: NDArray[np.int64]
) -> dict[str, Any]:
    """Compare two experiments at places of the same rows, seeds and folds."""
    k = len(first.classes)
    label, seed, fold = first.label[left], first.seed[left], first.fold[left]
    a, b = first.predicted[left], second.predicted[right]
    draws = [st.rates_of_those_there(drawn) for drawn in resampled(first.group[left], label, [a, b], k)]
    one_seed = seed == seed.min()  # of several seeds the first: a row may count once in McNemar's test
    pairs = sorted(set(zip(fold.tolist(), seed.tolist(), strict=True)))
    found: dict[str, Any] = {
        "n": len(label),
        "parts": [[seed, fold] for fold, seed in pairs],
        "mcnemar": st.mcnemar((a == label)[one_seed], (b == label)[one_seed]),
        "differences": {},
    }
    for name in ("accuracy", "macro_f1"):

        def difference(mask: NDArray[np.bool_], name: str = name) -> float:
            ours, theirs = (
                st.rates_of_those_there(confusion_matrix(label[mask], predicted[mask], k))[name] for predicted in (a, b)
            )
            return float(ours - theirs)

        by_fold = [
            float(np.mean([difference((fold == one) & (seed == s)) for f, s in pairs if f == one]))
            for one in sorted(set(fold.tolist()))
        ]
        found["differences"][name] = {
            "pooled": difference(np.ones(len(label), dtype=bool)),
            "interval": st.interval(draws[0][name] - draws[1][name]),
            "t_test": _t_test(by_fold, first.key.folds),
        }
    return found


def _t_test(differences: Sequence[float], folds: int) -> dict[str, Any] | None:
    """Return the corrected t-test where every fold is there; of fewer it would say more than is known."""
    if len(differences) < folds:
        return None
    rest = (folds - 1) * (1 - 1 / HELD_OUT)  # what a training has, in folds: a part of it was held out to choose
    return st.corrected_t(differences, 1 / rest)


def _leaks(experiments: Sequence[Experiment]) -> Iterator[dict[str, Any]]:
    """Say what random folds add to the scores of grouped ones, on the rows that both have scored."""
    for key, first, second, left, right in _alike(experiments, "protocol"):
        grouped, random = (first, second) if first.key.protocol == "grouped" else (second, first)
        places = {first.key.protocol: left, second.key.protocol: right}
        a, b = random.predicted[places["random"]], grouped.predicted[places["grouped"]]
        label, group, k = first.label[left], grouped.group[places["grouped"]], len(first.classes)
        with_leak, without = (st.rates_of_those_there(confusion_matrix(label, said, k)) for said in (a, b))
        draws = [st.rates_of_those_there(drawn) for drawn in resampled(group, label, [a, b], k)]
        yield {
            "about": _without(key, "protocol")._asdict(),
            "trainings": {one.key.protocol: _trainings(one, places[one.key.protocol]) for one in (random, grouped)},
            "n": len(label),
            "scores": {
                name: {
                    "random": float(with_leak[name]),
                    "grouped": float(without[name]),
                    "leak": float(with_leak[name] - without[name]),
                    "interval": st.interval(draws[0][name] - draws[1][name]),
                }
                for name in ("accuracy", "macro_f1")
            },
        }


def _trainings(one: Experiment, places: NDArray[np.int64]) -> int:
    """Return how many trainings made these predictions."""
    return len(set(zip(one.seed[places].tolist(), one.fold[places].tolist(), strict=True)))
