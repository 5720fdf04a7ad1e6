"""Draws one grey face: an identity, the strengths of its action units (FACS, Ekman & Friesen 1978), and a view.

Coordinates are shares of the picture's side, x to the right and y downwards, with the eyes where FER2013's crops have
them. Everything is drawn four times as large and averaged down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fer_lightning.preprocess import SIDE

_ZOOM = 4
_EYE_Y, _MOUTH_Y = 0.39, 0.76
Point = tuple[float, float]


@dataclass(frozen=True)
class Identity:
    """What stays the same on all pictures of a person; lengths in shares of the side, tones in 0..255."""

    skin: float
    hair: float
    backdrop: float
    face_width: float
    face_height: float
    hairline: float
    long_hair: bool
    eye_size: float
    eye_distance: float
    brow_weight: float
    brow_height: float
    brow_slope: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lips: float
    mouth_tilt: float
    glasses: bool
    beard: bool
    age: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Identity":
        """Draw a person."""
        skin = rng.uniform(90, 225)
        return cls(
            skin=skin,
            hair=rng.uniform(10, 90) if rng.random() < 0.8 else rng.uniform(120, 220),
            backdrop=rng.uniform(10, 245),
            face_width=rng.uniform(0.36, 0.45),
            face_height=rng.uniform(0.50, 0.58),
            hairline=rng.uniform(0.08, 0.2),
            long_hair=bool(rng.random() < 0.4),
            eye_size=rng.uniform(0.07, 0.1),
            eye_distance=rng.uniform(0.35, 0.39),
            brow_weight=rng.uniform(0.012, 0.032),
            brow_height=rng.uniform(0.085, 0.12),
            brow_slope=rng.uniform(-0.02, 0.02),
            nose_length=rng.uniform(0.17, 0.23),
            nose_width=rng.uniform(0.05, 0.085),
            mouth_width=rng.uniform(0.12, 0.17),
            lips=rng.uniform(0.012, 0.026),
            mouth_tilt=rng.uniform(-0.012, 0.012),
            glasses=bool(rng.random() < 0.15),
            beard=bool(rng.random() < 0.12),
            age=rng.uniform(0, 1),
        )


class _Pen:
    """A canvas that takes points of the face and knows the view: shift, scale, roll and turn of the head."""

    def __init__(self, tone: float, view: Mapping[str, float]) -> None:
        self.size = SIDE * _ZOOM
        self.image = Image.new("L", (self.size, self.size), round(tone))
        self.draw = ImageDraw.Draw(self.image)
        self.view = view
        self._cos, self._sin = np.cos(view["roll"]), np.sin(view["roll"])

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Return where points of the face fall on the canvas, in pixels."""
        view, placed = self.view, []
        for x, y in points:
            depth = max(0.0, 1 - ((x - 0.5) / 0.5) ** 2)  # the middle of a head stands out, and moves when it turns
            x, y = x - 0.5 + view["turn"] * depth, y - 0.5 + view["nod"] * depth
            x, y = x * self._cos - y * self._sin, x * self._sin + y * self._cos
            placed.append(
                ((x * view["scale"] + 0.5 + view["x"]) * self.size, (y * view["scale"] + 0.5 + view["y"]) * self.size)
            )
        return placed

    def area(self, points: Sequence[Point], tone: float) -> None:
        """Fill a closed outline."""
        self.draw.polygon(self.place(points), fill=_tone(tone))

    def line(self, points: Sequence[Point], tone: float, width: float) -> None:
        """Draw a line of a width in shares of the side."""
        pixels = max(1, round(width * self.size * self.view["scale"]))
        self.draw.line(self.place(points), fill=_tone(tone), width=pixels, joint="curve")

    def ellipse(self, centre: Point, rx: float, ry: float, tone: float) -> None:
        """Fill an ellipse."""
        self.area(_arc(centre, rx, ry, 0, 2 * np.pi), tone)


def _tone(tone: float) -> int:
    return int(np.clip(round(tone), 0, 255))


