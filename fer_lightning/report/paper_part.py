"""The part of a report that stands beside the paper: its tables 1 to 3 and its figures 1 to 3."""

from collections.abc import Iterator

from fer_lightning.report import figures, paper
from fer_lightning.report.document import Block, Heading, Picture, Table, Text
from fer_lightning.report.figures import Bars
from fer_lightning.report.wording import Found, how, signed, spread


def paper_part(mine: list[Found], every: list[Found]) -> Iterator[Block]:
    """Yield the paper's tables and figures, as far as its data are there.

    Args:
        mine: The experiments without test-time views, as ``findings.scores`` gives them: what the figures show.
        every: Those with such views too: what the tables show.
    """
    sources = {one["key"]["source"] for one in mine}
    if not sources & {"ckplus", "fer2013"}:
        return
    yield Heading("The paper's tables and figures")
    yield Text(
        "Mean and standard deviation over folds; in brackets the difference from what the paper prints. It prints four "
        "expressions, no spread and no overall accuracy, and splits at random. Views is what was averaged of a face."
    )
    for printed in paper.TABLES:
        if printed.source in sources:
            yield _table([one for one in every if one["key"]["source"] == printed.source], printed)
    for figure in paper.FIGURES:
        if figure.source in sources:
            yield _figure([one for one in mine if one["key"]["source"] == figure.source], figure)


def _table(every: list[Found], printed: paper.PrintedTable) -> Table:
    four = list(printed.values["plain_cnn"])
    classes = [*four, *(name for name in every[0]["classes"] if name not in four)]
    rows = []
    for network in dict.fromkeys([*paper.NETWORKS, *(one["key"]["network"] for one in every)]):
        theirs = printed.values.get(network, {})
        if theirs:
            called = f"{paper.NETWORKS[network]} ({network})"
            cells = (f"{theirs[name]:.2f}" if name in theirs else "" for name in classes)
            rows.append([called, "the paper", "", *cells])
        for one in every:
            if one["key"]["network"] == network:
                cells = (_cell(one, printed.score, name, theirs) for name in classes)
                rows.append([network, how(one), one["key"]["tta"], *cells])
    title = f"Table {printed.number}: {printed.title}"
    return Table(f"table{printed.number}", title, ("network", "folds and start", "views", *classes), rows)


def _cell(one: Found, score: str, name: str, theirs: dict[str, float]) -> str:
    if name not in one["classes"]:
        return ""
    place = one["classes"].index(name)
    mean = one["mean"][score][place]
    words = spread(mean, one["spread"][score][place])
    return f"{words} ({signed(mean - theirs[name])})" if name in theirs and mean is not None else words


def _figure(mine: list[Found], printed: paper.PrintedFigure) -> Picture:
    theirs = paper.f1_from_tables() if printed.source == "ckplus" else {}
    classes = mine[0]["classes"]
    panels: dict[str, list[Bars]] = {}
    for one in mine:
        network, key = one["key"]["network"], one["key"]
        marks = theirs.get(network, {}) if (key["protocol"], key["start"]) == ("random", "scratch") else {}
        series = Bars(
            network, one["mean"][printed.score], one["spread"][printed.score], [marks.get(name) for name in classes]
        )
        panels.setdefault(how(one), []).append(series)
    note = "; the paper's from its tables 1 and 2" if theirs else ""
    title = f"Figure {printed.number}: {printed.title} (mean and standard deviation over folds{note})"
    score = {"f1": "F1"}.get(printed.score, printed.score)
    return Picture(figures.bars(f"figure{printed.number}", title, score, classes, panels))
