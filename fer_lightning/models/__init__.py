"""The networks: the paper's improved CNN in two widths, the plain CNN that it is compared with, and teachers."""

import inspect
from typing import Any, Literal, get_args

from torch import nn

from fer_lightning.errors import UserError
from fer_lightning.models.improved_cnn import ImprovedCNN, ImprovedCNNWide
from fer_lightning.models.plain_cnn import PlainCNN
from fer_lightning.models.standard import VGG13, RegNetY, ResNet18

NetworkName = Literal["improved_cnn", "improved_cnn_wide", "plain_cnn", "resnet18", "vgg13", "regnet_y"]

_CLASSES: dict[str, type[nn.Module]] = {
    "improved_cnn": ImprovedCNN,
    "improved_cnn_wide": ImprovedCNNWide,
    "plain_cnn": PlainCNN,
    "resnet18": ResNet18,
    "vgg13": VGG13,
    "regnet_y": RegNetY,
}

TAKE_ANY_SIDE = tuple(name for name in _CLASSES if name != "plain_cnn")
"""Networks that average over the picture; the others, with dense layers over it, need its full side."""


def build_network(name: NetworkName, classes: int = 7, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: Which network.
        classes: Number of classes K.
        options: Keyword arguments of the network's class, plain JSON values.

    Returns:
        A module that maps faces, float ``(N, 1, 48, 48)`` in 0..1, to logits ``(N, K)``.

    Raises:
        UserError: If there is no such network, or it does not take an option or its value.
    """
    if name not in _CLASSES:
        raise UserError(f"network {name}: choose from {', '.join(get_args(NetworkName))}")
    for option in options:
        if not _takes(name, option):
            others = [other for other in _CLASSES if _takes(other, option)]
            choice = f", or choose from {', '.join(others)}" if others else ""
            raise UserError(f"network {name}: has no option {option}; leave it out{choice}")
    try:
        return _CLASSES[name](classes, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"network {name} with {options}: {error}") from None


def _takes(name: str, option: str) -> bool:
    return option in inspect.signature(_CLASSES[name]).parameters
