"""Augmentation of training faces with albumentations, which is kept to this one file (it has no maintainer).

Two facts of albumentations 2.0.8 shape it. Its random state lives in the pipeline and is forked into every worker, so
workers and epochs would repeat each other's draws: here every batch is seeded by its place in the training. And its
import asks the network for news, and OpenCV starts threads in every worker: both are switched off.
"""

import os
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

AugmentName = Literal["none", "light", "photo", "strong"]

# The numbers of the presets; augment_batch.py draws by the same. Words alone are probabilities.
MIRROR = 0.5
SHIFT = 4  # pixels
MOVE, DEGREES, SCALE, TRANSLATE = 0.9, (-15.0, 15.0), (0.85, 1.15), (-0.1, 0.1)
LIGHT, CONTRAST, BRIGHTNESS = 0.5, (-0.3, 0.3), (-0.2, 0.2)
PHOTO = {"photo": 0.5, "strong": 0.3}
SIGMA, QUALITY, COARSEN = (0.3, 1.2), (40, 95), (0.5, 0.9)
ERASE, AREA, RATIO = {"photo": 0.0, "strong": 0.4}, (0.02, 0.15), (0.3, 3.3)


class Augment:
    """Draws a new version of each face of a batch; the same seed gives the same faces."""

    def __init__(self, preset: AugmentName) -> None:
        """Prepare a preset.

        Args:
            preset: ``none``; ``light``, the mirror and small shifts of the paper's time; ``photo``, the mirror, one
                affine map, brightness and contrast and, for half of the faces, blur, JPEG or coarser pixels as
                photographs have; ``strong``, the last for fewer, and one erased block.
        """
        self.preset = preset
        self._pipeline: Any = None  # built in the process that uses it, after the fork

    def __call__(self, faces: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Map faces, uint8 ``[N, 48, 48]``, to their augmented versions of the same shape.

        Args:
            faces: The faces of one batch; they are not changed.
            seed: What the draws depend on, and nothing else.
        """
        if self.preset == "none":
            return faces
        if self._pipeline is None:
            self._pipeline = _pipeline(self.preset)
        self._pipeline.set_random_seed(seed)
        return np.stack([self._pipeline(image=face)["image"] for face in faces])


def _pipeline(preset: Literal["light", "photo", "strong"]) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A
    import cv2

    cv2.setNumThreads(0)
    edge = {"border_mode": cv2.BORDER_REPLICATE}
    if preset == "light":
        return A.Compose([A.HorizontalFlip(p=MIRROR), A.Pad(SHIFT, **edge), A.RandomCrop(48, 48)])
    photo = [  # what a camera, a web page and a small face in a large picture do to it
        A.GaussianBlur(blur_limit=0, sigma_limit=SIGMA),
        A.ImageCompression(quality_range=QUALITY),
        A.Downscale(scale_range=COARSEN),
    ]
    return A.Compose(
        [
            A.HorizontalFlip(p=MIRROR),
            A.Affine(rotate=DEGREES, scale=SCALE, translate_percent=TRANSLATE, p=MOVE, **edge),
            A.RandomBrightnessContrast(brightness_limit=BRIGHTNESS, contrast_limit=CONTRAST, p=LIGHT),
            A.OneOf(photo, p=PHOTO[preset]),
            A.Erasing(scale=AREA, ratio=RATIO, fill="random_uniform", p=ERASE[preset]),
        ]
    )
