"""Temperature scaling against independent truths: a grid search, and networks whose true temperature is known."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fer_lightning.calibration import fit_temperature, score_calibrated, with_temperature
from fer_lightning.scores import score

Case = tuple[NDArray[np.float64], NDArray[np.int64]]


def over_sure(true_temperature: float, rows: int = 4000, classes: int = 7, seed: int = 0) -> Case:
    """Logits, and labels drawn from their softmax at a temperature: the one that calibration should find."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(rows, classes))
    honest = torch.softmax(torch.from_numpy(logits / true_temperature), 1).numpy()
    labels = (honest.cumsum(1) < rng.random((rows, 1))).sum(1).clip(0, classes - 1)
    return logits, labels.astype(np.int64)


def softmax(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    return torch.softmax(torch.from_numpy(logits) / temperature, 1).numpy()


def nll(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> float:
    """Negative log-likelihood by torch, from the logits."""
    return float(functional.cross_entropy(torch.from_numpy(logits) / temperature, torch.from_numpy(labels)))


@pytest.mark.parametrize("true", [0.5, 1.0, 1.7, 3.0])
def test_the_known_temperature_is_found(true: float) -> None:
    logits, labels = over_sure(true)
    assert fit_temperature(softmax(logits), labels) == pytest.approx(true, rel=0.06)


@pytest.mark.parametrize(("true", "seed"), [(0.6, 1), (1.4, 2), (2.5, 3)])
def test_no_temperature_of_a_grid_is_better(true: float, seed: int) -> None:
    logits, labels = over_sure(true, rows=300, seed=seed)
    found = fit_temperature(softmax(logits), labels)
    grid = np.geomspace(0.2, 5.0, 4001)

    def unlikely(temperature: float) -> float:
        return nll(logits, labels, temperature) + 0.5 * (math.log(temperature) / 0.5) ** 2 / len(labels)

    all_of_it = [unlikely(float(temperature)) for temperature in grid]
    assert found == pytest.approx(grid[int(np.argmin(all_of_it))], rel=2e-3)
    assert unlikely(found) <= min(all_of_it) + 1e-7


def test_few_rows_that_are_all_known_do_not_make_a_network_certain() -> None:
    """78 rows right at 95 %, as a small held-out part is: they are no proof of more than about 1 error in 100."""
    k = 7
    labels = np.arange(78) % k
    probabilities = np.full((78, k), 0.05 / (k - 1))
    probabilities[np.arange(78), labels] = 0.95
    sure = with_temperature(probabilities, fit_temperature(probabilities, labels)).max()
    assert 0.98 < sure < 0.999


def test_single_precision_is_enough() -> None:
    logits, labels = over_sure(1.8, rows=500)
    exact = fit_temperature(softmax(logits), labels)
    assert fit_temperature(softmax(logits).astype(np.float32), labels) == pytest.approx(exact, rel=1e-3)


def test_it_is_the_same_each_time() -> None:
    logits, labels = over_sure(1.3, rows=100)
    assert fit_temperature(softmax(logits), labels) == fit_temperature(softmax(logits), labels)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.7])
def test_with_temperature_is_the_softmax_of_divided_logits(temperature: float) -> None:
    logits, _ = over_sure(1.0, rows=50)
    found = with_temperature(softmax(logits), temperature)
    np.testing.assert_allclose(found, softmax(logits, temperature), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.sum(1), 1)


def test_a_temperature_of_one_changes_nothing() -> None:
    probabilities = softmax(over_sure(1.0, rows=50)[0])
    np.testing.assert_allclose(with_temperature(probabilities, 1.0), probabilities, rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.2, 0.7, 5.0])
def test_the_answer_stays_and_only_its_sureness_changes(temperature: float) -> None:
    probabilities = softmax(over_sure(1.0, rows=500)[0])
    found = with_temperature(probabilities, temperature)
    assert np.array_equal(found.argmax(1), probabilities.argmax(1))
    surer = found.max(1) > probabilities.max(1)
    assert surer.all() if temperature < 1 else not surer.any()


def test_each_row_may_have_its_own_temperature() -> None:
    probabilities = softmax(over_sure(1.0, rows=4)[0])
    temperatures = np.array([0.5, 1.0, 2.0, 4.0])
    found = with_temperature(probabilities, temperatures)
    alone = [with_temperature(row[None], float(t))[0] for row, t in zip(probabilities, temperatures, strict=True)]
    np.testing.assert_array_equal(found, alone)


def test_what_is_given_stays_as_it_was() -> None:
    probabilities = softmax(over_sure(1.0, rows=10)[0])
    before = probabilities.copy()
    with_temperature(probabilities, 2.0)
    np.testing.assert_array_equal(probabilities, before)


def test_perfect_and_hopeless_rows_are_followed_within_the_bounds() -> None:
    """Where all rows are right, surer is always likelier; where all are wrong, the contrary."""
    few = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    many = few.repeat(1000, axis=0)
    right, wrong = np.array([0, 1]), np.array([2, 2])
    assert 0.2 <= fit_temperature(many, right.repeat(1000)) < fit_temperature(few, right) < 1
    assert 1 < fit_temperature(few, wrong) < fit_temperature(many, wrong.repeat(1000)) <= 5
    assert fit_temperature(many, wrong.repeat(1000)) == pytest.approx(5.0, rel=1e-2)


@pytest.mark.parametrize("label", [0, 1])
def test_certainty_gives_numbers(label: int) -> None:
    """Probabilities of exactly 0 and 1, as single precision makes them, right or wrong."""
    certain = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    assert 0.2 <= fit_temperature(certain, np.array([label])) <= 5.0
    for temperature in (0.2, 1.0, 5.0):
        found = with_temperature(certain, temperature)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(1), 1)
        assert found.argmax() == 0


def test_one_row_is_enough_and_says_little() -> None:
    assert 0.9 < fit_temperature(np.array([[0.6, 0.4]]), np.array([0])) < 1


NAMES = [f"class{number}" for number in range(7)]


def test_scores_are_told_before_and_after_a_temperature() -> None:
    logits, labels = over_sure(2.0, rows=800)
    raw, honest = softmax(logits), softmax(logits, 2.0)
    votes = 0.7 * np.eye(7)[labels] + 0.3 / 7
    found = score_calibrated(raw, labels, NAMES, 2.0, votes)
    before, after = score(raw, labels, NAMES, votes), score(honest, labels, NAMES, votes)
    assert found["temperature"] == 2.0
    assert set(found["uncalibrated"]) == {"ece", "nll", "brier", "kl_to_votes"}
    for name in found["uncalibrated"]:
        assert found["uncalibrated"][name] == pytest.approx(before[name], abs=1e-12)
        assert found[name] == pytest.approx(after[name], abs=1e-9)
        assert found[name] < before[name]
    for name in ("accuracy", "macro_f1", "confusion", "per_class", "accuracy_interval"):
        assert found[name] == before[name]
    assert "kl_to_votes" not in score_calibrated(raw, labels, NAMES, 2.0)["uncalibrated"]


def test_without_a_temperature_scores_are_the_plain_ones() -> None:
    logits, labels = over_sure(2.0, rows=50)
    assert score_calibrated(softmax(logits), labels, NAMES, 1.0) == score(softmax(logits), labels, NAMES)
