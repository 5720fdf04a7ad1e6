"""Several networks, or several views of one face, answering as one; and one network whose sureness was calibrated.

The paper's conclusion speaks of integrated models; averaging in probability is their plainest form.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn, stack
from torch.nn import functional as F

from fer_lightning.errors import UserError

Views = Literal["none", "flip", "ten_crop"]

_MARGIN = 2
"""Pixels by which the edges of a face are repeated before its ten crops, which are as large as itself.

Chosen on FER2013's PublicTest with ``fer2013-improved_cnn`` (docs/experiments.md has the command): crops of 44 pixels
brought back to 48, as others take them, were no better there than the mirror image alone, a margin of 1 was between.
"""


class Calibrated(nn.Module):
    """A network whose logits are divided by a temperature (Guo et al. 2017), so that its probabilities are honest."""

    handicap: Tensor

    def __init__(self, network: nn.Module, temperature: float, handicap: Tensor | None = None) -> None:
        """Put a temperature behind a network.

        Args:
            network: The network.
            temperature: Above 0; above 1 makes it less sure.
            handicap: What is taken from the logits of each class after that, ``(K,)``; nothing by default.
        """
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.register_buffer("handicap", torch.zeros(()) if handicap is None else handicap, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to logits ``(N, K)``."""
        logits: Tensor = self.network(x)
        return logits.float() / self.temperature - self.handicap


class Ensemble(nn.Module):
    """The mean of the probabilities that several networks give to several views of a face."""

    def __init__(self, members: Sequence[nn.Module], tta: Views = "none") -> None:
        """Join networks of the same classes.

        Args:
            members: The networks, at least one.
            tta: Test-time augmentation: ``none``; ``flip`` adds the mirror image; ``ten_crop`` takes the four corners
                and the centre of the face with two more pixels on each side, and their mirror images.

        Raises:
            UserError: If there are no such views.
        """
        if tta not in get_args(Views):
            raise UserError(f"tta {tta}: choose from {', '.join(get_args(Views))}")
        super().__init__()
        self.members = nn.ModuleList(members)
        self.tta: Views = tta

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to log-probabilities ``(N, K)``: logits, as every network gives."""
        answers = [member(view).float().softmax(1) for view in _views(x, self.tta) for member in self.members]
        return stack(answers).mean(0).clamp(min=1e-30).log()


def _views(x: Tensor, tta: Views) -> Iterator[Tensor]:
    if tta == "ten_crop":
        height, width = x.shape[-2:]
        padded, far = F.pad(x, (_MARGIN,) * 4, mode="replicate"), 2 * _MARGIN
        for top, left in ((0, 0), (0, far), (far, 0), (far, far), (_MARGIN, _MARGIN)):
            yield from _both_ways(padded[:, :, top : top + height, left : left + width])
    elif tta == "flip":
        yield from _both_ways(x)
    else:
        yield x


def _both_ways(x: Tensor) -> Iterator[Tensor]:
    yield x
    yield x.flip(-1)
