"""The cells of ``crossval`` without a training: whose plan stands, which start is meant, which GPU is whose."""

import csv
import io
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from fer_lightning import cell as cell_process
from fer_lightning import cell_work, cells, checkpoint, crossval
from fer_lightning.calibration import fit_temperature
from fer_lightning.cells import Cell
from fer_lightning.cli import main
from fer_lightning.crossval import plan
from fer_lightning.crossval_options import Options, parse
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.errors import UserError
from fer_lightning.whole_files import csv_bytes, write
from tests import fakes, networks

Said = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_fer2013(tmp_path_factory.mktemp("data")).parent


def asked(data: Path, out: Path, *more: str) -> Options:
    words = ["--data.root", str(data), "--out", str(out), "--networks", "improved_cnn", "--folds", "2"]
    return parse([*words, *more])


def only(data: Path, out: Path, *more: str) -> Cell:
    (cell,) = plan(asked(data, out, "--protocols", "random", "--only_folds", "0", *more))
    return cell


def begin(folder: Path, cell: Cell, version: int = 0, epochs: int = 1) -> Path:
    """Leave what a training leaves after its first epochs."""
    training = folder / "fer2013-improved_cnn" / f"version_{version}"
    cells.write_json(folder / cells.PLAN, cell.plan())
    write(training / "history.csv", csv_bytes([["epoch", "seconds"], *([n, 1.5] for n in range(epochs))]))
    (training / "checkpoints").mkdir(exist_ok=True)
    (training / "checkpoints" / "last.ckpt").touch()
    return training


def finish(folder: Path, cell: Cell, training: Path) -> None:
    fakes.write_checkpoint(training / "best.safetensors")
    result = {"cell": cell.plan(), "training": training.relative_to(folder).as_posix(), "card": {"training": {}}}
    cells.write_json(folder / cells.RESULT, result)


# Whose plan stands


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plans that stood in the folder when each work began; no work is done."""
    seen: list[str] = []

    def note(folder: Path, cell: Cell, *, joining: bool) -> int:
        seen.append((folder / cells.PLAN).read_text())
        return 0

    monkeypatch.setattr(cell_process, "_run", note)
    monkeypatch.setattr(cell_process, "_PATIENCE", 0.0)
    return seen


def test_a_plan_is_written_under_the_lock_alone(data: Path, tmp_path: Path, worked: list[str]) -> None:
    """Of two calls with other options the one that holds the cell has its plan there, whoever came later."""
    first, second = only(data, tmp_path), only(data, tmp_path, "--model.dropout", "0.1")
    folder = cells.folder_of(tmp_path, first)
    cells.announce(folder, first)
    with filelock.FileLock(folder / ".lock"):
        assert cell_process.main(folder, second) == cell_process.BUSY
        assert cells.read_json(folder / cells.PLAN) == first.plan()
    assert worked == []
    assert cell_process.main(folder, second) == 0
    assert [json.loads(text) for text in worked] == [second.plan()]


@pytest.mark.parametrize("finished", [False, True])
def test_what_another_call_began_meanwhile_is_not_gone_on_with_otherwise(
    finished: bool, data: Path, tmp_path: Path, worked: list[str], capsys: Said
) -> None:
    first, second = only(data, tmp_path), only(data, tmp_path, "--model.dropout", "0.1")
    folder = cells.folder_of(tmp_path, first)
    training = begin(folder, first)
    if finished:
        finish(folder, first, training)
    assert cell_process.main(folder, second) == 2
    told = "was begun with no --model.dropout, now it is --model.dropout 0.1; use the same options, or another --out"
    assert capsys.readouterr().err == f"error: {folder}: {told}\n"
    assert cells.read_json(folder / cells.PLAN) == first.plan()
    assert worked == []
    assert cell_process.main(folder, first) == 0
    assert len(worked) == (not finished)  # a finished one is never run again


def test_a_joining_process_reads_the_plan(data: Path, tmp_path: Path, worked: list[str]) -> None:
    cell = only(data, tmp_path)
    folder = cells.folder_of(tmp_path, cell)
    cells.announce(folder, cell)
    with filelock.FileLock(folder / ".lock"):
        assert cell_process.main(folder, None) == 0
    assert [json.loads(text) for text in worked] == [cell.plan()]


def test_the_plan_comes_as_one_line_in_any_pieces(data: Path, tmp_path: Path) -> None:
    cell = only(data, tmp_path, "--data.source", "fer2013", "--patience", "3")
    line = json.dumps(cell.plan()).encode() + b"\n"
    for pieces in ([line], [line[:9], line[9:]]):
        reading, writing = os.pipe()
        for piece in pieces:
            os.write(writing, piece)
        assert cell_process._told(reading) == cell
        os.close(writing)
        assert os.read(reading, 1) == b""
        os.close(reading)
    reading, writing = os.pipe()
    os.write(writing, line[:-1])
    os.close(writing)
    assert cell_process._told(reading) is None  # crossval died before its end
    os.close(reading)


class Process:
    """A cell's process that does nothing."""

    returncode: int | None = None

    def __init__(self, words: list[str] | None = None, **more: Any) -> None:
        self.words, self.env = words, more.get("env", {})
        self.stdin = io.BytesIO()
        self.ended = ""

    def terminate(self) -> None:
        self.ended = "terminated"

    def send_signal(self, how: signal.Signals) -> None:
        self.ended = how.name

    def wait(self) -> None:
        assert self.ended


