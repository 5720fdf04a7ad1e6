"""ExpressionTask: the loss, the optimiser, the schedule and the averaging against their formulas."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fer_lightning.errors import UserError
from fer_lightning.models import build_network
from fer_lightning.task import AveragedWeights, ExpressionTask

CLASSES = ["calm", "cross", "glad"]


def task(**words: Any) -> ExpressionTask:
    torch.manual_seed(0)
    return ExpressionTask(CLASSES, **words)


def logits_and_targets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, generator=generator), torch.rand(8, 3, generator=generator).softmax(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["none", "sqrt", "balanced"])
def test_the_loss_is_the_formula(smoothing: float, kind: str) -> None:
    """- sum_k w_k t_k log p_k, averaged over the rows; smoothing gives each class its share of the target."""
    shares = [0.5, 0.4, 0.1]
    of_each = {"none": [1.0, 1.0, 1.0], "sqrt": [s**-0.5 for s in shares], "balanced": [1 / s for s in shares]}[kind]
    whole = sum(share * weight for share, weight in zip(shares, of_each, strict=True))
    words: dict[str, Any] = {"class_shares": shares, "class_weights": kind}
    logits, targets = logits_and_targets()
    smooth = (1 - smoothing) * targets + smoothing / 3
    weights = torch.tensor(of_each) / whole
    expected = -(weights * smooth * (logits.exp() / logits.exp().sum(1, keepdim=True)).log()).sum(1).mean()
    torch.testing.assert_close(task(label_smoothing=smoothing, **words).loss(logits, targets), expected)


def test_one_hot_targets_give_the_usual_cross_entropy() -> None:
    logits, labels = logits_and_targets()[0], torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    expected = nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(
        task(label_smoothing=0.0).loss(logits, nn.functional.one_hot(labels, 3).float()), expected
    )


def test_votes_without_smoothing_are_least_at_the_votes_themselves() -> None:
    targets = torch.tensor([[0.7, 0.2, 0.1]])
    one = task(label_smoothing=0.0)
    assert all(
        one.loss(targets.log() + 0.1 * torch.randn(1, 3), targets) > one.loss(targets.log(), targets) for _ in range(9)
    )


def test_balanced_weights_are_one_on_average() -> None:
    weights = task(class_shares=[0.5, 0.4, 0.1], class_weights="balanced").class_weights
    assert weights is not None
    assert float(weights @ torch.tensor([0.5, 0.4, 0.1])) == pytest.approx(1)
    assert weights[2] / weights[0] == pytest.approx(5)
    assert task(class_shares=[0.5, 0.4, 0.1]).class_weights is None


def optimisation(steps: float, **words: Any) -> tuple[ExpressionTask, torch.optim.Optimizer, Any]:
    """Return a task, its optimiser and its schedule in a training of so many steps."""
    made = task(**words)
    made.trainer = SimpleNamespace(estimated_stepping_batches=steps)  # type: ignore[assignment]
    found: Any = made.configure_optimizers()
    assert found["lr_scheduler"]["interval"] == "step"
    return made, found["optimizer"], found["lr_scheduler"]["scheduler"]


@pytest.mark.parametrize("network", ["improved_cnn", "plain_cnn"])
def test_weights_decay_but_biases_and_normalisation_do_not(network: str) -> None:
    made, optimizer, _ = optimisation(10, network=network, weight_decay=0.03)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(made.net.parameters()))
    for module in made.net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            spared = name == "bias" or isinstance(module, nn.BatchNorm2d)
            assert decay[id(parameter)] == (0.0 if spared else 0.03)


def curve(steps: int, **words: Any) -> list[float]:
    _, optimizer, schedule = optimisation(steps, learning_rate=1.0, **words)
    rates = []
    for _ in range(steps + 1):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


def test_the_learning_rate_warms_up_and_falls_along_a_cosine_to_zero() -> None:
    rates = curve(100, warmup=0.1)
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 90)) for step in range(91)])
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[55] == pytest.approx(0.5)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.05), (2, 0.0), (3, 0.9), (7, 0.5)])
def test_the_shortest_trainings_have_a_rate_too(steps: int, warmup: float) -> None:
    rates = curve(steps, warmup=warmup)
    assert 0 < rates[0] <= 1
    assert all(0 <= rate <= 1 for rate in rates)


def test_a_training_without_an_end_is_refused() -> None:
    with pytest.raises(UserError, match="max_epochs -1: give the training a length"):
        optimisation(math.inf)


def test_young_averages_forget_faster() -> None:
    """Average n is d * average + (1 - d) * weight with d = min(decay, (1 + n) / (10 + n)); the first is the weight."""
    decay, weight = 0.5, nn.Linear(1, 1)
    averaging = AveragedWeights(decay)
    averaged = AveragedModel(weight, use_buffers=True, **averaging._kwargs)
    expected = 0.0
    for n, value in enumerate([3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0]):
        with torch.no_grad():
            weight.weight.fill_(value)
        averaged.update_parameters(weight)
        d = min(decay, (1 + n) / (10 + n)) if n else 0.0
        expected = d * expected + (1 - d) * value
        assert averaged.module.get_parameter("weight").item() == pytest.approx(expected, rel=1e-5)


def test_averaging_is_part_of_the_recipe_unless_switched_off() -> None:
    (averaging,) = task(ema_decay=0.9).configure_callbacks()
    assert isinstance(averaging, AveragedWeights)
    assert task(ema_decay=0.0).configure_callbacks() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"warmup": 1.0}, "--model.warmup 1.0: need a number from 0 to below 1"),
        ({"label_smoothing": -0.1}, "--model.label_smoothing -0.1"),
        ({"ema_decay": 1.5}, "--model.ema_decay 1.5"),
        ({"warmup": math.nan}, "--model.warmup nan"),
        ({"class_weights": "sqrt"}, "--model.class_weights sqrt: every class needs at least one training row"),
        ({"class_weights": "balanced", "class_shares": [0.5, 0.5, 0.0]}, "every class needs at least one training row"),
        ({"network": "resnet"}, "network resnet: choose from improved_cnn, improved_cnn_wide, plain_cnn"),
        (
            {"network": "plain_cnn", "groups": 4},
            "network plain_cnn: has no option groups; leave it out, or choose from improved_cnn, improved_cnn_wide",
        ),
        ({"mixup": -0.1}, "--model.mixup -0.1: need at least 0"),
        ({"mixup": math.inf}, "--model.mixup inf"),
        ({"groups": 5}, "groups 5 must divide"),
        ({"progressive_resizing": 1.0}, "--model.progressive_resizing 1.0: need a number from 0 to below 1"),
        (
            {"network": "plain_cnn", "progressive_resizing": 0.5},
            "--model.progressive_resizing 0.5: plain_cnn takes faces of one size only; give 0, or choose from improved",
        ),
        ({"dropout": 1.5}, "dropout probability has to be between 0 and 1"),
    ],
)
def test_impossible_arguments_are_refused_in_one_line(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        task(**words)
    assert "\n" not in str(refused.value)


def test_options_that_were_not_given_are_the_networks_own() -> None:
    made = task(network="improved_cnn_wide", groups=8)
    assert made.options == {"groups": 8}
    torch.manual_seed(0)
    alone = build_network("improved_cnn_wide", 3, groups=8)
    assert all(map(torch.equal, made.net.state_dict().values(), alone.state_dict().values()))


def test_uint8_faces_go_in_and_logits_come_out() -> None:
    faces = torch.randint(0, 256, (5, 48, 48), dtype=torch.uint8)
    made = task().eval()
    logits = made(faces)
    assert logits.shape == (5, 3)
    assert torch.equal(logits, made.net(faces[:, None].float() / 255))


def drawn(seed: int, step: int) -> Tensor:
    """Return what a step draws, whatever was drawn before it."""
    torch.rand(step + seed)
    task(seed=seed).on_train_batch_start(None, step)
    return torch.rand(4)


def test_each_step_draws_by_its_number_and_the_seed_alone() -> None:
    assert torch.equal(drawn(1, 5), drawn(1, 5))
    different = [drawn(1, 5), drawn(1, 6), drawn(2, 5)]
    assert len({tuple(draw.tolist()) for draw in different}) == 3


def test_the_card_travels_in_the_file_to_resume_from() -> None:
    made = task()
    made.card = {"format": 1, "training": {"command": "fit"}}
    content: dict[str, Any] = {}
    made.on_save_checkpoint(content)
    assert content["card"] == {"format": 1, "training": {"command": "fit", "best_epoch": 1}}
    assert made.card["training"] == {"command": "fit"}
