"""What a network costs: parameters, and multiply-adds for one face."""

from typing import Any

import torch
from torch import Tensor, nn


def parameters(network: nn.Module) -> int:
    """Return the number of trained parameters; running statistics of normalisation are not among them."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, side: int = 48) -> int:
    """Return the multiply-adds of convolutions and dense layers for one grey face of ``side`` x ``side`` pixels."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        places = output[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += weight.numel() * places

    counted = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in counted]
    training = network.training
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, side, side, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return total
