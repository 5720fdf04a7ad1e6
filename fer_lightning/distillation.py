"""Distillation (Hinton et al. 2015): a small network learns what trained ones answer, not the labels alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn, stack
from torch.nn import functional as F


class Teachers(nn.Module):
    """Trained networks of the same classes, which answer as one."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        """Join them.

        Args:
            networks: At least one; they stay as they are.
        """
        super().__init__()
        self.networks = nn.ModuleList(networks).to(memory_format=torch.channels_last).eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, object]) -> "Teachers":
        """Return itself: they never change, and the averaging of the student's weights copies all that it holds."""
        return self

    def forward(self, x: Tensor, temperature: float) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to the mean of their softened probabilities, ``(N, K)``."""
        with torch.no_grad():
            return stack([(network(x).float() / temperature).softmax(1) for network in self.networks]).mean(0)


def distillation_loss(logits: Tensor, softened: Tensor, temperature: float) -> Tensor:
    """Return the divergence of a network from its teachers, averaged over rows.

    Args:
        logits: What the network answers, ``(N, K)``.
        softened: Probabilities of the teachers at that temperature, ``(N, K)``.
        temperature: Above 0; its square keeps the gradients as large as those of the targets.
    """
    answers = (logits.float() / temperature).log_softmax(1)
    return F.kl_div(answers, softened, reduction="batchmean") * temperature**2
