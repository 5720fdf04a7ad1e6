"""What ``predict`` says on the terminal: a table of the faces, and one line on all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fer_lightning.records import Record


@dataclass
class _Track:
    """A person in a film: from when to when, on how many frames, and the sum of the smoothed probabilities."""

    start: float
    end: float
    frames: int
    total: NDArray[np.float64]


class Overview:
    """Counts over the rows of a table as they come, and what a person wants to see of them."""

    def __init__(self, classes: Sequence[str], listed: bool) -> None:
        """Start with nothing.

        Args:
            classes: Names of the checkpoint's classes.
            listed: Whether :meth:`table` will be asked for, and the faces are to be remembered.
        """
        self.classes = tuple(classes)
        self.sources = self.faceless = self.failed = self.faces = 0
        self._listed = listed
        self._rows: list[tuple[str, ...]] = []
        self._tracks: dict[tuple[str, int], _Track] = {}

    def add(self, row: Record) -> None:
        """Take note of the next row."""
        self.failed += row["error"] is not None
        self.faceless += row["error"] is None and row["face"] is None
        if row["track"] is not None:
            self._follow(row)
            return
        self.faces += row["face"] is not None
        if self._listed:
            self._rows.append(self._photo_row(row))

    def done(self) -> None:
        """Count a source; each track of a film is one face, and one line of the table."""
        self.sources += 1
        self.faces += len(self._tracks)
        if self._listed:
            self._rows += [self._film_row(source, track, seen) for (source, track), seen in self._tracks.items()]
        self._tracks.clear()

    def show(self, console: Console) -> None:
        """Print the table and the summary."""
        console.print(self.table())
        console.print(self.summary(), highlight=False, soft_wrap=True)

    def table(self) -> Table:
        """Return the faces of all photos, and the people of all films."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("source", overflow="fold")
        table.add_column("face", justify="right")
        for column in ("where", "expression", "next"):
            table.add_column(column)
        for row in self._rows:
            table.add_row(*(escape(cell) for cell in row))
        return table

    def summary(self) -> str:
        """Return one line on all of it."""
        parts = [f"{_count(self.faces, 'face')} in {_count(self.sources, 'file')}"]
        if self.faceless:
            parts.append(f"{self.faceless:,} without a face")
        if self.failed:
            parts.append(f"{self.failed:,} could not be read")
        return ", ".join(parts)

    def _follow(self, row: Record) -> None:
        values = np.array([row[f"smooth_p_{name}"] for name in self.classes])
        seen = self._tracks.setdefault(
            (row["source"], row["track"]), _Track(row["time_s"], row["time_s"], 0, np.zeros(len(values)))
        )
        seen.end, seen.frames, seen.total = row["time_s"], seen.frames + 1, seen.total + values

    def _photo_row(self, row: Record) -> tuple[str, ...]:
        if row["error"] is not None:
            return row["source"], "", "", row["error"], ""
        if row["face"] is None:
            return row["source"], "", "", "no face found", ""
        where = f"{row['w']:.0f} x {row['h']:.0f} at {row['x']:.0f}, {row['y']:.0f}"
        values = np.array([row[f"p_{name}"] for name in self.classes])
        return row["source"], str(row["face"]), where, *self._two_best(values)

    def _film_row(self, source: str, track: int, seen: _Track) -> tuple[str, ...]:
        where = f"{seen.start:.1f} to {seen.end:.1f} s"
        return source, f"track {track}", where, *self._two_best(seen.total / seen.frames)

    def _two_best(self, values: NDArray[np.float64]) -> list[str]:
        order = np.argsort(-values, kind="stable")[:2]
        return [f"{self.classes[place]} {values[place]:.0%}" for place in order] + [""] * (2 - len(order))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
