"""The ensemble against averages made by hand: of networks, of mirror images, of crops."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fer_lightning.models import NetworkName
from fer_lightning.models.ensemble import Calibrated, Ensemble, Views
from tests import fakes
from tests.networks import answer, decided

FACES: NDArray[np.float32] = (fakes.scenes(9) / 255).astype(np.float32)
NAMES: tuple[NetworkName, ...] = ("improved_cnn", "improved_cnn_wide", "plain_cnn")


def joint(members: list[nn.Module], tta: Views = "none", faces: NDArray[np.float32] = FACES) -> NDArray[np.float64]:
    """Return the probabilities of the ensemble, whose logits must be their logarithms."""
    with torch.inference_mode():
        logits = Ensemble(members, tta).eval()(torch.from_numpy(faces.copy())[:, None])
    np.testing.assert_allclose(logits.exp().sum(1), 1, atol=1e-6)
    return np.asarray(logits.exp().numpy())


def crops(faces: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Corners and centre of the faces with two more pixels on each side, and their mirror images."""
    around = np.pad(faces, ((0, 0), (2, 2), (2, 2)), mode="edge")
    parts = [around[:, top : top + 48, left : left + 48] for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]
    return [*parts, *(part[:, :, ::-1] for part in parts)]


def test_several_networks_answer_with_the_mean_of_their_probabilities() -> None:
    members = [decided(0), decided(1, "plain_cnn"), decided(2, "improved_cnn_wide")]
    alone = [answer(member, FACES) for member in members]
    assert min(np.ptp(one, axis=0).max() for one in alone) > 0.1  # the faces differ, so agreement means something
    assert np.abs(alone[0] - alone[1]).max() > 0.1
    np.testing.assert_allclose(joint(members), (alone[0] + alone[1] + alone[2]) / 3, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_network_seen_one_way_is_that_network(name: NetworkName) -> None:
    member = decided(3, name)
    np.testing.assert_allclose(joint([member]), answer(member, FACES), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_flip_is_the_mean_of_a_face_and_its_mirror_image(name: NetworkName) -> None:
    member = decided(4, name)
    there, back = answer(member, FACES), answer(member, FACES[:, :, ::-1])
    assert np.abs(there - back).max() > 0.1
    np.testing.assert_allclose(joint([member], "flip"), (there + back) / 2, atol=1e-6)


@pytest.mark.parametrize("tta", ["flip", "ten_crop"])
def test_views_of_both_ways_make_mirroring_the_face_change_nothing(tta: Views) -> None:
    members = [decided(5), decided(6)]
    np.testing.assert_allclose(joint(members, tta, FACES[:, :, ::-1]), joint(members, tta), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_ten_crop_is_the_mean_over_the_crops_and_their_mirror_images(name: NetworkName) -> None:
    members = [decided(7, name), decided(8, name)]
    views = crops(FACES)
    assert len(views) == 10
    expected = np.mean([answer(member, view) for view in views for member in members], axis=0)
    np.testing.assert_allclose(joint(members, "ten_crop"), expected, atol=1e-5)
    assert np.abs(joint(members, "flip") - expected).max() > 1e-3


def test_certainty_beyond_all_numbers_stays_finite() -> None:
    class Certain(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[2000.0, 0.0, -2000.0]]).expand(len(x), 3)

    with torch.inference_mode():
        logits = Ensemble([Certain(), Certain()], "flip")(torch.zeros(2, 1, 48, 48))
    assert logits.isfinite().all()
    np.testing.assert_allclose(logits.softmax(1), [[1, 0, 0]] * 2, atol=1e-6)


def test_the_members_travel_with_the_ensemble() -> None:
    members = [decided(0), decided(1)]
    whole = Ensemble(members, "flip").train()
    assert sum(p.numel() for p in whole.parameters()) == 2 * 185_431
    assert all(member.training for member in members)
    whole.eval()
    assert not any(module.training for member in members for module in member.modules())


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_temperature_divides_the_logits(temperature: float) -> None:
    member, faces = decided(3), torch.from_numpy(FACES)[:, None]
    with torch.inference_mode():
        found, logits = Calibrated(member, temperature).eval()(faces), member(faces)
    np.testing.assert_allclose(found, logits / temperature, rtol=1e-5)


def test_each_member_keeps_its_own_temperature() -> None:
    """The mean is of calibrated probabilities: an ensemble has no temperature of its own."""
    members, temperatures = [decided(0), decided(1, "plain_cnn")], [0.5, 3.0]
    calibrated: list[nn.Module] = [Calibrated(*pair) for pair in zip(members, temperatures, strict=True)]
    for tta, views in (("none", [FACES]), ("flip", [FACES, FACES[:, :, ::-1]])):
        pairs = [(member, t, view) for member, t in zip(members, temperatures, strict=True) for view in views]
        powers = [answer(member, view) ** (1 / t) for member, t, view in pairs]  # before they are made to sum to 1
        expected = np.mean([power / power.sum(1, keepdims=True) for power in powers], axis=0)
        np.testing.assert_allclose(joint(calibrated, tta), expected, atol=1e-5)  # type: ignore[arg-type]
        assert np.abs(joint(members, tta) - expected).max() > 0.05  # type: ignore[arg-type]
