"""What the paper prints: its tables 1 to 3, transcribed (Yin 2020, section 4; what it calls accuracy is precision)."""

from typing import NamedTuple

NETWORKS = {"plain_cnn": "CNN", "improved_cnn": "Improve the CNN"}
"""Our networks, and what the paper's tables call theirs."""


class PrintedTable(NamedTuple):
    """A table of the paper.

    Attributes:
        number: Its number.
        source: The data set, by our name.
        score: What it holds, by our name.
        title: Our title.
        values: Score of each class, by network.
    """

    number: int
    source: str
    score: str
    title: str
    values: dict[str, dict[str, float]]


class PrintedFigure(NamedTuple):
    """A figure of the paper; its values are not printed."""

    number: int
    source: str
    score: str
    title: str


def _values(happy: float, sad: float, fear: float, angry: float) -> dict[str, float]:
    return {"happy": happy, "sad": sad, "fear": fear, "angry": angry}


TABLES = (
    PrintedTable(
        1,
        "ckplus",
        "precision",
        'precision (the paper\'s "accuracy") of each expression on CK+',
        {"plain_cnn": _values(0.99, 0.99, 1.00, 0.93), "improved_cnn": _values(1.00, 0.99, 1.00, 0.98)},
    ),
    PrintedTable(
        2,
        "ckplus",
        "recall",
        "recall of each expression on CK+",
        {"plain_cnn": _values(1.00, 1.00, 0.97, 0.96), "improved_cnn": _values(1.00, 1.00, 0.99, 0.97)},
    ),
    PrintedTable(
        3,
        "fer2013",
        "precision",
        'precision (the paper\'s "accuracy") of each expression on FER2013',
        {"plain_cnn": _values(0.83, 0.65, 0.54, 0.57), "improved_cnn": _values(0.86, 0.66, 0.63, 0.65)},
    ),
)

FIGURES = (
    PrintedFigure(1, "ckplus", "f1", "F1 of each expression on CK+"),
    PrintedFigure(2, "fer2013", "recall", "recall of each expression on FER2013"),
    PrintedFigure(3, "fer2013", "f1", "F1 of each expression on FER2013"),
)


def f1_from_tables() -> dict[str, dict[str, float]]:
    """Return the F1 behind the paper's figure 1, computed from its tables 1 and 2, as the figure prints no values."""
    precision, recall = TABLES[0].values, TABLES[1].values
    return {
        network: {name: 2 * p * recall[network][name] / (p + recall[network][name]) for name, p in values.items()}
        for network, values in precision.items()
    }
