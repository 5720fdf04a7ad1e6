"""The command line's answers before anything heavy is imported: help, and what is mistyped."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import lightning.pytorch as pl
import pytest

import fer_lightning
from fer_lightning import options
from fer_lightning.cli import main
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.models.ensemble import Views
from fer_lightning.task import ExpressionTask
from tests import fakes
from tests.processes import light

LINKED = {"classes", "class_shares", "seed"}  # what the command line takes from elsewhere
CLASSES: dict[str, type] = {"data": ExpressionDataModule, "model": ExpressionTask}


def choices(hint: Any) -> tuple[str, ...]:
    if hint is bool:
        return ("true", "false")
    return tuple(str(value) for value in get_args(hint)) if get_origin(hint) is Literal else ()


@pytest.mark.parametrize("group", ["data", "model"])
def test_options_equal_the_signatures(group: str) -> None:
    """The options are read from the source; this holds them to what Python itself says of the classes."""
    hints = get_type_hints(getattr(CLASSES[group], "__init__"))  # noqa: B009
    signature = {name: p for name, p in inspect.signature(CLASSES[group]).parameters.items() if name not in LINKED}
    found = options.options(group)
    assert list(found) == [f"{group}.{name}" for name in signature]
    for name, parameter in signature.items():
        option = found[f"{group}.{name}"]
        assert option.choices == choices(hints[name])
        default = "" if parameter.default is inspect.Parameter.empty else str(parameter.default)
        assert option.default == default
        assert len(option.text) > 15, f"{name} is not described"


def test_views_are_those_of_the_ensemble() -> None:
    assert get_args(Views) == options.VIEWS


def test_options_of_the_trainer_are_lightnings() -> None:
    known = set(inspect.signature(pl.Trainer).parameters)
    assert {name.removeprefix("trainer.") for name in options.options("trainer")} == known


@pytest.mark.parametrize("verb", ["fit", "validate", "test"])
def test_help_names_every_option_without_importing_torch(verb: str) -> None:
    done = light(verb, "--help")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for option in [*options.options("data").values(), *options.options("model").values()]:
        head = next(line for line in lines if line.startswith(f"  --{option.name} "))
        if option.choices:
            assert head.endswith("{" + ",".join(option.choices) + "}")
    for other in ("--ckpt_path", "--config", "--print_config", "--seed_everything", "--patience", "--trainer."):
        assert any(line.startswith(f"  {other}") for line in lines)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_verbs_are_listed(words: list[str]) -> None:
    done = light(*words)
    assert done.returncode == 0
    assert all(f"\n  {verb} " in done.stdout for verb in ("fit", "validate", "test", "card"))


def test_version() -> None:
    done = light("--version")
    assert (done.returncode, done.stdout) == (0, f"fer_lightning {fer_lightning.__version__}\n")


MISTAKES = {
    "fitt": "fitt: no such verb; did you mean fit?",
    "xyzzy": "xyzzy: no such verb; choose from fit, validate, test, average, compare, predict, crossval, report, card",
    "fit --data.sorce sketch": "--data.sorce: no such option; did you mean --data.source",
    "fit --data.soruce=sketch": "--data.soruce: no such option; did you mean --data.source",
    "fit --model.learning_rat 1": "did you mean --model.learning_rate",
    "fit --trainer.max_epoch 3": "did you mean --trainer.max_epochs",
    "fit --patiense 3": "--patiense: no such option; did you mean --patience?",
    "fit --dta.root x": "--dta.root: no such option; did you mean --data.root",
    "fit --data.qqqqqqqq 3": "--data.qqqqqqqq: no such option; choose from --data.source, --data.root, --data.split",
    "fit --trainer.qqqqqqqqqqqqqqq": "--trainer.qqqqqqqqqqqqqqq: no such option; see --help_all",
    "fit --zzzzzz": "--zzzzzz: no such option; see --help",
    "fit --data.seed 3": "--data.seed: no such option",
    "fit --model.network improved": "--model.network improved: choose from improved_cnn, improved_cnn_wide, plain_cnn",
    "test --data.split=subject": "--data.split subject: choose from auto, official, random, grouped",
    "fit --data.ferplus_classes 9": "--data.ferplus_classes 9: choose from 7, 8",
    "fit --data.drop_leaks perhaps": "--data.drop_leaks perhaps: choose from true, false",
    "validate --data.augment heavy": "--data.augment heavy: choose from none, light, photo, strong",
    "test --ckpt_path": "--ckpt_path: needs a file",
    "fit --ckpt_path --data.drop_leaks": "--ckpt_path: needs a file",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistyped_word_gets_one_line_with_the_cure(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert MISTAKES[words] in err
    assert err.count("\n") == 1
    assert len(err) < 400  # a line, or two or three where all options are named


def test_a_mistake_is_told_before_anything_heavy_is_imported() -> None:
    done = light("fit", "--data.sorce", "sketch")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: --data.sorce: no such option; did you mean --data.source, ")


@pytest.mark.parametrize(
    "words",
    [
        ["--data.source", "sketch", "--model.network=plain_cnn", "--trainer.max_epochs", "3"],
        ["--data.fold", "-1", "--data.root", "-odd name", "--data.drop_leaks", "True"],
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss", "--config", "a.yaml"],
        ["--data.drop_leaks", "--seed_everything", "7", "--print_config"],
        ["--data", "data.yaml", "--trainer", "trainer.yaml"],
    ],
)
def test_good_options_pass(words: list[str]) -> None:
    options.check(words)


def test_lone_switches_mean_true() -> None:
    words = ["--data.drop_leaks", "--data.first_as_neutral", "false", "--data.root", "x", "--data.drop_leaks"]
    assert options.spelled_out(words) == ["--data.drop_leaks", "true", *words[1:], "true"]
    assert options.spelled_out(["--data.drop_leaks=false"]) == ["--data.drop_leaks=false"]


def test_a_lone_switch_reaches_the_data(fer2013: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the door: --print_config shows what was understood."""
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--data.drop_leaks", "--data.root", str(fer2013), "--print_config"])
    assert stopped.value.code == 0
    assert "drop_leaks: true" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["fit", "--help"], ["card", "FILE", "--json"]])
def test_a_reader_that_leaves_early_causes_no_complaint(words: list[str], tmp_path: Path) -> None:
    """As in ``... | head -1``: the pipe is closed before anything is written."""
    file = fakes.write_checkpoint(tmp_path / "best.safetensors")
    command = [sys.executable, "-m", "fer_lightning", *(str(file) if word == "FILE" else word for word in words)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=buffered)
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 0
