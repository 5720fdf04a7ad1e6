"""The networks: their cost to the unit, their shapes, gradients, receptive field and options."""

from typing import get_args

import pytest
import torch
from torch import nn

from fer_lightning.errors import UserError
from fer_lightning.models import NetworkName, build_network
from fer_lightning.models.cost import multiply_adds, parameters
from fer_lightning.models.improved_cnn import ImprovedCNN, ImprovedCNNWide

ALL: tuple[NetworkName, ...] = get_args(NetworkName)


@pytest.mark.parametrize(
    ("name", "weights", "macs"),
    [
        ("improved_cnn", 185_431, 18_460_800),
        ("improved_cnn_wide", 1_337_527, 101_434_880),
        ("plain_cnn", 3_831_975, 89_142_528),
        ("resnet18", 11_171_271, 1_247_038_976),
        ("vgg13", 9_413_319, 510_938_624),
        ("regnet_y", 10_319_077, 295_842_312),
    ],
)
def test_cost_to_the_unit(name: NetworkName, weights: int, macs: int) -> None:
    network = build_network(name)
    assert parameters(network) == weights
    assert multiply_adds(network) == macs
    assert network.training  # counting leaves the mode as it was


def test_each_row_of_the_papers_table() -> None:
    network = ImprovedCNN()

    def convolutions(part: nn.Module) -> list[int]:
        return [layer.weight.numel() for layer in part.modules() if isinstance(layer, nn.Conv2d)]

    assert convolutions(network.front) == [144, 576, 512, 1_152, 512]
    assert [sum(convolutions(module)) for module in network.residual] == [18_560, 26_304, 49_408, 77_184]
    assert sum(p.numel() for p in network.head.parameters()) == 6_055


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("classes", [2, 8])
def test_shapes_and_gradients(name: NetworkName, classes: int) -> None:
    torch.manual_seed(0)
    network = build_network(name, classes)
    logits = network(torch.rand(4, 1, 48, 48))
    assert logits.shape == (4, classes)
    nn.functional.cross_entropy(logits, torch.arange(4) % classes).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("name", ["improved_cnn", "improved_cnn_wide"])
def test_all_stages_keep_channels_last(name: NetworkName) -> None:
    network = build_network(name).to(memory_format=torch.channels_last)
    assert isinstance(network, ImprovedCNN | ImprovedCNNWide)
    x = torch.rand(2, 1, 48, 48)
    for stage in (network.front, network.residual):
        x = stage(x)
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.shape[2:] == (6, 6)


def test_class_map_averages_to_the_logits() -> None:
    network = ImprovedCNN().eval()
    x = torch.rand(3, 1, 48, 48)
    assert network.class_map(x).shape == (3, 7, 6, 6)
    torch.testing.assert_close(network.class_map(x).mean((2, 3)), network(x))


def test_receptive_field_is_61_pixels() -> None:
    network = ImprovedCNN().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.05)  # all positive: no path cancels another
    stages = nn.Sequential(*list(network.front)[1:], network.residual, network.head)
    for name, module in list(stages.named_modules()):
        if isinstance(module, nn.ReLU6):
            stages.set_submodule(name, nn.Identity())  # a saturated unit would hide its inputs
    x = torch.rand(1, 1, 128, 128, requires_grad=True)
    stages(x)[0, 0, 8, 8].backward()
    assert x.grad is not None
    rows = (x.grad[0, 0].abs().sum(1) > 0).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 61


@pytest.mark.parametrize("network", [ImprovedCNN, ImprovedCNNWide])
@pytest.mark.parametrize("output_stride", [4, 2])
def test_a_finer_output_stride_answers_between_the_places_of_a_coarser_one(
    network: type[ImprovedCNN | ImprovedCNNWide], output_stride: int
) -> None:
    torch.manual_seed(0)
    coarse, fine = network().eval(), network(output_stride=output_stride).eval()
    fine.load_state_dict(coarse.state_dict())
    assert multiply_adds(fine) > multiply_adds(coarse)
    x = torch.rand(1, 1, 256, 256)
    few, many = (of.head(of.residual(of.front(x))) for of in (coarse, fine))
    step = 8 // output_stride
    assert many.shape[2:] == (256 // output_stride, 256 // output_stride)
    inside = slice(12, 20)  # out of reach of the padding at the edges
    torch.testing.assert_close(many[:, :, ::step, ::step][:, :, inside, inside], few[:, :, inside, inside])


def test_light_does_not_change_the_answer() -> None:
    network = build_network("improved_cnn").eval()
    x = torch.rand(2, 1, 48, 48)
    torch.testing.assert_close(network(x), network(0.6 * x + 0.2), atol=0.05, rtol=0.05)


def test_same_name_and_options_rebuild_the_network() -> None:
    network = build_network("improved_cnn", 5, groups=8, dilation=2)
    twin = build_network("improved_cnn", 5, groups=8, dilation=2)
    twin.load_state_dict(network.state_dict())
    x = torch.rand(2, 1, 48, 48)
    assert torch.equal(network.eval()(x), twin.eval()(x))


def test_fewer_groups_mean_more_weights() -> None:
    assert parameters(build_network("improved_cnn", groups=4)) > parameters(build_network("improved_cnn", groups=16))


def test_unknown_names_and_options_are_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match="improved_cnn_wide"):
        build_network("resnet")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="groups"):
        build_network("plain_cnn", groups=4)
    with pytest.raises(UserError, match="4, 8 or 16"):
        build_network("improved_cnn", groups=5)
