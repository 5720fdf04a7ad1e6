"""Opening a picture file of any kind as 8-bit grey or colour, the right way up."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from fer_lightning.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm")
"""Endings of the files that are taken for pictures."""

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_WHITE = (255, 255, 255, 255)


def is_picture(path: Path) -> bool:
    """Return True for a file that looks like a picture by its name; hidden files are none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def open_picture(path: Path) -> Image.Image:
    """Open a picture file.

    The orientation that the camera noted is applied, transparency is laid on white, more than 8 bits a channel are
    scaled to 8 (not clipped), and of an animated picture the first frame is taken.

    Returns:
        A picture of mode ``L`` or ``RGB``.

    Raises:
        UserError: If it is missing, empty, cut off, no picture, or too large to open safely.
    """
    try:
        with Image.open(path) as picture:
            picture.seek(0)
            picture.load()
            return _eight_bit(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise UserError(f"{path}: no such picture; mend the path") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: the picture is too large to open safely; scale it down") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = str(error).replace(f"'{path}'", "it").splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: unreadable picture ({reason[:80]}); replace or remove it") from None


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode in _DEEP:
        return _scaled(picture)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, _WHITE), coloured).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=np.float64)
    top = 65535.0 if picture.mode != "F" or values.max() > 255 else (255.0 if values.max() > 1 else 1.0)
    return Image.fromarray(np.clip(values / top * 255, 0, 255).round().astype(np.uint8))
