"""Numbers that stay with a person, and smoothing that does not depend on the frame rate."""

import pickle
import time
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_lightning.faces import Detection
from fer_lightning.recognizer import Face
from fer_lightning.tracking import Smoother, TrackedFace, Tracker
from tests import fakes

FRAME = (640, 480)
RATE = 25.0
SIDE = 80.0  # height of a face
Place = tuple[float, float]
Crops = NDArray[np.uint8]


@pytest.fixture(scope="module")
def looks() -> Crops:
    """Smooth pictures that are as unlike each other as two persons."""
    return fakes.scenes(6)


def at(x: float, y: float, jitter: NDArray[np.float64] | None = None) -> Detection:
    box = np.array([x - 0.38 * SIDE, y - SIDE / 2, x + 0.38 * SIDE, y + SIDE / 2])
    box = box if jitter is None else box + jitter
    return Detection(tuple(box.tolist()), 0.99, np.tile([x, y], (5, 1)))


def noisy(crop: Crops, rng: np.random.Generator) -> Crops:
    return np.clip(crop + rng.normal(0, 8, crop.shape), 0, 255).astype(np.uint8)


def run(
    tracker: Tracker, paths: dict[int, list[Place | None]], looks: Crops, rate: float = RATE, start: float = 0.0
) -> dict[int, list[int | None]]:
    """Move persons along their paths; returns the numbers that each got, frame by frame."""
    rng = np.random.default_rng(0)
    numbers: dict[int, list[int | None]] = {person: [] for person in paths}
    for frame, places in enumerate(zip(*paths.values(), strict=True)):
        seen = [(person, place) for person, place in zip(paths, places, strict=True) if place is not None]
        found = [at(x, y, rng.normal(0, 1.5, 4)) for _, (x, y) in seen]
        crops = [noisy(looks[person], rng) for person, _ in seen]
        got = tracker.update(start + frame / rate, found, crops, FRAME)
        for (person, _), number in zip(seen, got, strict=True):
            numbers[person].append(number)
    return numbers


def steps(start: Place, end: Place, count: int) -> list[Place | None]:
    return [(float(x), float(y)) for x, y in np.linspace(start, end, count)]


def test_numbers_start_at_1_and_stay(looks: Crops) -> None:
    paths = {0: steps((100, 200), (300, 250), 60), 1: steps((500, 200), (450, 150), 60)}
    assert run(Tracker(), paths, looks) == {0: [1] * 60, 1: [2] * 60}


@pytest.mark.parametrize("count", [25, 60, 90])
@pytest.mark.parametrize("drop", [0.0, 25.0])
def test_faces_that_cross_keep_their_numbers(looks: Crops, count: int, drop: float) -> None:
    there, back = steps((80, 240), (560, 240), count), steps((560, 240 + drop), (80, 240 + drop), count)
    for frame, (front, behind) in enumerate(zip(there, back, strict=True)):
        if front and behind and abs(front[0] - behind[0]) < 0.7 * SIDE:
            back[frame] = None  # hidden by the other
    got = run(Tracker(), {0: there, 1: back}, looks)
    assert set(got[0]) == {1}
    assert set(got[1]) == {2}
    assert len(got[1]) < count


def test_while_two_faces_overlap_their_looks_tell_them_apart(looks: Crops) -> None:
    meeting = {0: steps((260, 240), (300, 240), 40), 1: steps((340, 240), (300, 240), 40)}
    changing = {0: steps((300, 240), (310, 240), 10), 1: steps((300, 240), (290, 240), 10)}
    got = run(Tracker(), {person: meeting[person] + changing[person] for person in (0, 1)}, looks)
    assert got == {0: [1] * 50, 1: [2] * 50}


def away_and_back(gap: int) -> list[Place | None]:
    return steps((300, 240), (560, 240), 40) + [None] * gap + steps((560, 260), (300, 260), 40)


@pytest.mark.parametrize(("gap", "numbers"), [(5, {1}), (50, {1}), (70, {1, 2})])
def test_who_returns_within_two_seconds_keeps_the_number(looks: Crops, gap: int, numbers: set[int]) -> None:
    assert set(run(Tracker(), {0: away_and_back(gap)}, looks)[0]) == numbers


def test_another_person_at_that_place_gets_another_number(looks: Crops) -> None:
    path = away_and_back(20)
    leaves, comes = path[:60] + [None] * 40, [None] * 60 + path[60:]
    assert run(Tracker(), {0: leaves, 1: comes}, looks) == {0: [1] * 40, 1: [2] * 40}


def test_who_returns_far_away_gets_another_number(looks: Crops) -> None:
    path = steps((500, 240), (560, 240), 20) + [None] * 10 + steps((100, 240), (120, 240), 20)
    assert run(Tracker(), {0: path}, looks)[0] == [1] * 20 + [2] * 20


def test_a_part_of_a_face_where_somebody_left_waits_for_its_number(looks: Crops) -> None:
    tracker = Tracker()
    run(tracker, {0: steps((400, 240), (600, 240), 30)}, looks)
    part = looks[3]  # the edge repeated makes a crop that is like nobody's
    assert tracker.update(2.9, [at(635, 240)], [part], FRAME) == [None]
    assert tracker.update(3.0, [at(590, 240)], [looks[0]], FRAME) == [1]


