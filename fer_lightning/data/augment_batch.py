"""The presets of :mod:`fer_lightning.data.augment` for a whole batch at once, on the device where its faces are.

Albumentations takes one face after the other on the CPU, which starves a fast GPU. Here every operation takes all
faces of a batch, each with draws of its own, and follows what albumentations 2.0.8 and OpenCV 5 do to a uint8 face
(order of the maps, borders, rounding), so that both ways draw from the same distribution.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_lightning.data import augment
from fer_lightning.data.augment import AugmentName
from fer_lightning.data.loader import Batch, BatchKey, FaceBatches
from fer_lightning.preprocess import SIDE


class SeededBatches(FaceBatches):
    """Batches whose faces are as they are, with the ``seed`` (int64, no dimension) by which to augment them later."""

    def __getitem__(self, key: BatchKey) -> Batch:
        """Return the batch that the sampler asks for."""
        return {**super().__getitem__(key), "seed": torch.tensor(key.seed)}


class BatchAugment:
    """Draws a new version of each face of a batch; the same seed gives the same faces, on any device up to rounding."""

    def __init__(self, preset: AugmentName) -> None:
        """Choose a preset.

        Args:
            preset: As :class:`~fer_lightning.data.augment.Augment` has them.
        """
        self.preset = preset

    def __call__(self, faces: Tensor, seed: int) -> Tensor:
        """Map faces, uint8 ``(N, 48, 48)``, to their augmented versions of the same shape and device.

        Args:
            faces: The faces of one batch; they are not changed.
            seed: What the draws depend on, and nothing else.
        """
        if self.preset == "none":
            return faces
        draws = Draws(len(faces), seed)
        return _light(faces, draws) if self.preset == "light" else _strong(faces, draws, self.preset)


class Draws:
    """Numbers for the faces of a batch, float64 ``(N,)``, drawn on the CPU so that every device gets the same."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> Tensor:
        """Draw from low to high."""
        return low + (high - low) * torch.rand(self.count, generator=self._generator, dtype=torch.float64)

    def whole(self, low: int, high: Tensor | int) -> Tensor:
        """Draw whole numbers, low and high among them."""
        return low + (self.uniform(0, 1) * (high - low + 1)).floor()

    def happens(self, p: float) -> Tensor:
        """Draw 1 with probability p, else 0."""
        return (self.uniform(0, 1) < p).double()


def _light(faces: Tensor, draws: Draws) -> Tensor:
    mirror = draws.happens(augment.MIRROR)
    down, right = (draws.whole(-augment.SHIFT, augment.SHIFT) for _ in range(2))
    return shifted(mirrored(faces, mirror), down, right)


def _strong(faces: Tensor, draws: Draws, preset: Literal["photo", "strong"]) -> Tensor:
    faces = mirrored(faces, draws.happens(augment.MIRROR))
    move, degrees = draws.happens(augment.MOVE), draws.uniform(*augment.DEGREES)
    wider, higher = (draws.uniform(*augment.SCALE) for _ in range(2))
    right, down = ((draws.uniform(*augment.TRANSLATE) * SIDE).trunc() for _ in range(2))
    faces = warped(faces, move * degrees, wider**move, higher**move, move * right, move * down)
    light, contrast, brightness = (
        draws.happens(augment.LIGHT),
        draws.uniform(*augment.CONTRAST),
        draws.uniform(*augment.BRIGHTNESS),
    )
    faces = relit(faces, 1 + light * contrast, light * brightness * 255)
    faces = _photograph_some(faces, draws, augment.PHOTO[preset])
    return _erase_some(faces, draws, augment.ERASE[preset])


def _photograph_some(faces: Tensor, draws: Draws, p: float) -> Tensor:
    """Blur, compress or coarsen some faces, each with probability p: only these are computed."""
    which = torch.where(draws.happens(p) > 0, draws.whole(0, 2), -1)
    photo: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]] = [
        (blurred, draws.uniform(*augment.SIGMA)),
        (compressed, draws.whole(*augment.QUALITY)),
        (coarsened, draws.uniform(*augment.COARSEN)),
    ]
    faces = faces.clone()
    for number, (change, strength) in enumerate(photo):
        chosen = (which == number).nonzero()[:, 0]
        there = _on(faces.device, chosen)
        faces[there] = change(faces[there], strength[chosen])
    return faces


def _erase_some(faces: Tensor, draws: Draws, p: float) -> Tensor:
    erase, area = draws.happens(p), draws.uniform(*augment.AREA) * SIDE**2
    ratio = draws.uniform(*augment.RATIO)
    height, width = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    top, left = draws.whole(0, SIDE - height), draws.whole(0, SIDE - width)
    return erased(faces, top, left, erase * height, width, draws.whole(0, 255))


def mirrored(faces: Tensor, mirror: Tensor) -> Tensor:
    """Exchange left and right of the faces whose ``mirror`` is not 0."""
    return torch.where(_on(faces.device, mirror)[:, None, None] > 0, faces.flip(2), faces)


