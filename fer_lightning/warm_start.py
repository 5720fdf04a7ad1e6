"""Starting from another checkpoint's weights (fine-tuning)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fer_lightning import checkpoint
from fer_lightning.ancestry import origin
from fer_lightning.errors import UserError
from fer_lightning.models import NetworkName, build_network


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
        Where the weights come from, as it stands in the card (see :func:`~fer_lightning.ancestry.origin`), with
        ``classes``, those whose outputs were taken.

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
    state, given = network.state_dict(), loaded.network.state_dict()
    shapes, given_shapes = ({k: v.shape for k, v in of.items() if k not in heads} for of in (state, given))
    if shapes != given_shapes:
        raise UserError(f"--init_from {path}: its network has other options ({loaded.card['network']['options']})")
    for key, value in given.items():
        if key in heads:
            state[key][ours] = value[wanted]
        else:
            state[key].copy_(value)
    return {**origin(path, loaded.card), "classes": shared}


def _heads(name: NetworkName, options: dict[str, Any], classes: int) -> set[str]:
    """Return the tensors that have a row for each class: those that grow with the number of classes."""
    with torch.device("meta"):
        few, more = (build_network(name, count, **options).state_dict() for count in (classes, classes + 1))
    return {key for key in few if few[key].shape != more[key].shape}
