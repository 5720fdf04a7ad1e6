"""Building blocks of the networks (paper, section 2.2).

All of them keep the channels-last layout, which makes training on a CPU 1.5 to 1.8 times as fast. Convolutions keep
PyTorch's own starting weights: normalisation follows each, so their scale does not matter.
"""

import torch
from torch import Tensor, cat, nn

_EPSILON = 1e-3


class Standardise(nn.Module):
    """Brings every picture to mean 0 and standard deviation 1, so that the photo's light and contrast drop out."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 1, H, W)`` in 0..1 to the same shape; a blank picture becomes zeros."""
        centred = x - x.mean((1, 2, 3), keepdim=True)
        deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
        return centred / (deviation + _EPSILON)


class CReLU(nn.Module):
    """Concatenated ReLU (paper, eq. 1; Shang et al. 2016): both phases of every filter, so half the filters do."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, 2C, H, W)``."""
        return cat((x, -x), dim=1).relu_()


class Interleave(nn.Module):
    """Deals the channels of G partitions round, so that each new partition holds one channel of every old one."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape: channel ``g * C/G + m`` goes to place ``m * G + g``."""
        n, c, h, w = x.shape
        dealt = x.permute(0, 2, 3, 1).reshape(n, h, w, self.groups, c // self.groups).transpose(3, 4)
        return dealt.reshape(n, h, w, c).permute(0, 3, 1, 2)  # in NHWC all along: channels-last stays


class GroupedConv(nn.Conv2d):
    """A convolution in groups, trained in bf16 where that is fast.

    On a CPU PyTorch has quick bf16 gradients for it only without stride and dilation; with them they take half of a
    training step, so such layers keep float32 there (docs/experiments.md has the figures).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` as :class:`torch.nn.Conv2d` does."""
        simple = self.stride == (1, 1) and self.dilation == (1, 1)
        if simple or not (x.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))


class InterleavedGroupConv(nn.Sequential):
    """Interleaved group convolution (Zhang et al. 2017, IGCV1), then BN and CReLU: twice ``channels`` come out.

    A 3x3 convolution works inside L primary partitions, a 1x1 convolution across them in M = channels / L secondary
    ones; nothing stands between the two. With the second interleave every output sees every input.
    """

    def __init__(self, in_channels: int, channels: int, groups: int, stride: int = 1) -> None:
        """Set up the block.

        Args:
            in_channels: Channels that come in.
            channels: Channels of both convolutions.
            groups: Primary partitions L.
            stride: Stride of the 3x3 convolution.

        Raises:
            ValueError: If L does not divide both numbers of channels.
        """
        if groups < 1 or in_channels % groups or channels % groups:
            raise ValueError(f"groups {groups} must divide {in_channels} and {channels} channels; choose 4, 8 or 16")
        secondary = channels // groups
        super().__init__(
            GroupedConv(in_channels, channels, 3, stride, 1, groups=groups, bias=False),
            Interleave(groups),
            nn.Conv2d(channels, channels, 1, groups=secondary, bias=False),
            Interleave(secondary),
            nn.BatchNorm2d(channels),
            CReLU(),
        )


class InvertedResidual(nn.Module):
    """Depthwise-separable residual module with a linear bottleneck (Sandler et al. 2018).

    Channels grow by a pointwise convolution, the depthwise one works in the wide space, and a pointwise one without
    activation brings them down. The shortcut is the identity, or a 1x1 projection where the shape changes.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, expansion: int = 4, dilation: int = 1
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            GroupedConv(hidden, hidden, 3, stride, dilation, dilation, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut: nn.Module = nn.Identity() if same_shape else _projection(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )
