"""What a network costs: parameters, multiply-adds for one face, and time."""

import time
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


def images_per_second(network: nn.Module, batch: int = 32, seconds: float = 2.0, side: int = 48) -> float:
    """Measure how many grey faces of ``side`` x ``side`` pixels a network answers on a CPU: best of its batches.

    Args:
        network: The network; it is brought to evaluation mode and to the channels-last layout.
        batch: Faces in a batch.
        seconds: How long to measure.
        side: Side of a face in pixels.
    """
    network.eval().to(memory_format=torch.channels_last)
    faces = torch.rand(batch, 1, side, side)
    took: list[float] = []
    with torch.inference_mode():
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(took) < 3:
            began = time.perf_counter()
            network(faces)
            took.append(time.perf_counter() - began)
    return batch / min(took)
