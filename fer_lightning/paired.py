"""``compare``: a paired test of two checkpoints on the same rows, from the tables that ``test`` wrote. No torch."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_lightning.errors import UserError
from fer_lightning.report import statistics as st
from fer_lightning.report.wording import signed
from fer_lightning.scores import confusion_matrix, rates, resampled

TABLE = "predictions.csv"
_HINT = f"give a folder or {TABLE} that test wrote"
_NEEDED = ("row", "label", "predicted")
_SURE = 0.05


class Answer(NamedTuple):
    """What a network said of a row; rows of one group are much alike."""

    label: str
    predicted: str
    group: str


def read(path: Path) -> dict[str, Answer]:
    """Read a table of predictions.

    Args:
        path: A CSV with the columns ``row``, ``label`` and ``predicted``, or a folder that ``test`` wrote. Without a
            column ``group``, as older tables are, each row is a group of its own.

    Returns:
        The answers by the name of their row.

    Raises:
        UserError: If it is no such table, or a row is damaged or there twice.
    """
    file = path / TABLE if path.is_dir() else path
    answers: dict[str, Answer] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            lines = csv.DictReader(handle)
            if missing := [name for name in _NEEDED if name not in (lines.fieldnames or ())]:
                raise UserError(f"{file} line 1: no column {' and '.join(missing)}; {_HINT}")
            for line in lines:
                if not all(line[name] for name in _NEEDED) or line["row"] in answers:
                    raise UserError(f"{file} line {lines.line_num}: damaged, or a row that is there twice; {_HINT}")
                group = line.get("group") or f"row {line['row']}"
                answers[line["row"]] = Answer(line["label"], line["predicted"], group)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read ({error}); {_HINT}") from None
    if not answers:
        raise UserError(f"{file}: holds no prediction; {_HINT}")
    return answers


def compare(first: Path, second: Path) -> dict[str, Any]:
    """Compare two networks on the rows that both have answered.

    Args:
        first: The table of one, as :func:`read` takes it.
        second: The table of the other; of the same rows with the same labels.

    Returns:
        Plain JSON: ``n``, ``first`` and ``second`` (``table``, ``accuracy``, ``macro_f1``), ``differences`` of both
        scores, first minus second (``value`` and the 95 % ``interval``, bootstrap of whole groups), and ``mcnemar``
        (``only_first``, ``only_second``, exact two-sided ``p``).

    Raises:
        UserError: If a table cannot be used, or the two are of other rows or labels.
    """
    ours, theirs = read(first), read(second)
    _must_match(first, second, ours, theirs)
    rows = list(ours)
    classes = sorted({word for said in (ours, theirs) for one in said.values() for word in one[:2]})
    number = {name: place for place, name in enumerate(classes)}
    label = np.array([number[ours[row].label] for row in rows])
    group = np.unique([ours[row].group for row in rows], return_inverse=True)[1]
    said = [np.array([number[answers[row].predicted] for row in rows]) for answers in (ours, theirs)]
    found = [rates(confusion_matrix(label, predicted, len(classes))) for predicted in said]
    draws = [rates(drawn) for drawn in resampled(group, label, said, len(classes))]
    names = ("accuracy", "macro_f1")
    sides = zip(("first", "second"), (first, second), found, strict=True)
    return {
        "n": len(rows),
        **{side: {"table": str(path), **{name: float(f[name]) for name in names}} for side, path, f in sides},
        "differences": {
            name: {
                "value": float(found[0][name] - found[1][name]),
                "interval": st.interval(draws[0][name] - draws[1][name]),
            }
            for name in names
        },
        "mcnemar": st.mcnemar(said[0] == label, said[1] == label),
    }


def _must_match(first: Path, second: Path, ours: dict[str, Answer], theirs: dict[str, Answer]) -> None:
    if ours.keys() != theirs.keys():
        shared = len(ours.keys() & theirs.keys())
        counts = f"{len(ours):,} and {len(theirs):,} rows, {shared:,} of them shared"
        raise UserError(f"{first} and {second}: {counts}; test both on the same data")
    for row, one in ours.items():
        if one.label != (other := theirs[row].label):
            raise UserError(
                f"{first} and {second}: row {row} is labelled {one.label} and {other}; test both on the same data"
            )


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return what :func:`compare` found, as lines to read."""
    accuracy, macro_f1 = (found["differences"][name] for name in ("accuracy", "macro_f1"))
    test = found["mcnemar"]
    low, high = (signed(100 * bound, 2) for bound in accuracy["interval"])
    low_f1, high_f1 = (signed(bound) for bound in macro_f1["interval"])
    better = "first" if test["only_first"] > test["only_second"] else "second"
    verdict = f"the {better} is the more accurate" if test["p"] < _SURE else "they are not told apart in accuracy"
    return [
        *(
            f"{side + ':':7} {found[side]['table']}: accuracy {found[side]['accuracy']:.2%}, "
            f"macro-F1 {found[side]['macro_f1']:.3f}"
            for side in ("first", "second")
        ),
        f"accuracy, first minus second: {signed(100 * accuracy['value'], 2)} points (95 % interval {low} to {high})",
        f"macro-F1, first minus second: {signed(macro_f1['value'])} (95 % interval {low_f1} to {high_f1})",
        f"right alone, of {found['n']:,} rows: first {test['only_first']:,}, second {test['only_second']:,}; "
        f"McNemar's exact test: p = {test['p']:.4f}, {verdict}",
    ]
