"""What ``test`` leaves behind: a report for machines, a table for spreadsheets, a picture for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fer_lightning.report.figures import confusion
from fer_lightning.whole_files import csv_bytes, write

FORMAT = "fer_lightning report 1"
_HONESTY = {"ece": "ECE", "nll": "NLL", "brier": "Brier", "kl_to_votes": "KL to the votes"}


def per_class_table(found: dict[str, Any], title: str) -> Table:
    """Return one part's scores as a table for the terminal.

    Args:
        found: What ``scores.score`` returned.
        title: What stands above.
    """
    table = Table(title=escape(title), title_justify="left", min_width=60)
    table.add_column("class")
    for column in ("precision", "recall", "F1", "support"):
        table.add_column(column, justify="right")
    for name, row in found["per_class"].items():
        rates = (f"{row[kind]:.3f}" for kind in ("precision", "recall", "f1"))
        table.add_row(escape(name), *rates, f"{row['support']:,}")
    return table


def show_scores(found: dict[str, Any], title: str, console: Console) -> None:
    """Print one part's scores: the table of its classes, and a line on all of them together.

    Args:
        found: What ``scores.score`` or ``calibration.score_calibrated`` returned.
        title: What stands above.
        console: Where.
    """
    console.print(per_class_table(found, title))
    console.print(score_line(found), highlight=False, soft_wrap=True)


def score_line(found: dict[str, Any]) -> str:
    """Return what ``scores.score`` found on all classes together, as a line to read."""
    low, high = found["accuracy_interval"]
    low_f1, high_f1 = found["macro_f1_interval"]
    return (
        f"accuracy {found['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%}), "
        f"macro-F1 {found['macro_f1']:.3f} ({low_f1:.3f} to {high_f1:.3f}), {_honesty(found)}, n = {found['n']:,}"
    )


def _honesty(found: dict[str, Any]) -> str:
    """Return the scores of the probabilities themselves, each before and after a temperature where there is one."""
    before = found.get("uncalibrated", {})
    shown = (
        f"{name} " + (f"{before[key]:.3f} -> " if key in before else "") + f"{found[key]:.3f}"
        for key, name in _HONESTY.items()
        if key in found  # an older card lacks some
    )
    return ", ".join(shown) + (f" after temperature {found['temperature']:.2f}" if before else "")


def write_report(
    folder: Path, report: dict[str, Any], predictions: Sequence[Sequence[Any]], told: str = ""
) -> list[Path]:
    """Write ``report.json``, ``scores.csv``, ``predictions.csv`` and ``confusion_matrix.png``, each whole or not.

    Args:
        folder: Where; made if it is not there.
        report: Plain JSON with ``classes`` and ``scores`` (part -> what ``scores.score`` returned, whole part first).
        predictions: The rows of ``predictions.csv``, the first its header.
        told: What stands behind the network's name above the picture, such as how it was asked.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part, found = next(iter(report["scores"].items()))
    title = f"{report['network']}{told} on {part}: accuracy {found['accuracy']:.1%}, n = {found['n']:,}"
    contents = {
        "report.json": json.dumps({"format": FORMAT, **report}, indent=2).encode(),
        "scores.csv": csv_bytes(_score_rows(report["scores"])),
        "predictions.csv": csv_bytes(predictions),
        "confusion_matrix.png": confusion("confusion", title, found["confusion"], report["classes"]).png,
    }
    return [write(folder / name, content) for name, content in contents.items()]


def _score_rows(scores: dict[str, Any]) -> list[Sequence[Any]]:
    rows: list[Sequence[Any]] = [("part", "class", "precision", "recall", "f1", "support")]
    for part, found in scores.items():
        rows += [(part, name, *(row[kind] for kind in rows[0][2:])) for name, row in found["per_class"].items()]
    rows.append(("part", "score", "value", "low", "high", "n"))
    for part, found in scores.items():
        for name in ("accuracy", "macro_f1", *_HONESTY, "temperature"):
            if name in found:
                rows.append((part, name, found[name], *found.get(f"{name}_interval", ("", "")), found["n"]))
        before = found.get("uncalibrated", {})
        rows += [(part, f"uncalibrated {name}", value, "", "", found["n"]) for name, value in before.items()]
    return rows
