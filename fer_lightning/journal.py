"""What a run has done so far, so that a stopped run goes on instead of starting over: ``FILE.part`` beside ``FILE``.

Each line is JSON: a row of the table, or ``{"done": source}`` behind a source's last row. A source without that line
was cut off and is done again. When all is done, the table itself is written from it and the journal goes.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from fer_lightning import records
from fer_lightning.errors import UserError, WriteError
from fer_lightning.records import Record
from fer_lightning.whole_files import replacing


class Journal:
    """The rows of a table while it grows."""

    def __init__(self, out: Path, classes: Sequence[str], model: str) -> None:
        """Name the table and what fills it; nothing is written before :meth:`start`.

        Args:
            out: The table.
            classes: Names of the checkpoint's classes.
            model: What the table calls the checkpoint.
        """
        self.out = out
        self.classes = tuple(classes)
        self.model = model
        self.path = out.with_name(f"{out.name}.part")
        self._lock = FileLock(out.with_name(f".{out.name}.lock"))  # lifted by the system, however the process ends

    def earlier(self) -> dict[str, bool]:
        """Return the sources that an earlier run has been through, and whether each could be read.

        Raises:
            UserError: If the table or the journal is of another checkpoint, or is none.
        """
        found = {}
        for row in self._old_rows():
            if row["model"] != self.model or tuple(row) != records.columns(self.classes):
                raise UserError(
                    f"{self._old()}: holds results of the checkpoint {row['model']}, and this is {self.model}; "
                    "choose another --out, or --overwrite it"
                )
            found[row["source"]] = row["error"] is None
        return found

    def start(self, kept: Collection[str]) -> None:
        """Begin, with an earlier run's rows of these sources.

        Raises:
            UserError: If another run is at work on the same table.
        """
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            cure = "wait for its end, or choose another --out"
            raise UserError(f"{self.out}: another run is at work on it; {cure}") from None
        except OSError as error:
            raise WriteError(f"{self.out}: cannot be written ({error.strerror}); choose another place") from None
        with replacing(self.path) as part, part.open("w", encoding="utf-8") as file:
            if kept:
                file.writelines(_line(row) for row in self._old_rows() if row["source"] in kept)
                file.writelines(_line({"done": source}) for source in kept)
        self._file = self.path.open("a", encoding="utf-8")

    def add(self, row: Record) -> None:
        """Append a row; those of a source stand together."""
        self._file.write(_line(row))

    def done(self, source: str) -> None:
        """Note that a source's last row was added."""
        self._file.write(_line({"done": source}))
        self._file.flush()

    def close(self) -> None:
        """Stop here; the next run goes on from what was done."""
        self._file.close()
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def publish(self) -> None:
        """Write the table, and remove the journal."""
        self._file.close()
        records.write(self.out, self._journal_rows(), self.classes)
        self.path.unlink()

    def _old(self) -> Path | None:
        return next((path for path in (self.path, self.out) if path.is_file()), None)

    def _old_rows(self) -> Iterator[Record]:
        if self.path.is_file():
            return self._journal_rows()
        return records.read(self.out)[1] if self.out.is_file() else iter(())

    def _journal_rows(self) -> Iterator[Record]:
        done = {item["done"] for item in self._items() if "done" in item}
        return (item for item in self._items() if item.get("source") in done)

    def _items(self) -> Iterator[Record]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("}\n"):  # the last may be cut off
                    yield json.loads(line)


def _line(item: Record) -> str:
    return f"{json.dumps(item)}\n"
