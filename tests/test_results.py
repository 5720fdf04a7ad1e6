"""The report on disk and in the terminal."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fer_lightning import results
from fer_lightning.calibration import score_calibrated
from fer_lightning.errors import UserError
from fer_lightning.report.figures import confusion
from fer_lightning.results import show_scores, write_report
from fer_lightning.scores import score

NAMES = ("angry", "fear", "happy")
ROWS = [("row", "label", "predicted"), ("0", "angry", "fear"), ("a, b.png", "fear", "fear")]


def found(rows: int = 90) -> dict[str, Any]:
    labels = np.arange(rows) % 3
    return score(np.eye(3)[(labels + (np.arange(rows) % 5 == 0)) % 3] * 0.7 + 0.1, labels, NAMES)


def report() -> dict[str, Any]:
    return {"network": "improved_cnn", "classes": NAMES, "scores": {"PrivateTest": found(), "twin-free": found(60)}}


def printed(scores: dict[str, Any], title: str = "PrivateTest") -> str:
    text = io.StringIO()
    show_scores(scores, title, Console(file=text, width=80))
    return text.getvalue()


def test_all_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "test-fer2013"
    files = write_report(folder, report(), ROWS)
    assert sorted(folder.iterdir()) == sorted(files)
    names = [file.name for file in files]
    assert names == ["report.json", "scores.csv", "predictions.csv", "confusion_matrix.png"]
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in files)


def test_the_report_names_its_format_and_keeps_every_figure(tmp_path: Path) -> None:
    write_report(tmp_path, report(), ROWS)
    read = json.loads((tmp_path / "report.json").read_text())
    assert read == {"format": results.FORMAT, **json.loads(json.dumps(report()))}


def test_the_csv_files_are_read_back(tmp_path: Path) -> None:
    write_report(tmp_path, report(), ROWS)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == ROWS
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {6}
    happy = found()["per_class"]["happy"]
    assert ["PrivateTest", "happy", *(str(happy[kind]) for kind in ("precision", "recall", "f1", "support"))] in rows
    low, high = found()["accuracy_interval"]
    assert ["PrivateTest", "accuracy", str(found()["accuracy"]), str(low), str(high), "90"] in rows
    for name in ("ece", "nll", "brier"):
        assert ["twin-free", name, str(found(60)[name]), "", "", "60"] in rows
    assert not [row for row in rows if "temperature" in row or "uncalibrated" in row[1]]


def test_the_csv_tells_of_calibration(tmp_path: Path) -> None:
    labels = np.arange(90) % 3
    raw = np.eye(3)[(labels + (np.arange(90) % 5 == 0)) % 3] * 0.7 + 0.1
    scored = score_calibrated(raw, labels, NAMES, 0.6, np.eye(3)[labels])
    write_report(tmp_path, {**report(), "scores": {"PrivateTest": scored}}, ROWS)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[0] == "PrivateTest"]
    assert ["PrivateTest", "temperature", "0.6", "", "", "90"] in rows
    for name in ("ece", "nll", "brier", "kl_to_votes"):
        assert ["PrivateTest", name, str(scored[name]), "", "", "90"] in rows
        assert ["PrivateTest", f"uncalibrated {name}", str(scored["uncalibrated"][name]), "", "", "90"] in rows
    assert json.loads((tmp_path / "report.json").read_text())["scores"]["PrivateTest"] == scored


def test_a_second_test_replaces_the_first(tmp_path: Path) -> None:
    write_report(tmp_path, report(), ROWS)
    write_report(tmp_path, report(), ROWS[:2])
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 2
    assert len(list(tmp_path.iterdir())) == 4


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, report(), ROWS)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def full(part: str, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        write_report(tmp_path, {**report(), "network": "plain_cnn"}, ROWS)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("classes", [2, 8])
def test_the_confusion_picture_opens_and_shows_the_counts(classes: int) -> None:
    counts = np.diag(np.arange(classes)) + 1
    picture = Image.open(io.BytesIO(confusion("c", "a title", counts.tolist(), [f"c{k}" for k in range(classes)]).png))
    assert picture.format == "PNG"
    assert min(picture.size) > 300
    blues = np.asarray(picture.convert("RGB")).astype(int)
    assert ((blues[..., 2] - blues[..., 0]) > 60).any()  # a diagonal cell is filled


def test_a_class_without_rows_is_drawn_empty() -> None:
    picture = confusion("c", "one class", [[3, 0], [0, 0]], ["a", "b"]).png
    assert Image.open(io.BytesIO(picture)).size[0] > 300


def test_the_table_shows_each_class_and_the_sum() -> None:
    text = printed(found())
    lines = text.splitlines()
    assert lines[0].startswith("PrivateTest")
    happy = found()["per_class"]["happy"]
    row = next(line for line in lines if "happy" in line)
    assert row.replace("│", " ").split() == ["happy", *(f"{happy[k]:.3f}" for k in ("precision", "recall", "f1")), "30"]
    low, high = found()["accuracy_interval"]
    assert f"accuracy {found()['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%}), macro-F1" in lines[-1]
    assert lines[-1].endswith("n = 90")


def test_names_with_brackets_are_shown_as_they_are() -> None:
    scores = score(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), ("[red]", "smile [open]"))
    text = printed(scores, "best[a].safetensors on [mine]")
    assert "[red]" in text
    assert "smile [open]" in text
    assert "best[a].safetensors on [mine]" in text
