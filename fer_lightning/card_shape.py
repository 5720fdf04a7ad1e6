"""What the readers of a card rely on; a file whose card lacks it is refused."""

from typing import Any

_TEMPERATURES = (0.01, 100.0)  # beyond these single precision overflows, or all probabilities are alike
_LEAKS = {"rows": int, "identical": int, "near_identical": int, "shared_subjects": int | None}
_NEEDED = {  # what the readers of a card rely on
    "network": {"name": str, "options": dict},
    "parameters": int,
    "multiply_adds": int,
    "classes": list,
    "preprocessing": str,
    "data": {
        "source": str,
        "fingerprint": str,
        "split": str,
        "rows": dict,
        "dropped": dict,
        "leakage": {"validation": _LEAKS, "test": _LEAKS},
    },
    "training": {"command": str, "config": {"data": dict, "model": dict}, "chosen_by": str, "device": str},
    "environment": {"processor": str, "accelerators": list, "system": str, "python": str, "versions": dict},
    "scores": dict,
}
_SCORES = {
    "n": int,
    "accuracy": float,
    "accuracy_interval": list,
    "macro_f1": float,
    "macro_f1_interval": list,
    "ece": float,
    "per_class": dict,
}
_CALIBRATED = {"temperature": float, "uncalibrated": {"ece": float, "nll": float, "brier": float}}
"""What scores hold beside, where the card has a temperature."""


def damage(card: Any) -> str | None:
    """Return what is wrong with a card, as the rest of a sentence about it; None if nothing is.

    Args:
        card: What a file held in its place: any JSON, or nothing.
    """
    if not _fits(card, _NEEDED) or not all(map(_are_scores, card["scores"].values())):
        return "is damaged"
    if "calibration" in card and not _is_calibration(card["calibration"]):
        return "holds no temperature from {:g} to {:g}".format(*_TEMPERATURES)
    return None


def _are_scores(found: Any) -> bool:
    return _fits(found, _SCORES) and ("uncalibrated" not in found or _fits(found, _CALIBRATED))


def _is_calibration(value: Any) -> bool:
    fits = _fits(value, {"temperature": (int, float), "fitted_on": str}) and value["temperature"] is not True
    return fits and _TEMPERATURES[0] <= value["temperature"] <= _TEMPERATURES[1]


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and _fits(value[key], shape[key]) for key in shape)
    return isinstance(value, shape)
