"""Mixup: what is blended, by how much, and that face and target go together."""

import pytest
import torch
from torch import Tensor

from fer_lightning.mixing import mixed


def rows(count: int) -> tuple[Tensor, Tensor]:
    """Faces of one grey level each, and targets that say which: row i is all i / count, and class i."""
    grey = torch.arange(count) / count
    return grey[:, None, None, None].expand(count, 1, 4, 4), torch.eye(count)


def test_face_and_target_are_blended_from_the_same_rows_by_the_same_share() -> None:
    torch.manual_seed(0)
    faces, targets = rows(64)
    blended, shares = mixed(faces, targets, 0.4)
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    assert ((shares > 0).sum(1) <= 2).all()
    torch.testing.assert_close(blended, torch.einsum("nk,kchw->nchw", shares, faces))
    assert (shares.diagonal() >= 0.5).all()
    assert (shares.diagonal() < 0.99).any()


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_follow_the_beta_distribution_and_differ_from_row_to_row(alpha: float) -> None:
    """The larger of x and 1 - x, for x from Beta(a, a), against the same drawn by two gamma variables."""
    torch.manual_seed(0)
    found = mixed(*rows(3000), alpha)[1].diagonal()
    two = torch.distributions.Gamma(alpha, 1.0).sample((200_000, 2)).double()
    expected = (two / two.sum(1, keepdim=True)).amax(1)
    for level in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert float((found <= expected.quantile(level)).double().mean()) == pytest.approx(level, abs=0.03)


def test_without_mixup_nothing_is_touched_or_drawn() -> None:
    faces, targets = rows(8)
    before = torch.get_rng_state()
    kept = mixed(faces, targets, 0.0)
    assert kept[0] is faces
    assert kept[1] is targets
    assert torch.equal(before, torch.get_rng_state())
