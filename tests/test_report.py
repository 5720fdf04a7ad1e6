"""``report``: every figure recomputed from the table of predictions, by scikit-learn and by plain counting."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from fer_lightning.cells import RESULT, Cell, folder_of
from fer_lightning.cli import main
from fer_lightning.data import folds
from fer_lightning.report import findings
from tests import crossvals

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation of both sets, both networks, both protocols; CK+ from two starts; with its report."""
    run = crossvals.write_run(tmp_path_factory.mktemp("report") / "run")
    crossvals.write_run(run, sources=["ckplus"], starts=["fer2013"], tta=("none",))
    assert main(["report", str(run), "--no_speed"]) == 0
    return run


@pytest.fixture(scope="module")
def found(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "report" / "findings.json").read_text())
    return content


@cache
def table(run: Path, source: str) -> Rows:
    with (run / "report" / f"out_of_fold-{source}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(run: Path, one: dict[str, Any], **more: str) -> Rows:
    """Return the predictions of an experiment, as they stand in the table."""
    wanted = {**{name: str(value) for name, value in one["key"].items()}, **more}
    return [row for row in table(run, wanted["source"]) if all(row[name] == value for name, value in wanted.items())]


def columns(rows: Rows, classes: Sequence[str]) -> tuple[list[str], Any, list[str]]:
    """Return labels, probabilities and predicted classes."""
    probabilities = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    return [row["label"] for row in rows], probabilities, [classes[best] for best in probabilities.argmax(1)]


def by_sklearn(labels: list[str], predicted: list[str], classes: Sequence[str]) -> dict[str, Any]:
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    macro = f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)
    accuracy = accuracy_score(labels, predicted)
    return {"accuracy": accuracy, "macro_f1": macro, "precision": precision, "recall": recall, "f1": f1}


def tempered(probabilities: Any, temperature: Any) -> Any:
    raised = probabilities ** (1 / temperature[:, None])
    return raised / raised.sum(1, keepdims=True)


def ece(probabilities: Any, labels: list[str], classes: Sequence[str]) -> float:
    """Expected calibration error, bin by bin as its definition reads."""
    gaps = 0.0
    for bin in range(15):
        inside = [
            (p.max(), classes[p.argmax()] == label)
            for p, label in zip(probabilities, labels, strict=True)
            if bin / 15 < p.max() <= (bin + 1) / 15
        ]
        gaps += abs(sum(p for p, _ in inside) - sum(right for _, right in inside))
    return gaps / len(labels)


def test_every_experiment_is_there(found: dict[str, Any]) -> None:
    keys = [tuple(one["key"].values()) for one in found["experiments"]]
    assert len(keys) == len(set(keys)) == 2 * 2 * 2 * 2 + 2 * 2
    assert all(one["wanted"] == len(one["parts"]) == 3 and one["n"] == 420 for one in found["experiments"])


def test_scores_are_those_of_scikit_learn(run: Path, found: dict[str, Any]) -> None:
    for one in found["experiments"]:
        classes = one["classes"]
        labels, _, predicted = columns(rows_of(run, one), classes)
        assert one["confusion"] == confusion_matrix(labels, predicted, labels=classes).tolist()
        for name, value in by_sklearn(labels, predicted, classes).items():
            assert one["pooled"][name] == pytest.approx(value, abs=1e-9)
        each = []
        for fold in range(3):
            labels, _, predicted = columns(rows_of(run, one, fold=str(fold)), classes)
            each.append(by_sklearn(labels, predicted, classes))
        for name in each[0]:
            values = np.array([fold[name] for fold in each])
            assert one["mean"][name] == pytest.approx(values.mean(0), abs=1e-9)
            assert one["spread"][name] == pytest.approx(values.std(0, ddof=1), abs=1e-9)
            assert one["folds"][1][name] == pytest.approx(values[1], abs=1e-9)


