"""A resumed training has to go on as it began."""

from pathlib import Path
from typing import Any

from fer_lightning import checkpoint, options
from fer_lightning.ancestry import DRAWN_ON, drew_on
from fer_lightning.errors import UserError

_MAY_CHANGE = ("root", "source", "num_workers", "on_bad_row", "teacher")  # fingerprints tell whether they are the same


def must_match(resume: Path, before: checkpoint.Card, now: checkpoint.Card) -> None:
    """Refuse to resume with other settings than the training began with.

    Args:
        resume: The file to resume from, for the message.
        before: Its card.
        now: The card of what was asked for.

    Raises:
        UserError: Names the first setting that differs.
    """
    compared = [
        ("network", before["network"], now["network"]),
        ("classes", before["classes"], now["classes"]),
        ("data", _short(before["data"]["fingerprint"]), _short(now["data"]["fingerprint"])),
    ]
    drawn = [drew_on(card["training"]) for card in (before, now)]
    for option in DRAWN_ON:
        was, is_now = (of.get(option) for of in drawn)
        if not checkpoint.are_same(was, is_now):
            compared.append((f"--{option}", was, is_now))
    was_set, is_set = before["training"]["config"], now["training"]["config"]
    for group in ("model", "data"):
        old, new = was_set[group], is_set[group]
        compared += [(f"--{group}.{key}", old[key], new[key]) for key in old if key in new and key not in _MAY_CHANGE]
    for key, usual in options.OF_THE_TRAINER.items():
        compared.append((f"--trainer.{key}", *(_given(of["trainer"].get(key), usual) for of in (was_set, is_set))))
    compared += [(f"--{key}", was_set[key], is_set[key]) for key in ("seed_everything", "patience")]
    if "crowd" in before["data"]:  # a card of older versions does not tell
        compared.append(("FER+'s file", _short(before["data"]["crowd"]), _short(now["data"]["crowd"])))
    for what, was, is_now in compared:
        if was != is_now:
            raise UserError(
                f"{resume}: was trained with {what} {was}, now it is {is_now}; resume with the same settings"
            )


def _given(value: Any, usual: Any) -> Any:
    return usual if value is None else value


def _short(fingerprint: str | None) -> str | None:
    return fingerprint and fingerprint[:12]
