"""Batched augmentation: the numbers of OpenCV and libjpeg, the distribution of albumentations, and draws by seed."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from fer_lightning.cli import main
from fer_lightning.data import augment, augment_batch
from fer_lightning.data.augment import Augment, AugmentName, _pipeline
from fer_lightning.data.augment_batch import BatchAugment, Draws
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.sketch import read_sketch
from tests import fakes
from tests.test_resume import must_equal

Faces = NDArray[np.uint8]
CHANGING: tuple[AugmentName, ...] = ("light", "photo", "strong")
COUNT = 1000  # draws of each way: at the level below, Kolmogorov-Smirnov sees distributions that differ by 0.1


@pytest.fixture(scope="module")
def sketches() -> Faces:
    """Some drawn faces, and some noise, which is harsh on every rounding."""
    drawn = read_sketch().faces[::29][:150]
    return np.concatenate([drawn, np.random.default_rng(0).integers(0, 256, (30, 48, 48), dtype=np.uint8)])


def apart(found: Tensor, truth: list[Any]) -> NDArray[np.int64]:
    error: NDArray[np.int64] = np.abs(found.numpy().astype(np.int64) - np.stack(truth))
    return error


def test_warp_is_that_of_opencv(sketches: Faces) -> None:
    _pipeline("strong")  # the one door to albumentations, whose import asks the network for news otherwise
    from albumentations.augmentations.geometric.functional import create_affine_transformation_matrix

    draws = Draws(len(sketches), 1)
    degrees, wider, higher = draws.uniform(-40, 40), draws.uniform(0.6, 1.5), draws.uniform(0.6, 1.5)
    right, down = draws.whole(-9, 9), draws.whole(-9, 9)
    truth = []
    numbers = (values.tolist() for values in (degrees, wider, higher, right, down))
    for face, turn, *scale, x, y in zip(sketches, *numbers, strict=True):
        factors = dict(zip("xy", scale, strict=True))
        matrix = create_affine_transformation_matrix({"x": x, "y": y}, {"x": 0, "y": 0}, factors, turn, (23.5, 23.5))
        truth.append(cv2.warpAffine(face, matrix[:2], (48, 48), borderMode=cv2.BORDER_REPLICATE))
    error = apart(augment_batch.warped(torch.tensor(sketches), degrees, wider, higher, right, down), truth)
    assert error.max() <= 3  # OpenCV below 5 counts places in 32nds of a pixel
    assert error.mean() < 0.15


def test_blur_is_that_of_opencv(sketches: Faces) -> None:
    sigma = Draws(len(sketches), 2).uniform(0.3, 1.2)
    truth = []
    for face, one in zip(sketches, sigma.tolist(), strict=True):
        side = 2 * int(3.5 * one) + 1
        truth.append(cv2.GaussianBlur(face, (side, side), one))
    error = apart(augment_batch.blurred(torch.tensor(sketches), sigma), truth)
    assert error.max() <= 2
    assert error.mean() < 0.3


@pytest.mark.parametrize("quality", [40, 49, 50, 75, 95])
def test_compression_is_that_of_libjpeg(sketches: Faces, quality: int) -> None:
    truth = []
    for face in sketches:
        _, file = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])
        truth.append(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE))
    error = apart(augment_batch.compressed(torch.tensor(sketches), torch.full((len(sketches),), quality)), truth)
    assert (error > 0).mean() < 0.03
    assert (error > 2).mean() < 0.01  # an amount on the edge between two steps may fall to either side


def test_coarsening_is_that_of_opencv(sketches: Faces) -> None:
    scale = Draws(len(sketches), 3).uniform(0.5, 0.9)
    truth = []
    for face, one in zip(sketches, scale.tolist(), strict=True):
        small = cv2.resize(face, None, fx=one, fy=one, interpolation=cv2.INTER_NEAREST)
        truth.append(cv2.resize(small, (48, 48), interpolation=cv2.INTER_NEAREST))
    assert apart(augment_batch.coarsened(torch.tensor(sketches), scale), truth).max() == 0


def statistics(faces: Faces, plain: Faces) -> dict[str, NDArray[np.float64]]:
    """What tells of light, contrast, place, turn, sharpness, blocks, coarse pixels and erased ones: ``[N]`` each."""
    f = faces.astype(np.float64)
    y, x = np.mgrid[:48, :48] - 23.5
    mass = f.sum((1, 2)) + 1
    edges = np.abs(np.diff(f, axis=2)).mean(1)
    border = edges[:, 7::8].mean(1) - np.delete(edges, np.s_[7::8], 1).mean(1)
    laplace = f[:, 1:-1, :-2] + f[:, 1:-1, 2:] + f[:, :-2, 1:-1] + f[:, 2:, 1:-1] - 4 * f[:, 1:-1, 1:-1]
    return {
        "light": f.mean((1, 2)),
        "contrast": f.std((1, 2)),
        "right": (f * x).sum((1, 2)) / mass,
        "down": (f * y).sum((1, 2)) / mass,
        "turn": (f * x * y).sum((1, 2)) / mass,
        "width": (f * x * x).sum((1, 2)) / mass,
        "height": (f * y * y).sum((1, 2)) / mass,
        "sharpness": np.log1p(laplace.var((1, 2))),
        "blocks": border,
        "steps": (np.diff(f, axis=2) == 0).mean((1, 2)),
        "changed": (faces != plain).mean((1, 2)),
        "erased": (np.diff(f, axis=1)[:, :, 1:] == 0).mean((1, 2)),
    }


def must_agree(batched: Faces, one_by_one: Faces, plain: Faces) -> None:
    """Compare two samples by every statistic, and pixel by pixel in mean and deviation."""
    ours, theirs = statistics(batched, plain), statistics(one_by_one, plain)
    found = {name: stats.ks_2samp(ours[name], theirs[name]) for name in ours}
    assert {name: test.pvalue for name, test in found.items() if test.pvalue < 1e-4} == {}
    a, b = batched.astype(np.float64), one_by_one.astype(np.float64)
    error = np.sqrt((a.var(0) + b.var(0)) / len(a)) + 0.02
    assert (np.abs(a.mean(0) - b.mean(0)) / error).max() < 5.5  # 2304 pixels, many of them near each other
    moving = np.minimum(a.std(0), b.std(0)) > 1
    a, b = a[:, moving], b[:, moving]
    spread = a.std(0) / b.std(0) - 1
    doubt = np.sqrt((stats.kurtosis(a, fisher=False) + stats.kurtosis(b, fisher=False) - 2) / (4 * len(a)))
    assert np.abs(spread.mean()) < 4 * doubt.mean()  # as if all pixels were one


@pytest.fixture(scope="module")
def plain() -> Faces:
    """One drawn face many times, so that all that varies is drawn by the augmentation."""
    return np.repeat(read_sketch().faces[40][None], COUNT, 0)


STEPS = ("MIRROR", "MOVE", "LIGHT", "PHOTO", "ERASE")  # of the strong preset, in their order


@cache
def one_by_one(step: str) -> Faces:
    """Return what albumentations makes of the plain face by one step alone."""
    whole = _pipeline("strong")
    pipeline = type(whole)([whole.transforms[STEPS.index(step)]])
    pipeline.set_random_seed(7)
    return np.stack([pipeline(image=read_sketch().faces[40])["image"] for _ in range(COUNT)])


def all_at_once(step: str, plain: Faces, patch: pytest.MonkeyPatch) -> Faces:
    for other in set(STEPS) - {step}:
        never: float | dict[str, float] = {"strong": 0.0} if other in ("PHOTO", "ERASE") else 0.0
        patch.setattr(augment, other, never)
    faces: Faces = BatchAugment("strong")(torch.tensor(plain), 3).numpy()
    return faces


@pytest.mark.parametrize("step", STEPS)
def test_each_step_draws_from_the_distribution_of_albumentations(
    step: str, plain: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    must_agree(all_at_once(step, plain, monkeypatch), one_by_one(step), plain)


@pytest.mark.parametrize(
    ("step", "number", "value"),
    [
        ("MIRROR", "MIRROR", 0.35),
        ("MOVE", "DEGREES", (-8, 8)),
        ("MOVE", "SCALE", (0.92, 1.08)),
        ("MOVE", "TRANSLATE", (-0.06, 0.06)),
        ("LIGHT", "CONTRAST", (-0.15, 0.15)),
        ("PHOTO", "PHOTO", {"strong": 0.15}),
        ("ERASE", "AREA", (0.02, 0.07)),
    ],
)
def test_the_comparison_notices_other_numbers(
    step: str, number: str, value: Any, plain: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = one_by_one(step)
    monkeypatch.setattr(augment, number, value)
    with pytest.raises(AssertionError):
        must_agree(all_at_once(step, plain, monkeypatch), truth, plain)


@pytest.mark.parametrize("preset", CHANGING)
def test_a_preset_draws_from_the_distribution_of_albumentations(preset: AugmentName, plain: Faces) -> None:
    must_agree(BatchAugment(preset)(torch.tensor(plain), 5).numpy(), Augment(preset)(plain, 5), plain)


def test_none_keeps_the_faces(sketches: Faces) -> None:
    assert np.array_equal(BatchAugment("none")(torch.tensor(sketches), 1).numpy(), sketches)


@pytest.mark.parametrize("preset", CHANGING)
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_form_is_kept_and_the_input_not_changed(preset: AugmentName, count: int, sketches: Faces) -> None:
    faces = torch.tensor(sketches[:count])
    out = BatchAugment(preset)(faces, 3)
    assert (out.shape, out.dtype) == ((count, 48, 48), torch.uint8)
    assert np.array_equal(faces.numpy(), sketches[:count])


@pytest.mark.parametrize("preset", CHANGING)
def test_the_seed_decides_and_nothing_else(preset: AugmentName, sketches: Faces) -> None:
    faces = torch.tensor(sketches)
    first = BatchAugment(preset)(faces, 1)
    assert not torch.equal(BatchAugment(preset)(faces, 2), first)
    torch.manual_seed(5)  # the state of the process has no say
    state = torch.get_rng_state()
    assert torch.equal(BatchAugment(preset)(faces, 1), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_faces_of_a_batch_are_drawn_independently(plain: Faces) -> None:
    out = BatchAugment("strong")(torch.tensor(plain), 1).numpy()
    assert len(np.unique(out.reshape(COUNT, -1), axis=0)) > COUNT * 0.9
    for name, found in statistics(out, plain).items():
        assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4.5 / np.sqrt(COUNT), name


def batch_of(data: ExpressionDataModule) -> dict[str, Tensor]:
    batch: dict[str, Tensor] = next(iter(data.train_dataloader()))
    return batch


def test_the_loader_leaves_the_faces_and_the_move_augments_them(tmp_path: Path) -> None:
    root = str(fakes.write_classes(tmp_path, ["calm", "cross", "glad"], 20))
    data = ExpressionDataModule(root=root, augment="strong", augment_on="accelerator", batch_size=16)
    loader = data.train_dataloader()
    assert loader.num_workers == 0
    batch: dict[str, Tensor] = next(iter(loader))
    before = data.faces.faces[batch["rows"].numpy()]
    assert np.array_equal(batch["faces"].numpy(), before)
    seed = int(batch["seed"])
    moved = data.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert moved.keys() == {"faces", "labels", "targets", "rows"}
    assert torch.equal(moved["faces"], BatchAugment("strong")(torch.tensor(before), seed))
    for scored in (next(iter(data.val_dataloader())), next(iter(data.test_dataloader()))):
        assert "seed" not in scored
        same = data.transfer_batch_to_device(dict(scored), torch.device("cpu"), 0)["faces"]
        assert np.array_equal(same.numpy(), data.faces.faces[scored["rows"].numpy()])


def test_without_an_accelerator_auto_augments_on_the_cpu(tmp_path: Path) -> None:
    root = str(fakes.write_classes(tmp_path, ["calm", "cross", "glad"], 20))
    auto, cpu = (
        batch_of(ExpressionDataModule(root=root, augment="strong", augment_on=where, num_workers=0, batch_size=16))
        for where in ("auto", "cpu")
    )
    assert auto.keys() == cpu.keys() == {"faces", "labels", "targets", "rows"}
    assert torch.equal(auto["faces"], cpu["faces"])


@pytest.mark.parametrize(("device", "later"), [("cuda", True), ("cpu", False)])
def test_auto_follows_the_device_of_the_training(tmp_path: Path, device: str, later: bool) -> None:
    root = str(fakes.write_classes(tmp_path, ["calm", "cross", "glad"], 20))
    data = ExpressionDataModule(root=root, augment="strong", num_workers=0, batch_size=16)
    strategy = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(strategy=strategy, global_rank=0, world_size=1)  # type: ignore[assignment]
    assert ("seed" in batch_of(data)) is later


def test_a_stopped_run_draws_on_as_the_whole_one(
    fer2013: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["fit", "--data.root", str(fer2013), "--data.batch_size", "32", "--data.augment", "strong"]
    words += ["--data.augment_on", "accelerator", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2"]
    seeds: list[int] = []
    stop_at = 0

    def draw(self: BatchAugment, faces: Tensor, seed: int) -> Tensor:
        seeds.append(seed)
        if len(seeds) == stop_at:
            raise KeyboardInterrupt  # as Ctrl-C does
        return really_draw(self, faces, seed)

    really_draw = BatchAugment.__call__
    monkeypatch.setattr(BatchAugment, "__call__", draw)
    assert main([*words, "--trainer.default_root_dir", str(tmp_path / "whole")]) == 0
    whole, seeds = seeds, []
    assert len(set(whole)) == len(whole) == 2 * (250 // 32)  # the batches of training, none of scoring
    stop_at = 10
    assert main([*words, "--trainer.default_root_dir", str(tmp_path / "parts")]) == 130
    stop_at, seeds = 0, []
    assert main([*words, "--trainer.default_root_dir", str(tmp_path / "parts"), "--ckpt_path", "last"]) == 0
    assert seeds == whole[250 // 32 :]
    must_equal(*(tmp_path / name / "fer2013-improved_cnn" / "version_0" for name in ("parts", "whole")))
