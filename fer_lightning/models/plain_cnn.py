"""The paper's baseline, "CNN": it is never described, so it is the convolution-pooling-dense net of its years."""

from torch import Tensor, nn

from fer_lightning.models.layers import Standardise

_BLOCKS = (32, 64, 128)
_DENSE = 768


class PlainCNN(nn.Module):
    """Three blocks of two convolutions and a pooling, then two dense layers."""

    def __init__(self, classes: int = 7, *, batch_norm: bool = True, dropout: float = 0.5) -> None:
        """Set up the network.

        Args:
            classes: Number of classes K.
            batch_norm: Normalise after each convolution.
            dropout: Share of the dense features dropped in training; after each block it is half of that.
        """
        super().__init__()
        layers: list[nn.Module] = [Standardise()]
        width = 1
        for channels in _BLOCKS:
            for _ in range(2):
                layers.append(nn.Conv2d(width, channels, 3, padding=1, bias=not batch_norm))
                layers += [nn.BatchNorm2d(channels)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                width = channels
            layers += [nn.MaxPool2d(2), nn.Dropout(dropout / 2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(_BLOCKS[-1] * 6 * 6, _DENSE),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(_DENSE, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to logits ``(N, K)``."""
        x = self.features(x)  # (N, 128, 6, 6)
        logits: Tensor = self.classifier(x)
        return logits
