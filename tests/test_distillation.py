"""Distillation: the loss by its formula, the same faces for both, and teachers that know nothing that is scored."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fer_lightning import checkpoint
from fer_lightning.ancestry import ancestors, drew_on
from fer_lightning.card import markdown
from fer_lightning.cli import main
from fer_lightning.distillation import Teachers, distillation_loss
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.mixing import mixed
from fer_lightning.preprocess import to_tensor
from fer_lightning.task import ExpressionTask
from tests import fakes, networks

Said = pytest.CaptureFixture[str]


def fit(data: Path, base: Path, *words: str | Path) -> int:
    fixed = ["--data.batch_size", "16", "--data.num_workers", "0", "--trainer.max_epochs", "1"]
    return main(["fit", "--data.root", str(data), *fixed, "--trainer.default_root_dir", str(base), *map(str, words)])


def best(base: Path) -> Path:
    (file,) = base.glob("*/version_0/best.safetensors")
    return file


@pytest.fixture
def teachers(tmp_path: Path) -> list[Path]:
    return [networks.write(tmp_path / f"teacher{seed}.safetensors", seed) for seed in (1, 2)]


def test_the_loss_is_the_formula() -> None:
    """T^2 * sum_k q_k log(q_k / p_k), with p the softened answers; zero where both agree."""
    generator = torch.Generator().manual_seed(0)
    logits, q = torch.randn(5, 4, generator=generator), torch.rand(5, 4, generator=generator).softmax(1)
    p = (logits / 3).softmax(1)
    expected = 9 * (q * (q / p).log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(logits, q, 3.0), expected)
    torch.testing.assert_close(distillation_loss(logits, p, 3.0), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_teachers_answer_with_the_mean_of_their_softened_probabilities_and_never_learn() -> None:
    members = [networks.decided(1), networks.decided(2, "plain_cnn")]
    x = torch.rand(3, 1, 48, 48)
    joined = Teachers(members).train()
    expected = sum((member.eval()(x) / 2).softmax(1) for member in members) / 2
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(Teachers(members)(x, 2.0), expected)
    assert not any(p.requires_grad for p in joined.parameters())


def test_the_averaging_of_weights_copies_no_teacher() -> None:
    task = ExpressionTask(["a", "b"])
    task.learn_from([nn.Flatten()])
    copied = AveragedModel(task).module
    assert isinstance(copied, ExpressionTask)
    assert copied is not task
    assert copied._teachers == task._teachers


class Noting(nn.Module):
    """Keeps what it was shown, and is sure of the first class."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return torch.tensor([9.0, 0.0, 0.0]).repeat(len(x), 1)


@pytest.mark.parametrize(("weight", "mixup"), [(0.0, 0.0), (0.25, 0.0), (0.25, 0.4), (1.0, 0.0)])
def test_the_step_weighs_both_losses_and_shows_both_the_same_faces(
    weight: float, mixup: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, Any] = {"distillation_weight": weight, "distillation_temperature": 2.0, "mixup": mixup}
    task = ExpressionTask(["a", "b", "c"], **words).eval()
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    teacher = Noting()
    task.learn_from([teacher])
    faces = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    batch = {"faces": faces, "targets": torch.eye(3)[[0, 1, 2, 0]], "labels": torch.tensor([0, 1, 2, 0])}
    torch.manual_seed(0)
    loss = task.training_step(batch, 0)
    torch.manual_seed(0)
    blended, targets = mixed(to_tensor(faces), batch["targets"], mixup)
    logits = task.net(blended)
    soft = (torch.tensor([[9.0, 0.0, 0.0]]) / 2).softmax(1).expand(4, 3)
    expected = (1 - weight) * task.loss(logits, targets) + weight * distillation_loss(logits, soft, 2.0)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(teacher.seen[0], blended)
    assert torch.equal(blended[:, 0], faces / 255) is (mixup == 0)
    assert not [name for name in task.state_dict() if "teacher" in name]


def test_a_student_learns_what_its_teacher_answers(fer2013: Path, tmp_path: Path) -> None:
    """With the whole weight on a teacher who always says the same, so does the student, whatever the labels."""
    teacher = networks.write(tmp_path / "teacher.safetensors", 1)
    loaded = checkpoint.load(teacher)
    head = loaded.network.get_submodule("head.0")
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 12.0, 0, 0, 0, 0, 0]))
    checkpoint.save(teacher, loaded.network, loaded.card)
    words = ("--model.teacher", teacher, "--model.distillation_weight", "1", "--trainer.max_epochs", "12")
    assert fit(fer2013, tmp_path / "runs", *words) == 0
    made = checkpoint.load(best(tmp_path / "runs"))
    answers = made.network(torch.rand(6, 1, 48, 48)).argmax(1)
    assert answers.tolist() == [FER2013_CLASSES.index("disgust")] * 6
    (told,) = made.card["training"]["teachers"]
    assert told["checkpoint"] == checkpoint.identity(teacher)


def test_several_teachers_stand_in_the_card_and_are_named(
    fer2013: Path, teachers: list[Path], tmp_path: Path, capsys: Said
) -> None:
    assert fit(fer2013, tmp_path / "runs", "--model.teacher", *teachers) == 0
    said = capsys.readouterr().out
    identities = [checkpoint.identity(file) for file in teachers]
    assert all(f"teacher: {identity}\n" in said for identity in identities)
    file = best(tmp_path / "runs")
    card = checkpoint.read_card(file)
    assert [one["checkpoint"] for one in card["training"]["teachers"]] == identities
    assert all(f"- **taught by**: {identity}\n" in markdown(card, "student") for identity in identities)
    for gone in teachers:
        gone.unlink()
    assert main(["test", "--ckpt_path", str(file)]) == 0  # scoring needs no teacher


