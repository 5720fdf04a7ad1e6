"""``card FILE``: what a checkpoint says of itself, to people and to machines, without torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_lightning import checkpoint
from fer_lightning.calibration import score_calibrated
from fer_lightning.card import environment
from fer_lightning.cli import main
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.results import score_line
from tests import fakes


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_checkpoint(tmp_path_factory.mktemp("card") / "best.safetensors", groups=8)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["card", *words]) == 0
    return capsys.readouterr().out


def test_json_has_what_machines_need(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read: dict[str, Any] = json.loads(said(capsys, str(file), "--json"))
    assert read["network"] == "improved_cnn"
    assert read["network_options"] == {"groups": 8}
    assert read["parameters"] == 185_431
    assert read["classes"] == list(FER2013_CLASSES)
    assert read["data"]["rows"] == {"Training": 100, "PublicTest": 10, "PrivateTest": 10}
    scores = read["scores"]["PublicTest"]
    assert {"accuracy", "macro_f1", "ece", "n", "per_class"} <= set(scores)
    assert (scores["n"], scores["accuracy"]) == (10, 0.9)
    assert set(scores["per_class"]) == set(FER2013_CLASSES)
    card = checkpoint.read_card(file)
    assert read == {**card, "network": "improved_cnn", "network_options": {"groups": 8}}


def test_people_get_every_line_they_need(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(said(capsys, str(file)).split())
    for line in (
        "network: improved_cnn, groups 8",
        "185,431 parameters, 18,460,800 multiply-adds a face",
        "classes: angry, disgust, fear, happy, sad, surprise, neutral",
        "data: fake, official split; fingerprint 0123456789abcdef",
        "rows: Training 100, PublicTest 10, PrivateTest 10",
        "left out: 4 training rows with a picture identical to a scored one",
        "of 10 test rows, 2 have an identical picture in training, 3 an identical or near-identical one",
        "chosen by: val/macro_f1 on PublicTest",
        "trained: 3 epochs in 1.5 minutes, best after epoch 2",
        "--trainer.devices [0] --data.root /faces",
        "not what the person feels",
        "are for research",
        "accuracy 90.00%",
    ):
        assert line in text


def test_the_card_of_a_run_is_told_alike_by_both_files(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = said(capsys, str(trained / "best.safetensors"))
    resumed = said(capsys, str(trained / "checkpoints" / "best.ckpt"))
    assert "PublicTest" in served
    assert served.splitlines()[:5] == resumed.splitlines()[:5]
    assert set(json.loads(said(capsys, str(trained / "best.safetensors"), "--json"))) >= set(fakes.card())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "card takes one FILE"),
        (["a", "b"], "card takes one FILE"),
        (["none.safetensors"], "none.safetensors: no such file"),
        (["--jsn", "a"], "--jsn: no such option; card takes FILE and --json"),
    ],
)
def test_mistakes_get_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


_WITHOUT_TORCH = """
import sys
from fer_lightning.cli import main
code = main(["card", sys.argv[1], *sys.argv[2:]])
heavy = {"torch", "lightning", "torchmetrics", "albumentations", "matplotlib", "sklearn"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_card_is_read_without_torch(more: list[str], file: Path) -> None:
    command = [sys.executable, "-c", _WITHOUT_TORCH, str(file), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "improved_cnn" in done.stdout


def test_the_environment_names_what_a_training_ran_on() -> None:
    found = environment()
    assert {"fer_lightning", "torch", "lightning", "numpy"} <= set(found["versions"])
    assert all(found["versions"].values())
    assert found["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert "cores" in found["processor"]
    assert found["git_commit"] is None or len(found["git_commit"].removesuffix("+changes")) == 40


def test_markdown_tells_the_same_for_a_model_hub(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, str(file), "--markdown")
    lines = text.splitlines()
    assert lines[0] == "## best"
    assert "- **classes**: angry, disgust, fear, happy, sad, surprise, neutral" in lines
    assert any(line.startswith("PublicTest: accuracy 90.00% (95 % interval ") for line in lines)
    happy = checkpoint.read_card(file)["scores"]["PublicTest"]["per_class"]["happy"]
    rates = " | ".join(f"{happy[kind]:.3f}" for kind in ("precision", "recall", "f1"))
    assert f"| happy | {rates} | {happy['support']} |" in lines


def test_a_changed_card_is_not_shown(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boast = tmp_path / "boast.safetensors"
    boast.write_bytes(file.read_bytes().replace(b'accuracy\\": 0.9', b'accuracy\\": 1.0'))
    assert boast.read_bytes() != file.read_bytes()
    assert main(["card", str(boast)]) == 2
    assert "changed after it was written" in capsys.readouterr().err


@pytest.fixture(scope="module")
def calibrated(file: Path) -> Path:
    """The same with a temperature, and scores of which one part is from before it."""
    network, card = checkpoint.load(file)
    labels = np.arange(70) % 7
    raw = 0.5 * np.eye(7)[(labels + (np.arange(70) % 5 == 0)) % 7] + 0.5 / 7
    card["calibration"] = {"temperature": 0.514, "fitted_on": "PublicTest"}
    card["scores"]["PrivateTest"] = score_calibrated(raw, labels, FER2013_CLASSES, 0.514, np.eye(7)[labels])
    checkpoint.save(file.with_name("calibrated.safetensors"), network, card)
    return file.with_name("calibrated.safetensors")


@pytest.mark.parametrize("words", [[], ["--markdown"]])
def test_calibration_is_told_before_and_after(
    words: list[str], calibrated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(said(capsys, str(calibrated), *words).replace("**", "").split())
    assert "calibration: temperature 0.51, fitted on PublicTest" in text
    after = checkpoint.read_card(calibrated)["scores"]["PrivateTest"]
    before = after["uncalibrated"]
    assert after["ece"] < before["ece"]
    names = {"ece": "ECE", "nll": "NLL", "brier": "Brier", "kl_to_votes": "KL to the votes"}
    shown = ", ".join(f"{name} {before[key]:.3f} -> {after[key]:.3f}" for key, name in names.items())
    assert f", {shown} after temperature 0.51, n = 70" in text
    first = checkpoint.read_card(calibrated)["scores"]["PublicTest"]
    assert f", ECE {first['ece']:.3f}, NLL {first['nll']:.3f}, Brier {first['brier']:.3f}, n = 10" in text


def test_machines_read_all_of_it(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read: dict[str, Any] = json.loads(said(capsys, str(calibrated), "--json"))
    assert read["calibration"] == {"temperature": 0.514, "fitted_on": "PublicTest"}
    assert read["scores"]["PrivateTest"] == checkpoint.read_card(calibrated)["scores"]["PrivateTest"]


def test_scores_of_an_older_card_are_shown_as_far_as_they_go(file: Path) -> None:
    found = checkpoint.read_card(file)["scores"]["PublicTest"]
    del found["brier"], found["nll"]
    assert score_line(found).endswith(f"), ECE {found['ece']:.3f}, n = 10")
