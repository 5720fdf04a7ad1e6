"""Starting from another checkpoint's weights (fine-tuning), and what is known of where they come from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fer_lightning import checkpoint
from fer_lightning.checkpoint import Card
from fer_lightning.errors import UserError
from fer_lightning.models import NetworkName, build_network

_SAME_PICTURES = {"fer2013": "fer2013", "ferplus": "fer2013", "ckplus": "ckplus"}
_DRAWN = "sketch"


def start_from(
    network: nn.Module, name: NetworkName, options: dict[str, Any], classes: Sequence[str], path: Path
) -> dict[str, Any]:
    """Give a network the weights of a checkpoint; outputs of classes that the checkpoint lacks keep their own.

    Args:
        network: The network, which is changed.
        name: Its name.
        options: Its options.
        classes: Names of its classes.
        path: The checkpoint.

    Returns:
        Where the weights come from, as it stands in the card: ``checkpoint``, ``data`` and ``training`` (see
        :func:`ancestors`), and ``classes``, those whose outputs were taken.

    Raises:
        UserError: If the checkpoint cannot be used, or is of another network.
    """
    loaded = checkpoint.load(path)
    theirs = loaded.card["network"]["name"]
    if theirs != name:
        raise UserError(f"--init_from {path}: holds {theirs}, not {name}; choose --model.network {theirs}")
    known = list(loaded.card["classes"])
    shared = [label for label in classes if label in known]
    ours, wanted = [classes.index(label) for label in shared], [known.index(label) for label in shared]
    heads = _heads(name, options, len(classes))
    state = network.state_dict()
    for key, value in loaded.network.state_dict().items():
        if key in heads:
            state[key][ours] = value[wanted]
        elif state[key].shape != value.shape:
            raise UserError(f"--init_from {path}: its network has other options ({loaded.card['network']['options']})")
        else:
            state[key].copy_(value)
    training = loaded.card["training"]
    return {
        "checkpoint": checkpoint.identity(path),
        "classes": shared,
        "data": {key: loaded.card["data"][key] for key in ("source", "split", "fingerprint")},
        "training": {"config": {"data": training["config"]["data"]}, "init_from": training.get("init_from")},
    }


def ancestors(card: Card) -> Iterator[dict[str, Any]]:
    """Yield the card itself, what its weights started from, what those started from, and so on."""
    one: dict[str, Any] | None = card
    while one:
        yield one
        one = one["training"].get("init_from")


def cannot_tell(start: dict[str, Any], path: Path, data: dict[str, Any]) -> bool:
    """Return whether a start may have seen the pictures of the present data under another name, and none can tell.

    Args:
        start: Where the weights come from, as :func:`start_from` says it.
        path: The checkpoint.
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
                f"--init_from {path}: was trained on {other['source']} in another form than the {data['source']} here, "
                "so the pictures that are scored may be known to it; take a checkpoint of other data, or of these very "
                "files"
            )
    sources = {other["source"] for other in others} - {_DRAWN}
    return data["source"] != _DRAWN and any(not (family and source in _SAME_PICTURES) for source in sources)


def _is_official(data: dict[str, Any]) -> bool:
    return str(data["split"]).startswith("official")


def _heads(name: NetworkName, options: dict[str, Any], classes: int) -> set[str]:
    """Return the tensors that have a row for each class: those that grow with the number of classes."""
    with torch.device("meta"):
        few, more = (build_network(name, count, **options).state_dict() for count in (classes, classes + 1))
    return {key for key in few if few[key].shape != more[key].shape}
