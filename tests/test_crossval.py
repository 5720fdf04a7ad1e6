"""``crossval`` as users have it, in processes of its own: what it leaves, and that no kill changes it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fer_lightning import checkpoint
from fer_lightning.calibration import fit_temperature
from fer_lightning.cli import main
from fer_lightning.crossval import plan
from fer_lightning.crossval_options import parse
from fer_lightning.scores import score
from tests import fakes, networks
from tests.processes import start

pytestmark = pytest.mark.timeout(1800)  # each process imports for seconds, and for minutes where others are at work
Said = pytest.CaptureFixture[str]
ROWS, TWINS, EPOCHS = 280, 70, 3
CELLS = [
    f"fer2013-{protocol}-improved_cnn-scratch-seed42-fold{fold}" for fold in "01" for protocol in ("random", "grouped")
]
ONE = CELLS[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FER2013 in which one row in four has a twin, as the real one has, so that grouped folds mean something."""
    folder = tmp_path_factory.mktemp("twins")
    lines = fakes.write_fer2013(folder, ROWS).read_text().splitlines()
    (folder / "fer2013.csv").write_text("\n".join([*lines, *lines[1 : TWINS + 1]]) + "\n")
    return folder


def command(data: Path, out: Path, *more: str) -> list[str]:
    words = ["crossval", "--data.root", str(data), "--out", str(out), "--folds", "2", "--networks", "improved_cnn"]
    return [*words, "--trainer.max_epochs", str(EPOCHS), "--data.batch_size", "8", *more]


def only_one(data: Path, out: Path, *more: str) -> list[str]:
    return command(data, out, "--protocols", "random", "--only_folds", "0", *more)


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def run(words: list[str]) -> Ended:
    process = start(words)
    out, err = process.communicate(timeout=900)
    return Ended(process.returncode, out, err)


def finish(words: list[str]) -> str:
    ended = run(words)
    assert (ended.code, ended.err) == (0, ""), ended.out
    return ended.out


def refused(words: list[str], capsys: Said) -> str:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> Path:
    """Wait until a file appears, and return it."""
    end = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < end:
        if found := next(folder.glob(pattern), None):
            return found
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no {pattern} came: {process.communicate()}")


def at_work_in(folder: Path) -> list[int]:
    """The processes that were started for the cells of a run."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if b"fer_lightning.cell" in words and any(word.startswith(os.fsencode(folder)) for word in words):
            found.append(int(file.parent.name))
    return found


def must_vanish(folder: Path) -> None:
    """Wait for a run's processes to end: cells do it at once, the workers that load their data within five seconds."""
    end = time.monotonic() + 30
    while left := at_work_in(folder):
        assert time.monotonic() < end, f"orphans: {left}"
        time.sleep(0.05)


def result(run_folder: Path, cell: str = ONE) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_folder / "cells" / cell / "cell.json").read_text())
    return content


def weights(run_folder: Path, cell: str) -> dict[str, torch.Tensor]:
    """The weights that a cell's training ended with, whichever epoch was chosen."""
    last = run_folder / "cells" / cell / result(run_folder, cell)["training"] / "checkpoints" / "last.ckpt"
    state: dict[str, torch.Tensor] = torch.load(last, weights_only=True)["state_dict"]
    return state


