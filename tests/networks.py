"""Networks that nobody trained and that yet tell faces apart, so that a wrong average shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fer_lightning import checkpoint
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.models import NetworkName, build_network
from fer_lightning.models.cost import parameters
from fer_lightning.preprocess import to_tensor
from tests import fakes


def decided(seed: int, name: NetworkName = "improved_cnn", classes: int = 7) -> nn.Module:
    """Return a network in evaluation mode whose answers differ from face to face, and from their mirror images."""
    torch.manual_seed(seed)
    network = build_network(name, classes)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # one batch tells it all
        network(to_tensor(fakes.faces(range(7))))
        list(network.parameters())[-2].mul_(10)
    return network.eval()


def write(
    path: Path,
    seed: int,
    name: NetworkName = "improved_cnn",
    classes: Sequence[str] = FER2013_CLASSES,
    temperature: float | None = None,
) -> Path:
    """Write the checkpoint of such a network, with a temperature if one is given."""
    network = decided(seed, name, len(classes))
    card = fakes.card(name, classes) | {"parameters": parameters(network)}
    if temperature is not None:
        card["calibration"] = {"temperature": temperature, "fitted_on": "PublicTest"}
    checkpoint.save(path, network, card)
    return path


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Turn logits ``[N, K]`` into probabilities."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def answer(network: nn.Module, faces: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities ``[N, K]`` that a network gives to faces ``[N, 48, 48]`` in 0..1."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.ascontiguousarray(faces))[:, None])
    return softmax(logits.numpy())
