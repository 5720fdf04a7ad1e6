"""What scoring enters in the card of a checkpoint: its temperature, and figures that it lacks."""

from pathlib import Path
from typing import Any

from fer_lightning import checkpoint
from fer_lightning.calibration import fit_temperature, score_calibrated
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.known_rows import Predictions, is_own


def score_rows(data: ExpressionDataModule, found: Predictions, temperature: float) -> dict[str, Any]:
    """Score a network's answers under a temperature, against the crowd's votes too where there are some."""
    votes = None if data.faces.votes is None else data.faces.votes[found.rows]
    return score_calibrated(found.probabilities, found.labels, data.classes, temperature, votes)


def calibrate(card: checkpoint.Card, data: ExpressionDataModule, found: Predictions) -> None:
    """Enter the temperature in a checkpoint's card, and the scores of the rows that it was fitted on.

    Args:
        card: The card, which is changed.
        data: The data.
        found: The network's answers to the rows that chose the checkpoint: they are held out, but no row that is
            reported.
    """
    part = data.split.names["validation"]
    # Also where there are votes it is fitted on the hard labels: a probability then means the same with all data, the
    # chance that the label is this one, which is what ECE, NLL and Brier score ask. The card tells what that does to
    # the divergence from the votes.
    temperature = fit_temperature(found.probabilities, found.labels)
    card["calibration"] = {"temperature": temperature, "fitted_on": part}
    card["scores"][part] = score_rows(data, found, temperature)


def calibrate_once(path: Path, card: checkpoint.Card, data: ExpressionDataModule, found: Predictions) -> float:
    """Add a temperature to a checkpoint that lacks one, if these are the rows that chose it.

    Args:
        path: The checkpoint; only a ``.safetensors`` file is written.
        card: Its card, which may be changed.
        data: The data.
        found: The network's answers to validation rows.

    Returns:
        The checkpoint's temperature, 1 where it has none.
    """
    if path.suffix == ".safetensors" and "calibration" not in card and is_own(card, data, "validation", found):
        part = data.split.names["validation"]
        before, now = card["scores"].get(part), score_rows(data, found, 1.0)
        if before and before["accuracy"] != now["accuracy"]:
            print(f"{_differs(part, before, now)}, so no temperature is added")
        else:
            calibrate(card, data, found)
            _save_card(path, card)
            told = f"card: temperature {checkpoint.temperature_of(card):.2f} added, fitted on {part}"
            print(f"{told}; test brings its other figures along" if len(card["scores"]) > 1 else told)
    return checkpoint.temperature_of(card)


def compare(path: Path, card: checkpoint.Card, scores: dict[str, Any]) -> None:
    """Say whether the card's figures were reproduced; figures that it lacks are added to it."""
    added = []
    for part, found in scores.items():
        before = card["scores"].get(part)
        if before and before["accuracy"] != found["accuracy"]:
            print(_differs(part, before, found))
            continue
        if before:
            print(f"card: {part} reproduced exactly, accuracy {found['accuracy']:.6f}")
        if not before or _lacks(before, found):
            card["scores"][part] = found
            added.append(f"card: {part} added" if not before else f"card: {part} has its calibration figures now")
    if added and path.suffix == ".safetensors":
        _save_card(path, card)
        print("\n".join(added))


def _save_card(path: Path, card: checkpoint.Card) -> None:
    checkpoint.save(path, checkpoint.load(path).network, card)


def _lacks(before: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether the card's scores are without some figures, or were made before the checkpoint was calibrated."""
    return bool(found.keys() - before.keys()) or before.get("temperature") != found.get("temperature")


def _differs(part: str, before: dict[str, Any], found: dict[str, Any]) -> str:
    return f"card: {part} is {before['accuracy']:.6f}, here it is {found['accuracy']:.6f}"
