"""From a face crop to the network's input: the one path of training, testing and serving.

The networks take grey 48 x 48 faces in 0..1 and standardise each picture inside ``forward``, so there are no
statistics of a data set that serving could forget.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SIDE = 48
"""Side of a face in pixels: FER2013's own size."""

PREPROCESSING = "grey (ITU-R 601 luma), 48x48 (area downwards, bilinear upwards), /255, standardised per picture"
"""What the functions below and the networks do, as it is written in every card."""


def shrink(picture: Image.Image, side: int = SIDE) -> NDArray[np.uint8]:
    """Turn a face crop of any size into a grey face, uint8 ``[side, side]``.

    Downwards every source pixel counts (area averaging), as in the sets the networks learn from.
    """
    grey = picture.convert("L")
    if grey.size != (side, side):
        downwards = min(grey.size) >= side
        grey = grey.resize((side, side), Image.Resampling.BOX if downwards else Image.Resampling.BILINEAR)
    return np.asarray(grey)


def to_tensor(faces: NDArray[np.uint8] | Tensor) -> Tensor:
    """Turn grey faces, uint8 ``[N, 48, 48]``, into the network's input, float32 ``[N, 1, 48, 48]`` in 0..1."""
    tensor = faces if isinstance(faces, Tensor) else torch.from_numpy(np.ascontiguousarray(faces))
    return tensor.unsqueeze(1).float().div(255.0)
