"""The parts of a report about scores: all together, compared, by class, calibrated."""

from collections.abc import Iterator, Mapping

from fer_lightning.report import figures
from fer_lightning.report.document import Block, Heading, Picture, Table, Text
from fer_lightning.report.wording import (
    NONE,
    UNKNOWN,
    Found,
    between,
    called,
    figure,
    how,
    p_value,
    signed,
    spread,
    start_of,
    title_of,
)

Recipes = Mapping[tuple[object, ...], Mapping[str, str]]
"""The settings of each experiment, by its key."""


def overall(found: Found) -> Iterator[Block]:
    """Yield accuracy and macro-F1 of every experiment and ensemble."""
    yield Heading("Accuracy and macro-F1")
    yield Text(
        "Mean and standard deviation over folds, and all rows pooled with a 95 % interval: a bootstrap of whole groups "
        "(a person's pictures, or alike ones), as rows of one group are not independent. The intervals are about the "
        "rows, not about other seeds of the training. A class that a fold, or a draw, lacks has no part in its "
        "macro-F1. Ensembles average the calibrated probabilities of the networks named; flip averages a face and its "
        "mirror image."
    )
    rows = []
    for one in [*found["experiments"], *found["ensembles"]]:
        mean, deviation, pooled, bounds = (one[name] for name in ("mean", "spread", "pooled", "intervals"))
        cells = [called(one["key"]["source"]), one["key"]["network"], how(one), one["key"]["tta"]]
        for score in ("accuracy", "macro_f1"):
            cells += [spread(mean[score], deviation[score]), figure(pooled[score]), between(bounds[score])]
        rows.append(cells)
    header: tuple[str, ...] = ("data", "network", "folds and start", "views")
    for score in ("accuracy", "macro-F1"):
        header += (f"{score} over folds", f"{score} pooled", f"{score} 95 % interval")
    yield Table("overall", "Scores of every experiment", header, rows)


def comparisons(found: Found, recipes: Recipes) -> Iterator[Block]:
    """Yield the paired tests.

    Args:
        found: What ``findings.findings`` returned.
        recipes: Settings, so that what else differs is said.
    """
    mine = [one for one in found["comparisons"] if one["about"]["tta"] == "none"]
    if not mine:
        return
    yield Heading("Which is better: paired tests")
    yield Text(
        "On the same rows: the difference of the pooled scores (first minus second) with its grouped bootstrap "
        "interval; McNemar's exact test, which takes rows as independent, so it is too sure where a person has several "
        "rows; and the corrected resampled t-test over folds (Nadeau and Bengio 2003), the careful one, where every "
        "fold is there. Of several seeds the differences are averaged, and McNemar's test takes the first. The last "
        "column names settings in which the two sides also differ: there the test is about all of that together."
    )
    rows = []
    for one in mine:
        about, accuracy, f1 = one["about"], one["differences"]["accuracy"], one["differences"]["macro_f1"]
        folds = f"{about['folds']} {about['protocol']} folds" + (f", {start_of(about)}" if about["start"] else "")
        done = len({fold for _, fold in one["parts"]})
        what = (f"{about['network']}, " if about["network"] else "") + f"{one['first']} against {one['second']}"
        rows.append(
            [
                called(about["source"]),
                folds + (f" ({done} of them)" if done < about["folds"] else ""),
                what,
                signed(accuracy["pooled"]),
                between(accuracy["interval"], differences=True),
                f"{one['mcnemar']['only_first']:,} / {one['mcnemar']['only_second']:,}",
                p_value(one["mcnemar"]),
                p_value(accuracy["t_test"]),
                signed(f1["pooled"]),
                between(f1["interval"], differences=True),
                p_value(f1["t_test"]),
                _also_differ(one, recipes),
            ]
        )
    header: tuple[str, ...] = ("data", "folds and start", "first against second", "accuracy", "accuracy 95 % interval")
    header += ("right alone", "McNemar p", "accuracy t-test p", "macro-F1", "macro-F1 95 % interval")
    header += ("macro-F1 t-test p", "also differ in")
    yield Table("comparisons", "Differences of accuracy and macro-F1", header, rows)


def _also_differ(one: Found, recipes: Recipes) -> str:
    keys = (tuple({**one["about"], one["by"]: one[side]}.values()) for side in ("first", "second"))
    first, second = map(recipes.get, keys)
    if first is None or second is None:
        return UNKNOWN
    names = [name for name in dict.fromkeys([*first, *second]) if first.get(name) != second.get(name)]
    words = (f"{name} ({first.get(name, 'default')}, {second.get(name, 'default')})" for name in names)
    return "; ".join(words) or NONE


