"""What scoring enters in the card of a checkpoint: its temperature, and figures that it lacks."""

from pathlib import Path
from typing import Any

from fer_lightning import checkpoint
from fer_lightning.calibration import fit_temperature, score_calibrated
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.folds import groups_of
from fer_lightning.known_rows import Predictions, is_own
from fer_lightning.scores import HONESTY

_LAST_DIGITS = 1e-3
"""So much scores of probabilities may differ from one processor to another, where no row has changed its class."""


def score_rows(data: ExpressionDataModule, found: Predictions, temperature: float) -> dict[str, Any]:
    """Score a network's answers under a temperature, against the crowd's votes too where there are some."""
    votes = None if data.faces.votes is None else data.faces.votes[found.rows]
    groups = groups_of(data.faces)[found.rows]
    return score_calibrated(found.probabilities, found.labels, data.classes, temperature, votes, groups)


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
        if before and (differs := _differs(part, before, now)):
            print(f"{differs}, so no temperature is added")
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
        if before and (differs := _differs(part, before, found)):
            print(differs)
            continue
        if before:
            print(f"card: {part} reproduced exactly, accuracy {found['accuracy']:.6f}")
        if not before or _is_of_before(before, found):
            card["scores"][part] = found
            added.append(f"card: {part} added" if not before else f"card: {part} brought up to date")
    if added and path.suffix == ".safetensors":
        _save_card(path, card)
        print("\n".join(added))


def _save_card(path: Path, card: checkpoint.Card) -> None:
    checkpoint.save(path, checkpoint.load(path).network, card)


def _is_of_before(before: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether the card's scores are of a version that drew other intervals, or of before the calibration."""
    settled = ("temperature", "accuracy_interval", "macro_f1_interval")  # the same from any processor
    return bool(found.keys() - before.keys()) or any(before.get(name) != found.get(name) for name in settled)


def _differs(part: str, before: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Return which figure of a card was not reproduced, None where all were that both have."""
    if before["n"] != found["n"]:
        reason = "it was scored with another set of files: FER+'s fer2013new.csv tells which rows show no face"
        return f"card: {part} has {before['n']:,} rows, here it has {found['n']:,}; {reason}"
    raw, again = ({**of, **of.get("uncalibrated", {})} for of in (before, found))  # whatever their temperatures
    for name in ("accuracy", "macro_f1", *HONESTY):
        tolerance = _LAST_DIGITS if name in HONESTY else 1e-9
        if name in raw and name in again and abs(raw[name] - again[name]) > tolerance:
            return f"card: {name} on {part} is {raw[name]:.6f}, here it is {again[name]:.6f}"
    return None
