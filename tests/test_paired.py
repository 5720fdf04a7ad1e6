"""``compare``: two tables of predictions against independent truths, through the command line."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score

from fer_lightning.cli import main
from tests import networks
from tests.processes import light

NAMES = np.array(["angry", "fear", "happy"])
Said = NDArray[np.str_]


def said(seed: int, label: Said, right: float) -> Said:
    """Draw answers of which a share is certainly right."""
    draws = np.random.default_rng(seed)
    return np.where(draws.random(len(label)) < right, label, draws.choice(NAMES, len(label)))


def table(folder: Path, label: Said, predicted: Said, groups: NDArray[np.int64] | None = None) -> Path:
    folder.mkdir()
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("row", *(() if groups is None else ("group",)), "label", "predicted"))
        for row, words in enumerate(zip(label, predicted, strict=True)):
            writer.writerow((row, *(() if groups is None else (groups[row],)), *words))
    return folder


def found(capsys: pytest.CaptureFixture[str], first: Path, second: Path) -> dict[str, Any]:
    assert main(["compare", str(first), str(second), "--json"]) == 0
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


LABEL = np.random.default_rng(0).choice(NAMES, 600)
BETTER, WORSE = said(1, LABEL, 0.7), said(2, LABEL, 0.4)


def test_scores_and_tests_are_those_of_other_libraries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = found(capsys, table(tmp_path / "a", LABEL, BETTER), table(tmp_path / "b", LABEL, WORSE))
    for side, predicted in (("first", BETTER), ("second", WORSE)):
        assert read[side]["accuracy"] == pytest.approx(accuracy_score(LABEL, predicted))
        assert read[side]["macro_f1"] == pytest.approx(f1_score(LABEL, predicted, average="macro"))
    first, second = ((a == LABEL) & (b != LABEL) for a, b in ((BETTER, WORSE), (WORSE, BETTER)))
    test = read["mcnemar"]
    assert (test["only_first"], test["only_second"]) == (first.sum(), second.sum())
    assert test["p"] == pytest.approx(binomtest(first.sum(), first.sum() + second.sum()).pvalue)
    for name in ("accuracy", "macro_f1"):
        difference = read["differences"][name]
        assert difference["value"] == pytest.approx(read["first"][name] - read["second"][name])
        assert difference["interval"][0] < difference["value"] < difference["interval"][1]


def test_the_interval_is_the_one_of_a_plain_bootstrap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = found(capsys, table(tmp_path / "a", LABEL, BETTER), table(tmp_path / "b", LABEL, WORSE))
    draws = np.random.default_rng(5).integers(0, len(LABEL), (4000, len(LABEL)))
    differences = ((BETTER == LABEL).astype(int) - (WORSE == LABEL))[draws].mean(1)
    interval = read["differences"]["accuracy"]["interval"]
    assert interval == pytest.approx(np.percentile(differences, [2.5, 97.5]).tolist(), abs=0.01)


def test_rows_of_a_group_are_drawn_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten copies of each row, of one group, say no more than the row alone."""
    few = slice(0, 60)
    copies = [np.repeat(words[few], 10) for words in (LABEL, BETTER, WORSE)]
    widths = []
    for name, groups in (("rows", None), ("groups", np.repeat(np.arange(60), 10))):
        first = table(tmp_path / f"{name} a", copies[0], copies[1], groups)
        second = table(tmp_path / f"{name} b", copies[0], copies[2], groups)
        low, high = found(capsys, first, second)["differences"]["accuracy"]["interval"]
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] * np.sqrt(10), rel=0.15)


def test_a_difference_is_told_and_chance_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better, worse = table(tmp_path / "a", LABEL, BETTER), table(tmp_path / "b", LABEL, WORSE)
    for words, verdict in (
        ((better, worse), "the first is the more accurate"),
        ((worse, better), "the second is the more accurate"),
        ((better, better), "p = 1.0000, they are not told apart in accuracy"),
    ):
        assert main(["compare", *map(str, words)]) == 0
        out = capsys.readouterr().out
        assert verdict in out
        assert f"first:  {words[0]}: accuracy " in out


def test_what_test_wrote_is_compared(
    trained: Path, fer2013: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The door of users: two checkpoints, two tests, one comparison; a table may be named instead of its folder."""
    runs = tmp_path / "runs"
    run = runs / "fer2013-improved_cnn" / "version_0"
    shutil.copytree(trained, run)
    other = networks.write(tmp_path / "other.safetensors", 5, "plain_cnn")
    data = ["--data.source", "fer2013", "--data.root", str(fer2013), "--trainer.default_root_dir", str(runs)]
    for file in (run / "best.safetensors", other):
        assert main(["test", "--ckpt_path", str(file), *data]) == 0
    (second,) = runs.glob("other@*/test-fer2013")
    capsys.readouterr()
    read = found(capsys, run / "test-fer2013", second / "predictions.csv")
    for side, folder in (("first", run / "test-fer2013"), ("second", second)):
        scores = json.loads((folder / "report.json").read_text())["scores"]["PrivateTest"]
        assert read["n"] == scores["n"]
        assert read[side]["accuracy"] == pytest.approx(scores["accuracy"])
        assert read[side]["macro_f1"] == pytest.approx(scores["macro_f1"])


MISTAKES = {
    "one": (["{a}"], "compare takes FIRST and SECOND"),
    "option": (["{a}", "{b}", "--jsno"], "--jsno: no such option; compare takes FIRST SECOND and --json"),
    "not there": (["{a}", "nowhere"], "nowhere: cannot be read"),
    "fewer rows": (["{a}", "{fewer}"], "600 and 500 rows, 500 of them shared; test both on the same data"),
    "other labels": (["{a}", "{labels}"], "row 0 is labelled"),
    "no table": (["{a}", "{text}"], "no column row and label and predicted; give a folder or predictions.csv"),
    "header alone": (["{a}", "{header}"], "holds no prediction"),
    "twice": (["{a}", "{twice}"], "line 3: damaged, or a row that is there twice"),
    "cut off": (["{a}", "{cut}"], "line 2: damaged"),
    "no text": (["{a}", "{bytes}"], "cannot be read"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gets_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "row,label,predicted\n"
    texts = {"text": "x\n", "header": header, "twice": f"{header}0,a,a\n0,a,a\n", "cut": f"{header}0,a\n"}
    files = {name: tmp_path / f"{name}.csv" for name in (*texts, "bytes")}
    for name, text in texts.items():
        files[name].write_text(text)
    files["bytes"].write_bytes(b"\xff\xfe\x00" * 9)
    turned = np.roll(NAMES, 1)[np.searchsorted(NAMES, LABEL)]
    files |= {
        "a": table(tmp_path / "a", LABEL, BETTER),
        "b": table(tmp_path / "b", LABEL, WORSE),
        "fewer": table(tmp_path / "fewer", LABEL[:500], WORSE[:500]),
        "labels": table(tmp_path / "labels", turned, WORSE),
    }
    words, message = MISTAKES[case]
    assert main(["compare", *(word.format(**files) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_help_is_light() -> None:
    done = light("compare", "--help")
    assert (done.returncode, done.stdout) == (0, "usage: python -m fer_lightning compare FIRST SECOND [--json]\n")
