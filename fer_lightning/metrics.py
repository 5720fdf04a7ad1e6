"""Scores while a network trains: one confusion matrix and one calibration error, summed over batches and processes."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchmetrics.classification import MulticlassCalibrationError, MulticlassConfusionMatrix


class ExpressionMetrics(nn.Module):
    """Accuracy, macro-F1, per-class precision, recall and F1, and expected calibration error of one pass."""

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.confusion = MulticlassConfusionMatrix(len(classes))
        self.calibration = MulticlassCalibrationError(len(classes), n_bins=15, norm="l1")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add a batch: probabilities ``(N, K)`` and labels ``(N,)``."""
        self.confusion.update(probabilities.argmax(1), labels)
        self.calibration.update(probabilities, labels)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores of all batches of all processes, by name; a class without rows counts as 0 in macro-F1."""
        counts = self.confusion.compute().float()  # rows: labelled, columns: predicted; Apple's GPUs have no float64
        hits = counts.diagonal()
        precision = hits / counts.sum(0).clamp(min=1)
        recall = hits / counts.sum(1).clamp(min=1)
        f1 = 2 * hits / (counts.sum(0) + counts.sum(1)).clamp(min=1)
        found = {
            "accuracy": hits.sum() / counts.sum().clamp(min=1),
            "macro_f1": f1.mean(),
            "ece": self.calibration.compute(),
        }
        for kind, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            found |= {f"{kind}/{name}": values[k] for k, name in enumerate(self.classes)}
        return found

    def reset(self) -> None:
        """Start anew."""
        self.confusion.reset()
        self.calibration.reset()
