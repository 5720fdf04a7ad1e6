"""Temperature scaling (Guo et al. 2017): one number, fitted on rows that were held out, makes probabilities honest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from fer_lightning.scores import HONESTY, score

_BOUNDS = (0.2, 5.0)
_PRIOR = 0.5  # deviation of the logarithm: 95 % of temperatures are expected from 0.4 to 2.7
_SMALLEST = 1e-30


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature under which held-out rows are most likely; above 1 the network was too sure.

    A weak prior (its logarithm is normal around 0) keeps few rows from saying too much: where all of them are known,
    the likelihood alone would want a network that is never in doubt. Among thousands of rows it hardly counts.

    Args:
        probabilities: ``[n, K]``, rows sum to 1, n at least 1.
        labels: Hard labels, int64 ``[n]``.
    """
    rows = np.arange(len(labels))

    def unlikeliness(log_temperature: float) -> float:
        scaled = with_temperature(probabilities, float(np.exp(log_temperature)))
        prior = 0.5 * (log_temperature / _PRIOR) ** 2
        return float(prior - np.log(np.maximum(scaled[rows, labels], _SMALLEST)).sum()) / len(labels)

    found = minimize_scalar(unlikeliness, bounds=np.log(_BOUNDS), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def with_temperature(
    probabilities: NDArray[np.floating], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probabilities under a temperature, float64 ``[n, K]``: softmax of the logits divided by it.

    Args:
        probabilities: ``[n, K]``, rows sum to 1.
        temperature: Above 0; one, or one for each row ``[n]``.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST))
    logits /= np.reshape(temperature, (-1, 1))
    raised = np.exp(logits - logits.max(1, keepdims=True))
    found: NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return found


def score_calibrated(
    raw: NDArray[np.floating],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    temperature: float,
    votes: NDArray[np.floating] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Score predictions under a temperature.

    Args:
        raw: A network's own probabilities ``[n, K]``, n at least 1.
        labels: Hard labels, int64 ``[n]``.
        classes: Names of the K classes.
        temperature: 1 where the network has none.
        votes: Shares of a crowd's votes, ``[n, K]``, where there are some.
        groups: Group of each row ``[n]``, as ``scores.score`` takes them.

    Returns:
        What ``scores.score`` finds; under a temperature other than 1 also ``temperature`` and ``uncalibrated``, what
        the scores that it changes were without it.
    """
    before = score(raw, labels, classes, votes, groups)
    if temperature == 1:
        return before
    after = score(with_temperature(raw, temperature), labels, classes, votes, groups)
    return {
        **after,
        "temperature": temperature,
        "uncalibrated": {name: before[name] for name in HONESTY if name in before},
    }