def test_crossval_sends_the_plan_and_leaves_the_one_that_stands(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = only(data, tmp_path), only(data, tmp_path, "--model.dropout", "0.1")
    file = cells.folder_of(tmp_path, first) / cells.PLAN
    cells.announce(file.parent, first)
    work = cell_work.Work(asked(data, tmp_path), [second])
    cells.announce(file.parent, second)
    monkeypatch.setattr("subprocess.Popen", Process)
    work._start(0, second)
    assert cells.read_json(file) == first.plan()
    stdin = work.running[0][1].stdin
    assert isinstance(stdin, io.BytesIO)
    assert not stdin.closed
    assert stdin.getvalue().count(b"\n") == 1
    assert cells.from_plan(json.loads(stdin.getvalue())) == second


def test_a_finished_cell_is_compared_with_its_result(data: Path, tmp_path: Path, capsys: Said) -> None:
    """Whatever its plan says: an older crossval may have replaced that."""
    cell, other = only(data, tmp_path), only(data, tmp_path, "--model.dropout", "0.1")
    folder = cells.folder_of(tmp_path, cell)
    finish(folder, cell, begin(folder, cell))
    for text in (json.dumps(other.plan()), None):
        (folder / cells.PLAN).write_text(text) if text else (folder / cells.PLAN).unlink()
        cells.must_match(folder, cell)
        with pytest.raises(UserError, match=r"was begun with no --model\.dropout, now it is --model\.dropout 0\.1"):
            cells.must_match(folder, other)
    for damaged in ("[]", "{}", '{"cell": {"source": "fer2013"}}', '{"cell": 3}'):
        (folder / cells.RESULT).write_text(damaged)
        with pytest.raises(UserError, match=r"cell\.json: damaged; delete it, and run crossval again"):
            cells.must_match(folder, cell)


# What a cell keeps


def test_a_cell_keeps_what_its_network_said_and_fits_its_own_temperature(
    trained: Path, fer2013: Path, tmp_path: Path
) -> None:
    """The checkpoint of a cell is calibrated like any other; the report would do so a second time."""
    best = shutil.copytree(trained, tmp_path / "fer2013-improved_cnn" / "version_0") / "best.safetensors"
    network, card = checkpoint.load(best)
    card["calibration"]["temperature"] = 4.0
    checkpoint.save(best, network, card)
    cell = Cell("fer2013", "random", "improved_cnn", "scratch", 42, 5, 0, tta=("none", "flip"))
    cell_process._score(tmp_path, cell, best)
    with (tmp_path / cells.PREDICTIONS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    module = ExpressionDataModule(root=str(fer2013))
    for part, places in (("held out", module.split.validation), ("fold", module.split.test)):
        faces = (module.faces.faces[places] / 255).astype(np.float32)
        plain, mirrored = networks.answer(network, faces), networks.answer(network, faces[:, :, ::-1])
        for tta, expected in (("none", plain), ("flip", (plain + mirrored) / 2)):
            mine = [row for row in rows if (row["tta"], row["part"]) == (tta, part)]
            found = np.array([[float(row[f"p_{name}"]) for name in module.classes] for row in mine])
            np.testing.assert_allclose(found, expected, atol=1e-5)
            if part == "held out":
                fitted = cells.read_json(tmp_path / cells.RESULT)["temperature"][tta]
                assert fitted == pytest.approx(fit_temperature(found, module.faces.labels[places]), rel=1e-3)
                assert fitted != pytest.approx(4.0, rel=0.05)


# What was planned is seen


def test_all_that_is_planned_stands_there_before_the_first_cell_begins(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = asked(data, tmp_path / "run", "--seeds", "1,2", "--cell", "1/2")
    own = plan(wanted)[0::2]
    seen: list[str] = []

    def stop(work: cell_work.Work, slot: int, cell: Cell) -> None:
        seen.extend(sorted(file.parent.name for file in (tmp_path / "run").glob("cells/*/plan.json")))
        raise KeyboardInterrupt

    monkeypatch.setattr(cell_work.Work, "_start", stop)
    assert crossval.crossval(wanted) == 130
    assert seen == sorted(cell.name for cell in own)
    assert len(seen) == 4
    for cell in own:
        assert cells.from_plan(cells.read_json(cells.folder_of(tmp_path / "run", cell) / cells.PLAN)) == cell


def test_what_is_only_planned_refuses_no_other_options(data: Path, tmp_path: Path, capsys: Said) -> None:
    cells.announce(cells.folder_of(tmp_path, only(data, tmp_path)), only(data, tmp_path))
    words = ["--data.root", str(data), "--out", str(tmp_path), "--networks", "improved_cnn", "--folds", "2", "--list"]
    assert main(["crossval", *words, "--model.dropout", "0.1"]) == 0
    assert "4 cells, 0 finished" in capsys.readouterr().out
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["plan.json"]


# Which start is meant


def test_the_folder_of_a_finished_cell_is_a_start(data: Path, tmp_path: Path, capsys: Said) -> None:
    cell = only(data, tmp_path)
    folder = cells.folder_of(tmp_path, cell)
    begin(folder, cell)
    with pytest.raises(UserError, match=rf"^{folder}: no finished cell, as it holds no cell\.json; let crossval"):
        only(data, tmp_path, "--starts", str(folder))
    older, best = begin(folder, cell), begin(folder, cell, version=3)
    (older / "best.safetensors").touch()
    finish(folder, cell, best)
    for given, name in ((f"{folder}", "fake"), (f"fold0={folder}", "fold0")):
        start = only(data, tmp_path, "--starts", given)
        assert start.start == name
        assert start.words[start.words.index("--init_from") + 1] == str(best / "best.safetensors")
    (best / "best.safetensors").unlink()
    with pytest.raises(UserError, match=r"version_3/best\.safetensors: no such checkpoint"):
        only(data, tmp_path, "--starts", str(folder))


def test_make_paper_starts_from_cells_that_it_trains_itself() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "version_0" not in text
    (start,) = re.findall(r"^CELL = runs/paper/fer2013/cells/(.+)$", text, re.MULTILINE)
    for network in ("improved_cnn", "plain_cnn"):
        assert f"$(call CELL,{network})" in text
        assert start.replace("$(1)", network) == Cell("fer2013", "grouped", network, "scratch", 42, 5, 2).name


# Which GPU is whose


def with_gpus(count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an nvidia-smi on the PATH that knows so many GPUs, the first of which is shared out."""
    lines = [f"GPU {number}: NVIDIA H100 (UUID: GPU-{number})" for number in range(count)]
    listed = "\n".join([*lines[:1], "  MIG 1g.10gb     Device  0: (UUID: MIG-0)", *lines[1:]])
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listed}\nEND\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def gpus_of(data: Path, out: Path, *more: str) -> list[str | None]:
    wanted = asked(data, out, *more)
    work = cell_work.Work(wanted, plan(wanted))
    return [work._share_of_the_machine(slot).get("CUDA_VISIBLE_DEVICES") for slot in range(wanted.jobs)]


def test_each_job_has_a_gpu_of_its_own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with_gpus(2, tmp_path, monkeypatch)
    assert gpus_of(data, tmp_path, "--jobs", "3") == ["0", "1", "0"]
    assert gpus_of(data, tmp_path, "--jobs", "2", "--trainer.devices", "1") == ["0", "1"]
    assert gpus_of(data, tmp_path, "--jobs", "2", "--trainer.devices", "2") == [None, None]  # each asks for both
    assert gpus_of(data, tmp_path) == [None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    assert gpus_of(data, tmp_path, "--jobs", "2") == ["5", "GPU-7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # none is wanted
    assert gpus_of(data, tmp_path, "--jobs", "2") == [None, None]


def test_without_several_gpus_nothing_is_shared_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with_gpus(1, tmp_path, monkeypatch)
    assert gpus_of(data, tmp_path, "--jobs", "2") == [None, None]
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert gpus_of(data, tmp_path, "--jobs", "2") == [None, None]


# How long it takes, and how it ends


@pytest.mark.parametrize(("words", "epochs"), [("ten", 30), ("null", 30), ("2.5", 30), ("7", 7)])
def test_a_length_that_is_none_is_left_to_fit(words: str, epochs: int, data: Path, tmp_path: Path) -> None:
    wanted = asked(data, tmp_path, "--trainer.max_epochs", words)
    work = cell_work.Work(wanted, plan(wanted))
    cell = work.own[0]
    begin(cells.folder_of(tmp_path, cell), cell)
    work.running[0] = (cell, Process())  # type: ignore[assignment]
    assert f"{cell.name} has 1 of {epochs} epochs" in work._progress()


@pytest.mark.parametrize(("windows", "ended"), [(True, "terminated"), (False, "SIGINT")])
def test_ctrl_c_ends_the_cells_on_every_system(
    windows: bool, ended: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no SIGINT to send: Popen.send_signal raises there."""
    monkeypatch.setattr(cell_work, "_WINDOWS", windows)
    work = cell_work.Work(asked(data, tmp_path), [])
    process = Process()
    work.running[0] = (only(data, tmp_path), process)  # type: ignore[assignment]
    work._stop(signal.SIGINT)
    assert process.ended == ended


# Which training counts


def test_the_epochs_are_those_of_the_training_that_counts(data: Path, tmp_path: Path) -> None:
    """The finished cell's own, else the newest by its number; a copied folder's times of change say nothing."""
    cell = only(data, tmp_path)
    folder = cells.folder_of(tmp_path, cell)
    assert cells.history(folder) == []
    old, new = begin(folder, cell, version=2, epochs=2), begin(folder, cell, version=10, epochs=3)
    later = time.time() + 100
    os.utime(old / "history.csv", (later, later))
    assert [row["epoch"] for row in cells.history(folder)] == [0, 1, 2]
    finish(folder, cell, old)
    os.utime(new / "history.csv", (later + 100, later + 100))
    assert [row["epoch"] for row in cells.history(folder)] == [0, 1]
    (old / "history.csv").unlink()
    assert cells.history(folder) == []
