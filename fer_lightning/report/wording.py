"""How a report calls and writes things, in one place."""

from collections.abc import Mapping, Sequence
from typing import Any

Found = Mapping[str, Any]
_CALLED = {"ckplus": "CK+", "fer2013": "FER2013", "ferplus": "FER+"}
NONE = "\N{EN DASH}"
"""Stands where there is no figure."""
UNKNOWN = "unknown"
"""Stands where only the trainings themselves would tell."""


def called(source: str) -> str:
    """Return the usual name of a data set."""
    return _CALLED.get(source, source)


def start_of(key: Found) -> str:
    """Return where the weights of an experiment came from."""
    return "from scratch" if key["start"] == "scratch" else f"from {called(key['start'])}"


def how(one: Found) -> str:
    """Return folds and start of an experiment, and how many folds are there if not all."""
    key, done, wanted = one["key"], len(one["parts"]), one["wanted"]
    missing = "" if done == wanted else f" ({done} of {wanted} trainings)"
    return f"{key['folds']} {key['protocol']} folds, {start_of(key)}{missing}"


def title_of(one: Found) -> str:
    """Return what an experiment is called in titles."""
    return f"{one['key']['network']} on {called(one['key']['source'])}, {how(one)}"


def figure(value: float | None, digits: int = 3) -> str:
    """Return a score."""
    return NONE if value is None else f"{value:.{digits}f}"


def spread(mean: float | None, deviation: float | None) -> str:
    """Return mean and standard deviation over folds; of a single fold there is no deviation."""
    return figure(mean) if deviation is None else f"{figure(mean)} ± {deviation:.3f}"


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def between(low_high: Sequence[float | None], *, differences: bool = False) -> str:
    """Return an interval, of scores or of differences."""
    low, high = low_high
    if low is None or high is None:
        return NONE
    return f"{signed(low)} to {signed(high)}" if differences else f"{low:.3f} to {high:.3f}"


def p_value(test: Found | None) -> str:
    """Return the p of a test, where there is one."""
    if test is None or test["p"] is None:
        return NONE
    return "<0.0001" if test["p"] < 0.0001 else f"{test['p']:.4f}"


def settings(recipe: Mapping[str, str]) -> str:
    """Return a recipe as words: the length first, then what is not the default."""
    words = [f"{name} {value}" for name, value in recipe.items() if name != "epochs"]
    return ", ".join(([f"{recipe['epochs']} epochs"] if "epochs" in recipe else []) + words)