def test_calibration_is_that_of_scikit_learn(run: Path, found: dict[str, Any]) -> None:
    for one in found["experiments"]:
        rows, classes = rows_of(run, one), one["classes"]
        labels, probabilities, _ = columns(rows, classes)
        temperature = np.array([float(row["temperature"]) for row in rows])
        assert sorted(set(temperature)) == pytest.approx([1.3, 1.4, 1.5])
        for when, p in (("before", probabilities), ("after", tempered(probabilities, temperature))):
            mine = one["calibration"][when]
            assert mine["ece"] == pytest.approx(ece(p, labels, classes), abs=1e-6)
            order = np.argsort(classes)
            names = np.array(classes)[order]
            sure = p[:, order] / p.sum(1, keepdims=True)
            assert mine["nll"] == pytest.approx(log_loss(labels, sure, labels=names), abs=1e-6)
            brier = brier_score_loss(labels, sure, labels=names, scale_by_half=False)
            assert mine["brier"] == pytest.approx(brier, abs=1e-6)
            assert sum(mine["reliability"]["rows"]) == len(rows)


def test_intervals_are_those_of_a_bootstrap_that_draws_groups(run: Path, found: dict[str, Any]) -> None:
    one = next(one for one in found["experiments"] if one["key"]["protocol"] == "grouped")
    rows, classes = rows_of(run, one), one["classes"]
    labels, _, predicted = columns(rows, classes)
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["group"], []).append(place)
    rng = np.random.default_rng(7)
    drawn = []
    for _ in range(400):
        names = rng.choice(list(groups), len(groups))
        taken = [place for name in names for place in groups[name]]
        drawn.append(by_sklearn([labels[i] for i in taken], [predicted[i] for i in taken], classes))
    for score in ("accuracy", "macro_f1"):
        expected = np.percentile([one[score] for one in drawn], (2.5, 97.5))
        assert one["intervals"][score] == pytest.approx(expected, abs=0.012)
    expected = np.percentile([one["recall"][2] for one in drawn], (2.5, 97.5))
    assert one["intervals"]["recall"][2] == pytest.approx(expected, abs=0.035)


def test_comparisons_are_counted_row_by_row(run: Path, found: dict[str, Any]) -> None:
    assert len(found["comparisons"]) == (8 + 2) + 4
    for one in found["comparisons"]:
        sides = [{"key": {**one["about"], one["by"]: one[which]}} for which in ("first", "second")]
        classes = [name.removeprefix("p_") for name in table(run, one["about"]["source"])[0] if name.startswith("p_")]
        known = []
        for side in sides:
            rows = rows_of(run, side)
            labels, _, predicted = columns(rows, classes)
            known.append({row["row"]: (a, b, row["fold"]) for row, a, b in zip(rows, labels, predicted, strict=True)})
        right = [{row: label == said for row, (label, said, _) in side.items()} for side in known]
        assert one["n"] == len(right[0]) == 420
        assert one["mcnemar"]["only_first"] == sum(right[0][row] and not right[1][row] for row in right[0])
        assert one["mcnemar"]["only_second"] == sum(right[1][row] and not right[0][row] for row in right[0])
        accuracy = one["differences"]["accuracy"]
        assert accuracy["pooled"] == pytest.approx((sum(right[0].values()) - sum(right[1].values())) / 420)
        folds = [
            [np.mean([right[k][row] for row, (_, _, f) in known[k].items() if f == str(fold)]) for k in (0, 1)]
            for fold in range(3)
        ]
        differences = np.array([a - b for a, b in folds])
        assert accuracy["t_test"]["mean"] == pytest.approx(differences.mean())
        t = differences.mean() / np.sqrt(differences.var(ddof=1) * (1 / 3 + 1 / 1.8))  # a fold against 9/10 of two
        assert accuracy["t_test"]["t"] == pytest.approx(t)
        low, high = accuracy["interval"]
        assert low <= accuracy["pooled"] <= high


def test_the_leak_is_random_minus_grouped_on_the_same_rows(found: dict[str, Any]) -> None:
    pooled = {tuple(one["key"].values()): one["pooled"] for one in found["experiments"]}
    assert len(found["leaks"]) == 2 * 2 * 2 + 2
    for one in found["leaks"]:
        random, grouped = (pooled[tuple({**one["about"], "protocol": p}.values())] for p in ("random", "grouped"))
        for score in ("accuracy", "macro_f1"):
            assert one["scores"][score]["leak"] == pytest.approx(random[score] - grouped[score])
            low, high = one["scores"][score]["interval"]
            assert low <= one["scores"][score]["leak"] <= high
        assert one["trainings"] == {"random": 3, "grouped": 3}


