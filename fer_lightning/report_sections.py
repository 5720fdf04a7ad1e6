"""The sections of a report: from findings to headings, tables and pictures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fer_lightning import figures, paper
from fer_lightning.document import Block, Code, Heading, Picture, Table, Text
from fer_lightning.experiments import Experiment
from fer_lightning.figures import Bars

Found = Mapping[str, Any]
_CALLED = {"ckplus": "CK+", "fer2013": "FER2013", "ferplus": "FER+"}
_MINUS = "\N{MINUS SIGN}"


def sections(
    found: Found, experiments: Sequence[Experiment], missing: Sequence[str], speeds: Sequence[Found]
) -> list[Block]:
    """Return the document.

    Args:
        found: What ``findings.findings`` returned.
        experiments: The experiments behind it.
        missing: Names of the cells that were begun or planned, but are not finished.
        speeds: Cost of each network, see :func:`_costs`.
    """
    return [
        *_what_was_run(found, experiments, missing),
        *_the_paper(found),
        *_overall(found),
        *_comparisons(found),
        *_leaks(found),
        *_leakage(experiments),
        *_classes(found),
        *_calibration(found),
        *_confusions(found),
        *_curves(experiments),
        *_costs(speeds),
        *_how_to_recompute(),
    ]


def _called(source: str) -> str:
    return _CALLED.get(source, source)


def _plain(found: Found) -> list[Found]:
    """Return the experiments without test-time augmentation."""
    return [one for one in found["experiments"] if one["key"]["tta"] == "none"]


def _start(key: Found) -> str:
    return "from scratch" if key["start"] == "scratch" else f"from {_called(key['start'])}"


def _coverage(one: Found) -> str:
    if one["complete"]:
        return ""
    return f" ({len(one['parts'])} of {one['key']['folds']} folds)"


def _how(one: Found) -> str:
    """Return protocol and start of an experiment, and what is missing of it."""
    return f"{one['key']['protocol']} folds, {_start(one['key'])}{_coverage(one)}"


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", _MINUS)


def _p(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _range(low_high: Sequence[float], signed: bool = False) -> str:
    low, high = (_signed(value) if signed else f"{value:.3f}" for value in low_high)
    return f"{low} to {high}"


def _what_was_run(found: Found, experiments: Sequence[Experiment], missing: Sequence[str]) -> Iterator[Block]:
    yield Heading("What was run")
    yield Text(
        "Every score here is out of fold: a row was predicted by a network that neither learned from it nor was chosen "
        "on it. The checkpoint of each fold was chosen by macro-F1 on rows held out of its training folds. Random "
        "folds are the paper's protocol; grouped folds are its honest twin: they keep a person, and a cluster of alike "
        "pictures, on one side."
    )
    rows = []
    for one, experiment in zip(found["experiments"], experiments, strict=True):
        if one["key"]["tta"] != "none":
            continue
        cards = [cell["card"] for cell in experiment.cells]
        epochs = sorted({card["training"]["epochs"] for card in cards})
        minutes = sum(card["training"]["seconds"] for card in cards) / 60
        rows.append(
            [
                _called(one["key"]["source"]),
                one["key"]["network"],
                one["key"]["protocol"],
                _start(one["key"]),
                f"{len(one['parts'])} of {one['key']['folds'] * len({seed for seed, _ in one['parts']})}",
                f"{one['n']:,}",
                "-".join(map(str, epochs)) if cards else "not in the table",
                f"{minutes:.0f}" if cards else "",
            ]
        )
    header = ("data", "network", "folds", "start", "folds scored", "rows scored", "epochs", "minutes of training")
    yield Table("run", "Experiments", header, rows)
    left_out = [one for one in _plain(found) if not one["complete"]]
    if left_out or missing:
        names = [f"{one['name']} ({len(one['parts'])} of {one['key']['folds']} folds)" for one in left_out]
        words = f"Not every fold of these was scored: {'; '.join(names)}. " if names else ""
        words += f"Begun and not finished: {', '.join(missing)}. " if missing else ""
        yield Text(f"{words}Their means are over the folds that were scored; nothing is filled in.")
    machines: dict[str, set[str]] = {}
    for cell in (cell for experiment in experiments for cell in experiment.cells):
        environment, trainer = cell["card"]["environment"], cell["card"]["training"]["config"].get("trainer", {})
        parts = [environment["processor"], *environment["accelerators"], f"precision {trainer.get('precision') or 32}"]
        machines.setdefault(", ".join(parts), set()).add(
            f"{cell['cell']['network']} on {_called(cell['cell']['source'])}"
        )
    if machines:
        trained = (f"{machine}: {', '.join(sorted(networks))}" for machine, networks in sorted(machines.items()))
        yield Text(f"Trained on {'; '.join(trained)}.")


def _the_paper(found: Found) -> Iterator[Block]:
    sources = {one["key"]["source"] for one in found["experiments"]}
    if not sources & {"ckplus", "fer2013"}:
        return
    yield Heading("The paper's tables and figures")
    yield Text(
        "Mean and standard deviation over folds, with the paper's printed figures and the difference from them. The "
        "paper prints four expressions, no spread and no overall accuracy, and splits at random."
    )
    for printed in paper.TABLES:
        if printed.source in sources:
            yield _paper_table(found, printed)
    for figure in paper.FIGURES:
        if figure.source in sources:
            yield _paper_figure(found, figure)


def _paper_table(found: Found, printed: paper.PrintedTable) -> Table:
    mine = [one for one in _plain(found) if one["key"]["source"] == printed.source]
    four = list(printed.values["plain_cnn"])
    classes = [*four, *(name for name in mine[0]["classes"] if name not in four)]
    rows = []
    for network, called in paper.NETWORKS.items():
        theirs = printed.values[network]
        rows.append(
            [f"{called} ({network})", "the paper", *(f"{theirs[c]:.2f}" if c in theirs else "" for c in classes)]
        )
        for one in mine:
            if one["key"]["network"] != network:
                continue
            place = {name: i for i, name in enumerate(one["classes"])}
            mean, spread = one["mean"][printed.score], one["spread"][printed.score]
            ours = [f"{mean[place[c]]:.3f} ± {spread[place[c]]:.3f}" for c in classes]
            rows.append([network, _how(one), *ours])
            if one["key"]["protocol"] == "random":
                gaps = [_signed(mean[place[c]] - theirs[c]) if c in theirs else "" for c in classes]
                rows.append([network, "difference from the paper", *gaps])
    title = f"Table {printed.number}: {printed.title}"
    return Table(f"table{printed.number}", title, ("network", "", *classes), rows)


def _paper_figure(found: Found, printed: paper.PrintedFigure) -> Picture:
    mine = [one for one in _plain(found) if one["key"]["source"] == printed.source]
    theirs = paper.f1_from_tables() if printed.source == "ckplus" else {}
    classes = mine[0]["classes"]
    panels: dict[str, list[Bars]] = {}
    for one in mine:
        network = one["key"]["network"]
        marks = theirs.get(network, {}) if one["key"]["protocol"] == "random" else {}
        series = Bars(
            network, one["mean"][printed.score], one["spread"][printed.score], [marks.get(c) for c in classes]
        )
        panels.setdefault(_how(one), []).append(series)
    note = "; the paper's from its tables 1 and 2" if theirs else ""
    title = f"Figure {printed.number}: {printed.title} (mean and standard deviation over folds{note})"
    name = {"f1": "F1"}.get(printed.score, printed.score)
    return Picture(figures.bars(f"figure{printed.number}", title, name, classes, panels))


def _overall(found: Found) -> Iterator[Block]:
    yield Heading("Accuracy and macro-F1")
    yield Text(
        "Mean and standard deviation over folds, and all rows pooled with a 95 % interval: a bootstrap of whole groups "
        "(a person's pictures, or alike ones), as rows of one group are not independent. Ensembles average the "
        "calibrated probabilities of the networks named. flip averages a face and its mirror image."
    )
    rows = []
    for one in [*found["experiments"], *found["ensembles"]]:
        mean, spread, pooled, bounds = (one[name] for name in ("mean", "spread", "pooled", "intervals"))
        cells = [_called(one["key"]["source"]), one["key"]["network"], _how(one), one["key"]["tta"]]
        for score in ("accuracy", "macro_f1"):
            cells += [f"{mean[score]:.3f} ± {spread[score]:.3f}", f"{pooled[score]:.3f}", _range(bounds[score])]
        rows.append(cells)
    header: tuple[str, ...] = (
        "data",
        "network",
        "folds and start",
        "views",
        "accuracy, folds",
        "pooled",
        "95 % interval",
    )
    header += ("macro-F1, folds", "pooled", "95 % interval")
    yield Table("overall", "Scores of every experiment", header, rows)


def _comparisons(found: Found) -> Iterator[Block]:
    mine = [one for one in found["comparisons"] if one["about"]["tta"] == "none"]
    if not mine:
        return
    yield Heading("Which is better: paired tests")
    yield Text(
        "On the same rows: the difference of the pooled scores (first minus second) with its grouped bootstrap "
        "interval; McNemar's exact test, which takes rows as independent, so it is too sure where a person has several "
        "rows; and the corrected resampled t-test over folds (Nadeau and Bengio 2003), which is the careful one."
    )
    rows = []
    for one in mine:
        about, accuracy, f1 = one["about"], one["differences"]["accuracy"], one["differences"]["macro_f1"]
        how = f"{about['protocol']} folds" + (f", {_start(about)}" if about["start"] else "")
        what = (f"{about['network']}, " if about["network"] else "") + f"{one['first']} against {one['second']}"
        folds = f" ({len(one['parts'])} folds)" if len(one["parts"]) < about["folds"] else ""
        rows.append(
            [
                _called(about["source"]),
                how + folds,
                what,
                _signed(accuracy["pooled"]),
                _range(accuracy["interval"], signed=True),
                f"{one['mcnemar']['only_first']:,} / {one['mcnemar']['only_second']:,}",
                _p(one["mcnemar"]["p"]),
                _p(accuracy["t_test"]["p"]),
                _signed(f1["pooled"]),
                _range(f1["interval"], signed=True),
                _p(f1["t_test"]["p"]),
            ]
        )
    header: tuple[str, ...] = (
        "data",
        "folds and start",
        "first against second",
        "accuracy",
        "95 % interval",
        "right alone",
    )
    header += ("McNemar p", "t-test p", "macro-F1", "95 % interval", "t-test p")
    yield Table("comparisons", "Differences of accuracy and macro-F1", header, rows)


def _leaks(found: Found) -> Iterator[Block]:
    mine = [one for one in found["leaks"] if one["about"]["tta"] == "none"]
    if not mine:
        return
    yield Heading("What the leak is worth: random against grouped folds")
    yield Text(
        "Random folds put frames of one film, or copies of one picture, on both sides: the network has seen nearly "
        "what it is asked. The difference is what a figure under random folds owes to that, on rows that both scored."
    )
    rows, names, pairs = [], [], []
    for one in mine:
        about = one["about"]
        name = f"{about['network']} {_start(about)}, {_called(about['source'])}"
        names.append(name)
        pairs.append((one["scores"]["accuracy"]["random"], one["scores"]["accuracy"]["grouped"]))
        cells = [name, f"{one['n']:,}"]
        for score in ("accuracy", "macro_f1"):
            value = one["scores"][score]
            cells += [f"{value['random']:.3f}", f"{value['grouped']:.3f}", _signed(value["leak"])]
            cells.append(_range(value["interval"], signed=True))
        rows.append(cells)
    header: tuple[str, ...] = ("network, start, data", "rows", "accuracy, random", "grouped", "leak", "95 % interval")
    header += ("macro-F1, random", "grouped", "leak", "95 % interval")
    yield Table("leaks", "The same networks under both kinds of folds", header, rows)
    yield Picture(figures.leaks("leaks", "Accuracy under random and grouped folds", names, pairs))


def _leakage(experiments: Sequence[Experiment]) -> Iterator[Block]:
    counted: dict[tuple[str, str, int], Found] = {}
    for experiment in experiments:
        for cell in experiment.cells:
            place = (cell["cell"]["source"], cell["cell"]["protocol"], cell["cell"]["fold"])
            counted[place] = cell["card"]["data"]["leakage"]
    if not counted:
        return
    yield Heading("Leakage of every fold")
    rows = []
    for (source, protocol, fold), found in sorted(counted.items()):
        cells = [_called(source), protocol, str(fold)]
        for part in ("test", "validation"):
            values = found[part]
            people = values["shared_subjects"]
            cells += [f"{values['rows']:,}", f"{values['identical']:,}", f"{values['near_identical']:,}"]
            cells.append("unknown" if people is None else str(people))
        rows.append(cells)
    header: tuple[str, ...] = (
        "data",
        "protocol",
        "fold",
        "scored rows",
        "identical",
        "near-identical",
        "shared persons",
    )
    header += ("held-out rows", "identical", "near-identical", "shared persons")
    yield Table("leakage", "Rows with such a picture, and persons, among the training rows", header, rows)


def _classes(found: Found) -> Iterator[Block]:
    yield Heading("Precision, recall and F1 of each expression")
    yield Text("All rows pooled, with 95 % intervals from the bootstrap of whole groups.")
    for one in _plain(found):
        rows = []
        for i, name in enumerate(one["classes"]):
            cells = [name]
            for score in ("precision", "recall", "f1"):
                cells += [f"{one['pooled'][score][i]:.3f}", _range(one["intervals"][score][i])]
            rows.append([*cells, f"{sum(one['confusion'][i]):,}"])
        header = ("expression", "precision", "95 % interval", "recall", "95 % interval", "F1", "95 % interval", "rows")
        slug = f"classes-{_slug(one)}"
        yield Table(slug, f"{_title(one)}{_coverage(one)}", header, rows)


def _title(one: Found) -> str:
    key = one["key"]
    return f"{key['network']} {_start(key)} on {_called(key['source'])}, {key['protocol']} folds"


def _slug(one: Found) -> str:
    return "-".join(one["key"][name] for name in ("source", "protocol", "network", "start"))


def _calibration(found: Found) -> Iterator[Block]:
    yield Heading("Calibration")
    yield Text(
        "Expected calibration error (15 bins), negative log-likelihood and Brier score, before and after a temperature "
        "that was fitted, for each fold, on rows held out of its training."
    )
    rows = []
    for one in [*found["experiments"], *found["ensembles"]]:
        before, after = one["calibration"]["before"], one["calibration"]["after"]
        cells = [_called(one["key"]["source"]), one["key"]["network"], _how(one), one["key"]["tta"]]
        rows.append(cells + [f"{when[name]:.3f}" for name in ("ece", "nll", "brier") for when in (before, after)])
    header = ("data", "network", "folds and start", "views", "ECE", "after", "NLL", "after", "Brier", "after")
    yield Table("calibration", "Calibration before and after temperature", header, rows)
    for one in _plain(found):
        title = f"Reliability of {_title(one)}"
        yield Picture(figures.reliability(f"reliability-{_slug(one)}", title, one["calibration"]))


def _confusions(found: Found) -> Iterator[Block]:
    yield Heading("Confusion matrices")
    for one in _plain(found):
        title = f"Confusion of {_title(one)}, n = {one['n']:,}"
        yield Picture(figures.confusion(f"confusion-{_slug(one)}", title, one["confusion"], one["classes"]))


def _curves(experiments: Sequence[Experiment]) -> Iterator[Block]:
    together: dict[tuple[str, str, str], dict[str, list[Any]]] = {}
    for experiment in experiments:
        runs = [cell["history"] for cell in experiment.cells if cell["history"]]
        key = experiment.key
        if key.tta == "none" and runs:
            together.setdefault((key.source, key.protocol, key.start), {})[key.network] = runs
    if not together:
        return
    yield Heading("Learning curves")
    for (source, protocol, start), histories in together.items():
        title = f"Learning curves on {_called(source)}, {protocol} folds, {_start({'start': start})}"
        yield Picture(figures.curves(f"curves-{source}-{protocol}-{start}", title, histories))


def _costs(speeds: Sequence[Found]) -> Iterator[Block]:
    """Show ``parameters``, ``multiply_adds``, ``training`` and ``images_per_second`` of each ``network``."""
    if not speeds:
        return
    yield Heading("Cost of each network")
    rows = []
    for one in speeds:
        fast = [f"{one[name]:,.0f}" if one.get(name) else "" for name in ("training", "images_per_second")]
        rows.append([one["network"], f"{one['parameters']:,}", f"{one['multiply_adds']:,}", *fast])
    where = next((f" ({one['machine']})" for one in speeds if one.get("machine")), "")
    header = ("network", "parameters", "multiply-adds a face", "training, images/s", "inference, images/s")
    yield Text(
        "Training: median of the epochs of all cells, as they ran, perhaps beside others. Inference: measured for this "
        f"report, batches of 32{where}."
    )
    yield Table("costs", "Size and speed", header, rows)


def _how_to_recompute() -> Iterator[Block]:
    yield Heading("Recompute it")
    yield Text(
        "out_of_fold-*.csv hold every prediction (row, group, fold, label, probabilities, temperature). Every score "
        "above follows from them; this computes it again, and findings.json holds the result in full precision."
    )
    yield Code("python -m fer_lightning report out_of_fold-*.csv")
