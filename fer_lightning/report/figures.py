"""The pictures of a report, drawn with matplotlib: each with a title, named axes, and a text that stands for it."""

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito: told apart by everyone
_HATCHES = ("", "//", "..", "xx", "\\\\", "++")
_LETTERS_PER_INCH = 11.5


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        slug: Name for files.
        title: What stands above it.
        text: What a reader who cannot see it needs to know.
        draw: Draws it on a new canvas.
        size: Width and height in inches.
    """

    slug: str
    title: str
    text: str
    draw: Callable[["Canvas"], None]
    size: tuple[float, float] = (8.0, 4.2)

    @cached_property
    def svg(self) -> bytes:
        """The picture as SVG; the same figure gives the same bytes."""
        return self._render("svg")

    @property
    def png(self) -> bytes:
        """The picture as PNG; the same figure gives the same bytes."""
        return self._render("png")

    def _render(self, form: Literal["svg", "png"]) -> bytes:
        import matplotlib
        from matplotlib.figure import Figure as Canvas

        # names of classes and files are the user's: none of their letters is a formula, and any font may lack some
        style = {"svg.hashsalt": self.slug, "font.size": 10, "svg.fonttype": "none", "text.parse_math": False}
        with matplotlib.rc_context(style), warnings.catch_warnings():  # type: ignore[arg-type]
            warnings.filterwarnings("ignore", "Glyph .* missing")
            canvas = Canvas(figsize=self.size, layout="constrained")
            self.draw(canvas)
            canvas.suptitle(textwrap.fill(self.title, int(self.size[0] * _LETTERS_PER_INCH)), fontsize=11)
            buffer = io.BytesIO()
            about: dict[str, Any] = {"Title": self.title} | ({"Date": None} if form == "svg" else {"Software": None})
            canvas.savefig(buffer, format=form, dpi=130, metadata=about)
        return buffer.getvalue()


@dataclass(frozen=True)
class Bars:
    """One series of bars: its name, and for each class its height, half its whisker and a mark, where there is one."""

    name: str
    heights: Sequence[float | None]
    spreads: Sequence[float | None]
    marks: Sequence[float | None] = ()

    def words(self, classes: Sequence[str]) -> str:
        """Say what the bars show."""
        marks = [*self.marks, *[None] * (len(classes) - len(self.marks))]
        each = []
        for name, height, spread, mark in zip(classes, self.heights, self.spreads, marks, strict=True):
            around = "" if spread is None else f" ± {spread:.2f}"
            paper = "" if mark is None else f" (the paper {mark:.2f})"
            each.append(f"{name} {'none' if height is None else f'{height:.2f}'}{around}{paper}")
        return f"{self.name}: {', '.join(each)}"


def bars(slug: str, title: str, score: str, classes: Sequence[str], panels: Mapping[str, Sequence[Bars]]) -> Figure:
    """Compare series of a score of each class, a panel for each way of splitting.

    Args:
        slug: Name for files.
        title: Title.
        score: What the bars are.
        classes: Names of the classes.
        panels: Series by the name of the panel.
    """
    names = list(dict.fromkeys(one.name for series in panels.values() for one in series))
    marked = any(mark is not None for series in panels.values() for one in series for mark in one.marks)

    def draw(canvas: "Canvas") -> None:
        handles: dict[str, Any] = {}
        for axes, (panel, series) in zip(_panels(canvas, len(panels)), panels.items(), strict=True):
            width = 0.8 / len(names)
            for one in series:
                number = names.index(one.name)
                places = np.arange(len(classes)) + (number - (len(names) - 1) / 2) * width
                heights = np.array([height or 0.0 for height in one.heights])
                spreads = np.array([spread or 0.0 for spread in one.spreads])
                handles[one.name] = axes.bar(
                    places,
                    heights,
                    width,
                    yerr=(np.minimum(spreads, heights), np.minimum(spreads, 1 - heights)),
                    color=_COLOURS[number % len(_COLOURS)],
                    hatch=_HATCHES[number % len(_HATCHES)],
                    edgecolor="white",
                    error_kw={"linewidth": 1, "capsize": 2, "ecolor": "#333333"},
                )
                for x, mark in zip(places, one.marks, strict=False):
                    if mark is not None:
                        (handles["the paper"],) = axes.plot(x, mark, "D", markersize=4, color="black", zorder=3)
            axes.set(ylim=(0, 1.05), ylabel=f"{score} (0 to 1)", xlabel="expression")
            axes.set_title(textwrap.fill(panel, 42), fontsize=10)
            axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right", rotation_mode="anchor")
            axes.grid(axis="y", alpha=0.3)
            axes.set_axisbelow(True)
        order = [*names, *(["the paper"] if marked else [])]
        canvas.legend([handles[name] for name in order], order, fontsize=9, loc="outside lower center", ncols=4)

    words = [f"{panel}, {one.words(classes)}" for panel, series in panels.items() for one in series]
    return Figure(slug, title, f"{title}. {'; '.join(words)}.", draw, _size(len(panels), 3.9))


def confusion(slug: str, title: str, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Show a confusion matrix: counts on the shares of each row."""
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)

    def draw(canvas: "Canvas") -> None:
        axes = canvas.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="predicted expression", ylabel="labelled expression")
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), classes)
        for (row, column), count in np.ndenumerate(matrix):
            ink = "white" if shares[row, column] > 0.55 else "black"
            text = f"{count}\n{shares[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
        canvas.colorbar(image, label="share of the labelled expression (0 to 1)", shrink=0.8)

    mistakes = [(shares[i, j], i, j) for i in range(len(classes)) for j in range(len(classes)) if i != j]
    worst = ", ".join(f"{classes[i]} taken for {classes[j]} {share:.0%}" for share, i, j in sorted(mistakes)[:-4:-1])
    right = ", ".join(f"{name} {shares[i, i]:.0%}" for i, name in enumerate(classes))
    side = 2.4 + 0.62 * len(classes)
    text = f"{title}. Share recognised: {right}. Most frequent mistakes: {worst}."
    return Figure(slug, title, text, draw, (side + 1.2, side))


