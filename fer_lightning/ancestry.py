"""What is known of where a network's weights come from: whose they were, who taught them, of whom they are a mean."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_lightning import checkpoint
from fer_lightning.checkpoint import Card
from fer_lightning.errors import UserError

DRAWN_ON = {"init_from": "init_from", "model.teacher": "teachers"}
"""Options that name other checkpoints, and where a card's ``training`` keeps what is known of those."""

_SAME_PICTURES = {"fer2013": "fer2013", "ferplus": "fer2013", "ckplus": "ckplus"}
_DRAWN = "sketch"
_LEAKS_DROPPED = "leaks dropped"  # as data/folds.py calls such a split


def origin(path: Path, card: Card) -> dict[str, Any]:
    """Return what the card of a training says of a checkpoint that it drew on.

    Args:
        path: The checkpoint.
        card: Its card.

    Returns:
        ``checkpoint``, its identity, and of its own card what :func:`ancestors` and the checks read.
    """
    training = card["training"]
    before = {"init_from": training.get("init_from")}
    before |= {key: training.get(key, []) for key in ("teachers", "averaged")}
    return {
        "checkpoint": checkpoint.identity(path),
        "data": {key: card["data"][key] for key in ("source", "split", "fingerprint")},
        "training": {"config": {"data": training["config"]["data"]}, **before},
    }


def drew_on(training: dict[str, Any]) -> dict[str, str]:
    """Return for each of those options that a training had the identities of the checkpoints, divided by commas."""
    known = {option: training.get(key) or [] for option, key in DRAWN_ON.items()}
    lists = {option: of if isinstance(of, list) else [of] for option, of in known.items()}
    return {option: ", ".join(one["checkpoint"] for one in of) for option, of in lists.items() if of}


def ancestors(card: Card) -> Iterator[dict[str, Any]]:
    """Yield the card itself, what its weights started from, were taught by or are the mean of, and so on for those."""
    yield card
    for one in _sources(card):
        yield from ancestors(one)


def tell_once(card: Card) -> None:
    """Leave out what a card says of a checkpoint's own sources again: they stay where it is named nearest.

    Networks taught by their own start, and by others that were, have the same forebears many times over; told in every
    place, they would double the card with each generation. What is told differently of one is kept: the mean of a
    checkpoint and itself answers as that does, and yet has other sources.
    """
    told: set[tuple[str, ...]] = set()
    near = _sources(card)
    while near:
        for one in near:
            if (whose := tuple(each["checkpoint"].rpartition("@")[2] for each in (one, *_sources(one)))) in told:
                one["training"] = {"config": one["training"]["config"]}
            told.add(whose)
        near = [further for one in near for further in _sources(one)]


def _sources(card: Card) -> list[dict[str, Any]]:
    training = card["training"]
    return [
        one for one in (training.get("init_from"), *training.get("teachers", ()), *training.get("averaged", ())) if one
    ]


def cannot_tell(start: dict[str, Any], named: str, data: dict[str, Any]) -> bool:
    """Return whether a checkpoint may have seen the present pictures under another name, and none can tell.

    Args:
        start: The checkpoint, as :func:`origin` tells of it.
        named: The option that names it, with its value.
        data: What the present card says of the data.

    Raises:
        UserError: If it, or what it started from, was trained on the same pictures in another form, so that the rows
            cannot be compared; the official parts of FER2013 and FER+ are the same pictures, so they may follow each
            other.
    """
    others = [one["data"] for one in ancestors(start) if one["data"]["fingerprint"] != data["fingerprint"]]
    family = _SAME_PICTURES.get(data["source"])
    for other in others:
        leaky = _LEAKS_DROPPED in data["split"] and _LEAKS_DROPPED not in other["split"]
        if leaky and _are_both_official(other, data):
            raise UserError(
                f"{named}: was trained on {other['source']} with twins of rows that are scored here, which "
                "--data.drop_leaks leaves out; take a checkpoint that was trained with --data.drop_leaks"
            )
        if _are_the_same_pictures(other, data):
            raise UserError(
                f"{named}: was trained on {other['source']} in another form than the {data['source']} here, "
                "so the pictures that are scored may be known to it; take a checkpoint of other data, or of these very "
                "files"
            )
    sources = {other["source"] for other in others} - {_DRAWN}
    return data["source"] != _DRAWN and any(not (family and source in _SAME_PICTURES) for source in sources)


def may_know(card: Card, data: dict[str, Any]) -> bool:
    """Return whether a checkpoint, or what it drew on, learned from these pictures in a form that hides which rows.

    Args:
        card: The checkpoint's card.
        data: What a card says of the data.
    """
    others = (one["data"] for one in ancestors(card))
    return any(_are_the_same_pictures(one, data) for one in others if one["fingerprint"] != data["fingerprint"])


def _are_the_same_pictures(other: dict[str, Any], data: dict[str, Any]) -> bool:
    """Return whether two forms of data share pictures across their parts; official parts are the same in both."""
    family = _SAME_PICTURES.get(data["source"])
    return bool(family) and _SAME_PICTURES.get(other["source"]) == family and not _are_both_official(other, data)


def _are_both_official(other: dict[str, Any], data: dict[str, Any]) -> bool:
    both = {_SAME_PICTURES.get(one["source"]) for one in (other, data)}
    return both == {"fer2013"} and _is_official(other) and _is_official(data)


def _is_official(data: dict[str, Any]) -> bool:
    return str(data["split"]).startswith("official")
