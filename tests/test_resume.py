"""Going on after a kill, after Ctrl-C, and only where it belongs: each in a process of its own, as users have it."""

import csv
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fer_lightning import checkpoint
from fer_lightning.cli import main
from tests import fakes
from tests.processes import start

EPOCHS = 4


def command(data: Path, base: Path) -> list[str]:
    words = ["fit", "--data.root", str(data), "--data.augment", "strong", "--data.batch_size", "16"]
    words += ["--model.progressive_resizing", "0.6", "--model.mixup", "0.2"]
    return [*words, "--trainer.max_epochs", str(EPOCHS), "--trainer.default_root_dir", str(base)]


def stop_in_epoch(words: list[str], epoch: int, how: signal.Signals) -> tuple[int, str]:
    """Run until so many epochs are finished, send a signal in the middle of the next, return exit code and stderr."""
    process = start(words)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch {epoch}/"):
            break
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def finish(words: list[str]) -> str:
    process = start(words)
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return out


def epochs(run: Path) -> list[str]:
    with (run / "history.csv").open(newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def state(run: Path) -> dict[str, torch.Tensor]:
    """Everything that training goes on from: averaged and raw weights, and the optimizer's moments."""
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    found = {f"average {name}": value for name, value in content["state_dict"].items()}
    found |= {f"raw {name}": value for name, value in content["current_model_state"].items()}
    for number, moments in content["optimizer_states"][0]["state"].items():
        found |= {f"moment {number} {name}": value for name, value in moments.items()}
    return found


@pytest.fixture(scope="module")
def uninterrupted(fer2013: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("whole")
    finish(command(fer2013, base))
    return base / "fer2013-improved_cnn" / "version_0"


def must_equal(run: Path, whole: Path) -> None:
    mine, theirs = state(run), state(whole)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def test_after_kill_minus_9_last_goes_on_and_ends_at_the_very_same_weights(
    fer2013: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    words = command(fer2013, tmp_path)
    code, _ = stop_in_epoch(words, 2, signal.SIGKILL)
    assert code == -signal.SIGKILL
    run = tmp_path / "fer2013-improved_cnn" / "version_0"
    said = finish([*words, "--ckpt_path", "last"])
    assert f"resumed from {run / 'checkpoints' / 'last.ckpt'}" in said
    assert "epoch 2/4" not in said  # at most the epoch in which it was killed is trained again
    assert epochs(run) == ["0", "1", "2", "3"]
    assert [folder.name for folder in run.parent.iterdir()] == ["version_0"]
    must_equal(run, uninterrupted)


def test_after_ctrl_c_the_command_it_names_goes_on(fer2013: Path, uninterrupted: Path, tmp_path: Path) -> None:
    code, said = stop_in_epoch(command(fer2013, tmp_path), 1, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in said
    named = said.partition("resume: python -m fer_lightning ")[2]
    finish(shlex.split(named))
    must_equal(tmp_path / "fer2013-improved_cnn" / "version_0", uninterrupted)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_last_without_a_run_does_not_silently_start_afresh(
    fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused([*command(fer2013, tmp_path), "--ckpt_path", "last"], capsys)
    assert f"no checkpoint below {tmp_path}/fer2013-improved_cnn" in said


def test_a_run_of_other_data_is_refused(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.write_fer2013(tmp_path / "other", 350, seed=1)
    said = refused(
        [*command(tmp_path / "other", tmp_path), "--ckpt_path", str(trained / "checkpoints/last.ckpt")], capsys
    )
    assert "was trained with data" in said


def test_a_run_of_another_network_is_refused(
    trained: Path, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*command(fer2013, tmp_path), "--model.network", "improved_cnn_wide"]
    said = refused([*words, "--ckpt_path", str(trained / "checkpoints/last.ckpt")], capsys)
    assert "was trained with network" in said


def test_a_served_file_cannot_be_resumed(
    trained: Path, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused([*command(fer2013, tmp_path), "--ckpt_path", str(trained / "best.safetensors")], capsys)
    assert "resume from a .ckpt file" in said


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--data.split", "random", "--data.fold", "1"], "--data.split auto, now it is random"),
        (["--data.drop_leaks"], "--data.drop_leaks False, now it is True"),
        (["--model.learning_rate", "0.1"], "--model.learning_rate 0.003, now it is 0.1"),
        (["--data.augment", "light"], "--data.augment none, now it is light"),
        (["--seed_everything", "7"], "--seed_everything 42, now it is 7"),
        (["--patience", "3"], "--patience 0, now it is 3"),
        (["--trainer.precision", "bf16-mixed"], "--trainer.precision 32-true, now it is bf16-mixed"),
        (["--trainer.gradient_clip_val", "0.5"], "--trainer.gradient_clip_val 1.0, now it is 0.5"),
    ],
)
def test_a_run_of_other_settings_is_refused(
    words: list[str], what: str, trained: Path, fer2013: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["fit", "--data.root", str(fer2013), "--data.batch_size", "16", "--trainer.max_epochs", "9"]
    same = [] if "--data.augment" in words else ["--data.augment", "none"]
    said = refused([*base, *same, *words, "--ckpt_path", str(trained / "checkpoints/last.ckpt")], capsys)
    assert f"was trained with {what}; resume with the same settings" in said


def test_a_run_that_learned_from_other_votes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FER+'s file is none of FER2013's own pictures and labels, but with --data.crowd it is learned."""
    data = fakes.write_fer2013(tmp_path / "data", 350).parent
    votes = fakes.write_ferplus(data, 350)
    words = ["fit", "--data.root", str(data), "--data.batch_size", "16", "--data.crowd", ".3"]
    words += ["--data.num_workers", "0", "--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs"]
    assert main([*words, "1"]) == 0
    capsys.readouterr()
    content = votes.read_text()
    votes.write_text(content.replace(",7,", ",6,"))
    assert "was trained with FER+'s file " in refused([*words, "2", "--ckpt_path", "last"], capsys)
    votes.write_text(content)
    assert main([*words, "2", "--ckpt_path", "last"]) == 0


def test_a_finished_run_is_left_alone(
    trained: Path, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "fer2013-improved_cnn" / "version_0"
    shutil.copytree(trained, run)
    words = ["fit", "--data.root", str(fer2013), "--data.batch_size", "16", "--data.augment", "none"]
    words += ["--trainer.default_root_dir", str(tmp_path), "--ckpt_path", "last", "--trainer.max_epochs"]
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    for epochs_wanted in ("4", "1"):
        assert main([*words, epochs_wanted]) == 0
        assert "has its 4 epochs, nothing is left to train" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.name != ".lock"} == before
    (run / "best.safetensors").unlink()  # as if it was stopped between the last epoch and the end
    assert main([*words, "4"]) == 0
    card = checkpoint.read_card(run / "best.safetensors")
    assert (card["training"]["epochs"], card["training"]["resumed"]) == (4, True)
    assert card["scores"] == checkpoint.read_card(trained / "best.safetensors")["scores"]
    capsys.readouterr()
    assert main(words[:-1]) == 0  # as long as it was planned
    assert "has its 4 epochs, nothing is left to train" in capsys.readouterr().out
    shutil.copy(run / "best.safetensors", tmp_path / "shorter.safetensors")
    assert main([*words, "5"]) == 0
    assert "planned for 4 epochs, now for 5: the learning rate goes on along" in capsys.readouterr().out
    assert epochs(run) == ["0", "1", "2", "3", "4"]
    shutil.copy(tmp_path / "shorter.safetensors", run / "best.safetensors")  # as if it was stopped before its end
    assert main([*words, "5"]) == 0
    assert checkpoint.read_card(run / "best.safetensors")["training"]["epochs"] == 5


def test_two_trainings_never_work_in_one_run(
    trained: Path, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "fer2013-improved_cnn" / "version_0"
    shutil.copytree(trained, run)
    words = ["fit", "--data.root", str(fer2013), "--data.batch_size", "16", "--data.augment", "none"]
    words += ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "5", "--ckpt_path", "last"]
    hold = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True)"
    hold += "; sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(run / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    try:
        assert "another training is at work in it" in refused(words, capsys)
    finally:
        other.kill()
        other.wait()
    assert main(words) == 0  # the lock went with its process
