"""``validate`` and ``test``: the right weights on the right rows, a report that can be recomputed, an honest card."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import rel_entr
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support
from torch.nn.functional import cross_entropy

from fer_lightning import checkpoint
from fer_lightning.calibration import fit_temperature
from fer_lightning.cli import main
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.preprocess import to_tensor
from tests import fakes, networks


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to be changed."""
    shutil.copytree(trained, tmp_path / "runs" / "fer2013-improved_cnn" / "version_0")
    return tmp_path / "runs" / "fer2013-improved_cnn" / "version_0"


def scored(run: Path, *words: str, file: str = "best.safetensors", fold: str = "") -> dict[str, Any]:
    assert main(["test", "--ckpt_path", str(run / file), *words]) == 0
    report: dict[str, Any] = json.loads((run / f"test-fer2013{fold}" / "report.json").read_text())
    return report


def predictions(run: Path, fold: str = "") -> list[dict[str, str]]:
    with (run / f"test-fer2013{fold}" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_is_recomputed_from_the_predictions(run: Path) -> None:
    scores = scored(run)["scores"]["PrivateTest"]
    rows = predictions(run)
    labels, predicted = [row["label"] for row in rows], [row["predicted"] for row in rows]
    classes = list(scores["per_class"])
    assert scores["n"] == len(rows) == 49
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", labels=classes), abs=1e-12)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    for place, name in enumerate(classes):
        found = scores["per_class"][name]
        assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(
            (precision[place], recall[place], f1[place])
        )
        assert found["support"] == support[place]
    low, high = scores["accuracy_interval"]
    assert low <= scores["accuracy"] <= high


def test_the_trained_weights_are_scored_on_the_right_rows(run: Path, fer2013: Path) -> None:
    scored(run)
    rows = predictions(run)
    data = ExpressionDataModule(root=str(fer2013))
    loaded = checkpoint.load(run / "best.safetensors")
    with torch.inference_mode():
        logits = loaded.network(to_tensor(data.faces.faces[data.split.test]))
    expected = (logits / loaded.card["calibration"]["temperature"]).softmax(1).numpy()
    found = np.array([[float(row[f"p_{name}"]) for name in data.classes] for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert [row["row"] for row in rows] == data.faces.row_ids[data.split.test].tolist()
    assert [row["label"] for row in rows] == [data.classes[label] for label in data.faces.labels[data.split.test]]


def test_all_that_test_writes_can_be_opened(run: Path) -> None:
    report = scored(run)
    folder = run / "test-fer2013"
    assert {file.name for file in folder.iterdir()} == {
        "report.json",
        "scores.csv",
        "predictions.csv",
        "confusion_matrix.png",
    }
    assert Image.open(folder / "confusion_matrix.png").size[0] > 300
    table = (folder / "scores.csv").read_text()
    assert "part,class,precision,recall,f1,support" in table
    assert "PrivateTest,accuracy," in table
    assert report["data"]["fingerprint"] == checkpoint.read_card(run / "best.safetensors")["data"]["fingerprint"]
    wanted = {"ece", "nll", "brier", "uncalibrated", "confusion", "accuracy_interval", "macro_f1_interval"}
    assert wanted <= set(report["scores"]["PrivateTest"])
    assert report["temperatures"] == [report["scores"]["PrivateTest"]["temperature"]]
    assert report["data"]["leakage"]["test"] == {
        "rows": 49,
        "identical": 0,
        "near_identical": 0,
        "shared_subjects": None,
    }


def test_the_card_gets_its_test_scores_once_and_then_is_reproduced(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(run)
    assert "card: PrivateTest added" in capsys.readouterr().out
    card = checkpoint.read_card(run / "best.safetensors")
    scored(run)
    accuracy = card["scores"]["PrivateTest"]["accuracy"]
    assert f"card: PrivateTest reproduced exactly, accuracy {accuracy:.6f}" in capsys.readouterr().out
    assert checkpoint.read_card(run / "best.safetensors") == card


def test_validate_repeats_the_score_that_chose_the_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = checkpoint.read_card(run / "best.safetensors")["scores"]["PublicTest"]
    before = (run / "best.safetensors").read_bytes()
    assert main(["validate", "--ckpt_path", str(run / "best.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "best.safetensors on PublicTest of fer2013" in said
    assert f"accuracy {scores['accuracy']:.2%}" in said
    assert f"ECE {scores['uncalibrated']['ece']:.3f} -> {scores['ece']:.3f}, NLL " in said
    assert "card:" not in said
    assert (run / "best.safetensors").read_bytes() == before
    assert not (run / "test-fer2013").exists()


def test_either_file_is_scored_alike(run: Path) -> None:
    """But for the temperature, known only when the file to resume from has been written, and the rounded weights."""
    served = scored(run)["scores"]["PrivateTest"]
    del served["temperature"]
    served |= served.pop("uncalibrated")
    resumed = scored(run, file="checkpoints/best.ckpt")["scores"]["PrivateTest"]
    for name in ("ece", "nll", "brier"):
        assert resumed.pop(name) == pytest.approx(served.pop(name), rel=0.01)
    assert resumed == served


def test_other_rows_are_scored_but_never_enter_the_card(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.read_card(run / "best.safetensors")
    fakes.write_fer2013(tmp_path / "other", 140, seed=3)
    scored(run, "--data.root", str(tmp_path / "other"))
    assert "other rows" in capsys.readouterr().out
    assert checkpoint.read_card(run / "best.safetensors") == before


def test_data_of_other_classes_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.write_classes(tmp_path / "other", ["bored", "calm"], 10)
    words = ["--data.source", "folder", "--data.root", str(tmp_path / "other")]
    assert main(["test", "--ckpt_path", str(run / "best.safetensors"), *words]) == 2
    said = capsys.readouterr().err
    assert "trained on the classes angry, disgust" in said
    assert "the data have bored, calm" in said


def test_data_that_moved_away_are_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data.root", str(tmp_path / "gone")]
    assert main(["test", "--ckpt_path", str(run / "best.safetensors"), *words]) == 2
    assert f"--data.root {tmp_path / 'gone'}: no such file or folder" in capsys.readouterr().err


def test_without_a_path_the_newest_run_is_scored(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parents[2])
    assert main(["test"]) == 0
    assert (run / "test-fer2013" / "report.json").exists()
    assert "written to runs/fer2013-improved_cnn/version_0/test-fer2013" in capsys.readouterr().out


def test_without_any_checkpoint_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "_BESIDE", tmp_path / "beside")
    assert main(["test"]) == 2
    assert "train one with fit" in capsys.readouterr().err


def test_twins_of_training_rows_are_scored_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = fakes.write_fer2013(tmp_path / "data", 140)
    lines = file.read_text().splitlines()
    private = [place for place, line in enumerate(lines) if line.endswith("PrivateTest")]
    training = next(line for line in lines if line.startswith("3,") and line.endswith("Training"))
    lines[private[3]] = training.replace("Training", "PrivateTest")
    file.write_text("\n".join(lines) + "\n")
    base = ["--data.batch_size", "16", "--trainer.max_epochs", "1", "--data.augment", "none"]
    assert main(["fit", "--data.root", str(file), *base, "--trainer.default_root_dir", str(tmp_path)]) == 0
    run = tmp_path / "fer2013-improved_cnn" / "version_0"
    scores = scored(run)["scores"]
    assert scores["PrivateTest twin-free"]["n"] == scores["PrivateTest"]["n"] - 1
    assert "PrivateTest twin-free: accuracy " in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_two_processes_score_as_one(verb: str, run: Path, fer2013: Path, tmp_path: Path) -> None:
    """DDP on the CPU: each row is scored once, whichever process has it, and the metrics are summed over both."""
    joint = ["--trainer.strategy", "ddp", "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    if verb == "fit":
        words = ["--data.root", str(fer2013), "--data.batch_size", "16", "--data.augment", "none"]
        words += ["--trainer.max_epochs", "2", "--trainer.default_root_dir", str(tmp_path)]
    else:
        words = ["--ckpt_path", str(run / "best.safetensors")]
        alone = scored(run)
    command = [sys.executable, "-m", "fer_lightning", verb, *words, *joint]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("precision") == 1  # the second process is quiet
    if verb == "test":
        assert json.loads((run / "test-fer2013" / "report.json").read_text())["scores"] == alone["scores"]
        return
    (made,) = (tmp_path / "fer2013-improved_cnn").iterdir()  # one run for both
    with (made / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    card = checkpoint.read_card(made / "best.safetensors")
    best = max(float(row["val/macro_f1"]) for row in history)
    assert card["training"]["device"] == "cpu x 2"
    assert card["scores"]["PublicTest"]["n"] == 49
    assert card["scores"]["PublicTest"]["macro_f1"] == pytest.approx(best, abs=1e-6)  # scored by one process alone


def test_rows_of_another_split_are_told_apart_from_unseen_ones(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folds of a set that was trained on by its official split: most of them are training rows."""
    before = checkpoint.read_card(run / "best.safetensors")
    fold = "-random-5-folds-seed-0-fold-1"
    report = scored(run, "--data.split", "random", "--data.folds", "5", "--data.fold", "1", fold=fold)
    said = capsys.readouterr().out
    seen = report["data"]["rows_of_the_training"]
    rows = [int(row["row"]) for row in predictions(run, fold)]
    parts = ["Training"] * 5 + ["PublicTest", "PrivateTest"]
    expected = [parts[row // 7 % 7] for row in rows]
    assert seen == {"trained": expected.count("Training"), "chose": expected.count("PublicTest")}
    assert f"of these {len(rows)} rows the network was trained on {seen['trained']}" in said
    assert "so it stays as it is" in said
    assert checkpoint.read_card(run / "best.safetensors") == before
    assert [folder.name for folder in run.glob("test-*")] == [f"test-fer2013{fold}"]


def test_a_network_of_a_fold_is_scored_on_an_official_split(
    fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its fold is inherited and means nothing there; one that is asked for is refused."""
    words = ["--data.root", str(fer2013), "--data.split", "random", "--data.fold", "1", "--data.augment", "none"]
    base = ["--trainer.limit_train_batches", "1", "--trainer.max_epochs", "1", "--trainer.default_root_dir"]
    assert main(["fit", *words, *base, str(tmp_path)]) == 0
    run = tmp_path / "fer2013-improved_cnn" / "version_0"
    assert scored(run, "--data.split", "official")["scores"]["PrivateTest"]["n"] == 49
    official = ["--data.split", "official", "--data.fold", "1"]
    assert main(["test", "--ckpt_path", str(run / "best.safetensors"), *official]) == 2
    assert "--data.fold 1: the official split has no folds" in capsys.readouterr().err


def test_reports_on_files_of_one_name_are_kept_apart(
    run: Path, second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, file in (("one", run / "best.safetensors"), ("other", second)):
        (tmp_path / name).mkdir()
        shutil.copy(file, tmp_path / name / "best.safetensors")
        assert main(["test", "--ckpt_path", f"{name}/best.safetensors"]) == 0
    reports = [json.loads(file.read_text()) for file in tmp_path.glob("runs/best@*/test-*/report.json")]
    assert len({report["scores"]["PrivateTest"]["nll"] for report in reports}) == 2


def test_a_card_of_more_or_fewer_rows_is_told_from_one_that_does_not_come_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fewer(card: dict[str, Any]) -> None:
        card["scores"]["PrivateTest"]["n"] -= 3

    scored(run)
    changed(run / "best.safetensors", fewer)
    capsys.readouterr()
    scored(run)
    assert "card: PrivateTest has 46 rows, here it has 49; it was scored with another set" in capsys.readouterr().out


def test_a_part_of_the_rows_never_enters_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    assert main(["fit", *short, "--trainer.default_root_dir", str(tmp_path)]) == 0
    file = tmp_path / "sketch-improved_cnn" / "version_0" / "best.safetensors"
    before = checkpoint.read_card(file)
    assert main(["test", "--ckpt_path", str(file), "--trainer.limit_test_batches", "1"]) == 0
    said = capsys.readouterr().out
    assert "n = 256" in said
    assert "so it stays as it is" in said
    assert checkpoint.read_card(file) == before
    assert main(["test", "--ckpt_path", str(file), "--trainer.limit_test_batches", "0"]) == 2
    assert "leave --trainer.limit_test_batches out" in capsys.readouterr().err
    changed(file, without_calibration)
    before = checkpoint.read_card(file)
    assert validated(file, "--trainer.limit_val_batches", "1") == 0
    assert "card:" not in capsys.readouterr().out
    assert checkpoint.read_card(file) == before


def test_last_is_no_checkpoint_to_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--ckpt_path", "last"]) == 2
    assert "--ckpt_path last: is for fit" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--trainer.default_root_dir", "{}"], ["--trainer.default_root_dir={}"]])
def test_runs_kept_elsewhere_are_found(words: list[str], run: Path) -> None:
    assert main(["validate", *(word.format(run.parents[1]) for word in words)]) == 0


# The temperature


def changed(file: Path, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Change a checkpoint's card and save it again; return it as it was."""
    network, card = checkpoint.load(file)
    before: dict[str, Any] = json.loads(json.dumps(card))
    change(card)
    checkpoint.save(file, network, card)
    return before


def without_calibration(card: dict[str, Any]) -> None:
    """Make a card what it was before there were temperatures."""
    card.pop("calibration", None)
    for found in card["scores"].values():
        found |= found.pop("uncalibrated", {})
        del found["brier"]
        found.pop("temperature", None)


def validated(file: Path, *words: str) -> int:
    return main(["validate", "--ckpt_path", str(file), *words])


def test_the_temperature_is_fitted_on_the_rows_that_chose(run: Path, fer2013: Path) -> None:
    network, card = checkpoint.load(run / "best.safetensors")
    data = ExpressionDataModule(root=str(fer2013))
    rows = data.split.validation
    raw = networks.answer(network, (data.faces.faces[rows] / 255).astype(np.float32))
    labels = torch.from_numpy(data.faces.labels[rows])
    grid = np.geomspace(0.2, 5, 2001)
    unlikely = np.array([float(cross_entropy(torch.from_numpy(np.log(raw) / t), labels)) for t in grid])
    best = int(np.argmin(unlikely + (np.log(grid) / 0.5) ** 2 / (2 * len(labels))))  # likelihood and prior
    found = card["calibration"]
    assert found["fitted_on"] == "PublicTest"
    assert found["temperature"] == pytest.approx(grid[best], rel=5e-3)
    scores = card["scores"]["PublicTest"]
    assert scores["temperature"] == found["temperature"]
    assert scores["nll"] == pytest.approx(unlikely[best], abs=1e-3)
    assert scores["uncalibrated"]["nll"] == pytest.approx(log_loss(labels, raw, labels=range(7)), abs=1e-5)


def test_validate_adds_the_temperature_that_fit_would_have_added(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = run / "best.safetensors"
    scored(run)
    before = changed(best, without_calibration)
    raw = {name: tensor.clone() for name, tensor in checkpoint.load(best).network.state_dict().items()}
    capsys.readouterr()
    assert validated(best) == 0
    temperature = before["calibration"]["temperature"]
    said = capsys.readouterr().out
    assert (
        said.count(
            f"card: temperature {temperature:.2f} added, fitted on PublicTest; test brings its other figures along\n"
        )
        == 1
    )
    assert f"after temperature {temperature:.2f}, n = 49" in said
    loaded = checkpoint.load(best)
    assert loaded.card["calibration"] == before["calibration"]
    assert loaded.card["scores"]["PublicTest"] == before["scores"]["PublicTest"]
    assert "temperature" not in loaded.card["scores"]["PrivateTest"]
    assert all(torch.equal(tensor, raw[name]) for name, tensor in loaded.network.state_dict().items())
    scored(run)
    said = capsys.readouterr().out
    assert "card: PrivateTest reproduced exactly" in said
    assert "card: PrivateTest brought up to date" in said
    assert checkpoint.read_card(best) == before
    scored(run)
    assert "now" not in capsys.readouterr().out


def test_a_card_without_temperature_gets_none_from_other_rows_or_views(
    run: Path, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, resumed = run / "best.safetensors", run / "checkpoints" / "best.ckpt"
    changed(best, without_calibration)
    before = {file: file.read_bytes() for file in (best, resumed, second)}
    fakes.write_fer2013(tmp_path / "other", 140, seed=3)
    assert validated(best, "--data.root", str(tmp_path / "other")) == 0
    assert validated(best, "--tta", "flip") == 0
    assert validated(best, "--corruption", "blur") == 0
    assert validated(best, "--data.split", "random") == 0
    assert validated(best, "--ckpt_path", str(second)) == 0
    assert validated(resumed) == 0
    said = capsys.readouterr().out
    assert "card:" not in said
    assert "->" not in said
    assert {file: file.read_bytes() for file in before} == before


def test_a_temperature_is_not_fitted_where_the_score_does_not_come_out_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run / "best.safetensors"
    changed(best, without_calibration)
    accuracy = changed(best, lambda card: card["scores"]["PublicTest"].update(accuracy=0.123456))["scores"]
    before = best.read_bytes()
    assert validated(best) == 0
    now = accuracy["PublicTest"]["accuracy"]
    expected = f"card: accuracy on PublicTest is 0.123456, here it is {now:.6f}, so no temperature is added"
    assert expected in capsys.readouterr().out
    assert best.read_bytes() == before


def test_members_of_an_ensemble_have_their_own_temperatures(
    run: Path, second: Path, tested: NDArray[np.float32], tmp_path: Path
) -> None:
    best = run / "best.safetensors"
    for file, temperature in ((best, 3.0), (second, 0.5)):
        entry = {"temperature": temperature, "fitted_on": "PublicTest"}
        changed(file, lambda card, entry=entry: card.update(calibration=entry))  # type: ignore[misc]
    report, found = joint(tmp_path, [best, second])
    np.testing.assert_allclose(found, (alone(best, tested) + alone(second, tested)) / 2, atol=1e-5)
    assert report["temperatures"] == [3.0, 0.5]
    assert "uncalibrated" not in report["scores"]["PrivateTest"]
    plain = [networks.answer(checkpoint.load(file).network, tested) for file in (best, second)]
    assert np.abs(found - np.mean(plain, axis=0)).max() > 0.05


def test_crowds_are_told_of_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FER+: the temperature is that of the hard labels, and the divergence from the votes is told both times."""
    fakes.write_fer2013(tmp_path / "data", 140)
    fakes.write_ferplus(tmp_path / "data", 140)
    words = ["--data.source", "ferplus", "--data.root", str(tmp_path / "data"), "--data.batch_size", "16"]
    short = ["--data.augment", "none", "--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *words, *short]) == 0
    best = tmp_path / "ferplus-improved_cnn" / "version_0" / "best.safetensors"
    network, card = checkpoint.load(best)
    found = card["scores"]["PublicTest"]
    data = ExpressionDataModule(source="ferplus", root=str(tmp_path / "data"))
    rows = data.split.validation
    assert data.faces.votes is not None
    votes = data.faces.votes[rows].astype(np.float64)
    faces = (data.faces.faces[rows] / 255).astype(np.float32)
    raw = networks.answer(network, faces)
    for probabilities, told in ((raw, found["uncalibrated"]), (alone(best, faces), found)):
        expected = rel_entr(votes, probabilities).sum(1).mean()
        assert told["kl_to_votes"] == pytest.approx(expected, abs=1e-4)
    assert fit_temperature(raw, data.faces.labels[rows]) == pytest.approx(card["calibration"]["temperature"], rel=1e-2)
    said = " ".join(capsys.readouterr().out.split())
    assert f"KL to the votes {found['uncalibrated']['kl_to_votes']:.3f} -> {found['kl_to_votes']:.3f} after" in said


def test_rows_with_a_majority_of_the_crowd_are_scored_apart(tmp_path: Path) -> None:
    """FER+'s authors score on these alone; the rest stays in the other figures."""
    fakes.write_fer2013(tmp_path / "data", 140)
    votes = fakes.write_ferplus(tmp_path / "data", 140)
    lines = votes.read_text().splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("PrivateTest"))
    lines[place] = ",".join([*lines[place].split(",")[:2], *"5500000000"])
    votes.write_text("\n".join(lines) + "\n")
    words = ["--data.source", "ferplus", "--data.root", str(tmp_path / "data"), "--data.batch_size", "16"]
    short = ["--data.augment", "none", "--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *words, *short]) == 0
    best = tmp_path / "ferplus-improved_cnn" / "version_0" / "best.safetensors"
    assert main(["test", "--ckpt_path", str(best)]) == 0
    scores = checkpoint.read_card(best)["scores"]
    assert scores["PrivateTest majority"]["n"] == scores["PrivateTest"]["n"] - 1


# Several checkpoints, and several views of a face


def joint(
    base: Path, files: Sequence[Path], *words: str, views: str = ""
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Run ``test`` on several; return what it left in their folder."""
    given = [word for file in files for word in ("--ckpt_path", str(file))]
    assert main(["test", *given, *words, "--trainer.default_root_dir", str(base)]) == 0
    (folder,) = base.glob(f"{'+'.join(file.stem for file in files)[:100]}@*/test-fer2013{views}")
    return left_by(folder)


def left_by(folder: Path) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return the report that ``test`` left in a folder, and the probabilities of the rows."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return report, np.array([[float(row[f"p_{label}"]) for label in report["classes"]] for row in rows])


def alone(file: Path, faces: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of a checkpoint's logits, divided by the temperature in its card."""
    network, card = checkpoint.load(file)
    powers = networks.answer(network, faces) ** (1 / card.get("calibration", {"temperature": 1})["temperature"])
    return np.asarray(powers / powers.sum(1, keepdims=True))


@pytest.fixture
def tested(fer2013: Path) -> NDArray[np.float32]:
    """The rows that ``test`` scores, in 0..1."""
    data = ExpressionDataModule(root=str(fer2013))
    return (data.faces.faces[data.split.test] / 255).astype(np.float32)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return networks.write(tmp_path / "second.safetensors", 5, "plain_cnn")


def test_several_checkpoints_and_views_are_averaged(
    run: Path, second: Path, tested: NDArray[np.float32], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run / "best.safetensors"
    before = {file: file.read_bytes() for file in (best, second)}
    report, found = joint(tmp_path, [best, second])
    one, other = alone(best, tested), alone(second, tested)
    assert np.abs(one - other).max() > 0.3
    np.testing.assert_allclose(found, (one + other) / 2, atol=1e-5)
    assert report["checkpoint"] == f"{best} + {second}"
    assert report["network"] == "improved_cnn + plain_cnn"
    assert report["parameters"] == 185_431 + 3_831_975
    assert report["tta"] == "none"
    report, found = joint(tmp_path, [best, second], "--tta", "flip", views="-flip")
    mirrored = tested[:, :, ::-1]
    np.testing.assert_allclose(found, (one + other + alone(best, mirrored) + alone(second, mirrored)) / 4, atol=1e-5)
    assert (report["tta"], report["scores"]["PrivateTest"]["n"]) == ("flip", 49)
    labels = np.arange(49) % 7  # as the fake rows are written
    assert report["scores"]["PrivateTest"]["accuracy"] == pytest.approx((found.argmax(1) == labels).mean(), abs=1e-12)
    said = " ".join(capsys.readouterr().out.split())
    assert "best.safetensors + second.safetensors, flip on PrivateTest of fer2013" in said
    assert "card:" not in said
    assert {file: file.read_bytes() for file in before} == before


def test_the_card_is_about_the_checkpoint_and_not_about_views_of_faces(
    run: Path, tested: NDArray[np.float32], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run / "best.safetensors"
    before = best.read_bytes()
    assert main(["test", "--ckpt_path", str(best), "--tta=flip"]) == 0
    report, found = left_by(run / "test-fer2013-flip")
    np.testing.assert_allclose(found, (alone(best, tested) + alone(best, tested[:, :, ::-1])) / 2, atol=1e-5)
    assert (report["tta"], report["checkpoint"]) == ("flip", str(best))
    assert "card:" not in capsys.readouterr().out
    assert best.read_bytes() == before
    scored(run)
    assert "card: PrivateTest added" in capsys.readouterr().out
    assert best.read_bytes() != before


def test_rare_classes_are_scored_as_they_are_lifted(
    run: Path, tested: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    best = run / "best.safetensors"
    support = {"angry": 31, "disgust": 1, "fear": 9, "happy": 3, "sad": 0, "surprise": 4, "neutral": 1}

    def counted(card: dict[str, Any]) -> None:
        for name, row in card["scores"]["PublicTest"]["per_class"].items():
            row["support"] = support[name]

    changed(best, counted)
    before = best.read_bytes()
    report = scored(run, "--logit_adjustment", "1.5", fold="-logit-adjustment-1.5")
    _, found = left_by(run / "test-fer2013-logit-adjustment-1.5")
    plain = alone(best, tested)
    lifted = plain / ((np.array(list(support.values())) + 1) / 56) ** 1.5
    np.testing.assert_allclose(found, lifted / lifted.sum(1, keepdims=True), atol=1e-5)
    assert np.abs(found - plain).max() > 0.1
    assert (report["logit_adjustment"], report["tta"]) == (1.5, "none")
    assert "temperature" not in report["scores"]["PrivateTest"]
    said = " ".join(capsys.readouterr().out.split())
    assert "best.safetensors, logit adjustment 1.5 on PrivateTest of fer2013" in said
    assert "card:" not in said
    assert best.read_bytes() == before
    flipped = scored(run, "--tta", "flip", "--logit_adjustment", "1.5", fold="-flip-logit-adjustment-1.5")
    assert (flipped["logit_adjustment"], flipped["tta"]) == (1.5, "flip")
    assert scored(run, "--logit_adjustment", "0") == scored(run)


def enlarged_from_24(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = Image.fromarray(face).resize((24, 24), Image.Resampling.BOX)
    return np.asarray(small.resize((48, 48), Image.Resampling.BILINEAR))


def test_faces_are_scored_as_bad_photographs_have_them(
    run: Path, tested: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    best = run / "best.safetensors"
    before = best.read_bytes()
    report = scored(run, "--corruption", "low_resolution", fold="-corruption-low_resolution")
    _, found = left_by(run / "test-fer2013-corruption-low_resolution")
    coarse = np.stack([enlarged_from_24(face) for face in (tested * 255).round().astype(np.uint8)])
    np.testing.assert_allclose(found, alone(best, (coarse / 255).astype(np.float32)), atol=1e-5)
    assert np.abs(found - alone(best, tested)).max() > 0.01
    assert (report["corruption"], report["tta"], report["logit_adjustment"]) == ("low_resolution", "none", 0)
    said = " ".join(capsys.readouterr().out.split())
    assert "best.safetensors, corruption low_resolution on PrivateTest of fer2013" in said
    assert "card:" not in said
    assert best.read_bytes() == before
    assert scored(run, "--corruption", "none") == scored(run)


def test_a_single_checkpoint_seen_one_way_is_as_it_was(run: Path) -> None:
    plain = scored(run)
    assert (plain["tta"], plain["network"], plain["parameters"]) == ("none", "improved_cnn", 185_431)
    rows = predictions(run)
    assert scored(run, "--tta", "none") == plain
    assert predictions(run) == rows


def test_validate_takes_them_too(run: Path, second: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--ckpt_path", str(run / "best.safetensors"), f"--ckpt_path={second}", "--tta", "flip"]
    assert main(["validate", *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "best.safetensors + second.safetensors, flip on PublicTest of fer2013" in said
    assert "n = 49" in said
    lines = []
    for name in ("none", "noise"):
        assert main(["validate", "--ckpt_path", str(run / "best.safetensors"), "--corruption", name]) == 0
        lines += re.findall(r"NLL (?:[\d.]+ -> )?([\d.]+)", capsys.readouterr().out)
    assert len(set(lines)) == 2


def test_rows_that_either_checkpoint_knows_are_told(run: Path, fer2013: Path, tmp_path: Path) -> None:
    """One was trained on the official split, the other on the folds: together they know all rows but a few."""
    folds = ["--data.split", "random", "--data.folds", "3", "--data.fold"]
    words = ["--data.root", str(fer2013), "--data.augment", "none", "--trainer.limit_train_batches", "1"]
    base = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path / "folded")]
    assert main(["fit", *words, *base, *folds, "0"]) == 0
    other = tmp_path / "folded" / "fer2013-improved_cnn" / "version_0" / "best.safetensors"
    official = ExpressionDataModule(root=str(fer2013)).split
    first, scored_now = (
        ExpressionDataModule(root=str(fer2013), split="random", folds=3, fold=fold).split for fold in (0, 1)
    )
    trained = {*official.train.tolist(), *first.train.tolist()}
    chose = {*official.validation.tolist(), *first.validation.tolist()} - trained
    report, _ = joint(tmp_path, [run / "best.safetensors", other], *folds, "1", views="-random-3-folds-seed-0-fold-1")
    rows = scored_now.test.tolist()
    assert report["data"]["rows_of_the_training"] == {
        "trained": sum(row in trained for row in rows),
        "chose": sum(row in chose for row in rows),
    }
    assert report["data"]["rows_of_the_training"]["trained"] > 100


def test_checkpoints_of_other_classes_are_not_averaged(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run / "best.safetensors"
    turned = networks.write(tmp_path / "turned.safetensors", 1, classes=FER2013_CLASSES[::-1])
    assert main(["test", "--ckpt_path", str(best), "--ckpt_path", str(turned)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {turned}: trained on the classes neutral, surprise, ")
    assert said.count("\n") == 1


def test_the_report_on_many_checkpoints_has_a_folder_that_file_systems_take(run: Path, tmp_path: Path) -> None:
    """Ten folds answer as one: their names together are longer than a folder's may be, and who they are shows yet."""
    folds = [Path(shutil.copy(run / "best.safetensors", tmp_path / f"fold{n}-of-ten.safetensors")) for n in range(10)]
    base = tmp_path / "joint"
    report, _ = joint(base, folds)
    assert report["checkpoint"].count(" + ") == 9
    (folder,) = base.iterdir()
    assert folder.name.startswith("fold0-of-ten+fold1-of-ten+")
    assert len(folder.name) == 109
    others = [*folds[:9], networks.write(tmp_path / "last" / "fold9-of-ten.safetensors", 1)]
    given = [word for file in others for word in ("--ckpt_path", str(file))]
    assert main(["test", *given, "--trainer.default_root_dir", str(base)]) == 0
    assert len(list(base.iterdir())) == 2


FOR_SCORING = "--tta, --logit_adjustment, --corruption and several --ckpt_path are for validate and test"
MISTAKES = {
    "fit --tta flip": FOR_SCORING,
    "fit --ckpt_path a.ckpt --ckpt_path b.ckpt": FOR_SCORING,
    "fit --logit_adjustment 1": FOR_SCORING,
    "test --logit_adjustment some": "logit_adjustment some: need a number from 0 to 10, such as 0.5",
    "validate --logit_adjustment=-1": "logit_adjustment -1: need a number from 0 to 10, such as 0.5",
    "fit --corruption blur": FOR_SCORING,
    "test --corruption fog": "--corruption fog: choose from none, blur, jpeg, low_resolution, noise, rotation,",
    "test --corruption": "--corruption: needs one of none, blur, jpeg,",
    "test --logit_adjustment": "--logit_adjustment: needs a number from 0 to 10",
    "test --tta sideways": "--tta sideways: choose from none, flip, ten_crop",
    "test --tta": "--tta: needs one of none, flip, ten_crop",
    "test --ckpt_path gone.ckpt --ckpt_path": "--ckpt_path: needs a file",
    "validate --ckpt_path gone.ckpt --ckpt_path last": "--ckpt_path last: is for fit",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_what_does_not_go_together_is_told_in_a_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {MISTAKES[words]}")
    assert said.count("\n") == 1