def test_a_card_tells_of_each_forebear_once(fer2013: Path, teachers: list[Path], tmp_path: Path) -> None:
    """Three generations, each taught by those before: all are named wherever they had a part, and described once."""
    first = teachers[0]
    words = ("--model.teacher", first, "--init_from", first)
    assert fit(fer2013, tmp_path / "second", *words) == 0
    second = best(tmp_path / "second")
    assert fit(fer2013, tmp_path / "third", "--model.teacher", first, second, "--init_from", second) == 0
    card = checkpoint.read_card(best(tmp_path / "third"))
    oldest, middle = map(checkpoint.identity, (first, second))
    _, *line = ancestors(card)
    assert [one["checkpoint"] for one in line] == [middle, oldest, oldest, oldest, middle]
    described = [one["checkpoint"] for one in line if "init_from" in one["training"]]
    assert sorted(described) == sorted([oldest, middle])
    assert drew_on(card["training"]) == {"init_from": middle, "model.teacher": f"{oldest}, {middle}"}


def test_a_resumed_training_keeps_its_teachers(
    fer2013: Path, teachers: list[Path], tmp_path: Path, capsys: Said
) -> None:
    assert fit(fer2013, tmp_path / "runs", "--model.teacher", teachers[0]) == 0
    again = ("--ckpt_path", "last", "--trainer.max_epochs", "2")
    capsys.readouterr()
    assert fit(fer2013, tmp_path / "runs", *again, "--model.teacher", teachers[1]) == 2
    assert f"--model.teacher {checkpoint.identity(teachers[0])}, now it is" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    moved = teachers[0].rename(tmp_path / "elsewhere" / teachers[0].name)
    assert fit(fer2013, tmp_path / "runs", *again, "--model.teacher", moved) == 0


def test_what_was_trained_on_scored_rows_is_no_teacher(fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    folds = ("--data.split", "random", "--data.folds", "2")
    assert fit(fer2013, tmp_path / "first", *folds, "--data.fold", "0") == 0
    knowing = best(tmp_path / "first")
    capsys.readouterr()
    assert fit(fer2013, tmp_path / "second", *folds, "--data.fold", "1", "--model.teacher", knowing) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: --model.teacher {knowing}: was trained or chosen on ")
    assert said.count("\n") == 1
    assert fit(fer2013, tmp_path / "same", *folds, "--data.fold", "0", "--model.teacher", knowing) == 0
    student = best(tmp_path / "same")  # what its teacher knows counts as known to it
    capsys.readouterr()
    assert fit(fer2013, tmp_path / "third", *folds, "--data.fold", "1", "--init_from", student) == 2
    assert "was trained or chosen on" in capsys.readouterr().err


def test_a_teacher_that_knows_twins_is_none_for_a_student_that_may_not(tmp_path: Path, capsys: Said) -> None:
    """Rows are not all: a picture that stands in Training and in PrivateTest is known to who trained on the one."""
    file = fakes.write_fer2013(tmp_path / "data", 140)
    header, *lines = file.read_text().splitlines()
    scored = next(line for line in lines if line.endswith("PrivateTest")).split(",")
    place = next(place for place, line in enumerate(lines) if line.endswith("Training"))
    label = lines[place].split(",")[0]
    lines[place] = ",".join([label, scored[1], "Training"])
    file.write_text("\n".join([header, *lines]) + "\n")
    assert fit(file.parent, tmp_path / "leaky") == 0
    leaky = best(tmp_path / "leaky")
    for option in ("--model.teacher", "--init_from"):
        capsys.readouterr()
        assert fit(file.parent, tmp_path / "student", "--data.drop_leaks", option, leaky) == 2
        assert f"{option} {leaky}: was trained on pictures of 1 rows that are scored here" in capsys.readouterr().err
    assert fit(file.parent, tmp_path / "student", "--model.teacher", leaky) == 0
    assert fit(file.parent, tmp_path / "clean", "--data.drop_leaks") == 0
    clean = best(tmp_path / "clean")
    assert fit(file.parent, tmp_path / "taught", "--data.drop_leaks", "--model.teacher", clean) == 0


def test_the_same_teacher_twice_is_refused(fer2013: Path, teachers: list[Path], tmp_path: Path, capsys: Said) -> None:
    assert fit(fer2013, tmp_path / "runs", "--model.teacher", teachers[0], teachers[0]) == 2
    assert "is given twice" in capsys.readouterr().err


def test_a_teacher_of_other_classes_is_refused(fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    other = networks.write(tmp_path / "other.safetensors", 1, classes=["calm", "glad"])
    assert fit(fer2013, tmp_path / "runs", "--model.teacher", other) == 2
    assert "answers with the classes calm, glad, but the data have angry, disgust" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*/version_0/best.safetensors"))


@pytest.mark.parametrize("words", [{"distillation_weight": 1.5}, {"distillation_temperature": 0.0}])
def test_impossible_settings_are_refused(words: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"--model\.distillation_weight .* need 0 to 1 and above 0"):
        ExpressionTask(["a", "b"], **words)  # type: ignore[arg-type]
