"""``fit`` as users run it: from every kind of data to a checkpoint, and what it says on the way."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fer_lightning import checkpoint
from fer_lightning.cli import main
from fer_lightning.progressive import SMALLER, shown
from tests import fakes

SHORT = ["--data.batch_size", "16", "--trainer.max_epochs", "1", "--data.augment", "none"]
MAKERS: dict[str, Callable[[Path], object]] = {
    "fer2013": lambda root: fakes.write_fer2013(root, 140),
    "ferplus": lambda root: (fakes.write_fer2013(root, 140), fakes.write_ferplus(root, 140)),
    "ckplus": lambda root: fakes.write_ckplus(root, frames=4),
    "ck48": lambda root: fakes.write_ck48(root, 6),
    "folder": lambda root: fakes.write_classes(root, ["bored", "calm", "tired"], 12, side=60),
    "csv": lambda root: write_table(root),
}


def write_table(root: Path) -> None:
    fakes.write_classes(root / "pictures", ["yes", "no"], 12)
    files = sorted((root / "pictures").rglob("*.png"))
    rows = [f"{file.relative_to(root)},{file.parent.name},person{i % 6}" for i, file in enumerate(files)]
    (root / "mine.csv").write_text("\n".join(["path,label,subject", *rows]) + "\n")


def fit(base: Path, *words: str) -> int:
    return main(["fit", *SHORT, "--trainer.default_root_dir", str(base), *words])


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_all_that_is_promised(trained: Path) -> None:
    files = {str(file.relative_to(trained)) for file in trained.rglob("*") if file.is_file()}
    assert {"best.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "history.csv", "config.yaml"} <= files
    assert any("tfevents" in file for file in files)


def test_the_network_learns(trained: Path) -> None:
    rows = history(trained)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])
    assert checkpoint.read_card(trained / "best.safetensors")["scores"]["PublicTest"]["accuracy"] > 0.5


def test_the_best_epoch_is_kept_and_of_equal_ones_the_later(trained: Path) -> None:
    scores = [float(row["val/macro_f1"]) for row in history(trained)]
    card = checkpoint.read_card(trained / "best.safetensors")
    assert card["training"]["best_epoch"] == len(scores) - scores[::-1].index(max(scores))
    assert card["scores"]["PublicTest"]["macro_f1"] == pytest.approx(max(scores), abs=1e-6)
    assert card["training"]["chosen_by"] == "val/macro_f1 on PublicTest"


def test_the_card_tells_how_the_network_came_about(trained: Path, fer2013: Path) -> None:
    card = checkpoint.read_card(trained / "best.safetensors")
    assert card["training"]["command"].startswith("python -m fer_lightning fit --data.root ")
    assert card["training"]["config"]["data"]["root"] == str(fer2013)
    assert card["training"]["config"]["model"]["learning_rate"] == 0.003
    assert card["data"]["rows"] == {"Training": 252, "PublicTest": 49, "PrivateTest": 49}
    assert card["data"]["leakage"]["test"]["identical"] == 0
    assert card["parameters"] == 185_431
    assert card["environment"]["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert set(card["scores"]) == {"PublicTest"}  # the rows that are reported are not touched by fit


def test_fit_says_what_it_does(fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path, "--data.root", str(fer2013)) == 0
    said = capsys.readouterr().out
    for words in (
        "taken for fer2013",
        "252 Training, 49 PublicTest, 49 PrivateTest rows",
        "improved_cnn, 185,431 parameters, 18,460,800 multiply-adds a face",
        "epoch 1/1: loss ",
        "precision",
        "disgust",
        f"checkpoint: {tmp_path}/fer2013-improved_cnn/version_0/best.safetensors",
        "next: python -m fer_lightning test --ckpt_path ",
    ):
        assert words in said


def test_without_arguments_it_draws_faces_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path, "--trainer.limit_train_batches", "3") == 0
    said = capsys.readouterr().out
    assert "these faces are drawings" in said
    assert "--data.root PATH" in said
    assert (tmp_path / "sketch-improved_cnn" / "version_0" / "best.safetensors").exists()


@pytest.mark.parametrize("source", MAKERS)
def test_every_source_is_trained_on_and_scored(source: str, tmp_path: Path) -> None:
    MAKERS[source](tmp_path / "data")
    name = "ckplus" if source == "ck48" else source
    words = ["--data.source", name, "--data.root", str(tmp_path / "data"), "--data.folds", "3"]
    assert fit(tmp_path / "runs", *words) == 0
    run = tmp_path / "runs" / f"{name}-improved_cnn" / "version_0"
    assert main(["test", "--ckpt_path", str(run / "best.safetensors")]) == 0
    report = json.loads((run / f"test-{name}" / "report.json").read_text())
    assert report["classes"] == checkpoint.read_card(run / "best.safetensors")["classes"]
    assert report["data"]["leakage"]["test"]["shared_subjects"] in (0, None)
    (scores,) = report["scores"].values()
    assert scores["n"] == sum(report["data"]["rows"][part] for part in report["scores"]) > 0


def test_own_class_names_reach_the_checkpoint(tmp_path: Path) -> None:
    write_table(tmp_path / "data")
    assert fit(tmp_path, "--data.root", str(tmp_path / "data"), "--data.folds", "3") == 0
    loaded = checkpoint.load(tmp_path / "csv-improved_cnn" / "version_0" / "best.safetensors")
    assert loaded.card["classes"] == ["no", "yes"]
    assert loaded.network(torch.zeros(1, 1, 48, 48)).shape == (1, 2)


@pytest.mark.parametrize("network", ["plain_cnn", "improved_cnn_wide"])
def test_a_comparison_is_one_flag_wide(network: str, fer2013: Path, tmp_path: Path) -> None:
    words = ["--model.network", network, "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "1"]
    assert fit(tmp_path, "--data.root", str(fer2013), *words) == 0
    card = checkpoint.read_card(tmp_path / f"fer2013-{network}" / "version_0" / "best.safetensors")
    assert card["network"]["name"] == network


@pytest.mark.parametrize(
    "words",
    [
        ["--model.class_weights", "balanced", "--model.label_smoothing", "0"],
        ["--model.class_weights", "sqrt", "--model.mixup", "0.2"],
        ["--model.ema_decay", "0", "--model.dropout", "0.3", "--model.dilation", "1"],
        ["--data.split", "random", "--data.fold", "2", "--data.augment", "light"],
        ["--data.split", "grouped", "--data.drop_leaks", "--data.augment", "strong", "--data.num_workers", "0"],
        ["--trainer.accumulate_grad_batches", "2", "--trainer.val_check_interval", "4"],
    ],
)
def test_options_go_through(words: list[str], fer2013: Path, tmp_path: Path) -> None:
    assert fit(tmp_path, "--data.root", str(fer2013), *words) == 0
    assert (tmp_path / "fer2013-improved_cnn" / "version_0" / "best.safetensors").exists()


def test_the_same_seed_gives_the_same_weights_whatever_the_workers(fer2013: Path, tmp_path: Path) -> None:
    def weights(name: str, *words: str) -> torch.Tensor:
        words = ("--data.root", str(fer2013), "--data.augment", "strong", *words)
        assert fit(tmp_path / name, *words, "--trainer.limit_train_batches", "6") == 0
        file = tmp_path / name / "fer2013-improved_cnn" / "version_0" / "best.safetensors"
        return torch.cat([value.flatten().double() for value in checkpoint.load(file).network.state_dict().values()])

    first = weights("first", "--data.num_workers", "0")
    assert torch.equal(first, weights("again", "--data.num_workers", "2"))
    assert not torch.equal(first, weights("other", "--seed_everything", "7"))


def test_faces_grow_with_the_training(fer2013: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on: list[int] = []

    def spied(faces: torch.Tensor, side: int) -> torch.Tensor:
        trained_on.append(shown(faces, side).shape[-1])
        return shown(faces, side)

    monkeypatch.setattr("fer_lightning.task.shown", spied)
    words = ["--model.progressive_resizing", "0.5", "--trainer.max_epochs", "4", "--trainer.limit_train_batches", "2"]
    assert fit(tmp_path, "--data.root", str(fer2013), *words) == 0
    assert trained_on == [32, 32, 40, 40, 48, 48, 48, 48]
    card = checkpoint.read_card(tmp_path / "fer2013-improved_cnn" / "version_0" / "best.safetensors")
    assert card["training"]["config"]["model"]["progressive_resizing"] == 0.5


def test_a_smaller_face_keeps_its_grey_levels() -> None:
    faces = torch.rand(3, 1, 48, 48)
    assert shown(faces, 48) is faces
    for side in SMALLER:
        torch.testing.assert_close(shown(faces, side).mean((1, 2, 3)), faces.mean((1, 2, 3)), atol=0.01, rtol=0)


def test_a_pattern_finer_than_the_smaller_face_turns_grey() -> None:
    stripes = (torch.arange(48) % 2).float().expand(1, 1, 48, 48)
    for side in SMALLER:
        assert (
            shown(stripes, side)[..., 1:-1].std() < 0.2
        )  # taking pixels between their neighbours leaves 0.25 and more


@pytest.mark.parametrize("split", ["auto", "official"])
def test_a_fold_of_the_official_split_is_refused(
    split: str, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path, "--data.root", str(fer2013), "--data.split", split, "--data.fold", "2") == 2
    said = capsys.readouterr().err
    assert "--data.fold 2: the official split has no folds; give --data.split grouped" in said
    assert list(tmp_path.glob("*/*")) == []


def test_patience_stops_a_training_that_gains_nothing(fer2013: Path, tmp_path: Path) -> None:
    words = ["--model.learning_rate", "1e-12", "--trainer.max_epochs", "9", "--patience", "2"]
    assert fit(tmp_path, "--data.root", str(fer2013), "--trainer.limit_train_batches", "2", *words) == 0
    assert len(history(tmp_path / "fer2013-improved_cnn" / "version_0")) < 9


def test_a_run_is_repeated_from_its_config(trained: Path, tmp_path: Path) -> None:
    words = ["--config", str(trained / "config.yaml"), "--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *words]) == 0
    (again,) = tmp_path.glob("*/version_0")
    kept = [column for column in history(trained)[0] if column not in ("seconds", "images_per_second")]
    for old, new in zip(history(trained), history(again), strict=True):
        assert [old[column] for column in kept] == [new[column] for column in kept]


def test_print_config_shows_every_value_and_stops(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        fit(tmp_path, "--print_config", "--model.dropout", "0.4")
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "dropout: 0.4" in said
    assert "learning_rate: 0.003" in said
    assert not list(tmp_path.iterdir())


def test_a_training_that_never_validates_says_where_its_weights_are(
    fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path, "--data.root", str(fer2013), "--trainer.limit_val_batches", "0") == 0
    said = capsys.readouterr().out
    assert "nan" not in said
    assert f"no epoch was validated; the last weights: {tmp_path}" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--trainer.max_epochs", "many"], "--trainer.max_epochs many: need a whole number or null"),
        (["--model.learning_rate", "fast"], "--model.learning_rate fast: need a number"),
        (["--trainer.precision", "12"], "--trainer.precision 12: choose from 64, 32, 16"),
        (["--trainer.accelerator", "abacus"], "invalid accelerator name"),
        (["--trainer.max_epochs", "-1"], "give the training a length"),
        (["--trainer.overfit_batches", "1"], "use --trainer.limit_train_batches"),
        (["--model.warmup", "2"], "--model.warmup 2.0: need a number from 0 to below 1"),
        (["--model.groups", "5"], "groups"),
        (["--model.dilation", "0"], "dilation 0 must be 1 or 2"),
        (["--model.output_stride", "3"], "output_stride 3 must be 2, 4 or 8"),
        (
            ["--model.network", "plain_cnn", "--model.output_stride", "4"],
            "plain_cnn: has no option output_stride; leave it out, or choose from improved_cnn, improved_cnn_wide",
        ),
        (["--model.learning_rate", "-1"], "--model.learning_rate -1.0"),
        (["--model.weight_decay", "-1"], "--model.weight_decay -1.0"),
        (["--seed_everything", "-3"], "--seed_everything: -3 is not in bounds"),
        (["--patience", "-2"], "--patience -2: need 0"),
        (["--trainer.devices", "foo"], "--trainer: "),
        (["--trainer.default_root_dir", "/proc/nowhere"], "/proc/nowhere: cannot make a folder"),
        (["--data.fold", "5", "--data.split", "random"], "choose from 0 to 4"),
        (["--data.batch_size", "0"], "--data.batch_size 0"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt: no such file"),
        (["--ckpt_path"], "--ckpt_path: needs a file"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_no_run(
    words: list[str], complaint: str, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path, "--data.root", str(fer2013), *words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert complaint in said[0]
    assert not list(tmp_path.glob("*/version_*"))


def test_one_batch_means_one_batch(fer2013: Path, tmp_path: Path) -> None:
    assert fit(tmp_path, "--data.root", str(fer2013), "--trainer.limit_train_batches", "1") == 0
    last = torch.load(tmp_path / "fer2013-improved_cnn/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 1