def test_a_face_that_comes_out_from_behind_another_waits_until_it_is_clear(looks: Crops) -> None:
    tracker = Tracker()
    run(tracker, {0: steps((300, 240), (300, 240), 20), 1: steps((400, 240), (320, 240), 20)}, looks)
    half = looks[3]  # a part of the other hides what it is like
    front = at(300, 240)
    assert tracker.update(1.0, [front], [looks[0]], FRAME) == [1]
    assert tracker.update(1.8, [front, at(375, 240)], [looks[0], half], FRAME) == [1, None]
    assert tracker.update(2.0, [front, at(400, 240)], [looks[0], looks[1]], FRAME) == [1, 2]


def test_a_part_of_a_face_where_nobody_left_gets_a_number(looks: Crops) -> None:
    assert Tracker().update(0.0, [at(5, 240)], [looks[0]], FRAME) == [1]


def test_faces_are_expected_to_move_on(looks: Crops) -> None:
    tracker = Tracker()
    run(tracker, {0: steps((100, 240), (340, 240), 61)}, looks)  # 100 pixels/s
    (there,) = tracker.expected(61 / RATE + 0.2)
    assert np.mean(there.box[::2]) == pytest.approx(340 + 0.24 * 100, abs=5)
    assert there.landmarks[:, 0] == pytest.approx([340 + 0.24 * 100] * 5, abs=5)
    tracker.update(3.0, [], [], FRAME)
    assert tracker.expected(3.1) == []


@pytest.mark.parametrize("rate", [8.0, 25.0, 120.0])
def test_the_frame_rate_changes_nothing(looks: Crops, rate: float) -> None:
    count = round(3 * rate)
    gap = [None] * round(rate)
    path = steps((100, 240), (500, 240), count) + gap + steps((480, 240), (100, 240), count)
    assert set(run(Tracker(), {0: path}, looks, rate)[0]) == {1}


def test_ten_thousand_frames_are_quick_and_leave_nothing_behind(looks: Crops) -> None:
    tracker, rng = Tracker(), np.random.default_rng(0)
    sizes, began, highest = [], time.process_time(), 0
    for frame in range(10_000):
        person, along = frame // 100 % 6, frame % 100 * 5.0  # every four seconds another one comes
        found = [at(60 + along, 120), at(580 - along, 340)]
        crops = [noisy(looks[person], rng), noisy(looks[(person + 1) % 6], rng)]
        highest = max(highest, *(number or 0 for number in tracker.update(frame / RATE, found, crops, FRAME)))
        if frame % 1000 == 999:
            sizes.append(len(pickle.dumps(tracker)))
    assert time.process_time() - began < 20  # seconds; a frame has 40 ms
    assert highest == 200  # a new number for each, and for nobody two
    assert max(sizes) < 1.05 * min(sizes)


def face(probabilities: list[float]) -> Face:
    values = np.array(probabilities)
    return Face((0.0, 0.0, 1.0, 1.0), 1.0, np.zeros((5, 2)), ("calm", "glad"), values, np.zeros((48, 48), np.uint8))


@pytest.mark.parametrize("rate", [5, 25, 200])
def test_smoothing_has_its_time_constant_at_any_frame_rate(rate: int) -> None:
    smooth = Smoother(seconds=0.4)
    smooth(face([1.0, 0.0]), 1, 0.0)
    for frame in range(1, round(0.4 * rate) + 1):
        last = smooth(face([0.0, 1.0]), 1, frame / rate)
    assert last.smoothed == pytest.approx([np.exp(-1), 1 - np.exp(-1)])
    assert last.face.probabilities.tolist() == [0.0, 1.0]


def test_smoothing_keeps_tracks_apart_and_forgets_who_is_long_gone() -> None:
    smooth = Smoother(seconds=0.5, patience=2.0)
    assert smooth(face([1.0, 0.0]), 1, 0.0).smoothed.tolist() == [1.0, 0.0]
    assert smooth(face([0.0, 1.0]), 2, 0.0).smoothed.tolist() == [0.0, 1.0]
    assert smooth(face([0.0, 1.0]), 1, 2.5).smoothed.tolist() == [0.0, 1.0]


def test_smoothing_stays_a_distribution_and_calms_it() -> None:
    smooth, rng = Smoother(), np.random.default_rng(0)
    tracked = [smooth(face(rng.dirichlet([1, 1]).tolist()), 1, frame / RATE) for frame in range(200)]
    values = np.stack([each.smoothed for each in tracked])
    assert values.sum(1) == pytest.approx(np.ones(200))
    jumps = [abs(after - before) for before, after in pairwise(values[:, 0])]
    raw = [abs(b.face.probabilities[0] - a.face.probabilities[0]) for a, b in pairwise(tracked)]
    assert np.mean(jumps) < 0.2 * np.mean(raw)


def test_a_tracked_face_is_named_by_its_smoothed_probabilities() -> None:
    tracked = TrackedFace(face([0.9, 0.1]), 3, np.array([0.3, 0.7]))
    assert (tracked.label, tracked.confidence, tracked.face.label) == ("glad", 0.7, "calm")
