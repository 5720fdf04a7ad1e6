"""The picture of a film's expressions over time."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.expressions import FER2013_CLASSES, FERPLUS_CLASSES
from fer_lightning.recognizer import Face
from fer_lightning.timeline import Timeline, timeline_picture
from fer_lightning.tracking import TrackedFace

HAPPY, SAD = 3, 4
ORANGE, BLUE = (230, 159, 0), (0, 114, 178)


def tracked(number: int, best: int, classes: tuple[str, ...] = FER2013_CLASSES) -> TrackedFace:
    values = np.full(len(classes), 0.1 / (len(classes) - 1))
    values[best] = 0.9
    crop = np.full((48, 48), 200, np.uint8)
    face = Face((0.0, 0.0, 50.0, 60.0), 1.0, np.zeros((5, 2)), classes, np.eye(len(classes))[0], crop)
    return TrackedFace(face, number, values)


def drawn(timeline: Timeline, title: str = "") -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(timeline_picture(timeline, title))) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def amount(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(-1) < 12).sum())


def test_each_class_has_its_colour_and_the_smoothed_values_are_drawn() -> None:
    happy, sad = Timeline(FER2013_CLASSES), Timeline(FER2013_CLASSES)
    for frame in range(100):
        happy.add(frame / 25, [tracked(1, HAPPY)])
        sad.add(frame / 25, [tracked(1, SAD)])
    high = slice(0, 90)  # the row's upper half, above 50 %
    assert amount(drawn(happy)[high], ORANGE) > 500 > 20 > amount(drawn(happy)[high], BLUE)
    assert amount(drawn(sad)[high], BLUE) > 500 > 20 > amount(drawn(sad)[high], ORANGE)


def test_every_track_has_a_row_up_to_twelve() -> None:
    heights = []
    for tracks in (1, 12, 30):
        timeline = Timeline(FER2013_CLASSES)
        for frame in range(5):
            timeline.add(frame / 25, [tracked(number, HAPPY) for number in range(1, tracks + 1)])
        heights.append(len(drawn(timeline, "many")))
    assert heights[0] < heights[1] == heights[2]


def test_a_line_is_broken_while_the_face_is_away() -> None:
    there, away = Timeline(FER2013_CLASSES), Timeline(FER2013_CLASSES)
    for frame in range(300):
        there.add(frame / 25, [tracked(1, HAPPY)])
        away.add(frame / 25, [] if 75 < frame < 225 else [tracked(1, HAPPY)])
    assert amount(drawn(away), ORANGE) < 0.7 * amount(drawn(there), ORANGE)


def test_no_face_one_frame_and_unknown_classes_are_drawn_too() -> None:
    empty = Timeline(FER2013_CLASSES)
    assert drawn(empty).std() > 0
    empty.add(3.0, [])
    assert empty.duration == 3.0
    assert drawn(empty, "nobody.mp4").std() > 0
    for names in (FERPLUS_CLASSES, tuple(f"class {number}" for number in range(11)), ("a", "b")):
        single = Timeline(names)
        single.add(0.0, [tracked(1, 1, names)])
        assert drawn(single).shape[1] > 800


@pytest.mark.parametrize("frames", [1_999, 2_001, 30_000])
def test_a_long_track_is_thinned_out_evenly(frames: int) -> None:
    timeline = Timeline(FER2013_CLASSES)
    for frame in range(frames):
        timeline.add(frame / 25, [tracked(1, frame * 7 // frames)])
    curve = timeline.curves[1]
    assert min(frames, 1000) <= len(curve.times) <= 2000
    assert len(set(np.diff(curve.times).round(6))) == 1
    assert [np.argmax(value) for value in curve.values] == [round(time * 25) * 7 // frames for time in curve.times]
    assert timeline.duration == curve.last == (frames - 1) / 25


def test_of_very_many_tracks_the_long_ones_stay() -> None:
    timeline = Timeline(FER2013_CLASSES)
    for second in range(3000):
        passer = [tracked(second + 2, SAD)] if second % 3 == 0 else []
        timeline.add(float(second), [tracked(1, HAPPY), *passer])
    assert len(timeline.curves) < 80
    assert timeline.curves[1].seen == 3000
    assert drawn(timeline).std() > 0
