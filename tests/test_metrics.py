"""ExpressionMetrics against scikit-learn, over several batches and with classes that never occur."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from torch import Tensor

from fer_lightning.metrics import ExpressionMetrics
from fer_lightning.scores import score

NAMES = ("angry", "fear", "happy", "sad", "neutral")


def predictions(rows: int = 101, labelled: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random probabilities that favour the label, which is one of the first so many classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(labelled, (rows,), generator=generator)
    logits = 2 * torch.randn(rows, 5, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 5)
    return logits.softmax(1), labels


def computed(probabilities: Tensor, labels: Tensor, batch: int = 16) -> dict[str, float]:
    metrics = ExpressionMetrics(NAMES)
    for start in range(0, len(labels), batch):
        metrics.update(probabilities[start : start + batch], labels[start : start + batch])
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("labelled", [5, 3, 1])
def test_equals_scikit_learn_over_batches(labelled: int) -> None:
    probabilities, labels = predictions(labelled=labelled)
    found = computed(probabilities, labels)
    guessed = probabilities.argmax(1)
    truth = precision_recall_fscore_support(labels, guessed, labels=range(5), zero_division=0)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, guessed), abs=1e-6)
    macro = f1_score(labels, guessed, labels=range(5), average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(macro, abs=1e-6)
    for kind, values in zip(("precision", "recall", "f1"), truth, strict=False):
        assert [found[f"{kind}/{name}"] for name in NAMES] == pytest.approx(values.tolist(), abs=1e-6)


def test_a_class_that_is_neither_labelled_nor_predicted_scores_zero() -> None:
    probabilities, labels = torch.eye(5)[[0, 1, 1]] * 0.9 + 0.02, torch.tensor([0, 1, 1])
    found = computed(probabilities, labels)
    assert found["accuracy"] == 1
    assert found["macro_f1"] == pytest.approx(2 / 5)
    assert found["recall/sad"] == found["precision/sad"] == found["f1/sad"] == 0


def test_agrees_with_the_scores_of_the_report() -> None:
    probabilities, labels = predictions(500, seed=2)
    found = computed(probabilities, labels)
    reported = score(probabilities.numpy(), labels.numpy(), NAMES)
    for name in ("accuracy", "macro_f1", "ece"):
        assert found[name] == pytest.approx(reported[name], abs=1e-6)


def test_batches_do_not_matter_and_reset_forgets() -> None:
    probabilities, labels = predictions()
    assert computed(probabilities, labels, 7) == pytest.approx(computed(probabilities, labels, 101))
    metrics = ExpressionMetrics(NAMES)
    metrics.update(*predictions(seed=9))
    metrics.reset()
    metrics.update(probabilities, labels)
    assert {name: float(value) for name, value in metrics.compute().items()} == computed(probabilities, labels, 101)


def test_needs_no_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have none: there, any ``.double()`` on the device fails."""
    probabilities, labels = predictions()
    expected = computed(probabilities, labels)

    def refuse(tensor: Tensor) -> Tensor:
        raise TypeError("no float64 on this device")

    monkeypatch.setattr(Tensor, "double", refuse)
    assert computed(probabilities, labels) == expected


def test_nothing_of_it_is_saved_in_a_checkpoint() -> None:
    metrics = ExpressionMetrics(NAMES)
    metrics.update(*predictions())
    assert metrics.state_dict() == {}
    assert np.isfinite(float(metrics.compute()["ece"]))
