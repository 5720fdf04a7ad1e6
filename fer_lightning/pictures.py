"""Opening a picture file of any kind as 8-bit grey or colour, the right way up."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from fer_lightning.errors import UserError

PictureLike = str | Path | bytes | Image.Image | NDArray[Any]
"""What :func:`as_picture` takes."""

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm"),
    *(".avif", ".heic", ".heif"),
)
"""Endings of the files that are taken for pictures."""

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands of ISO 23008-12
_WHITE = (255, 255, 255, 255)


def is_picture(path: Path) -> bool:
    """Return True for a file that looks like a picture by its name; hidden files are none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def as_picture(source: PictureLike) -> Image.Image:
    """Bring anything that holds a picture to mode ``L`` or ``RGB``, 8 bits, the right way up.

    Args:
        source: A path, the bytes of a picture file, a Pillow image, or an array: uint8, uint16, bool, or float in
            0..1; grey ``[H, W]`` or ``[H, W, 1]``, or colour ``[H, W, 3]`` or ``[H, W, 4]`` in the order RGB. Arrays
            of OpenCV's are in the order BGR: pass ``array[:, :, ::-1]``.

    Raises:
        UserError: If it is no picture, or cannot be read.
    """
    if isinstance(source, Image.Image):
        with _told("the picture", source):  # Pillow reads the pixels only here
            return _eight_bit(ImageOps.exif_transpose(source))
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes):
        return _opened(io.BytesIO(source), "the picture")
    return open_picture(Path(source))


def open_picture(path: Path) -> Image.Image:
    """Open a picture file.

    The orientation that the camera noted is applied, transparency is laid on white, more than 8 bits a channel are
    scaled to 8 (not clipped), and of an animated picture the first frame is taken.

    Returns:
        A picture of mode ``L`` or ``RGB``.

    Raises:
        UserError: If it is missing, empty, cut off, no picture, or too large to open safely.
    """
    return _opened(path, str(path))


def _opened(file: Path | io.BytesIO, name: str) -> Image.Image:
    with _told(name, file):
        _prepare(file, name)
        with Image.open(file) as picture:
            picture.seek(0)
            picture.load()
            return _eight_bit(ImageOps.exif_transpose(picture))


@contextmanager
def _told(name: str, file: object) -> Iterator[None]:
    """Turn what can go wrong on reading a picture into one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{name}: no such picture; mend the path") from None
    except Image.DecompressionBombError:
        raise UserError(f"{name}: the picture is too large to open safely; scale it down") from None
    except UnidentifiedImageError:
        raise UserError(f"{name}: unreadable picture (of no known format); replace or remove it") from None
    except UserError:
        raise
    except Exception as error:  # there is no end to what damage raises in the readers of the formats
        reason = str(error).replace(f"'{file}'", "it").splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{name}: unreadable picture ({reason[:80]}); replace or remove it") from None


def _prepare(file: Path | io.BytesIO, name: str) -> None:
    """Get the reader of a phone's HEIC picture, or of AVIF, which not every Pillow has; say so where there is none."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            start = opened.read(12)
    else:
        start = file.getvalue()[:12]
    if start[4:8] != b"ftyp":
        return
    if start[8:] in _HEIF:
        try:
            from pillow_heif import register_heif_opener  # not everybody's: a decoder under patents
        except ImportError:
            raise UserError(f"{name}: a HEIC picture needs pillow-heif; run: pip install pillow-heif") from None
        register_heif_opener()
    elif start[8:] in (b"avif", b"avis") and not features.check("avif"):
        raise UserError(f"{name}: an AVIF picture needs a newer Pillow; run: pip install -U pillow")


def _from_array(array: NDArray[Any]) -> Image.Image:
    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and shape[2] in (3, 4))):
        raise UserError(f"an array of shape {shape} is no picture; need [H, W] or [H, W, 3]")
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = (array / 257).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating) and array.min() >= 0 and array.max() <= 1:
        array = (array * 255).round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UserError(f"an array of {array.dtype} is no picture; need uint8 in 0..255, or float in 0..1")
    return _eight_bit(Image.fromarray(np.ascontiguousarray(array)))


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode in _DEEP:
        return _scaled(picture)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, _WHITE), coloured).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    if picture.mode != "F":
        whole = np.asarray(picture).clip(0, 65535).astype(np.uint32)
        return Image.fromarray(((whole * 255 + 32767) // 65535).astype(np.uint8))
    values = np.asarray(picture, dtype=np.float32)
    top = 65535.0 if values.max() > 255 else (255.0 if values.max() > 1 else 1.0)
    return Image.fromarray(np.clip(values / top * 255, 0, 255).round().astype(np.uint8))
