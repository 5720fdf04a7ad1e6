"""What is drawn on a picture: where, how long, in which order, and that it can be read on any ground."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from fer_lightning import drawing
from fer_lightning.drawing import draw_faces
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.recognizer import Face

UNEVEN = (0.05, 0.1, 0.0, 0.5, 0.2, 0.1, 0.05)
GROUNDS = {
    "black": Image.new("RGB", (640, 480), "black"),
    "white": Image.new("RGB", (640, 480), "white"),
    "noise": Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)),
}


def face(
    box: tuple[float, float, float, float] = (200, 150, 300, 270),
    probabilities: Sequence[float] = UNEVEN,
    classes: Sequence[str] = FER2013_CLASSES,
) -> Face:
    crop = np.zeros((48, 48), np.uint8)
    return Face(box, 0.99, np.zeros((5, 2)), tuple(classes), np.array(probabilities), crop)


def ink(picture: Image.Image, place: int) -> NDArray[np.bool_]:
    """Where the colour of a class is."""
    found: NDArray[np.bool_] = (np.asarray(picture) == ImageColor.getrgb(drawing.COLOURS[place])).all(-1)
    return found


def changed(picture: Image.Image, before: Image.Image) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (np.asarray(picture) != np.asarray(before.convert("RGB"))).any(-1)
    return found


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_it_is_an_rgb_copy(mode: str) -> None:
    picture = GROUNDS["noise"].convert(mode)
    before = picture.tobytes()
    drawn = draw_faces(picture, [face()])
    assert (drawn.mode, drawn.size) == ("RGB", picture.size)
    assert picture.tobytes() == before
    assert not changed(draw_faces(picture, []), picture).any()


def test_the_box_surrounds_the_face_and_leaves_it_free() -> None:
    marked = changed(draw_faces(GROUNDS["white"], [face()]), GROUNDS["white"])
    assert not marked[150:271, 200:301].any()
    for edge in (marked[149, 199:302], marked[271, 199:302], marked[149:272, 199], marked[149:272, 301]):
        assert edge.all()


def test_bars_are_as_long_as_their_probabilities_in_the_order_of_the_classes() -> None:
    bare = draw_faces(GROUNDS["black"], [face()], bars=False)
    drawn = draw_faces(GROUNDS["black"], [face()])
    new = changed(drawn, bare)
    middles, lengths = [], []
    for place in range(7):
        rows, columns = np.nonzero(ink(drawn, place) & new)
        middles.append(rows.mean())
        lengths.append(np.ptp(columns))
    assert middles == sorted(middles)
    assert np.array(lengths) / lengths[3] == pytest.approx(np.array(UNEVEN) / 0.5, abs=1.5 / lengths[3])


def test_without_bars_only_the_label_is_drawn() -> None:
    drawn = draw_faces(GROUNDS["black"], [face()], bars=False)
    assert [place for place in range(7) if ink(drawn, place).any()] == [3]


@pytest.mark.parametrize("ground", ["white", "noise"])
def test_the_label_is_the_same_on_any_ground(ground: str) -> None:
    """Its plate is opaque, so what can be read on black can be read everywhere."""
    on_black = np.asarray(draw_faces(GROUNDS["black"], [face()], bars=False))
    plate = changed(Image.fromarray(on_black), GROUNDS["black"])
    assert plate.sum() > 1_000
    assert np.array_equal(np.asarray(draw_faces(GROUNDS[ground], [face()], bars=False))[plate], on_black[plate])


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    parts = np.asarray(colour, np.float64)[:3] / 255
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_inks_stand_out_from_their_grounds_as_wcag_asks() -> None:
    veil = [(1 - drawing._VEIL) * 255 + drawing._VEIL * part for part in drawing._DARK]  # at worst, on white
    assert contrast(drawing._LIGHT, drawing._DARK) > 7
    assert contrast(drawing._DIM, veil) > 4.5
    assert min(contrast(ImageColor.getrgb(colour), drawing._TRACK) for colour in drawing.COLOURS) > 3


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 80, 100),
        (560, 0, 640, 100),
        (0, 380, 80, 480),
        (560, 380, 640, 480),
        (-40, -50, 60, 60),
        (600, 200, 700, 320),
    ],
)
def test_label_and_bars_stay_inside_the_picture(box: tuple[float, float, float, float]) -> None:
    inside = draw_faces(GROUNDS["black"], [face((200, 150, 200 + box[2] - box[0], 150 + box[3] - box[1]))])
    drawn = draw_faces(GROUNDS["black"], [face(box)])
    sad = 4  # its bar is on the panel alone; the colour of the winner is in the box, too
    assert ink(drawn, sad).sum() == ink(inside, sad).sum() > 50
    light = (np.asarray(drawn) == 255).all(-1).sum(), (np.asarray(inside) == 255).all(-1).sum()
    assert light[0] == light[1]


def test_marks_do_not_hide_the_neighbour() -> None:
    left, right = (200.0, 200.0, 260.0, 280.0), (272.0, 200.0, 332.0, 280.0)
    marked = changed(draw_faces(GROUNDS["white"], [face(left), face(right)]), GROUNDS["white"])
    assert not marked[200:281, 200:261].any()
    assert not marked[200:281, 272:333].any()


def test_numbers_and_probabilities_can_be_given() -> None:
    smooth = np.array([0.0, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0])
    given = draw_faces(GROUNDS["black"], [face()], probabilities=[smooth], numbers=[1])
    assert not changed(given, draw_faces(GROUNDS["black"], [face(probabilities=smooth.tolist())])).any()
    assert ink(given, 2).sum() > ink(given, 3).sum()
    numbered = draw_faces(GROUNDS["black"], [face()], numbers=[12])
    assert changed(numbered, draw_faces(GROUNDS["black"], [face()])).any()


def test_lines_and_letters_grow_with_the_picture() -> None:
    small, large = GROUNDS["black"], GROUNDS["black"].resize((2560, 1920))
    areas = []
    for picture, scale in ((small, 1), (large, 4)):
        box = (200.0 * scale, 150.0 * scale, 300.0 * scale, 270.0 * scale)
        areas.append(changed(draw_faces(picture, [face(box)]), picture).mean())
    assert areas[1] == pytest.approx(areas[0], rel=0.2)


@pytest.mark.parametrize("size", [(48, 48), (1, 1), (20, 400)])
def test_a_picture_smaller_than_the_marks_is_drawn_on(size: tuple[int, int]) -> None:
    drawn = draw_faces(Image.new("L", size), [face((0, 0, float(size[0]), float(size[1])))])
    assert drawn.size == size


def test_any_number_of_classes_with_any_names() -> None:
    names = [f"a very long name of an expression, number {number}" for number in range(20)]
    drawn = draw_faces(GROUNDS["white"], [face(probabilities=np.full(20, 0.05).tolist(), classes=names)])
    assert changed(drawn, GROUNDS["white"]).any()
    one = draw_faces(GROUNDS["white"], [face(probabilities=[1.0], classes=["face"])])
    assert changed(one, GROUNDS["white"]).any()