def leaks(found: Found, recipes: Recipes) -> Iterator[Block]:
    """Yield what random folds add to the scores of grouped ones.

    Args:
        found: What ``findings.findings`` returned.
        recipes: Settings; where those differ the leak cannot be told from them.
    """
    mine = [one for one in found["leaks"] if one["about"]["tta"] == "none"]
    if not mine:
        return
    yield Heading("What the leak is worth: random against grouped folds")
    yield Text(
        "Random folds put frames of one film, or copies of one picture, on both sides: the network has seen nearly "
        "what it is asked, and the rows that choose its checkpoint leak likewise. The difference is what the figure "
        "under random folds gains by that, on the rows that both scored, once for each seed. Where not every fold is "
        "trained the numbers of trainings differ."
    )
    rows, names, pairs, left_out = [], [], [], []
    for one in mine:
        about = one["about"]
        name = f"{about['network']} {start_of(about)}, {called(about['source'])}"
        unlike = _also_differ({**one, "by": "protocol", "first": "random", "second": "grouped"}, recipes)
        if unlike not in (NONE, UNKNOWN):
            left_out.append(f"{name} ({unlike})")
            continue
        name += f", {about['folds']}-fold"
        names.append(name)
        pairs.append((one["scores"]["accuracy"]["random"], one["scores"]["accuracy"]["grouped"]))
        cells = [name, "{random} / {grouped}".format_map(one["trainings"]), f"{one['n']:,}"]
        for value in (one["scores"][score] for score in ("accuracy", "macro_f1")):
            cells += [figure(value["random"]), figure(value["grouped"]), signed(value["leak"])]
            cells.append(between(value["interval"], differences=True))
        rows.append(cells)
    if not recipes:
        yield Text("The table of predictions does not tell whether more than the folds differs between the two.")
    if left_out:
        yield Text(f"Left out, as more than the folds differs between random and grouped: {'; '.join(left_out)}.")
    if not rows:
        return
    columns = ("random", "grouped", "leak", "leak 95 % interval")
    header: tuple[str, ...] = ("network, start, data", "trainings random / grouped", "rows")
    header += tuple(f"{score} {column}" for score in ("accuracy", "macro-F1") for column in columns)
    yield Table("leaks", "The same networks under both kinds of folds", header, rows)
    yield Picture(figures.leaks("leaks", "Accuracy under random and grouped folds", names, pairs))


def classes(mine: list[Found]) -> Iterator[Block]:
    """Yield precision, recall and F1 of each class, for the experiments without test-time views."""
    yield Heading("Precision, recall and F1 of each expression")
    yield Text("All rows pooled, with 95 % intervals from the bootstrap of whole groups.")
    for one in mine:
        rows = []
        for place, name in enumerate(one["classes"]):
            cells = [name]
            for score in ("precision", "recall", "f1"):
                cells += [figure(one["pooled"][score][place]), between(one["intervals"][score][place])]
            rows.append([*cells, f"{sum(one['confusion'][place]):,}"])
        scores = ("precision", "recall", "F1")
        header = ("expression", *(words for score in scores for words in (score, f"{score} 95 % interval")), "rows")
        yield Table(f"classes-{one['slug']}", title_of(one), header, rows)


def calibration(found: Found, mine: list[Found]) -> Iterator[Block]:
    """Yield calibration before and after temperature, and the reliability diagrams without test-time views."""
    yield Heading("Calibration")
    yield Text(
        "Expected calibration error (ECE, 15 bins), negative log-likelihood (NLL) and Brier score, before and after a "
        "temperature that was fitted, for each fold, on rows held out of its training, between 0.2 and 5. An ensemble "
        "averages probabilities that had their temperature before, and has none of its own."
    )
    rows = []
    for one in [*found["experiments"], *found["ensembles"]]:
        before, after = one["calibration"]["before"], one["calibration"]["after"]
        cells = [called(one["key"]["source"]), one["key"]["network"], how(one), one["key"]["tta"]]
        cells.append(figure(one["calibration"]["temperature"], 2))
        for name in ("ece", "nll", "brier"):
            cells += [figure(before[name]), figure(after[name] if after else None)]
        rows.append(cells)
    header: tuple[str, ...] = ("data", "network", "folds and start", "views", "mean temperature")
    header += tuple(words for name in ("ECE", "NLL", "Brier") for words in (f"{name} before", f"{name} after"))
    yield Table("calibration", "Calibration before and after temperature", header, rows)
    for one in mine:
        both = {when: one["calibration"][when] for when in ("before", "after")}
        yield Picture(figures.reliability(f"reliability-{one['slug']}", f"Reliability of {title_of(one)}", both))


def confusions(mine: list[Found]) -> Iterator[Block]:
    """Yield the confusion matrices of the experiments without test-time views."""
    yield Heading("Confusion matrices")
    for one in mine:
        title = f"Confusion of {title_of(one)}, n = {one['n']:,}"
        yield Picture(figures.confusion(f"confusion-{one['slug']}", title, one["confusion"], one["classes"]))
