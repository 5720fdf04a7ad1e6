"""Each block against an independent truth."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual as TorchvisionInvertedResidual

from fer_lightning.models.layers import (
    CReLU,
    GroupedConv,
    Interleave,
    InterleavedGroupConv,
    InvertedResidual,
    Standardise,
)


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def test_crelu_is_the_papers_formula() -> None:
    x = torch.randn(2, 3, 4, 4)
    out = CReLU()(x)
    assert out.shape == (2, 6, 4, 4)
    assert torch.equal(out[:, :3], x.clamp(min=0))
    assert torch.equal(out[:, 3:], (-x).clamp(min=0))


def test_interleave_deals_channels_round() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert Interleave(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(("groups", "channels"), [(4, 32), (16, 32), (16, 48)])
def test_interleaving_back_restores_the_order(groups: int, channels: int) -> None:
    x = torch.randn(2, channels, 3, 3)
    there = Interleave(groups)(x)
    assert not torch.equal(there, x)
    assert torch.equal(Interleave(channels // groups)(there), x)


def reached(block: nn.Module, channels: int) -> float:
    """The share of (output, input) channel pairs with a non-zero derivative."""
    x = torch.randn(1, channels, 3, 3)
    jacobian = torch.autograd.functional.jacobian(lambda value: block(value).sum((2, 3))[0], x)
    assert isinstance(jacobian, Tensor)
    return float((jacobian.abs().sum((1, 3, 4)) > 0).float().mean())


def test_every_output_of_an_igc_sees_every_input() -> None:
    block = InterleavedGroupConv(32, 32, groups=16)
    linear = nn.Sequential(*list(block)[:-2])  # up to BN and CReLU
    assert reached(linear, 32) == 1.0
    without = nn.Sequential(block[0], block[2])  # no interleave at all
    assert reached(without, 32) < 0.6


def test_igc_equals_a_loop_over_its_partitions() -> None:
    torch.manual_seed(0)
    block = InterleavedGroupConv(64, 32, groups=16, stride=2)
    spatial, pointwise = block[0], block[2]
    assert isinstance(spatial, nn.Conv2d)
    assert isinstance(pointwise, nn.Conv2d)
    x = torch.randn(2, 64, 12, 12)
    primary = [
        nn.functional.conv2d(x[:, 4 * g : 4 * g + 4], spatial.weight[2 * g : 2 * g + 2], stride=2, padding=1)
        for g in range(16)
    ]  # 16 partitions of 2 channels
    secondary = [
        nn.functional.conv2d(torch.cat([p[:, m : m + 1] for p in primary], 1), pointwise.weight[16 * m : 16 * m + 16])
        for m in range(2)
    ]  # 2 partitions of 16 channels
    expected = torch.stack(secondary, 2).flatten(1, 2)  # back: channel l*2 + m
    torch.testing.assert_close(nn.Sequential(*list(block)[:4])(x), expected, rtol=1e-4, atol=1e-5)


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="groups 5"):
        InterleavedGroupConv(32, 32, groups=5)


@pytest.mark.parametrize("training", [True, False])
def test_identity_module_equals_torchvisions(training: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = InvertedResidual(24, 24, expansion=4), TorchvisionInvertedResidual(24, 24, 1, 4)
    values = list(ours.state_dict().values())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    x = torch.randn(4, 24, 8, 8)
    torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x))


@pytest.mark.parametrize(("stride", "side"), [(1, 8), (2, 4)])
def test_module_that_changes_shape_adds_a_projection(stride: int, side: int) -> None:
    torch.manual_seed(0)
    ours = InvertedResidual(24, 32, stride, 4).eval()
    theirs = TorchvisionInvertedResidual(24, 32, stride, 4).eval()
    body = [v for k, v in ours.state_dict().items() if k.startswith("body.")]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), body, strict=True)))
    x = torch.randn(4, 24, 8, 8)
    out = ours(x)
    assert out.shape == (4, 32, side, side)
    torch.testing.assert_close(out, theirs(x) + ours.shortcut(x))


def test_standardise_removes_light_and_contrast() -> None:
    x = torch.rand(3, 1, 48, 48) * 0.5 + 0.2
    out = Standardise()(x)
    torch.testing.assert_close(out.mean((1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.flatten(1).std(1, correction=0), torch.ones(3), atol=0.02, rtol=0)
    torch.testing.assert_close(Standardise()(0.5 * x + 0.1), out, atol=0.03, rtol=0)


def test_standardise_survives_a_blank_picture() -> None:
    out = Standardise()(torch.full((1, 1, 48, 48), 0.7))
    torch.testing.assert_close(out, torch.zeros(1, 1, 48, 48), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("block", "channels"),
    [
        (CReLU(), 8),
        (Interleave(4), 8),
        (InterleavedGroupConv(32, 32, 16, 2), 32),
        (InvertedResidual(8, 8), 8),
        (InvertedResidual(8, 16, 2), 8),
    ],
)
def test_blocks_keep_channels_last_and_give_every_parameter_a_gradient(block: nn.Module, channels: int) -> None:
    block = block.to(memory_format=torch.channels_last)
    out = block(channels_last(torch.randn(2, channels, 8, 8)))
    assert out.is_contiguous(memory_format=torch.channels_last)
    out.square().sum().backward() if list(block.parameters()) else None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 2)])
def test_grouped_convolution_keeps_float32_in_a_bf16_training_where_bf16_is_slow(stride: int, dilation: int) -> None:
    conv = GroupedConv(8, 8, 3, stride, dilation, dilation, groups=8).to(memory_format=torch.channels_last)
    x = channels_last(torch.randn(2, 8, 8, 8))
    exact = conv(x)
    with torch.autocast("cpu", torch.bfloat16):
        trained, rounded = conv(x), nn.Conv2d.forward(conv, x)
    assert trained.dtype == rounded.dtype == torch.bfloat16
    assert torch.equal(trained, exact.bfloat16())
    assert not torch.equal(trained, rounded)  # bf16 weights and faces, which it would have taken otherwise
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(conv(x), rounded)
