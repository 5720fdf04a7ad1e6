"""The webcam's stream: one visitor's frames, one after the other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.faces import cut_face
from fer_lightning.live import LiveSession
from fer_lightning.recognizer import Recognizer
from tests import fakes, films

SIZE = (640, 480)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer.from_checkpoint(fakes.write_checkpoint(tmp_path_factory.mktemp("live") / "net.safetensors"))


def frame(x: float | None, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    place = None if x is None else (x, size[1] / 2)
    return np.asarray(films.scene((films.astronaut(size[1] // 2), place), size=size))


def ticking(rate: float) -> Callable[[], float]:
    """Return a clock that goes on by one frame at each look."""

    def times() -> Iterator[float]:
        now = 1000.0
        while True:
            yield now
            now += 1 / rate

    return times().__next__


def test_a_moving_face_keeps_its_number_and_its_place_is_in_the_frames_own_pixels(recognizer: Recognizer) -> None:
    session = LiveSession(recognizer, every=10, clock=ticking(15))
    for x in range(200, 440, 10):
        (tracked,) = session.step(frame(x))
        assert tracked.track == 1
        assert np.mean(tracked.face.box[::2]) == pytest.approx(x, abs=15)
        assert tracked.smoothed.sum() == pytest.approx(1)


def test_the_crop_is_cut_from_the_frame_and_not_from_the_small_copy_that_is_searched(recognizer: Recognizer) -> None:
    large = frame(600, (1280, 960))
    (tracked,) = LiveSession(recognizer).step(large)
    searched = recognizer.detector(Image.fromarray(large))[0]
    sharp = cut_face(Image.fromarray(large), searched._replace(box=tracked.face.box, landmarks=tracked.face.landmarks))
    assert np.array_equal(tracked.face.crop, sharp)
    assert tracked.face.probabilities == pytest.approx(recognizer.classify([sharp])[0])
    assert tracked.face.box == pytest.approx(searched.box, abs=0.08 * (searched.box[3] - searched.box[1]))


def test_probabilities_are_smoothed_by_the_clock(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = iter(np.eye(7))
    monkeypatch.setattr(recognizer, "classify", lambda crops: np.stack([next(rows) for _ in crops]))
    session = LiveSession(recognizer, clock=ticking(10))
    session.step(frame(300))
    (second,) = session.step(frame(300))
    share = 1 - np.exp(-0.1 / 0.5)
    assert second.face.probabilities[:2].tolist() == [0, 1]
    assert second.smoothed[:2] == pytest.approx([1 - share, share])


def test_visitors_do_not_see_each_other(recognizer: Recognizer) -> None:
    one, other = LiveSession(recognizer, clock=ticking(15)), LiveSession(recognizer, clock=ticking(15))
    two = np.asarray(films.scene((films.astronaut(200), (150, 240)), (films.hopper(200), (460, 240)), size=SIZE))
    assert sorted(face.track for face in one.step(two)) == [1, 2]
    assert [face.track for face in other.step(frame(460))] == [1]
    assert sorted(face.track for face in one.step(two)) == [1, 2]


def test_nobody_then_somebody_who_is_seen_at_once(recognizer: Recognizer) -> None:
    session = LiveSession(recognizer, every=100, clock=ticking(15))
    assert [session.step(frame(None)) for _ in range(3)] == [[], [], []]
    assert [face.track for face in session.step(frame(300))] == [1]
    assert session.step(frame(None)) == []
    assert [face.track for face in session.step(frame(310))] == [1]


def test_a_new_size_grey_and_tiny_frames_are_no_trouble(recognizer: Recognizer, tmp_path: Path) -> None:
    session = LiveSession(recognizer)
    assert len(session.step(frame(300))) == 1
    assert len(session.step(frame(500, (960, 720)))) == 1
    assert len(session.step(np.asarray(Image.fromarray(frame(300)).convert("L")))) == 1
    assert session.step(np.zeros((20, 20, 3), np.uint8)) == []
    assert list(tmp_path.iterdir()) == []