def shifted(faces: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Show each face from so many whole pixels further down and to the right; the edge goes on outside."""
    place = torch.arange(SIDE, device=faces.device)
    rows, columns = ((place + _on(faces.device, by)[:, None]).clamp(0, SIDE - 1).long() for by in (down, right))
    return _picked(faces, rows, columns)


def warped(faces: Tensor, degrees: Tensor, wider: Tensor, higher: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Scale each face about its centre, turn it counter-clockwise, then move it by pixels; the edge goes on outside."""
    cos, sin = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    half = (SIDE - 1) / 2  # pixels from the centre to what grid_sample calls 1
    back = torch.stack((cos / wider, -sin / wider, sin / higher, cos / higher), 1).view(-1, 2, 2)
    moved = (back @ torch.stack((right, down), 1)[:, :, None])[:, :, 0] / half
    back, moved = (_on(faces.device, values)[:, None, None] for values in (back, moved))
    place = torch.linspace(-1, 1, SIDE, device=faces.device)
    grid = back[..., 0] * place[:, None] + back[..., 1] * place[:, None, None] - moved  # (N, 48, 48, 2)
    found = F.grid_sample(faces[:, None].float(), grid.clamp(-1, 1), align_corners=True)  # not all devices know borders
    return found[:, 0].round().byte()


def relit(faces: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """Multiply the grey levels of each face by its contrast and add its brightness; fractions are cut off."""
    factor, summand = (_on(faces.device, value)[:, None, None] for value in (contrast, brightness))
    return (faces * factor + summand).clamp(0, 255).byte()


def blurred(faces: Tensor, sigma: Tensor) -> Tensor:
    """Blur each face by a Gaussian of its own sigma, 0.3 to 1.2 pixels, cut off at int(3.5 sigma) pixels."""
    reach = int(3.5 * augment.SIGMA[1])
    place = torch.arange(-reach, reach + 1)
    taps = torch.exp(-0.5 * (place / sigma[:, None]) ** 2) * (place.abs() <= (3.5 * sigma[:, None]).floor())
    taps = _on(faces.device, taps / taps.sum(1, keepdim=True))[:, None, None]
    found = F.pad(faces[:, None].float(), [reach] * 4, mode="reflect")[:, 0]
    for axis in (2, 1):
        found = (found.unfold(axis, 2 * reach + 1, 1) * taps).sum(3)
    return found.round().byte()


def compressed(faces: Tensor, quality: Tensor) -> Tensor:
    """Write and read each face as a grey baseline JPEG of its own quality, 1..100.

    The cosine transform of libjpeg works in whole numbers and rounds after rows and after columns; so does this.
    """
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    steps = ((_LUMINANCE * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)
    steps, cosines = _on(faces.device, steps).mT[:, None, None], _on(faces.device, _COSINES)
    blocks = (faces.float() - 128).view(-1, SIDE // 8, 8, SIDE // 8, 8).transpose(2, 3).contiguous()
    turned = _whole(4 * blocks @ cosines.T).mT.contiguous()  # (N, 6, 6, 8, 8), one large product is faster than many
    amounts = _whole(turned @ cosines.T / 4) / 8
    amounts = _whole(amounts.abs() / steps) * amounts.sign() * steps
    turned = _whole(4 * amounts @ cosines).mT.contiguous()
    found = _whole(turned @ cosines / 32).transpose(2, 3)
    return (found.reshape(faces.shape) + 128).clamp(0, 255).byte()


def coarsened(faces: Tensor, scale: Tensor) -> Tensor:
    """Make each face smaller by its own scale, and large again, always taking the next pixel."""
    scale = scale[:, None]
    side = (SIDE * scale).round()
    places = ((torch.arange(SIDE) * side / SIDE).floor() / scale).floor().clamp(max=SIDE - 1)
    places = _on(faces.device, places).long()
    return _picked(faces, places, places)


def erased(faces: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, grey: Tensor) -> Tensor:
    """Fill one block of each face with one grey level."""
    place = torch.arange(SIDE, device=faces.device)
    top, left, height, width, grey = (_on(faces.device, v)[:, None] for v in (top, left, height, width, grey))
    rows, columns = (place >= top) & (place < top + height), (place >= left) & (place < left + width)
    return torch.where(rows[:, :, None] & columns[:, None], grey[:, None].byte(), faces)


def _picked(faces: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at rows int64 ``(N, 48)`` and columns int64 ``(N, 48)`` of each face."""
    each = torch.arange(len(faces), device=faces.device)
    return faces[each[:, None, None], rows[:, :, None], columns[:, None]]


def _whole(values: Tensor) -> Tensor:
    """Round to the nearest whole number, halves up, as a shift of bits does."""
    return (values + 0.5).floor()


def _on(device: torch.device, values: Tensor) -> Tensor:
    """Take numbers to the device, as float32 if they are no whole ones, without waiting for a GPU at work."""
    values = values.float() if values.is_floating_point() else values
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


_LUMINANCE = torch.tensor(  # steps of quality 50: JPEG (ITU-T T.81), table K.1
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_COSINES = torch.tensor(  # sqrt(8) times the orthonormal transform, as libjpeg has it: its rows 0 and 4 are whole
    [[math.cos((2 * x + 1) * u * math.pi / 16) * (math.sqrt(2) if u else 1) for x in range(8)] for u in range(8)]
)
