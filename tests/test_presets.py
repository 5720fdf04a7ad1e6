"""Presets: what they stand for, and that the user's own options win."""

import json
from pathlib import Path

import pytest

from fer_lightning import crossval_options, options, presets
from fer_lightning.cli import main
from fer_lightning.errors import UserError

Said = pytest.CaptureFixture[str]


def resolved(capsys: Said, *words: str) -> str:
    with pytest.raises(SystemExit) as left:  # how jsonargparse ends after printing
        main(["fit", *words, "--print_config"])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_is_made_of_options_that_exist(name: str) -> None:
    options.check(presets.expanded(["--preset", name]))


@pytest.mark.parametrize("given", [["--preset", "best"], ["--preset=best"]])
def test_options_given_besides_win(given: list[str], capsys: Said) -> None:
    said = resolved(capsys, "--data.batch_size", "64", *given, "--trainer.max_epochs", "3")
    for line in ("batch_size: 64", "max_epochs: 3", "augment: light", "crowd: 0.0", "drop_leaks: true", "clean: true"):
        assert f"{line}\n" in said


def test_a_preset_wins_over_a_config_that_stands_before_it(tmp_path: Path, capsys: Said) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(resolved(capsys, "--data.folds", "3", "--trainer.max_epochs", "2"))
    for words in (["--preset", "strong", "--config", str(config)], [f"--config={config}", "--preset", "strong"]):
        said = resolved(capsys, *words, "--data.batch_size", "64")
        for line in ("folds: 3", "augment: strong", "max_epochs: 60", "batch_size: 64"):
            assert f"{line}\n" in said


def test_paper_is_what_fit_does_by_itself(capsys: Said) -> None:
    alone = resolved(capsys, "--trainer.max_epochs", str(options.EPOCHS))
    assert resolved(capsys, "--preset", "paper") == alone


@pytest.mark.parametrize("words", [["fit", "--preset", "bets"], ["fit", "--preset"], ["crossval", "--preset", "bets"]])
def test_an_unknown_preset_is_refused_with_the_choices(words: list[str], capsys: Said) -> None:
    assert main(words) == 2
    assert "choose from paper, strong, best" in capsys.readouterr().err


def test_scoring_takes_none(capsys: Said) -> None:
    assert main(["test", "--preset", "best"]) == 2
    assert capsys.readouterr().err == "error: --preset: is for fit; name what to score with --ckpt_path FILE\n"


def test_crossval_hands_it_to_every_cell() -> None:
    wanted = crossval_options.parse(["--preset", "strong", "--data.batch_size", "32", "--data.root", "x"])
    given = dict(options.pairs(wanted.fit))
    assert given["data.augment"] == "strong"
    assert given["data.batch_size"] == "32"


def test_files_behind_teacher_become_one_list() -> None:
    words = options.spelled_out(["--model.teacher", "a b.ckpt", "c", "--data.clean", "--model.teacher=d"])
    assert words == ["--data.clean", "true", "--model.teacher", json.dumps(["a b.ckpt", "c", "d"])]
    for written in ("[a, b]", "null"):
        assert options.spelled_out(["--model.teacher", written, "--data.clean"])[:2] == ["--model.teacher", written]
        assert options.spelled_out([f"--model.teacher={written}"]) == ["--model.teacher", written]
    with pytest.raises(UserError, match="needs a value"):
        crossval_options.parse(["--model.teacher"])
