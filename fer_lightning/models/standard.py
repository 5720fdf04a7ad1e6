"""Standard architectures, from torchvision and from fresh weights: large teachers to distil the small networks from."""

from typing import Any

from torch import Tensor, nn

from fer_lightning.models.layers import Standardise


class Standard(nn.Module):
    """One of torchvision's classifiers, fitted to small grey faces: its first layers keep the resolution."""

    def __init__(self, classes: int, body: nn.Module, features: int, dropout: float) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.body = body
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to logits ``(N, K)``."""
        x = self.body(self.standardise(x))  # (N, features, H, W), or already averaged
        logits: Tensor = self.head(x.mean((2, 3)) if x.ndim == 4 else x)
        return logits


class ResNet18(Standard):
    """ResNet-18 (He et al. 2016) without the first pooling: 48, 24, 12 and 6 pixels in its four stages."""

    def __init__(self, classes: int = 7, *, dropout: float = 0.3) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            dropout: Share of the features dropped in training.
        """
        from torchvision.models import resnet18  # half a second, for teachers alone

        body: Any = resnet18(weights=None)
        body.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
        body.maxpool = body.fc = nn.Identity()
        super().__init__(classes, body, 512, dropout)


class VGG13(Standard):
    """VGG-13 (Simonyan and Zisserman 2015) with batch normalisation and global average pooling, no dense layers."""

    def __init__(self, classes: int = 7, *, dropout: float = 0.5) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            dropout: Share of the features dropped in training.
        """
        from torchvision.models import vgg13_bn

        body: Any = vgg13_bn(weights=None).features[:-1]  # the last pooling would leave a single pixel
        body[0] = nn.Conv2d(1, 64, 3, padding=1)
        super().__init__(classes, body, 512, dropout)


class RegNetY(Standard):
    """RegNetY of 1.6 GF (Radosavovic et al. 2020), its first convolution without a stride: 24, 12, 6 and 3 pixels."""

    def __init__(self, classes: int = 7, *, dropout: float = 0.3) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            dropout: Share of the features dropped in training.
        """
        from torchvision.models import regnet_y_1_6gf

        body: Any = regnet_y_1_6gf(weights=None)
        features = body.fc.in_features
        body.stem[0] = nn.Conv2d(1, body.stem[0].out_channels, 3, padding=1, bias=False)
        body.fc = nn.Identity()
        super().__init__(classes, body, features, dropout)
