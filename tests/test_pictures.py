"""Picture files of every kind come out as 8-bit grey or colour, the right way up, or with one line."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.features
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.errors import UserError
from fer_lightning.pictures import as_picture, is_picture, open_picture


def opened(picture: Image.Image, path: Path, **options: Any) -> NDArray[np.uint8]:
    picture.save(path, **options)
    found = open_picture(path)
    assert found.mode in ("L", "RGB")
    return np.asarray(found)


# What a camera does to an upright picture for each orientation (EXIF 2.3, tag 274), told with NumPy.
TURNED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, 3),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_every_orientation_comes_out_upright(orientation: int, ending: str, tmp_path: Path) -> None:
    upright = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6).repeat(8, 0).repeat(8, 1)
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](upright)))
    exif = Image.Exif()
    exif[274] = orientation
    found = opened(stored.convert("RGB"), tmp_path / f"a.{ending}", exif=exif, quality=100)
    assert found.shape == (32, 48, 3)
    assert np.abs(found[..., 0].astype(int) - upright).max() < 5


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_plain_pictures_come_out_as_they_are(shape: tuple[int, ...], tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(opened(Image.fromarray(picture), tmp_path / "a.png"), picture)


def test_a_palette_gives_its_colours_not_its_numbers(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert opened(picture, tmp_path / "a.png").tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert opened(picture, tmp_path / "a.png", transparency=0).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    colour = Image.fromarray(np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8))
    assert opened(colour, tmp_path / "a.png").tolist() == [[[200, 0, 0], [255, 255, 255], [204, 204, 204]]]
    grey = Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), "LA")
    assert opened(grey, tmp_path / "b.png")[..., 0].tolist() == [[90, 255]]
    keyed = Image.fromarray(np.array([[90, 10]], np.uint8))
    assert opened(keyed, tmp_path / "c.png", transparency=10)[..., 0].tolist() == [[90, 255]]


def test_cmyk_comes_out_as_the_colours_it_prints(tmp_path: Path) -> None:
    found = opened(Image.new("CMYK", (16, 16), (255, 255, 0, 0)), tmp_path / "a.jpg", quality=100)
    assert np.abs(found[8, 8].astype(int) - [0, 0, 255]).max() < 4


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert opened(picture, tmp_path / "a.png").tolist() == [[0, 255]]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(ending: str, tmp_path: Path) -> None:
    deep = np.array([[0, 257, 32_768, 65_535]], np.uint16)
    assert opened(Image.fromarray(deep), tmp_path / f"a.{ending}").tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize("top", [1.0, 255.0, 65_535.0])
def test_floats_are_scaled_from_their_range(top: float, tmp_path: Path) -> None:
    values = np.array([[0, 0.2, 1]], np.float32) * np.float32(top)
    assert opened(Image.fromarray(values), tmp_path / "a.tif").tolist() == [[0, 51, 255]]


def test_an_animated_gif_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "green", "blue")]
    found = opened(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert found[2, 2].tolist() == [255, 0, 0]


def cut(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BROKEN: dict[str, Callable[[Path], object]] = {
    "cut.png": cut,
    "cut.jpg": cut,
    "cut.bmp": cut,
    "cut.tif": cut,
    "cut.gif": cut,
    "cut.webp": cut,
    "text.png": lambda path: path.write_text("no picture\n"),
    "page.jpg": lambda path: path.write_text("<html></html>"),
    "empty.png": lambda path: path.write_bytes(b""),
    "folder.png": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BROKEN[name](path)
    with pytest.raises(UserError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: unreadable picture (")
    assert message.endswith("); replace or remove it")
    assert message.count(str(path)) == 1
    assert message.isprintable()


def test_a_missing_picture_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png: no such picture; mend the path"):
        open_picture(tmp_path / "a.png")


def test_a_picture_bomb_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match="too large to open safely; scale it down"):
        open_picture(tmp_path / "a.png")


def test_pictures_are_told_by_their_names() -> None:
    names = ["a.png", "b.JPG", "c.jpeg", "d.heic", "._a.png", ".b.png", "Thumbs.db", "labels.csv", "png"]
    assert [name for name in names if is_picture(Path(name))] == ["a.png", "b.JPG", "c.jpeg", "d.heic"]


def shades() -> Image.Image:
    return Image.fromarray(np.arange(0, 192, dtype=np.uint8).reshape(8, 24).repeat(4, 0))


@pytest.mark.skipif(not PIL.features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    found = opened(shades().convert("RGB"), tmp_path / "a.avif", quality=100)
    assert np.abs(found[..., 1].astype(int) - np.asarray(shades())).max() < 6


def test_avif_that_pillow_cannot_read_gets_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.features, "check", lambda feature: False)
    with pytest.raises(
        UserError, match="the picture: an AVIF picture needs a newer Pillow; run: pip install -U pillow"
    ):
        as_picture(b"\0\0\0\x1cftypavif and more")


def test_heic_is_read_where_its_reader_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(shades().convert("RGB")).save(tmp_path / "a.heic", quality=100)
    found = np.asarray(open_picture(tmp_path / "a.heic"))
    assert np.abs(found[..., 1].astype(int) - np.asarray(shades())).max() < 6
    assert as_picture((tmp_path / "a.heic").read_bytes()).size == (24, 32)


def test_heic_without_its_reader_gets_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheic and more")
    with pytest.raises(UserError, match=r"a\.heic: a HEIC picture needs pillow-heif; run: pip install pillow-heif$"):
        open_picture(tmp_path / "a.heic")


# What as_picture takes besides files


def in_memory() -> dict[str, Any]:
    """One picture, two columns of black and white, in every form."""
    grey = np.array([[0, 255], [0, 255]], np.uint8)
    colour = np.stack([grey] * 3, -1)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return {
        "bytes": buffer.getvalue(),
        "Pillow": Image.fromarray(grey),
        "Pillow, one bit": Image.fromarray(grey).convert("1"),
        "uint8": grey,
        "uint8 with a channel": grey[..., None],
        "uint16": grey.astype(np.uint16) * 257,
        "bool": grey > 0,
        "float32": grey.astype(np.float32) / 255,
        "float64 colour": colour / 255,
        "RGB": colour,
        "RGBA": np.dstack([colour, np.full((2, 2), 255, np.uint8)]),
        "not contiguous": np.repeat(grey, 2, 1)[:, ::2],
        "Fortran order": np.asfortranarray(colour),
    }


@pytest.mark.parametrize("form", in_memory())
def test_every_form_of_a_picture_is_taken(form: str) -> None:
    found = as_picture(in_memory()[form])
    assert found.mode in ("L", "RGB")
    assert np.asarray(found.convert("L")).tolist() == [[0, 255], [0, 255]]


def test_colours_of_an_array_are_red_green_blue() -> None:
    assert as_picture(np.array([[[255, 0, 0]]], np.uint8)).getpixel((0, 0)) == (255, 0, 0)


def test_transparency_of_an_array_lies_on_white() -> None:
    assert as_picture(np.array([[[200, 0, 0, 0]]], np.uint8)).getpixel((0, 0)) == (255, 255, 255)


def test_a_pillow_image_is_turned_as_its_camera_noted() -> None:
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    shades().save(buffer, "PNG", exif=exif)
    assert as_picture(Image.open(buffer)).size == as_picture(buffer.getvalue()).size == (32, 24)


def test_the_source_is_left_as_it_was() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    before = picture.copy()
    drawn_on = as_picture(picture)
    drawn_on.paste(0, (0, 0, 8, 8))
    assert np.array_equal(picture, before)


NO_PICTURES: dict[str, NDArray[Any]] = {
    "flat": np.zeros(5, np.uint8),
    "two channels": np.zeros((5, 5, 2), np.uint8),
    "channels first": np.zeros((3, 50, 50), np.uint8),
    "a batch": np.zeros((2, 5, 5, 3), np.uint8),
    "empty": np.zeros((0, 5), np.uint8),
    "int64": np.zeros((5, 5), np.int64),
    "floats to 255": np.full((5, 5), 255.0),
    "not a number": np.full((5, 5), np.nan),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_an_array_that_is_no_picture_is_told_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match=r"^an array of .* is no picture; need "):
        as_picture(NO_PICTURES[name])


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 half a JPEG", b"GIF89a"])
def test_bytes_that_are_no_picture_are_told_in_one_line(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^the picture: unreadable picture \(.*\); replace or remove it$"):
        as_picture(content)


def test_a_pillow_image_that_is_cut_off_is_told_in_one_line(tmp_path: Path) -> None:
    cut(tmp_path / "a.png")
    with pytest.raises(UserError, match="the picture: unreadable picture"):
        as_picture(Image.open(tmp_path / "a.png"))