def curves(slug: str, title: str, histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """Show learning curves: accuracy on training and held-out rows after each epoch, a thin line for each cell.

    Args:
        slug: Name for files.
        title: Title.
        histories: For each network the epochs of each of its cells.
    """

    def draw(canvas: "Canvas") -> None:
        for axes, (name, runs) in zip(_panels(canvas, len(histories)), histories.items(), strict=True):
            for kind, label, colour in (
                ("train/accuracy", "training rows, augmented", _COLOURS[1]),
                ("val/accuracy", "held-out rows", _COLOURS[0]),
            ):
                lines = [[epoch[kind] for epoch in run] for run in runs]
                for line in lines:
                    axes.plot(range(1, len(line) + 1), line, color=colour, alpha=0.3, linewidth=0.8)
                mean = np.mean([line[: min(map(len, lines))] for line in lines], axis=0)
                axes.plot(range(1, len(mean) + 1), mean, color=colour, linewidth=2, label=f"{label}, mean")
            axes.set(title=name, xlabel="epoch", ylabel="accuracy (0 to 1)", ylim=(0, 1.02))
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8, loc="lower right")

    ends = [
        f"{name}: {np.mean([run[-1]['val/accuracy'] for run in runs]):.2f} on held-out rows after the last epoch"
        for name, runs in histories.items()
    ]
    return Figure(slug, title, f"{title}. {'; '.join(ends)}.", draw, _size(len(histories), 3.8))


def reliability(slug: str, title: str, calibration: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Show reliability diagrams: how often a confidence is right, before and after temperature.

    Args:
        slug: Name for files.
        title: Title.
        calibration: ``before`` and ``after``, as ``findings.scores`` gives them.
    """

    def draw(canvas: "Canvas") -> None:
        panels = _panels(canvas, len(calibration))
        for axes, (when, found) in zip(panels, calibration.items(), strict=True):
            diagram = found["reliability"]
            rows = np.asarray(diagram["rows"])
            axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1, label="perfectly calibrated")
            axes.plot(diagram["confidence"], diagram["accuracy"], color=_COLOURS[0], marker="o", markersize=4)
            shares = rows / rows.sum()
            axes.bar(diagram["confidence"], shares, 0.03, color=_COLOURS[4], alpha=0.5, label="share of the rows")
            axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence (0 to 1)")
            axes.set(ylabel="accuracy; bars: share of rows (0 to 1)")
            axes.set_title(f"{when} temperature: ECE {found['ece']:.3f}", fontsize=10)
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=8, loc="upper left")

    ends = (f"expected calibration error {when} temperature {one['ece']:.3f}" for when, one in calibration.items())
    return Figure(slug, title, f"{title}: {', '.join(ends)}.", draw, (9.0, 4.0))


def leaks(slug: str, title: str, names: Sequence[str], pairs: Sequence[tuple[float, float]]) -> Figure:
    """Show accuracy under random and under grouped folds side by side.

    Args:
        slug: Name for files.
        title: Title.
        names: What was tried.
        pairs: Accuracy under random and grouped folds.
    """

    def draw(canvas: "Canvas") -> None:
        axes = canvas.subplots()
        places = np.arange(len(names))
        for number, (kind, colour) in enumerate((("random", _COLOURS[1]), ("grouped", _COLOURS[0]))):
            widths = [pair[number] for pair in pairs]
            at = places + (number - 0.5) * 0.38
            axes.barh(at, widths, 0.36, label=f"{kind} folds", color=colour, hatch=_HATCHES[number], edgecolor="white")
            for place, width in zip(at, widths, strict=True):
                axes.text(width + 0.01, place, f"{width:.3f}", ha="left", va="center", fontsize=9)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set(xlabel="accuracy (0 to 1)", ylabel="network and start", xlim=(0, 1.1))
        canvas.legend(fontsize=9, loc="outside lower center", ncols=2)

    text = "; ".join(f"{name}: random {a:.3f}, grouped {b:.3f}" for name, (a, b) in zip(names, pairs, strict=True))
    return Figure(slug, title, f"{title}. {text}.", draw, (8.0, 1.8 + 0.7 * len(names)))


def _size(panels: int, height: float) -> tuple[float, float]:
    """Return the size of a figure whose panels stand two to a row."""
    return 4.8 * min(2, panels), height * math.ceil(panels / 2) + 0.4


def _panels(canvas: "Canvas", count: int) -> list["Axes"]:
    grid = canvas.subplots(math.ceil(count / 2), min(2, count), squeeze=False)
    for axes in grid.flat[count:]:
        axes.remove()
    return list(grid.flat[:count])
