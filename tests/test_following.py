"""Faces followed by the detector's last stage, held against the full search on the same pictures."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from fer_lightning.boxes import nested, overlaps
from fer_lightning.faces import Detection, FaceDetector
from fer_lightning.following import Follower
from tests import films


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def shown(x: float, y: float, height: int = 110) -> Image.Image:
    return films.scene((films.astronaut(height), (x, y)))


def overlap(first: Detection, second: Detection) -> float:
    return float(overlaps(np.array([first.box]), np.array([second.box]))[0, 0])


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (8, 4), (-10, 6), (0, 14), (16, 0)])
def test_following_lands_where_the_full_search_does(detector: FaceDetector, shift: tuple[int, int]) -> None:
    (before,) = detector(shown(150, 110))
    moved = shown(150 + shift[0], 110 + shift[1])
    (searched,) = detector(moved)
    (followed,) = detector.refine(moved, [before])
    assert followed is not None
    assert overlap(followed, searched) > 0.85
    assert followed.landmarks == pytest.approx(searched.landmarks, abs=4)
    assert followed.probability > 0.9


def test_a_still_face_can_be_followed_for_ever(detector: FaceDetector) -> None:
    picture = shown(150, 110)
    (searched,) = detector(picture)
    found: Detection | None = searched
    for _ in range(50):
        assert found is not None
        (found,) = detector.refine(picture, [found])
    assert found is not None
    assert overlap(found, searched) > 0.85


def test_several_faces_are_followed_at_once_and_lost_ones_told(detector: FaceDetector) -> None:
    picture = films.scene((films.astronaut(), (80, 120)), (films.hopper(), (230, 120)))
    known = detector(picture)
    assert len(known) == 2
    alone = films.scene((films.hopper(), (233, 122)))
    right, left = sorted(known, key=lambda face: -face.box[0])
    followed = detector.refine(alone, [left, right])
    assert followed[0] is None
    assert followed[1] is not None
    assert followed[1].box[0] == pytest.approx(right.box[0] + 3, abs=6)
    assert detector.refine(alone, []) == []


def test_grey_pictures_edges_and_places_far_outside_are_no_trouble(detector: FaceDetector) -> None:
    corner = films.scene((films.astronaut(), (40, 40)))
    (found,) = detector(corner)
    (followed,) = detector.refine(corner.convert("L"), [found])
    assert followed is not None
    assert overlap(followed, found) > 0.8
    lost = [found._replace(box=box) for box in ((-900.0, -900.0, -850.0, -840.0), (5.0, 200.0, 5.0, 200.0))]
    assert detector.refine(corner, lost) == [None, None]


class Searches(FaceDetector):
    """A detector that counts its full searches."""

    count = 0

    def __call__(self, picture: Image.Image) -> list[Detection]:
        self.count += 1
        return super().__call__(picture)


def follow(follower: Follower, frames: Sequence[Image.Image]) -> list[list[int]]:
    return [[seen.track for seen in follower(frame, number / 25)] for number, frame in enumerate(frames)]


def test_the_full_search_comes_on_every_nth_frame() -> None:
    detector = Searches()
    frames = [shown(100 + 2 * number, 120) for number in range(20)]
    assert follow(Follower(detector, 5), frames) == [[1]] * 20
    assert detector.count == 4


def test_a_face_that_jumps_is_searched_for_at_once_and_keeps_its_number() -> None:
    detector = Searches()
    frames = [shown(100, 120)] * 4 + [shown(160, 120)] * 4
    assert follow(Follower(detector, 100), frames) == [[1]] * 8
    assert detector.count == 2


def test_new_faces_come_in_by_the_full_search_alone() -> None:
    one = films.scene((films.astronaut(), (80, 120)))
    two = films.scene((films.astronaut(), (80, 120)), (films.hopper(), (230, 120)))
    seen = follow(Follower(FaceDetector(), 6), [one] * 2 + [two] * 6)
    assert [sorted(tracks) for tracks in seen] == [[1]] * 6 + [[1, 2]] * 2


def test_an_empty_scene_is_searched_at_the_pace_that_was_asked_for() -> None:
    for eager, count in ((False, 2), (True, 10)):
        detector = Searches()
        assert follow(Follower(detector, 5, eager=eager), [films.scene()] * 10) == [[]] * 10
        assert detector.count == count


def test_two_boxes_on_one_face_are_one_face(detector: FaceDetector) -> None:
    class Twice(FaceDetector):
        def __call__(self, picture: Image.Image) -> list[Detection]:
            found = super().__call__(picture)
            left, top, right, bottom = found[0].box
            return [*found, found[0]._replace(box=(left + 12, top + 16, right + 4, bottom + 2))]

    assert follow(Follower(Twice(), 2), [shown(150, 110)] * 4) == [[1]] * 4


def test_the_largest_face_comes_first(detector: FaceDetector) -> None:
    frame = films.scene((films.hopper(80), (80, 120)), (films.astronaut(130), (220, 120)))
    seen = Follower(detector, 5)(frame, 0.0)
    assert [found.found.box[0] > 150 for found in seen] == [True, False]
    assert seen[0].crop.shape == (48, 48)


def test_boxes_inside_each_other_and_apart() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 5.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    assert overlaps(boxes, boxes)[0].tolist() == [1.0, 0.5, 0.0]
    assert nested(boxes, boxes)[0].tolist() == [1.0, 1.0, 0.0]
    assert overlaps(boxes, np.zeros((0, 4))).shape == (3, 0)