def must_equal(one: Path, other: Path, cell: str = ONE) -> None:
    table = (one / "cells" / cell / "predictions.csv").read_bytes()
    assert table == (other / "cells" / cell / "predictions.csv").read_bytes()
    for key in ("format", "temperature", "scores"):
        assert result(one, cell)[key] == result(other, cell)[key]
    mine, theirs = weights(one, cell), weights(other, cell)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def rows(run_folder: Path, cell: str, part: str, tta: str = "none") -> list[dict[str, str]]:
    with (run_folder / "cells" / cell / "predictions.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if (row["part"], row["tta"]) == (part, tta)]


def as_arrays(table: list[dict[str, str]]) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    classes = [name.removeprefix("p_") for name in table[0] if name.startswith("p_")]
    probabilities = np.array([[row[f"p_{name}"] for name in classes] for row in table], dtype=np.float32)
    return probabilities, np.array([classes.index(row["label"]) for row in table]), classes


def snapshot(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*") if file.is_file()}


class Whole(NamedTuple):
    """An undisturbed run of four cells, two at a time, and what it said; copy it before you change it."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out = tmp_path_factory.mktemp("whole") / "run"
    return Whole(out, finish(command(data, out, "--jobs", "2")))


def test_all_cells_are_trained_and_scored_two_at_a_time(whole: Whole) -> None:
    assert sorted(folder.name for folder in (whole.folder / "cells").iterdir()) == sorted(CELLS)
    lines = whole.said.splitlines()
    assert lines[0] == f"{whole.folder}: 4 cells, 0 finished"
    assert lines[1:3] == [f"begins: {name}" for name in CELLS[:2]]
    assert [name for name in CELLS if any(line.startswith(f"done: {name}: accuracy ") for line in lines)] == CELLS
    assert lines[-1] == f"next: python -m fer_lightning report {whole.folder}"
    assert "4 of 4 cells finished" in lines[-2]
    for cell in CELLS:
        with (whole.folder / "cells" / cell / "fer2013-improved_cnn/version_0/history.csv").open() as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


@pytest.mark.parametrize("protocol", ["random", "grouped"])
def test_the_folds_hold_every_row_once_and_none_that_chose_the_checkpoint(whole: Whole, protocol: str) -> None:
    scored: list[str] = []
    for cell in (name for name in CELLS if protocol in name):
        for tta in ("none", "flip"):
            fold, held_out = (
                [row["row"] for row in rows(whole.folder, cell, part, tta)] for part in ("fold", "held out")
            )
            assert len(held_out) > 10
            assert len(set(held_out)) == len(held_out)
            assert not set(fold) & set(held_out)
        scored += fold
    assert sorted(map(int, scored)) == list(range(ROWS + TWINS))


def test_twins_stay_together_in_grouped_folds_alone(whole: Whole) -> None:
    def groups(cell: str, part: str) -> set[str]:
        return {row["group"] for row in rows(whole.folder, cell, part)}

    random, grouped = ([cell for cell in CELLS if protocol in cell] for protocol in ("random", "grouped"))
    assert groups(random[0], "fold") & groups(random[1], "fold")  # else this test could not fail
    assert not groups(grouped[0], "fold") & groups(grouped[1], "fold")
    assert len(groups(grouped[0], "fold") | groups(grouped[1], "fold")) == ROWS
    for cell in grouped:
        assert not groups(cell, "fold") & groups(cell, "held out")


def test_labels_are_those_of_the_data(whole: Whole, data: Path) -> None:
    with (data / "fer2013.csv").open(newline="") as file:
        labels = [row["emotion"] for row in csv.DictReader(file)]
    classes = result(whole.folder)["card"]["classes"]
    for part in ("fold", "held out"):
        for row in rows(whole.folder, ONE, part):
            assert classes.index(row["label"]) == int(labels[int(row["row"])])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tta", ["none", "flip"])
def test_temperature_is_of_the_held_out_rows_and_scores_are_of_the_fold(whole: Whole, cell: str, tta: str) -> None:
    found = result(whole.folder, cell)
    held_out, labels, _ = as_arrays(rows(whole.folder, cell, "held out", tta))
    np.testing.assert_allclose(held_out.sum(1), 1, rtol=1e-5)
    assert found["temperature"][tta] == pytest.approx(fit_temperature(held_out, labels), rel=1e-6)
    scored = rows(whole.folder, cell, "fold", tta)
    fold, truth, classes = as_arrays(scored)
    groups = np.array([int(row["group"]) for row in scored])
    assert found["scores"][tta] == json.loads(json.dumps(score(fold, truth, classes, groups=groups)))


def test_the_checkpoint_was_chosen_on_the_held_out_rows(whole: Whole) -> None:
    """The card's score on the rows that chose it is that of the held-out rows, and its epoch the best of them."""
    found = result(whole.folder)
    held_out, labels, classes = as_arrays(rows(whole.folder, ONE, "held out"))
    assert found["card"]["training"]["chosen_by"] == "val/macro_f1 on held out"
    assert found["card"]["scores"]["held out"]["accuracy"] == score(held_out, labels, classes)["accuracy"]
    with (whole.folder / "cells" / ONE / found["training"] / "history.csv").open() as file:
        heights = [float(row["val/macro_f1"]) for row in csv.DictReader(file)]
    assert heights[found["card"]["training"]["best_epoch"] - 1] == max(heights) > heights[0]  # so a lost epoch shows
    assert found["card"]["scores"]["held out"]["macro_f1"] == pytest.approx(max(heights), abs=1e-6)


def test_flipped_views_are_another_prediction(whole: Whole) -> None:
    plain, flip = (as_arrays(rows(whole.folder, ONE, "fold", tta))[0] for tta in ("none", "flip"))
    assert not np.allclose(plain, flip, atol=1e-7)


def test_a_finished_run_is_left_alone(whole: Whole, data: Path, tmp_path: Path, capsys: Said) -> None:
    shutil.copytree(data, tmp_path / "moved")
    before = snapshot(whole.folder)
    for root, jobs in ((data, "1"), (tmp_path / "moved", "2")):  # the data may lie elsewhere by now
        assert main(command(root, whole.folder, "--jobs", jobs)) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == f"{whole.folder}: 4 cells, 4 finished"
        assert said[1:] == [f"next: python -m fer_lightning report {whole.folder}"]
    assert snapshot(whole.folder) == before


OTHERWISE = {
    "--trainer.max_epochs 4": "was begun with --trainer.max_epochs 3, now it is --trainer.max_epochs 4",
    "--folds 3": "was begun with --data.folds 2, now it is --data.folds 3",
    "--model.dropout 0.1": "was begun with no --model.dropout, now it is --model.dropout 0.1",
    "--patience 2": "was begun with no --patience, now it is --patience 2",
    "--tta none": "was begun with --tta none,flip, now it is --tta none",
}


@pytest.mark.parametrize("words", OTHERWISE)
def test_a_run_that_was_begun_otherwise_is_refused(words: str, whole: Whole, data: Path, capsys: Said) -> None:
    before = snapshot(whole.folder)
    said = refused(command(data, whole.folder, *words.split()), capsys)
    assert said.startswith(f"error: {whole.folder / 'cells' / ONE}: {OTHERWISE[words]}; use the same options")
    assert snapshot(whole.folder) == before


def test_other_cells_of_the_same_run_are_welcome(whole: Whole, data: Path, capsys: Said) -> None:
    before = snapshot(whole.folder)
    words = command(data, whole.folder, "--networks", "plain_cnn,improved_cnn", "--seeds", "42,43", "--list")
    assert main([*words, "--only_folds", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{whole.folder}: 8 cells, 2 finished"
    assert [line.split()[0] for line in said[1:]].count("done") == 2
    assert {line.split()[1] for line in said[1:] if line.startswith("done")} == set(CELLS[2:])
    assert snapshot(whole.folder) == before


def test_list_and_mistakes_make_no_folder(data: Path, tmp_path: Path, capsys: Said) -> None:
    out = tmp_path / "run"
    assert main(command(data, out, "--list")) == 0
    assert capsys.readouterr().out.splitlines() == [f"{out}: 4 cells, 0 finished", *(f"open  {name}" for name in CELLS)]
    assert str(tmp_path / "nowhere") in refused(command(tmp_path / "nowhere", out), capsys)
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(command(data, tmp_path / "file" / "run"), capsys)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("of", [1, 2, 3, 7, 50])
def test_shares_hold_every_cell_once(of: int, data: Path, tmp_path: Path, capsys: Said) -> None:
    words = ["--networks", "improved_cnn,plain_cnn,improved_cnn_wide", "--seeds", "1,2", "--list", "--folds", "3"]
    everything = [cell.name for cell in plan(parse(command(data, tmp_path, *words)[1:]))]
    assert len(set(everything)) == 3 * 2 * 2 * 3
    found, sizes = [], set()
    for share in range(1, of + 1):
        assert main(command(data, tmp_path, *words, "--cell", f"{share}/{of}")) == 0
        listed = capsys.readouterr().out.splitlines()[1:]
        sizes.add(len(listed))
        found += [line.split()[1] for line in listed]
    assert sorted(found) == sorted(everything)
    assert max(sizes) - min(sizes) <= 1


def test_a_kill_between_training_and_score_costs_nothing_and_shares_keep_apart(
    whole: Whole, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole.folder, out)
    for file in (*out.glob("cells/*/cell.json"), *out.glob("cells/*fold1/predictions.csv")):
        file.unlink()
    trained = snapshot_of_trainings(out)
    for share, own in (("1/2", CELLS[0::2]), ("2/2", CELLS[1::2])):
        waiting = {name for name in CELLS if not (out / "cells" / name / "cell.json").exists()}
        said = finish(command(data, out, "--cell", share, "--jobs", "2"))
        assert said.startswith(f"{out}: 2 cells of 4, 0 finished\n")
        assert waiting - {name for name in CELLS if not (out / "cells" / name / "cell.json").exists()} == set(own)
    for cell in CELLS:
        must_equal(out, whole.folder, cell)
    assert snapshot_of_trainings(out) == trained


def snapshot_of_trainings(out: Path) -> dict[Path, tuple[int, bytes]]:
    return {file: state for file, state in snapshot(out).items() if "version_0" in file.parts}


@pytest.fixture
def killed(data: Path, tmp_path: Path) -> Iterator[Path]:
    """A run of one cell that was killed in its first epoch, and at once again after the first epoch of its next try."""
    out = tmp_path / "run"
    for pattern in ("cells/*/*/version_*/config.yaml", "cells/*/*/version_*/checkpoints/last.ckpt"):
        process = start(only_one(data, out))
        wait_for(pattern, out, process)
        assert at_work_in(out)
        process.kill()
        process.communicate()
    assert not (out / "cells" / ONE / "cell.json").exists()
    yield out
    must_vanish(out)


def test_a_run_killed_twice_goes_on_to_the_same_bytes(killed: Path, whole: Whole, data: Path) -> None:
    said = finish(only_one(data, killed))  # at once, while its orphans may not have noticed
    assert said.startswith(f"{killed}: 1 cells, 0 finished\nbegins: {ONE}\ndone: {ONE}: accuracy ")
    must_equal(killed, whole.folder)
    log = (killed / "cells" / ONE / "log.txt").read_text()
    assert log.count("resumed from ") == 1
    assert log.count("epoch 3/3") == 1
    assert result(killed)["card"]["training"]["resumed"]


def test_a_killed_run_leaves_no_orphan_and_no_begun_file(data: Path, tmp_path: Path) -> None:
    process = start(command(data, tmp_path, "--jobs", "2", "--trainer.max_epochs", "1000"))
    wait_for("cells/*/*/version_0/config.yaml", tmp_path, process)
    assert len(at_work_in(tmp_path)) >= 2
    process.kill()
    process.communicate()
    must_vanish(tmp_path)
    assert list(tmp_path.rglob("cell.json")) == list(tmp_path.rglob("predictions.csv")) == []


def test_after_ctrl_c_the_same_command_goes_on(whole: Whole, data: Path, tmp_path: Path) -> None:
    process = start(only_one(data, tmp_path))
    wait_for("cells/*/*/version_0/checkpoints/last.ckpt", tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert said == "\nstopping; the same command goes on from the last finished epochs\n"
    must_vanish(tmp_path)
    assert not (tmp_path / "cells" / ONE / "cell.json").exists()
    finish(only_one(data, tmp_path))
    must_equal(tmp_path, whole.folder)
    assert [folder.name for folder in (tmp_path / "cells" / ONE / "fer2013-improved_cnn").iterdir()] == ["version_0"]


def test_a_cell_that_stopped_early_is_not_trained_on(data: Path, tmp_path: Path) -> None:
    words = only_one(data, tmp_path, "--patience", "1", "--model.learning_rate", "1e-9", "--data.augment", "none")
    words += ["--trainer.max_epochs", "30", "--tta", "none"]
    finish(words)
    cell = tmp_path / "cells" / ONE
    before = snapshot_of_trainings(tmp_path)
    table = (cell / "predictions.csv").read_bytes()
    history = (cell / "fer2013-improved_cnn/version_0/history.csv").read_text()
    assert 3 <= history.count("\n") < 30
    (cell / "cell.json").unlink()
    finish(words)
    assert snapshot_of_trainings(tmp_path) == before
    assert (cell / "predictions.csv").read_bytes() == table


def test_scoring_on_other_data_than_the_training_is_refused(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "run")
    (tmp_path / "run" / "cells" / ONE / "cell.json").unlink()
    fakes.write_fer2013(tmp_path / "other", ROWS, seed=1)
    ended = run(only_one(tmp_path / "other", tmp_path / "run"))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "was trained on other data" in ended.err
    assert not (tmp_path / "run" / "cells" / ONE / "cell.json").exists()


def test_a_mistake_that_only_a_training_sees_ends_the_run_in_one_line_and_may_be_mended(
    data: Path, tmp_path: Path, capsys: Said
) -> None:
    ended = run(command(data, tmp_path, "--model.dropout", "7", "--jobs", "2"))
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert "dropout" in ended.err
    assert ended.err.count("\n") == 1
    must_vanish(tmp_path)
    assert not list(tmp_path.rglob("history.csv"))
    assert main(command(data, tmp_path, "--model.dropout", "0.2", "--list")) == 0  # nothing was trained otherwise
    assert capsys.readouterr().out.count("open") == 4


def test_a_cell_that_dies_does_not_keep_the_others_waiting(data: Path, tmp_path: Path) -> None:
    """As where memory runs out: the system kills the cell's process."""
    process = start(command(data, tmp_path, "--protocols", "random"))
    for cell in CELLS[0::2]:
        wait_for(f"cells/{cell}/.lock", tmp_path, process)
        for pid in at_work_in(tmp_path / "cells" / cell):
            os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (1, "")
    for cell in CELLS[0::2]:
        assert f"failed: {cell}, exit code -9: " in out
    assert "next:" not in out


def test_a_cell_at_work_in_another_process_is_left_to_it(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cells" / ONE
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / ".lock"):
        ended = run(only_one(data, tmp_path))
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.endswith(f"1 at work in another process: {ONE}\n")
    assert sorted(file.name for file in folder.iterdir()) == [".lock", "log.txt", "plan.json"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("starts")
    return {
        "improved": fakes.write_checkpoint(folder / "improved.safetensors"),
        "again": fakes.write_checkpoint(folder / "again.safetensors"),
        "plain": fakes.write_checkpoint(folder / "plain.safetensors", "plain_cnn"),
    }


STARTS = {
    "nowhere.safetensors": "nowhere.safetensors: no such checkpoint",
    "plain": "holds plain_cnn, which is not among --networks",
    "improved,again": "a second start of improved_cnn from fake",
}


@pytest.mark.parametrize("names", STARTS)
def test_starts_that_do_not_fit_are_refused(
    names: str, data: Path, tmp_path: Path, pretrained: dict[str, Path], capsys: Said
) -> None:
    given = ",".join(str(pretrained.get(name, name)) for name in names.split(","))
    assert STARTS[names] in refused(command(data, tmp_path, "--starts", given), capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_a_start_is_refused(
    data: Path, tmp_path: Path, pretrained: dict[str, Path], capsys: Said
) -> None:
    words = command(data, tmp_path, "--networks", "improved_cnn,plain_cnn", "--starts")
    assert "--starts: none is a checkpoint of plain_cnn" in refused([*words, str(pretrained["improved"])], capsys)
    both = f"{pretrained['improved']},{pretrained['plain']}"
    assert main([*words, both, "--list"]) == 0
    assert capsys.readouterr().out.count("-from-fake-seed42-") == 8


def test_two_starts_of_the_same_data_may_be_named(
    data: Path, tmp_path: Path, pretrained: dict[str, Path], capsys: Said
) -> None:
    starts = f"{pretrained['improved']},better one={pretrained['again']}"
    assert main([*command(data, tmp_path, "--starts", starts), "--list"]) == 0
    said = capsys.readouterr().out
    assert (said.count("-from-fake-seed42-"), said.count("-from-better_one-seed42-")) == (4, 4)


def test_a_start_gives_its_weights_and_its_name(data: Path, tmp_path: Path, pretrained: dict[str, Path]) -> None:
    start_at = pretrained["improved"]
    finish(only_one(data, tmp_path, "--starts", str(start_at), "--trainer.max_epochs", "1", "--tta", "flip"))
    cell = ONE.replace("scratch", "from-fake")
    assert [folder.name for folder in (tmp_path / "cells").iterdir()] == [cell]
    found = result(tmp_path, cell)
    assert found["card"]["training"]["init_from"]["checkpoint"].startswith("improved@")
    assert list(found["scores"]) == list(found["temperature"]) == ["flip"]
    assert len(rows(tmp_path, cell, "fold", "flip")) == (ROWS + TWINS) // 2


def test_a_start_and_a_teacher_may_move_but_not_become_others(
    data: Path, tmp_path: Path, pretrained: dict[str, Path], capsys: Said
) -> None:
    out, moved = tmp_path / "run", tmp_path / "moved"
    moved.mkdir()
    teacher = networks.write(tmp_path / "teacher.safetensors", 1)
    start_at = Path(shutil.copy(pretrained["improved"], tmp_path / "start.safetensors"))

    def words(start_at: Path, *teachers: Path) -> list[str]:
        more = ["--starts", f"drawn={start_at}", "--trainer.max_epochs", "1", "--tta", "none"]
        return only_one(data, out, *more, *(["--model.teacher", *map(str, teachers)] if teachers else []))

    finish(words(start_at, teacher))
    start_at, teacher = start_at.rename(moved / start_at.name), teacher.rename(moved / teacher.name)
    assert main(words(start_at, teacher)) == 0
    assert "1 cells, 1 finished" in capsys.readouterr().out
    began = f"was begun with --init_from {checkpoint.identity(start_at)}, now it is --init_from start@"
    networks.write(start_at, 2)
    assert began in refused(words(start_at, teacher), capsys)
    shutil.copy(pretrained["improved"], start_at)
    told = f"was begun with --model.teacher {checkpoint.identity(teacher)}, now it is "
    assert f"{told}no --model.teacher" in refused(words(start_at), capsys)
    assert f"{told}--model.teacher {checkpoint.identity(teacher)}, improved@" in refused(
        words(start_at, teacher, pretrained["improved"]), capsys
    )


def test_a_teacher_that_is_not_there_is_missed_before_anything_runs(data: Path, tmp_path: Path, capsys: Said) -> None:
    said = refused(command(data, tmp_path, "--model.teacher", "nowhere.safetensors"), capsys)
    assert said.startswith("error: nowhere.safetensors: no such checkpoint")
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_was_trained_on_the_scored_rows_is_refused(whole: Whole, data: Path, tmp_path: Path) -> None:
    fold1 = CELLS[2]
    seen = whole.folder / "cells" / fold1 / result(whole.folder, fold1)["training"] / "best.safetensors"
    ended = run(only_one(data, tmp_path, "--starts", str(seen)))
    assert ended.code == 2
    assert "of the rows that are scored here" in ended.err
    assert ended.err.count("\n") == 1