def test_an_ensemble_averages_what_each_network_says_at_its_temperature(run: Path, found: dict[str, Any]) -> None:
    assert len(found["ensembles"]) == 8 + 2
    assert all(one["calibration"]["after"] is None for one in found["ensembles"])
    for one in found["ensembles"]:
        said = []
        for network in ("improved_cnn", "plain_cnn"):
            rows = rows_of(run, {"key": {**one["key"], "network": network}})
            labels, probabilities, _ = columns(rows, one["classes"])
            calm = tempered(probabilities, np.array([float(row["temperature"]) for row in rows]))
            said.append({row["row"]: (label, p) for row, label, p in zip(rows, labels, calm, strict=True)})
        labels = [said[0][row][0] for row in said[0]]
        mean = np.array([(said[0][row][1] + said[1][row][1]) / 2 for row in said[0]])
        predicted = [one["classes"][best] for best in mean.argmax(1)]
        assert one["pooled"]["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-9)
        assert one["calibration"]["before"]["ece"] == pytest.approx(ece(mean, labels, one["classes"]), abs=1e-6)


def test_the_paper_stands_beside_ours(run: Path, found: dict[str, Any]) -> None:
    with (run / "report" / "tables" / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    paper = [row for row in rows if row["folds and start"] == "the paper"]
    assert [(row["happy"], row["sad"], row["fear"], row["angry"], row["disgust"]) for row in paper] == [
        ("0.99", "0.99", "1.00", "0.93", ""),
        ("1.00", "0.99", "1.00", "0.98", ""),
    ]
    ours = next(
        row
        for row in rows
        if (row["network"], row["folds and start"], row["views"])
        == ("improved_cnn", "3 random folds, from scratch", "none")
    )
    one = next(
        one
        for one in found["experiments"]
        if tuple(one["key"].values()) == ("ckplus", "random", "improved_cnn", "scratch", "none", 3)
    )
    fear = one["classes"].index("fear")
    mean, spread = one["mean"]["precision"][fear], one["spread"]["precision"][fear]
    assert ours["fear"] == f"{mean:.3f} ± {spread:.3f} (\N{MINUS SIGN}{1 - mean:.3f})"
    assert "(" not in ours["disgust"]
    assert [row["views"] for row in rows if row["folds and start"] == ours["folds and start"]] == ["none", "flip"] * 2
    with (run / "report" / "scores.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))
    printed = [row for row in scores if row["paper"] and row["source"] == "fer2013" and row["network"] == "plain_cnn"]
    assert {(row["class"], row["score"], row["paper"]) for row in printed} == {
        ("happy", "precision", "0.83"),
        ("sad", "precision", "0.65"),
        ("fear", "precision", "0.54"),
        ("angry", "precision", "0.57"),
    }


def test_the_table_alone_gives_the_same_figures(run: Path, found: dict[str, Any], tmp_path: Path) -> None:
    for source in ("ckplus", "fer2013"):
        file = run / "report" / f"out_of_fold-{source}.csv"
        assert main(["report", str(file), "--out", str(tmp_path / source)]) == 0
        again = json.loads((tmp_path / source / "findings.json").read_text())
        for kind in ("experiments", "ensembles", "comparisons", "leaks"):
            whole = [one for one in found[kind] if one.get("key", one.get("about"))["source"] == source]
            assert again[kind] == whole
        text = (tmp_path / source / "report.md").read_text()
        (tried,) = (part for part in text.split("\n\n") if part.startswith("| data | network | folds | start |"))
        assert {row.split(" | ")[6] for row in tried.split("\n")[2:]} == {"unknown"}  # the settings
        assert "does not tell whether more than the folds differs" in text


def test_the_same_cells_give_the_same_files(tmp_path: Path) -> None:
    run = crossvals.write_run(tmp_path / "run", sources=["ckplus"], networks=["improved_cnn"])
    assert main(["report", str(run), "--no_speed"]) == 0
    assert main(["report", str(run), "--no_speed", "--out", str(tmp_path / "again")]) == 0
    names = sorted(file.relative_to(run / "report") for file in (run / "report").rglob("*") if file.is_file())
    assert names == sorted(
        file.relative_to(tmp_path / "again") for file in (tmp_path / "again").rglob("*") if file.is_file()
    )
    for name in names:
        assert (run / "report" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_what_is_missing_is_said_and_not_filled_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = crossvals.write_run(tmp_path, sources=["ckplus"], protocols=["random"], tta=("none",))
    gone = Cell("ckplus", "random", "plain_cnn", "scratch", 42, 3, 1, (), ("none",))
    (folder_of(run, gone) / RESULT).unlink()
    assert main(["report", str(run), "--no_speed"]) == 0
    assert gone.name in capsys.readouterr().out
    text = (run / "report" / "report.md").read_text()
    assert "| CK+ | plain_cnn | 3 random | from scratch | 2 of 3 | 280 |" in text
    assert f"Planned and not finished, 1: {gone.name}" in text
    found = json.loads((run / "report" / "findings.json").read_text())
    plain, improved = found["experiments"]
    assert [len(one["parts"]) for one in (plain, improved)] == [2, 3]
    assert (plain["wanted"], plain["n"]) == (3, 280)
    (compared,) = found["comparisons"]
    assert (compared["n"], compared["differences"]["accuracy"]["t_test"]) == (280, None)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.anchors: list[str] = []
        self.tables = self.captions = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.pictures += [known] if tag == "img" else []
        self.addresses += [str(known[name]) for name in ("src", "href") if name in known]
        self.anchors += [str(known["id"])] if "id" in known else []
        self.tables += tag == "table"
        self.captions += tag == "caption"


def test_the_page_needs_no_other_file_and_can_be_heard(run: Path) -> None:
    page = _Page((run / "report" / "index.html").read_text())
    assert len(page.pictures) == 3 + 1 + 12 + 12 + 6
    assert all(len(picture["alt"] or "") > 40 for picture in page.pictures)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.anchors)
    assert page.tables == page.captions == len(list((run / "report" / "tables").iterdir()))


def test_the_files_of_the_markdown_are_there(run: Path) -> None:
    named = re.findall(r"!\[[^]]{40,}\]\(([^)]*)\)", (run / "report" / "report.md").read_text())
    assert len(named) == 34
    for name in named:
        assert (run / "report" / name).read_bytes().startswith(b"<?xml")
        with Image.open(run / "report" / name.replace(".svg", ".png")) as picture:
            assert picture.width > 600


def test_speed_is_measured_unless_it_is_not_wanted(tmp_path: Path) -> None:
    run = crossvals.write_run(tmp_path, sources=["ckplus"], protocols=["random"], networks=["improved_cnn"])
    assert main(["report", str(run)]) == 0
    with (run / "report" / "tables" / "costs.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["parameters"], row["multiply-adds a face"]) == ("185,431", "18,460,800")
    assert row["training, images/s"] == "201"
    assert float(row["inference, images/s"].replace(",", "")) > 1


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["report", *words]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert (err.count("\n"), out) == (1, "")
    return err


def test_mistakes_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder or table" in refused(capsys, str(tmp_path / "nowhere"))
    assert "run crossval" in refused(capsys, str(tmp_path))
    assert "required" in refused(capsys)
    assert "unrecognized" in refused(capsys, str(run), "--fast")
    file = run / "report" / "out_of_fold-ckplus.csv"
    assert "not both" in refused(capsys, str(run), str(file))
    assert "twice" in refused(capsys, str(run), str(run))
    assert "twice" in refused(capsys, str(file), str(file))
    assert "no table of out-of-fold predictions" in refused(capsys, str(run / "report" / "scores.csv"))
    cut = tmp_path / "cut.csv"
    lines = file.read_text().splitlines()
    cut.write_text("\n".join([*lines[:5], lines[5][:40]]) + "\n")
    assert f"{cut} row 6: damaged" in refused(capsys, str(cut))
    assert not (tmp_path / "recomputed").exists()
    assert "name a folder" in refused(capsys, str(run), "--out", str(cut))


def test_cells_of_other_data_or_another_start_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = crossvals.write_run(tmp_path, sources=["ckplus"], protocols=["random"], networks=["plain_cnn"])
    file = folder_of(run, Cell("ckplus", "random", "plain_cnn", "scratch", 42, 3, 1)) / RESULT
    content = json.loads(file.read_text())
    content["card"]["data"]["fingerprint"] = "f" * 64
    file.write_text(json.dumps(content))
    assert "other data in part" in refused(capsys, str(run))
    content["card"]["data"]["fingerprint"] = "0123456789abcdef" * 4
    content["card"]["training"]["init_from"] = {"checkpoint": "one@12345678"}
    file.write_text(json.dumps(content))
    assert "other start in part" in refused(capsys, str(run))


def findings_of(run: Path) -> dict[str, Any]:
    assert main(["report", str(run), "--no_speed"]) == 0
    content: dict[str, Any] = json.loads((run / "report" / "findings.json").read_text())
    return content


def small(network: str, fold: int = 0, **more: Any) -> Cell:
    return Cell("ckplus", "random", network, "scratch", more.pop("seed", 42), 3, fold, (), ("none",))


def test_copies_of_a_seed_prove_nothing_more(tmp_path: Path) -> None:
    once, thrice = tmp_path / "once", tmp_path / "thrice"
    for network in ("plain_cnn", "improved_cnn"):
        for fold in range(3):
            for run, seeds in ((once, [1]), (thrice, [1, 2, 3])):
                for seed in seeds:
                    crossvals.write_cell(run, small(network, fold, seed=seed), drawn_as=f"{network}{fold}")
    (one,), (three,) = (findings_of(run)["comparisons"] for run in (once, thrice))
    assert (one["n"], three["n"]) == (420, 1260)
    assert one["mcnemar"] == three["mcnemar"]
    for score, found in one["differences"].items():
        assert three["differences"][score]["t_test"]["p"] == pytest.approx(found["t_test"]["p"])
        assert three["differences"][score]["interval"] == pytest.approx(found["interval"], abs=1e-9)


def test_a_class_that_a_fold_lacks_has_no_part_in_its_mean(tmp_path: Path) -> None:
    classes = (*crossvals.CLASSES["ckplus"], "nobody")
    for fold in range(3):
        crossvals.write_cell(tmp_path, small("plain_cnn", fold), classes=crossvals.CLASSES["ckplus"])
    file = folder_of(tmp_path, small("plain_cnn", 0)) / "predictions.csv"
    lines = file.read_text().splitlines()
    for fold in range(3):
        file = folder_of(tmp_path, small("plain_cnn", fold)) / "predictions.csv"
        lines = file.read_text().splitlines()
        header, *rows = ([*line.split(","), "p_nobody" if place == 0 else "0.0"] for place, line in enumerate(lines))
        file.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    (one,) = findings_of(tmp_path)["experiments"]
    assert one["classes"] == list(classes)
    assert one["mean"]["recall"][-1] is one["spread"]["f1"][-1] is one["pooled"]["precision"][-1] is None
    assert one["intervals"]["recall"][-1] == [None, None]
    assert one["pooled"]["macro_f1"] == pytest.approx(np.mean(one["pooled"]["f1"][:-1]))


def test_one_fold_has_no_spread(tmp_path: Path) -> None:
    crossvals.write_cell(tmp_path, small("plain_cnn"))
    (one,) = findings_of(tmp_path)["experiments"]
    assert one["spread"]["accuracy"] is None
    text = (tmp_path / "report" / "report.md").read_text()
    assert "±" not in text
    assert "(1 of 3 trainings)" in text


def test_a_network_with_fewer_folds_does_not_shrink_the_ensemble_of_the_others(tmp_path: Path) -> None:
    for fold in range(3):
        for network in ("plain_cnn", "improved_cnn"):
            crossvals.write_cell(tmp_path, small(network, fold))
    crossvals.write_cell(tmp_path, small("improved_cnn_wide"))
    (one,) = findings_of(tmp_path)["ensembles"]
    assert (one["key"]["network"], one["n"]) == ("plain_cnn + improved_cnn", 420)


def test_names_that_look_like_code_are_shown_as_they_are(tmp_path: Path) -> None:
    names = ["$\\foo$", "<b>&", "\u5feb\u4e50", "a|b", "c", "d", "e"]
    for fold in range(3):
        crossvals.write_cell(tmp_path, small("plain_cnn", fold), classes=names)
    findings_of(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "| a\\|b |" in (tmp_path / "report" / "report.md").read_text()
    assert "\u5feb\u4e50" in (tmp_path / "report" / "figures" / "figure1.svg").read_text()


def test_files_of_an_earlier_report_go_and_others_stay(tmp_path: Path) -> None:
    for fold in range(3):
        crossvals.write_cell(tmp_path, small("plain_cnn", fold))
    gone = crossvals.write_cell(tmp_path, small("improved_cnn"))
    findings_of(tmp_path)
    mine = tmp_path / "report" / "figures" / "mine.png"
    mine.write_bytes(b"mine")
    table = tmp_path / "report" / "tables" / "comparisons.csv"
    assert table.exists()
    (gone / RESULT).unlink()
    findings_of(tmp_path)
    assert not table.exists()
    assert mine.exists()


def test_trainings_of_other_settings_are_not_pooled_and_told_where_they_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in range(3):
        crossvals.write_cell(tmp_path, small("plain_cnn", fold))
        crossvals.write_cell(tmp_path, small("improved_cnn", fold), learning_rate=0.5)
    findings_of(tmp_path)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| 3 epochs, learning_rate 0.5 |" in text
    assert "| learning_rate (0.5, default) |" in text
    crossvals.write_cell(tmp_path, small("plain_cnn", 2), learning_rate=0.1)
    capsys.readouterr()
    assert "other settings in part" in refused(capsys, str(tmp_path))


OTHER_TRAININGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "patience 5": lambda training: training["config"].update(patience=5),
    "limit_train_batches 3": lambda training: training["config"]["trainer"].update(limit_train_batches=3),
    "accumulate_grad_batches 4": lambda training: training["config"]["trainer"].update(accumulate_grad_batches=4),
    "processes 4": lambda training: training.update(device="cuda x 4"),
    "teacher wise@12345678": lambda training: training.update(teachers=[{"checkpoint": "wise@12345678"}]),
}


@pytest.mark.parametrize("what", OTHER_TRAININGS)
def test_whatever_shapes_a_training_is_a_setting(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [crossvals.write_cell(tmp_path, small("plain_cnn", fold)) / RESULT for fold in range(3)]

    def change(file: Path) -> None:
        content = json.loads(file.read_text())
        OTHER_TRAININGS[what](content["card"]["training"])
        file.write_text(json.dumps(content))

    change(files[0])
    assert "other settings in part" in refused(capsys, str(tmp_path))
    for file in files[1:]:
        change(file)
    findings_of(tmp_path)
    text = (tmp_path / "report" / "report.md").read_text()
    assert f", {what}" in text


def test_what_the_leak_is_worth_cannot_be_told_from_another_training(tmp_path: Path) -> None:
    for fold in range(3):
        crossvals.write_cell(tmp_path, small("plain_cnn", fold))
        crossvals.write_cell(tmp_path, replace(small("plain_cnn", fold), protocol="grouped"), learning_rate=0.5)
    findings_of(tmp_path)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Left out, as more than the folds differs" in text
    assert "plain_cnn from scratch, CK+ (learning_rate (default, 0.5))" in text
    assert "The same networks under both kinds of folds" not in text


def test_networks_that_scored_other_rows_are_not_averaged(tmp_path: Path) -> None:
    crossvals.write_cell(tmp_path, small("plain_cnn"))
    crossvals.write_cell(tmp_path, small("improved_cnn"), rows=100)
    assert findings_of(tmp_path)["ensembles"] == []


def test_networks_of_other_data_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crossvals.write_cell(tmp_path, small("plain_cnn"))
    folder = crossvals.write_cell(tmp_path, small("improved_cnn"))
    content = json.loads((folder / RESULT).read_text())
    content["card"]["data"]["fingerprint"] = "f" * 64
    (folder / RESULT).write_text(json.dumps(content))
    assert "is of other data than improved_cnn" in refused(capsys, str(tmp_path))


DAMAGES = {
    RESULT: ["{}", "[]", "{", '{"format": "fer_lightning cell 9"}'],
    "predictions.csv": ["", "tta,part\n", "tta,part,row,group,label,p_a,p_b\nnone,fold,1,2\n"],
}


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in DAMAGES.items() for text in texts])
def test_a_damaged_cell_is_one_line(
    name: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = crossvals.write_cell(tmp_path, small("plain_cnn"))
    (folder / name).write_text(content)
    assert folder.name in refused(capsys, str(tmp_path))


def test_the_share_that_is_held_out_is_that_of_the_folds() -> None:
    assert findings.HELD_OUT == folds._HELD_OUT


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help"]) == 0
    assert "--no_speed" in capsys.readouterr().out