def _arc(centre: Point, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    angles = np.linspace(start, stop, 25)
    return [(centre[0] + rx * float(np.cos(a)), centre[1] + ry * float(np.sin(a))) for a in angles]


def _curve(a: Point, b: Point, c: Point) -> list[Point]:
    """Return points of the parabola from a through about b to c."""
    t = np.linspace(0, 1, 13)
    control = (2 * b[0] - (a[0] + c[0]) / 2, 2 * b[1] - (a[1] + c[1]) / 2)
    x = (1 - t) ** 2 * a[0] + 2 * t * (1 - t) * control[0] + t**2 * c[0]
    y = (1 - t) ** 2 * a[1] + 2 * t * (1 - t) * control[1] + t**2 * c[1]
    return list(zip(x.tolist(), y.tolist(), strict=True))


def draw_face(
    who: Identity, left: Mapping[int, float], right: Mapping[int, float], view: Mapping[str, float]
) -> NDArray[np.float32]:
    """Draw a face.

    Args:
        who: The person.
        left: Strength 0..1 of each action unit (by its FACS number) on the picture's left half; absent ones are 0.
        right: The same for the right half.
        view: ``x``, ``y`` (shift, shares of the side), ``scale``, ``roll`` (radians), ``turn`` and ``nod`` (shares).

    Returns:
        float32 ``[48, 48]``, tones 0..255, without light, blur and noise.
    """
    pen = _Pen(who.backdrop, view)
    jaw = 0.07 * _unit(left, right, 26)
    _head(pen, who, jaw)
    for side, units in ((-1, left), (1, right)):
        _eye(pen, who, units, side)
        _brow(pen, who, units, side)
        _cheek(pen, who, units, side)
    _nose(pen, who, left, right)
    _mouth(pen, who, left, right)
    return np.asarray(pen.image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)


def _unit(left: Mapping[int, float], right: Mapping[int, float], number: int) -> float:
    return (left.get(number, 0.0) + right.get(number, 0.0)) / 2


def _head(pen: _Pen, who: Identity, jaw: float) -> None:
    top = 0.5 - who.face_height
    if who.long_hair:
        pen.ellipse((0.5, 0.52), who.face_width + 0.09, who.face_height + 0.06, who.hair)
    pen.ellipse((0.5, top + 0.3), who.face_width + 0.03, 0.36, who.hair)
    skull = _arc((0.5, 0.48), who.face_width, who.face_height - 0.02, np.pi, 2 * np.pi)
    chin = _arc((0.5, 0.48), who.face_width, who.face_height + jaw, 0, np.pi)
    pen.area(skull + chin, who.skin)
    for side in (-1, 1):  # a little shadow models the cheeks
        pen.line(_arc((0.5, 0.48), who.face_width - 0.015, who.face_height + jaw, np.pi / 2, np.pi / 2 - side * 1.2),
                 who.skin * 0.86, 0.02)  # fmt: skip
    pen.ellipse((0.5, top + who.hairline - 0.04), who.face_width * 0.85, 0.12, who.hair)
    if who.beard:
        tone = 0.55 * who.skin + 0.45 * who.hair
        pen.area(_arc((0.5, 0.7), who.face_width * 0.8, who.face_height - 0.2 + jaw, 0, np.pi), tone)


def _eye(pen: _Pen, who: Identity, units: Mapping[int, float], side: int) -> None:
    x, size = 0.5 + side * who.eye_distance / 2, who.eye_size
    upper = size * (0.42 + 0.34 * units.get(5, 0) - 0.2 * units.get(7, 0) - 0.1 * units.get(9, 0))
    lower = size * (0.34 - 0.24 * units.get(6, 0) - 0.18 * units.get(7, 0) - 0.1 * units.get(9, 0))
    inner, outer = (x - side * size, _EYE_Y + 0.006), (x + side * size, _EYE_Y)
    lid, rim = _curve(inner, (x, _EYE_Y - upper), outer), _curve(inner, (x, _EYE_Y + lower), outer)
    pen.area(lid + rim[::-1], min(250, who.skin + 60))
    iris = min(size * 0.42, (upper + lower) * 0.62)
    pen.ellipse((x, _EYE_Y + (lower - upper) * 0.25), iris, min(iris, (upper + lower) * 0.5), 35)
    pen.line(lid, who.skin * 0.35, 0.014)
    pen.line(rim, who.skin * 0.6, 0.008)
    if units.get(6, 0) > 0.05:  # crow's feet
        for dy in (-0.02, 0.005, 0.03):
            foot = (outer[0] + side * (0.02 + 0.03 * units[6]), _EYE_Y + dy * 1.6)
            pen.line([(outer[0] + side * 0.01, _EYE_Y + dy), foot], who.skin * (1 - 0.3 * units[6]), 0.008)
    if who.glasses:
        pen.line(_arc((x, _EYE_Y + 0.01), size * 1.35, size * 1.1, 0, 2 * np.pi), 30, 0.012)
        pen.line([(0.5, _EYE_Y), (x - side * size * 1.35, _EYE_Y)], 30, 0.012)


def _brow(pen: _Pen, who: Identity, units: Mapping[int, float], side: int) -> None:
    x, base = 0.5 + side * who.eye_distance / 2, _EYE_Y - who.brow_height
    down = 0.05 * units.get(4, 0) + 0.02 * units.get(9, 0)
    inner = (x - side * (who.eye_size + 0.01 + 0.02 * units.get(4, 0)),
             base + who.brow_slope - 0.06 * units.get(1, 0) + down * 1.1)  # fmt: skip
    outer = (x + side * (who.eye_size + 0.02), base + 0.015 - 0.055 * units.get(2, 0) + down * 0.35)
    arch = (x, base - 0.018 - 0.03 * units.get(1, 0) - 0.045 * units.get(2, 0) + down * 0.8)
    pen.line(_curve(inner, arch, outer), min(who.hair, who.skin * 0.5), who.brow_weight)
    if units.get(4, 0) > 0.05:  # the furrow between the brows
        pen.line([(0.5 + side * 0.022, base + 0.01), (0.5 + side * 0.018, base + 0.07)],
                 who.skin * (1 - 0.4 * units[4]), 0.009)  # fmt: skip
    lifted = min(units.get(1, 0) + units.get(2, 0), 1.2)
    wrinkle = 0.12 * who.age + 0.22 * lifted
    if lifted > 0.1:
        pen.line([(0.5, base - 0.09), (x + side * 0.03, base - 0.1)], who.skin * (1 - wrinkle), 0.008)


def _cheek(pen: _Pen, who: Identity, units: Mapping[int, float], side: int) -> None:
    """Draw the fold from the nose to the mouth; smiling, wrinkling the nose and age deepen it."""
    depth = 0.1 * who.age + 0.32 * units.get(12, 0) + 0.3 * units.get(9, 0) + 0.12 * units.get(6, 0)
    out = 0.03 * units.get(12, 0) + 0.02 * units.get(20, 0)
    start = (0.5 + side * (who.nose_width + 0.015), _EYE_Y + who.nose_length - 0.01 - 0.02 * units.get(9, 0))
    end = (0.5 + side * (who.mouth_width + 0.03 + out), _MOUTH_Y - 0.02)
    middle = (0.5 + side * (who.mouth_width + 0.015 + out), (start[1] + end[1]) / 2)
    pen.line(_curve(start, middle, end), who.skin * (1 - depth), 0.011)


def _nose(pen: _Pen, who: Identity, left: Mapping[int, float], right: Mapping[int, float]) -> None:
    wrinkled = _unit(left, right, 9)
    tip = _EYE_Y + who.nose_length - 0.018 * wrinkled
    width = who.nose_width * (1 + 0.25 * wrinkled)
    shade = who.skin * 0.72
    pen.line([(0.5 + 0.02, _EYE_Y + 0.02), (0.5 + width * 0.55, tip - 0.02)], who.skin * 0.85, 0.01)
    pen.line(_curve((0.5 - width, tip), (0.5, tip + 0.025), (0.5 + width, tip)), shade, 0.012)
    for side in (-1, 1):
        pen.ellipse((0.5 + side * width * 0.5, tip + 0.008), 0.014, 0.008, who.skin * 0.4)
    if wrinkled > 0.05:
        for dy in (0.03, 0.055, 0.08):
            line = _curve((0.46, _EYE_Y + dy), (0.5, _EYE_Y + dy - 0.012), (0.54, _EYE_Y + dy))
            pen.line(line, who.skin * (1 - 0.4 * wrinkled), 0.008)


def _mouth(pen: _Pen, who: Identity, left: Mapping[int, float], right: Mapping[int, float]) -> None:
    corners = [_corner(who, units, side) for side, units in ((-1, left), (1, right))]
    opened = 0.1 * _unit(left, right, 26) + 0.02 * _unit(left, right, 12)
    tight = _unit(left, right, 23)
    lips = who.lips * (1 - 0.75 * tight)
    smile = _unit(left, right, 12) - _unit(left, right, 15)
    top = (0.5, _MOUTH_Y - 0.022 * _unit(left, right, 9) - 0.012 * _unit(left, right, 12) + 0.008 * smile)
    bottom = (0.5, _MOUTH_Y + opened + 0.02 * max(smile, 0) - 0.012 * max(-smile, 0))
    upper, lower = _curve(corners[0], top, corners[1]), _curve(corners[0], bottom, corners[1])
    if opened > 0.012:
        pen.area(upper + lower[::-1], 25)
        if smile > 0.15 or _unit(left, right, 20) > 0.2:  # teeth
            middle = _curve(corners[0], (0.5, top[1] + 0.45 * (bottom[1] - top[1])), corners[1])
            pen.area(upper[2:-2] + middle[-3:1:-1], 225)
    tone = who.skin * 0.58
    pen.line(upper, tone, 0.008 + lips)
    pen.line(lower, tone, 0.006 + lips * 1.2)
    pen.line(
        _curve((0.44, bottom[1] + 0.06), (0.5, bottom[1] + 0.068), (0.56, bottom[1] + 0.06)), who.skin * 0.85, 0.01
    )


def _corner(who: Identity, units: Mapping[int, float], side: int) -> Point:
    reach = 0.035 * units.get(12, 0) + 0.04 * units.get(20, 0) - 0.035 * units.get(23, 0) - 0.02 * units.get(26, 0)
    height = -0.05 * units.get(12, 0) + 0.045 * units.get(15, 0) + 0.012 * units.get(20, 0)
    return (0.5 + side * (who.mouth_width + reach), _MOUTH_Y + height + side * who.mouth_tilt)
