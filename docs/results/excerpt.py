"""Writes README's section on the paper's experiment anew, from the reports that stand beside this file.

Run it as ``python docs/results/excerpt.py``; ``make readme`` does.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
SETS = ("ckplus", "fer2013")
SHOWN = (  # pictures by their file, tables by the beginning of their caption
    *("Experiments", "Table 1", "Table 2", "Table 3", "figure1.svg", "figure2.svg", "figure3.svg"),
    *("Scores of every experiment", "Differences of accuracy and macro-F1"),
    *("The same networks under both kinds of folds", "leaks.svg", "Size and speed"),
)
NAMED = "random folds, from fer2013_45_epochs | flip"
"""What docs/experiments.md named, before it ran, to be held against the paper."""
SINGLE = rf"the paper|\| none \||{re.escape(NAMED)}"
ROWS = {
    **{f"Table {number}": SINGLE for number in (1, 2, 3)},
    "Scores of every experiment": SINGLE,
    "Differences of accuracy and macro-F1": r"against plain_cnn \|",
}
"""Of these tables only the rows in which this is found."""

Reports = dict[str, list[str]]
"""The paragraphs of each set's report."""


def in_place(readme: str) -> str:
    """Return README's text with the section written anew."""
    reports = {name: (HERE / name / "report.md").read_text(encoding="utf-8").split("\n\n") for name in SETS}
    parts = [part for name in SHOWN for part in (_pictures if name.endswith(".svg") else _table)(reports, name)]
    before, rest = readme.split(BEGIN)
    return before + "\n\n".join((BEGIN, *parts, END)) + rest.split(END)[1]


def _table(reports: Reports, name: str) -> Iterator[str]:
    """Yield a table, one for both sets; behind the first also what was planned and not run."""
    caption, head, rows = "", "", []
    for blocks in reports.values():
        for above, block in pairwise(blocks):
            if above.startswith(f"**{name}"):
                columns, alignment, *found = block.split("\n")
                head = head or f"{columns}\n{alignment}"
                if head.split("\n")[0] != columns:
                    raise SystemExit(f"{above} has other columns in one set than in the other; make both anew")
                caption = above
                rows += [row for row in found if re.search(ROWS.get(name, ""), row)]
    yield caption
    yield "\n".join((head, *rows))
    if name == SHOWN[0]:
        yield from (block for blocks in reports.values() for block in blocks if block.startswith("Planned and not"))


def _pictures(reports: Reports, name: str) -> Iterator[str]:
    """Yield a picture of each set that has it."""
    for folder, blocks in reports.items():
        for block in map(str.strip, blocks):
            if re.fullmatch(rf"!\[.*\]\(figures/{re.escape(name)}\)", block):
                yield block.replace("](figures/", f"](docs/results/{folder}/figures/")


if __name__ == "__main__":
    README.write_text(in_place(README.read_text(encoding="utf-8")), encoding="utf-8")
