"""What the out-of-fold predictions say: scores with intervals, paired tests, calibration, what the leak is worth."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fer_lightning import statistics as st
from fer_lightning.calibration import with_temperature
from fer_lightning.experiments import Experiment, Key, ensembles
from fer_lightning.scores import calibration_error

FORMAT = "fer_lightning findings 1"


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
        ``key``, ``classes``, ``parts`` (seed and fold of each), ``complete``, ``n``; ``mean`` and ``spread`` (standard
        deviation) of each score over folds, ``folds`` (the scores of each), ``pooled`` scores of all rows with their
        ``intervals``; ``confusion``; ``calibration`` before and after temperature: ``ece``, ``nll``, ``brier`` and the
        ``reliability`` diagram. Scores of classes are lists in the order of ``classes``.
    """
    k = len(one.classes)
    masks = [(one.seed == seed) & (one.fold == fold) for seed, fold in one.parts]

    def of(mask: NDArray[np.bool_]) -> st.Rates:
        return st.rates(st.confusion_matrix(one.label[mask], one.predicted[mask], k))

    mean, spread, each = st.of_folds(of, masks)
    confusion = st.confusion_matrix(one.label, one.predicted, k)
    draws = st.resampled(one.group, one.label, [one.predicted], k)[0]
    tempered = with_temperature(one.probabilities, one.temperature)
    return {
        "key": one.key._asdict(),
        "name": one.key.name,
        "classes": list(one.classes),
        "parts": [list(part) for part in one.parts],
        "complete": one.is_complete,
        "n": len(one.label),
        "groups": len(np.unique(one.group)),
        "mean": _plain(mean),
        "spread": _plain(spread),
        "folds": [_plain(rates) for rates in each],
        "pooled": _plain(st.rates(confusion)),
        "intervals": st.intervals(st.rates(draws)),
        "confusion": confusion.tolist(),
        "calibration": {"before": _calibration(one, one.probabilities), "after": _calibration(one, tempered)},
    }


def _calibration(one: Experiment, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    confidence, right = probabilities.max(1), one.predicted == one.label
    likelihood = probabilities[np.arange(len(one.label)), one.label]
    wanted = np.eye(len(one.classes))[one.label]
    return {
        "ece": calibration_error(confidence, right),
        "nll": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "brier": float(np.square(probabilities - wanted).sum(1).mean()),
        "reliability": st.reliability(confidence, right),
    }


def _plain(rates: st.Rates) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in rates.items()}


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
    """Compare networks, and starts, that were scored on the same folds."""
    fields: tuple[Literal["network", "start"], ...] = ("network", "start")
    for field in fields:
        for key, second, first, right, left in _alike(experiments, field):  # the baseline stands before: it is second
            same = first.fold[left] == second.fold[right]
            left, right = left[same], right[same]
            k = len(first.classes)
            a, b, label, group = first.predicted[left], second.predicted[right], first.label[left], first.group[left]
            pairs = sorted(set(zip(first.seed[left].tolist(), first.fold[left].tolist(), strict=True)))
            masks = [(first.seed[left] == seed) & (first.fold[left] == fold) for seed, fold in pairs]
            draws = [st.rates(drawn) for drawn in st.resampled(group, label, [a, b], k)]
            yield {
                "about": _without(key, field)._asdict(),
                "by": field,
                "first": getattr(first.key, field),
                "second": getattr(second.key, field),
                "n": len(label),
                "parts": [list(pair) for pair in pairs],
                "mcnemar": st.mcnemar(a == label, b == label),
                "differences": {
                    name: _difference(name, a, b, label, masks, draws, k, 1 / (key.folds - 1))
                    for name in ("accuracy", "macro_f1")
                },
            }


def _difference(
    name: str,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    label: NDArray[np.int64],
    masks: Sequence[NDArray[np.bool_]],
    draws: Sequence[st.Rates],
    k: int,
    test_to_train: float,
) -> dict[str, Any]:
    def of(predicted: NDArray[np.int64], mask: NDArray[np.bool_]) -> float:
        return float(st.rates(st.confusion_matrix(label[mask], predicted[mask], k))[name])

    everything = np.ones(len(label), dtype=bool)
    each = [of(a, mask) - of(b, mask) for mask in masks]
    return {
        "pooled": of(a, everything) - of(b, everything),
        "interval": st.interval(draws[0][name] - draws[1][name]),
        "t_test": st.corrected_t(each, test_to_train),
    }


def _leaks(experiments: Sequence[Experiment]) -> Iterator[dict[str, Any]]:
    """Say what random folds add to the scores of grouped ones, on the rows that both have scored."""
    for key, first, second, left, right in _alike(experiments, "protocol"):
        grouped, random = (first, second) if first.key.protocol == "grouped" else (second, first)
        places = {first.key.protocol: left, second.key.protocol: right}
        a, b = random.predicted[places["random"]], grouped.predicted[places["grouped"]]
        label, group, k = first.label[left], grouped.group[places["grouped"]], len(first.classes)
        with_leak, without = (st.rates(st.confusion_matrix(label, predicted, k)) for predicted in (a, b))
        draws = [st.rates(drawn) for drawn in st.resampled(group, label, [a, b], k)]
        yield {
            "about": key._replace(protocol="")._asdict(),
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
