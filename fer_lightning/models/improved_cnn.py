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

    def __init__(
        self, channels: int, groups: int, modules: tuple[tuple[int, int, int, int], ...], output_stride: int
    ) -> None:
        super().__init__()
        if modules[-1][-1] not in (1, 2):  # more would look past the edge of a 6 x 6 map
            raise ValueError(f"dilation {modules[-1][-1]} must be 1 or 2")
        if output_stride not in (2, 4, 8):
            raise ValueError(f"output_stride {output_stride} must be 2, 4 or 8")
        self.front = nn.Sequential(
            Standardise(),
            nn.Conv2d(1, _STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(_STEM),
            CReLU(),  # (N, 32, 48, 48)
            InterleavedGroupConv(2 * _STEM, channels, groups, stride=2),  # (N, 2 * channels, 24, 24)
            InterleavedGroupConv(2 * channels, channels, groups),
        )
        self.residual = nn.Sequential()
        width, reached = 2 * channels, 2
        self.spread = 1  # pixels of the map between neighbours of a coarser one: every stride left out doubles it
        for out_channels, stride, expansion, dilation in modules:
            kept = stride if reached < output_stride else 1
            self.residual.append(InvertedResidual(width, out_channels, kept, expansion, dilation * self.spread))
            reached, self.spread = reached * kept, self.spread * stride // kept
            width = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to logits ``(N, K)``."""
        x = self.front(x)  # (N, 2 * channels, 24, 24)
        x = self.residual(x)  # (N, C, 48 / output_stride, 48 / output_stride)
        return self._pooled(x)

    def _pooled(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ImprovedCNN(_ThreeStages):
    """The paper's network read literally: the last convolution has an output for each class, and is averaged."""

    def __init__(
        self, classes: int = 7, *, groups: int = 16, dropout: float = 0.1, dilation: int = 1, output_stride: int = 8
    ) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            groups: Primary partitions of the interleaved group convolutions: 4, 8 or 16.
            dropout: Share of the class map dropped in training.
            dilation: Dilation of the fourth residual module: 1 or 2.
            output_stride: Pixels of the face to a pixel of the last map: 8 makes it 6x6, 4 12x12, 2 24x24. Below 8 the
                strides left out become dilations of what follows (Chen et al. 2017), so that weights trained with one
                value fit the others.
        """
        # out_channels, stride, expansion, dilation
        modules = ((48, 2, 2, 1), (64, 1, 4, 1), (96, 2, 4, 1), (96, 1, 4, dilation))
        super().__init__(32, groups, modules, output_stride)
        self.head = nn.Sequential(
            nn.Conv2d(96, classes, 3, padding=self.spread, dilation=self.spread), nn.Dropout(dropout)
        )

    def class_map(self, x: Tensor) -> Tensor:
        """Map faces ``(N, 1, 48, 48)`` to the logits of each place; their mean is the answer.

        Returns:
            ``(N, K, 6, 6)``, or larger with a smaller output stride.
        """
        found: Tensor = self.head(self.residual(self.front(x)))
        return found

    def _pooled(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.head(x).mean((2, 3))
        return pooled


class ImprovedCNNWide(_ThreeStages):
    """The same three stages, wider, with the head of MobileNetV2."""

    def __init__(
        self, classes: int = 7, *, groups: int = 16, dropout: float = 0.4, dilation: int = 2, output_stride: int = 8
    ) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            groups: Primary partitions of the interleaved group convolutions: 4, 8 or 16.
            dropout: Share of the features dropped in training.
            dilation: Dilation of the fourth residual module: 1 or 2.
            output_stride: Pixels of the face to a pixel of the last map: 8 makes it 6x6, 4 12x12, 2 24x24. Below 8 the
                strides left out become dilations of what follows (Chen et al. 2017), so that weights trained with one
                value fit the others.
        """
        # out_channels, stride, expansion, dilation
        modules = ((128, 2, 2, 1), (192, 1, 4, 1), (256, 2, 4, 1), (256, 1, 4, dilation))
        super().__init__(48, groups, modules, output_stride)
        last: tuple[Any, ...] = (nn.Conv2d(256, 512, 1, bias=False), nn.BatchNorm2d(512), nn.ReLU6(inplace=True))
        self.head = nn.Sequential(*last, nn.Dropout(dropout))
        self.classifier = nn.Linear(512, classes)

    def _pooled(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.head(x).mean((2, 3)))
        return logits
