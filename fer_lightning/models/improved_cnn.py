"""The improved CNN (paper, section 2.2): interleaved group convolution, residual modules, global average pooling."""

from typing import Any

from torch import Tensor, nn

from fer_lightning.models.layers import CReLU, InterleavedGroupConv, InvertedResidual, Standardise

_STEM = 16  # filters of the dense first convolution: one input channel cannot be partitioned


class _ThreeStages(nn.Module):
    """What both widths share: the paper's three stages, in its order."""

    front: nn.Sequential
    residual: nn.Sequential
    head: nn.Sequential

    def __init__(self, channels: int, groups: int, modules: tuple[tuple[int, int, int, int], ...]) -> None:
        super().__init__()
        if modules[-1][-1] not in (1, 2):  # more would look past the edge of a 6 x 6 map
            raise ValueError(f"dilation {modules[-1][-1]} must be 1 or 2")
        self.front = nn.Sequential(
            Standardise(),
            nn.Conv2d(1, _STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(_STEM),
            CReLU(),  # (N, 32, 48, 48)
            InterleavedGroupConv(2 * _STEM, channels, groups, stride=2),  # (N, 2 * channels, 24, 24)
            InterleavedGroupConv(2 * channels, channels, groups),
        )
        self.residual = nn.Sequential()
        width = 2 * channels
        for out_channels, stride, expansion, dilation in modules:
            self.residual.append(InvertedResidual(width, out_channels, stride, expansion, dilation))
            width = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to logits ``(N, K)``."""
        x = self.front(x)  # (N, 2 * channels, 24, 24)
        x = self.residual(x)  # (N, C, 6, 6)
        return self._pooled(x)

    def _pooled(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ImprovedCNN(_ThreeStages):
    """The paper's network read literally: the last convolution has an output for each class, and is averaged."""

    def __init__(self, classes: int = 7, *, groups: int = 16, dropout: float = 0.1, dilation: int = 1) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            groups: Primary partitions of the interleaved group convolutions: 4, 8 or 16.
            dropout: Share of the class map dropped in training.
            dilation: Dilation of the fourth residual module: 1 or 2.
        """
        # out_channels, stride, expansion, dilation
        modules = ((48, 2, 2, 1), (64, 1, 4, 1), (96, 2, 4, 1), (96, 1, 4, dilation))
        super().__init__(32, groups, modules)
        self.head = nn.Sequential(nn.Conv2d(96, classes, 3, padding=1), nn.Dropout(dropout))

    def class_map(self, x: Tensor) -> Tensor:
        """Map faces ``(N, 1, 48, 48)`` to the logits of each place, ``(N, K, 6, 6)``; their mean is the answer."""
        found: Tensor = self.head(self.residual(self.front(x)))
        return found

    def _pooled(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.head(x).mean((2, 3))
        return pooled


class ImprovedCNNWide(_ThreeStages):
    """The same three stages, wider, with the head of MobileNetV2."""

    def __init__(self, classes: int = 7, *, groups: int = 16, dropout: float = 0.4, dilation: int = 2) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            groups: Primary partitions of the interleaved group convolutions: 4, 8 or 16.
            dropout: Share of the features dropped in training.
            dilation: Dilation of the fourth residual module: 1 or 2.
        """
        # out_channels, stride, expansion, dilation
        modules = ((128, 2, 2, 1), (192, 1, 4, 1), (256, 2, 4, 1), (256, 1, 4, dilation))
        super().__init__(48, groups, modules)
        last: tuple[Any, ...] = (nn.Conv2d(256, 512, 1, bias=False), nn.BatchNorm2d(512), nn.ReLU6(inplace=True))
        self.head = nn.Sequential(*last, nn.Dropout(dropout))
        self.classifier = nn.Linear(512, classes)

    def _pooled(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.head(x).mean((2, 3)))
        return logits
