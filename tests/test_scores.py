"""The scores of the report against scikit-learn, torchmetrics, hand-made figures and a bootstrap of rows."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)
from torch.nn.functional import kl_div
from torchmetrics.functional.classification import multiclass_calibration_error

from fer_lightning.scores import brier, calibration_error, score

NAMES = ("angry", "fear", "happy", "sad")


def predictions(rows: int = 300, labelled: int = 4, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Random probabilities that favour the label, which is one of the first so many classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, labelled, rows)
    logits = torch.from_numpy(rng.normal(0, 1.5, (rows, 4)) + 1.5 * np.eye(4)[labels])
    return logits.softmax(1).numpy().astype(np.float32), labels


@pytest.mark.parametrize("labelled", [4, 2, 1])
def test_equals_scikit_learn(labelled: int) -> None:
    probabilities, labels = predictions(labelled=labelled)
    guessed = probabilities.argmax(1)
    found = score(probabilities, labels, NAMES)
    assert found["n"] == 300
    assert found["accuracy"] == accuracy_score(labels, guessed)
    macro = f1_score(labels, guessed, labels=range(4), average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(macro, abs=1e-12)
    assert found["confusion"] == confusion_matrix(labels, guessed, labels=range(4)).tolist()
    exact = probabilities / probabilities.sum(1, keepdims=True, dtype=float)
    assert found["nll"] == pytest.approx(log_loss(labels, exact, labels=range(4)), abs=1e-6)
    truth = precision_recall_fscore_support(labels, guessed, labels=range(4), zero_division=0)
    for kind, values in zip(("precision", "recall", "f1", "support"), truth, strict=True):
        assert [found["per_class"][name][kind] for name in NAMES] == pytest.approx(values.tolist(), abs=1e-12)


def test_is_plain_json_and_repeats_to_the_bit() -> None:
    probabilities, labels = predictions()
    found = score(probabilities, labels, NAMES)
    assert json.loads(json.dumps(found)) == found == score(probabilities, labels, NAMES)


def test_calibration_error_by_hand() -> None:
    """Two bins: 0.60 and 0.61 of which one is right, 0.95 which is wrong."""
    error = calibration_error(np.array([0.61, 0.62, 0.95]), np.array([True, False, False]))
    assert error == pytest.approx((abs(0.61 + 0.62 - 1) + 0.95) / 3)


@pytest.mark.parametrize(("confidence", "correct", "error"), [(1.0, True, 0.0), (1.0, False, 1.0), (0.25, True, 0.75)])
def test_calibration_error_at_the_ends(confidence: float, correct: bool, error: float) -> None:
    assert calibration_error(np.full(5, confidence), np.full(5, correct)) == pytest.approx(error)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_equals_torchmetrics(seed: int) -> None:
    probabilities, labels = predictions(1000, seed=seed)
    theirs = multiclass_calibration_error(torch.from_numpy(probabilities), torch.from_numpy(labels), 4, 15, "l1")
    assert score(probabilities, labels, NAMES)["ece"] == pytest.approx(float(theirs), abs=1e-6)


def by_rows(labels: NDArray[Any], guessed: NDArray[Any], rounds: int = 2000) -> tuple[NDArray[Any], NDArray[Any]]:
    """The textbook's bootstrap: draw rows with replacement, score each drawing."""
    rng = np.random.default_rng(7)
    accuracies, macros = [], []
    for _ in range(rounds):
        rows = rng.integers(0, len(labels), len(labels))
        counts = np.zeros((4, 4))
        np.add.at(counts, (labels[rows], guessed[rows]), 1)
        accuracies.append(np.trace(counts) / len(labels))
        macros.append((2 * np.diag(counts) / np.maximum(counts.sum(0) + counts.sum(1), 1)).mean())
    return np.percentile(accuracies, [2.5, 97.5]), np.percentile(macros, [2.5, 97.5])


def test_intervals_equal_a_bootstrap_of_rows() -> None:
    probabilities, labels = predictions()
    found = score(probabilities, labels, NAMES)
    accuracy, macro = by_rows(labels, probabilities.argmax(1))
    assert found["accuracy_interval"] == pytest.approx(accuracy.tolist(), abs=0.005)
    assert found["macro_f1_interval"] == pytest.approx(macro.tolist(), abs=0.005)
    assert accuracy[1] - accuracy[0] > 0.08  # so that the tolerance says something


def test_more_rows_narrow_the_interval() -> None:
    widths = [np.diff(score(*predictions(rows), NAMES)["accuracy_interval"])[0] for rows in (100, 10_000)]
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.2)


def test_one_certain_row_has_finite_scores() -> None:
    found = score(np.array([[0.0, 1.0]]), np.array([0]), ("a", "b"))
    assert (found["n"], found["accuracy"], found["accuracy_interval"]) == (1, 0.0, [0.0, 0.0])
    assert found["nll"] == pytest.approx(-np.log(1e-12))


def test_brier_by_hand() -> None:
    """The first row is 0.2, 0.1 and 0.1 off; the second is wholly wrong."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.0, 1.0, 0.0]])
    assert brier(probabilities, np.array([0, 2])) == pytest.approx((0.04 + 0.01 + 0.01 + 2) / 2)
    assert score(probabilities, np.array([0, 2]), NAMES[:3])["brier"] == brier(probabilities, np.array([0, 2]))


def test_brier_is_the_sum_of_scikit_learns_over_the_classes() -> None:
    probabilities, labels = predictions()
    each = [brier_score_loss(labels == k, probabilities[:, k]) for k in range(4)]
    assert score(probabilities, labels, NAMES)["brier"] == pytest.approx(sum(each), abs=1e-6)


def test_divergence_from_the_votes_equals_torchs() -> None:
    probabilities, labels = predictions()
    votes = np.full((300, 4), 0.1)
    votes[np.arange(300), labels] = 0.9
    votes[np.arange(300), (labels + 1) % 4] = 0.0
    votes /= votes.sum(1, keepdims=True)
    theirs = kl_div(torch.from_numpy(probabilities).double().log(), torch.from_numpy(votes), reduction="batchmean")
    assert "kl_to_votes" not in score(probabilities, labels, NAMES)
    assert score(probabilities, labels, NAMES, votes)["kl_to_votes"] == pytest.approx(float(theirs), abs=1e-9)
    assert score(votes, labels, NAMES, votes)["kl_to_votes"] == pytest.approx(0, abs=1e-12)


def test_divergence_by_hand_and_finite_where_a_voted_class_is_impossible() -> None:
    found = score(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), ("a", "b"), np.array([[1.0, 0], [0.5, 0.5]]))
    assert found["kl_to_votes"] == pytest.approx((np.log(2) + 0.5 * np.log(0.5) + 0.5 * np.log(0.5 / 1e-12)) / 2)
