"""Augmentation: what each preset may do to a face, and that draws depend on the seed alone."""

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_lightning.data import augment
from fer_lightning.data.augment import Augment, AugmentName
from fer_lightning.data.datamodule import ExpressionDataModule
from tests import fakes

CHANGING: tuple[AugmentName, ...] = ("light", "photo", "strong")
Faces = NDArray[np.uint8]


def draws(preset: AugmentName, face: Faces, count: int = 300) -> Faces:
    return Augment(preset)(np.repeat(face[None], count, 0), seed=1)


def test_none_keeps_the_faces() -> None:
    faces = fakes.scenes(4)
    assert np.array_equal(Augment("none")(faces, seed=1), faces)


@pytest.mark.parametrize("preset", get_args(AugmentName))
def test_the_form_is_kept_and_the_input_not_changed(preset: AugmentName) -> None:
    faces = fakes.scenes(40)
    before = faces.copy()
    out = Augment(preset)(faces, seed=3)
    assert out.shape == (40, 48, 48)
    assert out.dtype == np.uint8
    assert np.array_equal(faces, before)


@pytest.mark.parametrize("preset", CHANGING)
def test_the_seed_decides_and_nothing_else(preset: AugmentName) -> None:
    faces = fakes.scenes(64)
    augment = Augment(preset)
    first = augment(faces, seed=1)
    assert not np.array_equal(augment(faces, seed=2), first)
    np.random.seed(5)  # the state of the process has no say
    assert np.array_equal(augment(faces, seed=1), first)
    assert np.array_equal(Augment(preset)(faces, seed=1), first)


@pytest.mark.parametrize("preset", CHANGING)
def test_each_face_of_a_batch_gets_draws_of_its_own(preset: AugmentName) -> None:
    out = draws(preset, fakes.scenes(1)[0], 50)
    assert len(np.unique(out.reshape(50, -1), axis=0)) > 25


def test_light_mirrors_half_and_shifts_by_four_pixels_at_most() -> None:
    marked = np.full((48, 48), 100, np.uint8)
    marked[20:24, 10:14] = 200
    mirrored = 0
    for face in draws("light", marked):
        rows, columns = np.nonzero(face == 200)
        assert (len(rows), len(np.unique(face))) == (16, 2)
        assert abs(rows.min() - 20) <= 4
        left = columns.min()
        assert abs(left - 10) <= 4 or abs(left - 34) <= 4
        mirrored += left > 24
    assert 120 <= mirrored <= 180


def test_strong_keeps_the_light_within_reason() -> None:
    """On a grey picture geometry changes nothing: what is left is light, and one erased block."""
    out = draws("strong", np.full((48, 48), 128, np.uint8))
    light = np.median(out, axis=(1, 2))
    assert 128 * 0.7 - 0.2 * 255 <= light.min() < 110
    assert 146 < light.max() <= 128 * 1.3 + 0.2 * 255
    erased = (abs(out - light[:, None, None]) > 8).mean((1, 2))
    assert 0.25 < (erased > 0).mean() < 0.55
    assert erased.max() < 0.2


def test_photo_erases_nothing_and_spoils_half_of_the_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = draws("photo", np.full((48, 48), 128, np.uint8))
    assert abs(grey - np.median(grey, axis=(1, 2))[:, None, None]).max() <= 8
    for step in ("MIRROR", "MOVE", "LIGHT"):
        monkeypatch.setattr(augment, step, 0.0)
    face = np.random.default_rng(1).integers(0, 256, (48, 48)).astype(np.uint8)
    assert 0.4 < (draws("photo", face) != face).any((1, 2)).mean() < 0.6


def test_strong_keeps_the_face_in_its_place() -> None:
    disc = np.where(np.hypot(*(np.mgrid[:48, :48] - 23.5)) < 10, 220, 60).astype(np.uint8)
    moved = []
    for face in draws("strong", disc):
        rows, columns = np.nonzero(face > (np.percentile(face, 5) + np.percentile(face, 95)) / 2)
        moved.append(max(abs(np.median(rows) - 23.5), abs(np.median(columns) - 23.5)))
    assert np.median(moved) > 0.5
    assert np.percentile(moved, 90) < 6  # a bright erased block may pull the median a little further


def epoch(number: int, **options: Any) -> tuple[Faces, NDArray[np.int64]]:
    """Return the training faces and rows of an epoch, as the network gets them."""
    loader = ExpressionDataModule(batch_size=16, **options).train_dataloader()
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]  # as Lightning calls it
    batches = list(loader)
    return np.concatenate([b["faces"].numpy() for b in batches]), np.concatenate([b["rows"].numpy() for b in batches])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_classes(tmp_path_factory.mktemp("faces"), ["calm", "cross", "glad"], 40))


@pytest.mark.parametrize("preset", CHANGING)
@pytest.mark.parametrize("workers", [1, 2])
def test_two_runs_agree_and_workers_change_nothing(preset: AugmentName, workers: int, folder: str) -> None:
    faces, rows = epoch(3, root=folder, augment=preset, num_workers=0)
    again, same_rows = epoch(3, root=folder, augment=preset, num_workers=workers)
    assert np.array_equal(same_rows, rows)
    assert np.array_equal(again, faces)


def test_epochs_and_seeds_differ(folder: str) -> None:
    """The same row gets other draws, not only another place in the order."""
    drawn = [
        dict(zip(rows.tolist(), faces, strict=True))
        for faces, rows in (
            epoch(number, root=folder, augment="strong", num_workers=0, seed=seed)
            for number, seed in ((0, 1), (1, 1), (0, 2))
        )
    ]
    for other in drawn[1:]:
        common = drawn[0].keys() & other.keys()
        assert len(common) > 40
        assert sum(np.array_equal(drawn[0][row], other[row]) for row in common) <= len(common) // 10


def test_only_training_faces_are_augmented(folder: str) -> None:
    data = ExpressionDataModule(root=folder, augment="strong", num_workers=0)
    for loader in (data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            assert np.array_equal(batch["faces"].numpy(), data.faces.faces[batch["rows"].numpy()])
    (batch,) = list(data.train_dataloader())
    assert not np.array_equal(batch["faces"].numpy(), data.faces.faces[batch["rows"].numpy()])
