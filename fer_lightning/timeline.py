"""The expressions of a film's faces over time: a picture with a row for each track and a line for each class."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch behind it; drawing needs none
    from fer_lightning.tracking import TrackedFace

# Okabe and Ito's colours, which colour-blind readers tell apart; the yellow is darker, to be seen on white.
_COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#000000", "#8B6F00")
_DASHES = ("solid", "dashed", "dotted")  # with more than eight classes the colours come again, dashed
_POINTS = 2000  # of a track that are kept
_TRACKS = 64  # that are kept
_ROWS = 12  # that are drawn
_GAP = 1.0  # seconds out of sight from which a line is broken
_ENDED = 10.0  # seconds out of sight after which a short track may be dropped for others


@dataclass
class Curve:
    """What is kept of a track.

    Attributes:
        crop: How the face looked at first, grey uint8 ``[48, 48]``.
        times: Moments, in seconds.
        values: Its smoothed probabilities at each, ``[K]``.
        step: Of so many frames with the face one is kept.
        seen: On how many frames the face was.
        last: When it was seen last, in seconds.
    """

    crop: NDArray[np.uint8]
    times: list[float] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    step: int = 1
    seen: int = 0
    last: float = 0.0

    def add(self, time_s: float, value: NDArray[np.float64]) -> None:
        """Take in a frame."""
        if self.seen % self.step == 0:
            self.times.append(time_s)
            self.values.append(value)
        self.seen, self.last = self.seen + 1, time_s
        if len(self.times) > _POINTS:
            self.times, self.values, self.step = self.times[::2], self.values[::2], 2 * self.step


class Timeline:
    """Collects the smoothed probabilities of a film's faces, thinned out so that memory stays flat.

    Of a long track every second, fourth, ... moment is kept, of very many tracks the longest.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        """Start empty.

        Args:
            classes: Names of the K classes.

        Attributes:
            duration: Length of the film in seconds.
            curves: Number of each track -> what is kept of it.
        """
        self.classes = tuple(classes)
        self.duration = 0.0
        self.curves: dict[int, Curve] = {}

    def add(self, time_s: float, faces: "Sequence[TrackedFace]") -> None:
        """Take in a frame.

        Args:
            time_s: Its time in seconds.
            faces: Its faces; a frame without any counts for the length of the film.
        """
        self.duration = max(self.duration, time_s)
        for tracked in faces:
            curve = self.curves.setdefault(tracked.track, Curve(tracked.face.crop))
            curve.add(time_s, tracked.smoothed)
        ended = [number for number, curve in self.curves.items() if time_s - curve.last > _ENDED]
        if len(self.curves) > _TRACKS and ended:
            del self.curves[min(ended, key=lambda number: self.curves[number].seen)]


def timeline_picture(timeline: Timeline, title: str = "") -> bytes:
    """Draw the longest tracks of a film, one above the other, and return them as PNG.

    Args:
        timeline: What was collected.
        title: What stands above, such as the film's name.
    """
    from matplotlib.figure import Figure  # half a second; not pyplot, which is no thread's friend

    tracks = sorted(sorted(timeline.curves, key=lambda number: -timeline.curves[number].seen)[:_ROWS])
    rows = max(1, len(tracks))
    figure = Figure(figsize=(11, 1.3 + 1.35 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False, sharex="col", gridspec_kw={"width_ratios": (1, 14)})
    for (picture, axes), number in zip(grid, tracks, strict=False):
        _draw_face(picture, number, timeline.curves[number])
        _draw_lines(axes, timeline.curves[number], timeline.classes)
    if not tracks:
        grid[0, 0].set_axis_off()
        grid[0, 1].text(0.5, 0.5, "no face was found", ha="center", va="center", transform=grid[0, 1].transAxes)
    for axes in grid[:, 1]:
        axes.set(xlim=(0, max(timeline.duration, 1e-3)), ylim=(-0.03, 1.03), yticks=(0, 0.5, 1))
        axes.set_yticklabels(("0", "50 %", "100 %"), fontsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    grid[-1, 1].set_xlabel("seconds")
    _frame(figure, timeline, len(tracks), title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_face(axes: Any, number: int, curve: Curve) -> None:
    axes.imshow(curve.crop, cmap="gray", vmin=0, vmax=255)
    axes.set_title(f"face {number}", fontsize=10, pad=3)
    axes.set_axis_off()


def _draw_lines(axes: Any, curve: Curve, classes: Sequence[str]) -> None:
    times, values = np.array(curve.times), np.stack(curve.values)
    breaks = np.flatnonzero(np.diff(times) > max(_GAP, 3 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0))
    times = np.insert(times, breaks + 1, np.nan)
    values = np.insert(values, breaks + 1, np.nan, axis=0)
    for place, name in enumerate(classes):
        style = {"color": _COLOURS[place % len(_COLOURS)], "linestyle": _DASHES[place // len(_COLOURS) % len(_DASHES)]}
        axes.plot(
            times, values[:, place], label=name, linewidth=1.8, marker="." if len(curve.times) == 1 else "", **style
        )


def _frame(figure: Any, timeline: Timeline, shown: int, title: str) -> None:
    """Put the title above the picture, and one legend for all rows below."""
    more = len(timeline.curves) - shown
    text = title + (f" (the {shown} faces seen longest)" if more > 0 else "")
    if text.strip():
        figure.suptitle(text.strip(), fontsize=12)
    handles, names = figure.axes[1].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 8), frameon=False, fontsize=10)
