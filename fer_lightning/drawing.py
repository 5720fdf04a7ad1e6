"""Faces drawn on a picture: box, number, label with its percentage, and small bars over all classes.

Every mark brings its own ground: light ink on a dark plate, and a coloured box between dark lines, so that it can be
read on any picture. The classes keep their order and colour from picture to picture.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:  # torch behind it; drawing needs none
    from fer_lightning.recognizer import Face

# The hues of the timeline's Okabe and Ito colours, lighter, as the ground is dark.
COLOURS = ("#f4793b", "#2fc79c", "#e393c3", "#ffb92e", "#3f93e6", "#8bd6ff", "#cfd6dd", "#c6a832")
"""Of the classes in their order, on a dark ground; with more than these they come again."""

_DARK, _LIGHT, _DIM = (16, 20, 26), (255, 255, 255), (176, 184, 194)
_TRACK = (54, 61, 72)  # the ground of a bar
_VEIL = 0.78  # how dark the ground of the bars is


class _Rect(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "_Rect") -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def draw_faces(
    picture: Image.Image,
    faces: "Sequence[Face]",
    *,
    probabilities: Sequence[NDArray[np.float64]] | None = None,
    numbers: Sequence[int] | None = None,
    bars: bool = True,
) -> Image.Image:
    """Return an RGB copy of a picture with its faces marked.

    Args:
        picture: The upright picture that the boxes belong to.
        faces: The faces, all of one checkpoint.
        probabilities: What to show instead of each face's own, such as smoothed ones; each ``[K]``.
        numbers: What to call the faces instead of 1, 2, ..., such as the numbers of tracks.
        bars: Whether all classes are shown beside each face, or its label alone.
    """
    canvas = picture.convert("RGB") if picture.mode != "RGB" else picture.copy()
    shown = [face.probabilities for face in faces] if probabilities is None else probabilities
    called = range(1, len(faces) + 1) if numbers is None else numbers
    taken = [_Rect(*face.box) for face in faces]
    for face, values in zip(faces, shown, strict=True):
        _draw_box(canvas, _Rect(*face.box), _colour(int(np.argmax(values))))
    for face, values, number in zip(faces, shown, called, strict=True):
        box, best = _Rect(*face.box), int(np.argmax(values))
        text = f"{number}  {face.classes[best]} {values[best]:.0%}"
        taken.append(_draw_label(canvas, box, text, _colour(best), taken))
        if bars:
            taken.append(_draw_bars(canvas, box, face.classes, values, taken))
    return canvas


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _unit(canvas: Image.Image) -> float:
    """Return the width of a line in pixels, from 1 on; it grows with the picture."""
    return max(1.0, math.sqrt(canvas.width * canvas.height) / 400)


def _text_size(canvas: Image.Image, box: _Rect) -> int:
    """Return a size that can be read where the picture is shown whole, and that a small face is not buried under."""
    unit = _unit(canvas)
    return round(min(max((box.bottom - box.top) / 9, 6 * unit, 11), 16 * unit + 4))


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _draw_box(canvas: Image.Image, box: _Rect, colour: str) -> None:
    pen = ImageDraw.Draw(canvas)
    line = round(_unit(canvas))
    for grow, width, ink in ((4 * line, 4 * line, _DARK), (3 * line, 2 * line, colour)):  # all of it outside the face
        left, top = round(box.left) - grow, round(box.top) - grow
        right, bottom = max(left, round(box.right) + grow), max(top, round(box.bottom) + grow)
        pen.rectangle((left, top, right, bottom), outline=ink, width=width)


def _draw_label(canvas: Image.Image, box: _Rect, text: str, colour: str, taken: Sequence[_Rect]) -> _Rect:
    """Draw the plate above the box, or below it where that hides less, and return its place."""
    size = _text_size(canvas, box)
    pad, rim = size // 3, 2 * round(_unit(canvas))
    width, height = _font(size).getlength(text) + 2 * pad + rim, size + 2 * pad
    left = box.left - 2 * rim
    corners = ((left, box.top - 2 * rim - height), (left, box.bottom + 2 * rim + 1))
    plate = _freest(canvas, corners, width, height, taken)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle(plate, fill=_DARK)
    pen.rectangle((plate.left, plate.top, plate.left + rim, plate.bottom), fill=colour)
    pen.text((plate.left + rim + pad, plate.top + height / 2), text, _LIGHT, _font(size), anchor="lm")
    return plate


def _draw_bars(
    canvas: Image.Image, box: _Rect, classes: Sequence[str], values: NDArray[np.float64], taken: Sequence[_Rect]
) -> _Rect:
    """Draw a bar for each class on a dark veil, where it hides least, and return its place."""
    size = max(10, round(0.8 * _text_size(canvas, box)))
    font, pad, row = _font(size), size // 2, round(1.35 * size)
    names = max(font.getlength(name) for name in classes) + pad
    length = 5 * size
    width, height = names + length + 2 * pad, row * len(classes) + pad
    gap, plate = 5 * round(_unit(canvas)), 2 * _text_size(canvas, box)
    corners = (
        (box.right + gap, box.top),
        (box.left - gap - width, box.top),
        (box.left, box.bottom + gap),
        (box.left, box.bottom + gap + plate),
        (box.left, box.top - gap - plate - height),
    )
    panel = _freest(canvas, corners, width, height, taken)
    _darken(canvas, panel)
    pen = ImageDraw.Draw(canvas)
    best = int(np.argmax(values))
    for place, (name, value) in enumerate(zip(classes, values, strict=True)):
        middle = panel.top + pad / 2 + (place + 0.5) * row
        pen.text((panel.left + pad, middle), name, _LIGHT if place == best else _DIM, font, anchor="lm")
        start, half = panel.left + pad + names, size * 0.3
        pen.rectangle((start, middle - half, start + length, middle + half), fill=_TRACK)
        pen.rectangle((start, middle - half, start + length * float(value), middle + half), fill=_colour(place))
    return panel


def _freest(
    canvas: Image.Image, corners: Sequence[tuple[float, float]], width: float, height: float, taken: Sequence[_Rect]
) -> _Rect:
    """Return the place at one of these corners that hides least of what is drawn; of two alike the first."""
    places = [_inside(canvas, left, top, width, height) for left, top in corners]
    return min(places, key=lambda place: sum(place.overlap(other) for other in taken))


def _inside(canvas: Image.Image, left: float, top: float, width: float, height: float) -> _Rect:
    """Return a place of whole pixels that is pushed into the picture, as far as it fits."""
    left = round(max(0, min(left, canvas.width - width - 1)))
    top = round(max(0, min(top, canvas.height - height - 1)))
    return _Rect(left, top, left + round(width), top + round(height))


def _darken(canvas: Image.Image, place: _Rect) -> None:
    area = (int(place.left), int(place.top), int(place.right) + 1, int(place.bottom) + 1)
    ground = canvas.crop(area)
    canvas.paste(Image.blend(ground, Image.new("RGB", ground.size, _DARK), _VEIL), area[:2])
