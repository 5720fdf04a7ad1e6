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

# What README shows: tables by the beginning of their captions (perhaps only rows with a word), pictures by their names.
TABLES_BEFORE = {"Experiments": "", "Table 1": "", "Table 2": "", "Table 3": ""}
PICTURES = ("figure1", "figure2", "figure3")
TABLES_AFTER = {
    "Scores of every experiment": "| none |",
    "Differences of accuracy and macro-F1": "against plain_cnn |",
    "The same networks under both kinds of folds": "",
}
LEAKS = ("leaks",)
LAST = {"Size and speed": ""}


def section() -> str:
    """Return the section, from its first to its last mark."""
    reports = {name: (HERE / name / "report.md").read_text(encoding="utf-8").split("\n\n") for name in SETS}
    parts = [
        *_tables(reports, TABLES_BEFORE),
        *_pictures(reports, PICTURES),
        *_tables(reports, TABLES_AFTER),
        *_pictures(reports, LEAKS),
        *_tables(reports, LAST),
    ]
    return "\n\n".join((BEGIN, *parts, END))


def in_place(readme: str) -> str:
    """Return README's text with the section written anew."""
    before, rest = readme.split(BEGIN)
    return before + section() + rest.split(END)[1]


def _tables(reports: dict[str, list[str]], wanted: dict[str, str]) -> Iterator[str]:
    """Yield each table, one for both sets, and what was planned and not run behind the first."""
    for name, word in wanted.items():
        caption, head, rows = "", "", []
        for blocks in reports.values():
            for above, block in pairwise(blocks):
                if above.startswith(f"**{name}"):
                    columns, alignment, *found = block.split("\n")
                    head = head or f"{columns}\n{alignment}"
                    if head.split("\n")[0] != columns:
                        raise SystemExit(f"{above} has other columns in one set than in the other; make both anew")
                    caption = above
                    rows += [row for row in found if word in row]
        yield caption
        yield "\n".join((head, *rows))
        if name == "Experiments":
            yield from (block for blocks in reports.values() for block in blocks if block.startswith("Planned and not"))


def _pictures(reports: dict[str, list[str]], wanted: tuple[str, ...]) -> Iterator[str]:
    for picture in wanted:
        for name, blocks in reports.items():
            for block in blocks:
                if re.fullmatch(rf"!\[.*\]\(figures/{picture}\.svg\)", block.strip()):
                    yield block.strip().replace("](figures/", f"](docs/results/{name}/figures/")


if __name__ == "__main__":
    README.write_text(in_place(README.read_text(encoding="utf-8")), encoding="utf-8")
