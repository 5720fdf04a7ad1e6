"""Where runs live and how they are found again."""

import os
from pathlib import Path

import pytest

from fer_lightning import checkpoint, runs
from fer_lightning.errors import UserError


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FER_LIGHTNING_RUN", raising=False)
    monkeypatch.chdir(tmp_path)


def run_with(base: Path, name: str, version: int, *files: str, age: int = 0) -> Path:
    """Make a run with these files, written so many seconds ago."""
    run = base / name / f"version_{version}"
    for file in files:
        (run / file).parent.mkdir(parents=True, exist_ok=True)
        (run / file).touch()
        os.utime(run / file, (10**9 - age, 10**9 - age))
    return run


def test_versions_count_up_and_past_gaps(tmp_path: Path) -> None:
    assert runs.new_run(tmp_path, "a").name == "version_0"
    assert runs.new_run(tmp_path, "a").name == "version_1"
    assert runs.new_run(tmp_path, "b").name == "version_0"
    (tmp_path / "a" / "version_11").mkdir()
    (tmp_path / "a" / "version_old").mkdir()
    assert runs.new_run(tmp_path, "a").name == "version_12"


def test_two_at_once_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.new_run(tmp_path, "a")
    monkeypatch.setattr(runs, "_versions", lambda folder: [])  # the other run was made after we looked
    assert runs.new_run(tmp_path, "a") == tmp_path / "a" / "version_1"


def test_processes_of_one_training_share_its_run(tmp_path: Path) -> None:
    run = runs.new_run(tmp_path, "a")
    runs.share_run(run)
    assert runs.new_run(tmp_path, "a") == run
    runs.leave_run(run)
    assert not run.exists()  # it was empty
    again = runs.new_run(tmp_path, "a")
    (again / "history.csv").touch()
    runs.leave_run(again)
    assert again.exists()


def test_last_is_the_newest_run_of_that_source_and_network(tmp_path: Path) -> None:
    for version in (2, 9, 10):
        run_with(tmp_path, "fer2013-plain_cnn", version, runs.LAST)
    run_with(tmp_path, "fer2013-plain_cnn", 11, "history.csv")  # killed before its first checkpoint
    run_with(tmp_path, "sketch-plain_cnn", 12, runs.LAST)
    found = runs.last_checkpoint(tmp_path, "fer2013-plain_cnn")
    assert found == tmp_path / "fer2013-plain_cnn" / "version_10" / runs.LAST


def test_without_a_last_checkpoint_the_others_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint below .*fer2013-plain_cnn; start without --ckpt_path"):
        runs.last_checkpoint(tmp_path, "fer2013-plain_cnn")
    run_with(tmp_path, "sketch-improved_cnn", 0, runs.LAST)
    with pytest.raises(UserError, match=r"there are runs in .*sketch-improved_cnn"):
        runs.last_checkpoint(tmp_path, "fer2013-plain_cnn")


def test_best_is_the_newest_of_all_runs_and_else_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_BESIDE", tmp_path / "beside")
    with pytest.raises(UserError, match="train one with fit, or give --ckpt_path FILE"):
        runs.best_checkpoint(Path("runs"))
    shipped = tmp_path / "checkpoints" / "fer2013.safetensors"
    shipped.parent.mkdir()
    shipped.touch()
    assert runs.best_checkpoint(Path("runs")) == Path("checkpoints/fer2013.safetensors")
    run_with(Path("runs"), "a", 7, runs.BEST, age=100)
    newest = run_with(Path("runs"), "b", 0, runs.BEST, age=50)
    run_with(Path("runs"), "c", 3, runs.LAST)
    assert runs.best_checkpoint(Path("runs")) == newest / runs.BEST


@pytest.mark.parametrize("file", [runs.BEST, runs.LAST, "checkpoints/best.ckpt"])
def test_a_checkpoint_knows_its_run(file: str, tmp_path: Path) -> None:
    run = run_with(tmp_path, "a", 0, file, "history.csv")
    assert runs.run_of(run / file) == Path("a/version_0")  # below the working folder: short
    os.chdir("/")
    assert runs.run_of(run / file) == run.resolve().relative_to("/")


def test_a_mean_of_networks_that_has_no_history_knows_its_run_too(tmp_path: Path) -> None:
    run = run_with(tmp_path, "a", 0, runs.BEST)
    assert runs.run_of(run / runs.BEST) == Path("a/version_0")


def test_a_checkpoint_that_was_moved_has_no_run(tmp_path: Path) -> None:
    run = run_with(tmp_path, "a", 0, "deep/er/best.ckpt", "history.csv")
    assert runs.run_of(run / "deep/er/best.ckpt") is None
    (tmp_path / "best.safetensors").touch()
    assert runs.run_of(tmp_path / "best.safetensors") is None
