"""What is known of where a network's weights come from: whose they were before, and who taught them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_lightning import checkpoint
from fer_lightning.checkpoint import Card
from fer_lightning.errors import UserError

_SAME_PICTURES = {"fer2013": "fer2013", "ferplus": "fer2013", "ckplus": "ckplus"}
_DRAWN = "sketch"


def origin(path: Path, card: Card) -> dict[str, Any]:
    """Return what the card of a training says of a checkpoint that it drew on.

    Args:
        path: The checkpoint.
        card: Its card.

    Returns:
        ``checkpoint``, its identity, and of its own card what :func:`ancestors` and the checks read.
    """
    training = card["training"]
    before = {"init_from": training.get("init_from"), "teachers": training.get("teachers", [])}
    return {
        "checkpoint": checkpoint.identity(path),
        "data": {key: card["data"][key] for key in ("source", "split", "fingerprint")},
        "training": {"config": {"data": training["config"]["data"]}, **before},
    }


def ancestors(card: Card) -> Iterator[dict[str, Any]]:
    """Yield the card itself, what its weights started from and were taught by, what those drew on, and so on."""
    yield card
    training = card["training"]
    for one in (training.get("init_from"), *training.get("teachers", ())):
        if one:
            yield from ancestors(one)


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
        both_official = family == "fer2013" and _is_official(other) and _is_official(data)
        if family and _SAME_PICTURES.get(other["source"]) == family and not both_official:
            raise UserError(
                f"{named}: was trained on {other['source']} in another form than the {data['source']} here, "
                "so the pictures that are scored may be known to it; take a checkpoint of other data, or of these very "
                "files"
            )
    sources = {other["source"] for other in others} - {_DRAWN}
    return data["source"] != _DRAWN and any(not (family and source in _SAME_PICTURES) for source in sources)


def _is_official(data: dict[str, Any]) -> bool:
    return str(data["split"]).startswith("official")
