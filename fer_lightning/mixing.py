"""Mixup (Zhang et al. 2018): faces are blended in pairs, and so are their targets, as between what the rows show."""

import torch
from torch import Tensor
from torch.distributions import Beta


def mixed(faces: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend each face of a batch, and its target, with those of another row drawn at random.

    Args:
        faces: ``(N, 1, H, W)`` in 0..1.
        targets: Shares of the classes, ``(N, K)``.
        alpha: Of the Beta(alpha, alpha) that a row's share in its blend is drawn from; 0 blends nothing, 1 draws all
            shares alike.

    Returns:
        Blended faces and targets of the same shapes. The larger share is the row's own, so that its label still names
        the most of what is seen; as each pair may come in either order, the blends are distributed as without that.
    """
    if not alpha:
        return faces, targets
    drawn = Beta(alpha, alpha).sample((len(faces),)).to(faces)
    own = drawn.maximum(1 - drawn)
    other = torch.randperm(len(faces), device=faces.device)

    def blend(values: Tensor) -> Tensor:
        return torch.lerp(values[other], values, own.view(-1, *[1] * (values.ndim - 1)))

    return blend(faces), blend(targets)
