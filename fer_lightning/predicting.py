"""``predict``: photos, folders and films in, one table and drawn-on copies out."""

import contextlib
import itertools
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from fer_lightning import records
from fer_lightning.drawing import draw_faces
from fer_lightning.errors import UserError, WriteError
from fer_lightning.film_files import film_frames, is_film
from fer_lightning.inputs import DRAWN, TIMELINE, Source
from fer_lightning.journal import Journal
from fer_lightning.overview import Overview
from fer_lightning.pictures import open_picture
from fer_lightning.predict_options import Options
from fer_lightning.recognizer import Face, Recognizer
from fer_lightning.records import Record
from fer_lightning.whole_files import replacing

_MOST_PIXELS = 64_000_000  # of the photos that are held at a time: 200 MB
_SOME_FAILED = 3


def predict(options: Options, sources: Sequence[Source]) -> int:
    """Do what was asked for.

    Args:
        options: The options.
        sources: The files to work on.

    Returns:
        The exit code: 0, or 3 if some files could not be read.

    Raises:
        UserError: If the checkpoint or an output cannot be used at all; files that cannot be read are rows.
    """
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # photos of 100 megapixels are common
    if options.annotate:
        _make_folder(options.annotate)
    recognizer = _recognizer(options)
    run = _Run(options, recognizer, sources)
    try:
        run.work()
    except KeyboardInterrupt:
        if run.journal:
            print(f"stopped; the same command goes on from {run.journal.path}", file=sys.stderr)
        raise
    return _SOME_FAILED if run.overview.failed else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--annotate {folder}: no folder can be made there ({error.strerror})") from None


def _recognizer(options: Options) -> Recognizer:
    import torch

    try:
        torch.empty(0, device=options.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:100]
        raise UserError(f"--device {options.device}: not to be had here ({reason}); cpu always is") from None
    return Recognizer.from_checkpoint(
        options.checkpoints,
        tta=options.tta,
        logit_adjustment=options.logit_adjustment,
        smallest_face=options.smallest_face,
        working_side=options.working_side,
        device=options.device,
    )


class _Run:
    """One call of ``predict``: what is to be done, and where its results go."""

    def __init__(self, options: Options, recognizer: Recognizer, sources: Sequence[Source]) -> None:
        self.options = options
        self.recognizer = recognizer
        self.copies = _copies(sources, options.annotate) if options.annotate else {}
        self.overview = Overview(recognizer.classes, listed=options.out is None)
        self.journal = Journal(options.out, recognizer.classes, recognizer.model) if options.out else None
        self.pending = self._begin(sources)
        console = Console(stderr=True)
        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)

    def _begin(self, sources: Sequence[Source]) -> list[Source]:
        """Open the journal, and return what is still to be done."""
        if not self.journal:
            return list(sources)
        earlier = {} if self.options.overwrite else self.journal.earlier()
        pending = [source for source in sources if not (earlier.get(source.name) and self._is_drawn(source))]
        kept = earlier.keys() - {source.name for source in pending}
        if kept:
            print(f"{self.options.out}: has results of {len(kept):,} already, which are kept; {len(pending):,} to do")
        self.journal.start(kept)
        return pending

    def _is_drawn(self, source: Source) -> bool:
        return not self.copies or self.copies[source.path].exists()

    def work(self) -> None:
        """Go through all that is pending, write the table, and say what came of it."""
        with contextlib.closing(self.journal) if self.journal else contextlib.nullcontext():
            with self.progress:
                bar = self.progress.add_task("files", total=len(self.pending))
                for source, rows in self._results():
                    self._take(source, rows)
                    self.progress.advance(bar)
            if self.journal:
                self.journal.publish()
        if self.journal and self.pending:
            print(f"{self.options.out}: {self.overview.summary()}")
        elif not self.journal:
            console = Console()
            self.overview.show(console if console.is_terminal else Console(width=160))

    def _results(self) -> Iterator[tuple[Source, Iterable[Record]]]:
        for are_films, group in itertools.groupby(self.pending, lambda source: is_film(source.path)):
            if are_films:
                yield from ((source, self._film(source)) for source in group)
            else:
                yield from self._photos(list(group))

    def _take(self, source: Source, rows: Iterable[Record]) -> None:
        """Pass rows on as they come; a file that fails on the way leaves one with its error."""
        try:
            for row in rows:
                self._add(row)
        except WriteError:
            raise
        except UserError as error:
            reason = _printable(str(error).removeprefix(f"{source.path}: "))
            self.progress.console.print(
                f"{source.name}: {reason}", style="red", markup=False, highlight=False, soft_wrap=True
            )
            self._add(self._faceless(source, reason))
        self.overview.done()
        if self.journal:
            self.journal.done(source.name)

    def _add(self, row: Record) -> None:
        self.overview.add(row)
        if self.journal:
            self.journal.add(row)

    def _faceless(self, source: Source, error: str | None = None) -> Record:
        return records.faceless_record(source.name, self.recognizer.classes, self.recognizer.model, error)

    def _photos(self, sources: Iterable[Source]) -> Iterator[tuple[Source, Iterable[Record]]]:
        for batch in _batches(sources, self.options.batch):
            pictures = [picture for _, picture in batch if isinstance(picture, Image.Image)]
            found = iter(self._recognize(pictures))
            for source, picture in batch:
                yield source, self._photo(source, picture, found)

    def _recognize(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        if self.options.detector == "mtcnn":
            return self.recognizer.recognize_batch(pictures)
        return [[face] for face in self.recognizer.recognize_crops(pictures)]

    def _photo(self, source: Source, picture: Image.Image | UserError, found: Iterator[list[Face]]) -> Iterator[Record]:
        if isinstance(picture, UserError):
            raise picture
        faces = next(found)
        if copy := self.copies.get(source.path):
            with replacing(copy) as part:
                draw_faces(picture, faces).save(part, quality=92)
        yield from records.face_records(source.name, faces, self.recognizer.model) or [self._faceless(source)]

    def _film(self, source: Source) -> Iterator[Record]:
        if self.options.detector == "none":
            raise UserError(f"{source.path}: a film needs --detector mtcnn")
        from fer_lightning.drawn_film import drawn_film  # the decoder behind these takes its time
        from fer_lightning.video import recognize_film

        has_faces = False
        with contextlib.ExitStack() as stack:
            bar = self.progress.add_task(source.path.name, total=film_frames(source.path))
            stack.callback(self.progress.remove_task, bar)
            classes = self.recognizer.classes
            draw = stack.enter_context(drawn_film(self.copies[source.path], classes)) if self.copies else None
            for frame in recognize_film(self.recognizer, source.path, every=self.options.every):
                if draw:
                    draw(frame)
                has_faces = has_faces or bool(frame.faces)
                yield from records.film_records(source.name, frame, self.recognizer.model)
                self.progress.advance(bar)
        if not has_faces:
            yield self._faceless(source)


def _batches(sources: Iterable[Source], most: int) -> Iterator[list[tuple[Source, Image.Image | UserError]]]:
    """Read photos in groups of so many, or fewer where they are large."""
    batch: list[tuple[Source, Image.Image | UserError]] = []
    pixels = 0
    for source in sources:
        picture = _opened(source.path)
        batch.append((source, picture))
        pixels += picture.width * picture.height if isinstance(picture, Image.Image) else 0
        if len(batch) == most or pixels > _MOST_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _opened(path: Path) -> Image.Image | UserError:
    try:
        return open_picture(path)
    except UserError as error:
        return error


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # an error may quote a name that is no UTF-8


def _numbers() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))


def _written(copy: Path) -> set[Path]:
    """Return the files that drawing a copy makes: of a film its timeline, too."""
    beside = copy.with_name(f"{copy.stem.removesuffix(DRAWN)}{TIMELINE}.png")
    return {copy.absolute(), *([beside.absolute()] if is_film(copy) else [])}


def _copies(sources: Sequence[Source], folder: Path) -> dict[Path, Path]:
    """Return where the drawn-on copy of each source goes; no two go to one place, and none onto a source."""
    taken = {source.path.absolute() for source in sources}
    copies = {}
    for source in sources:
        ending = ".mp4" if is_film(source.path) else source.path.suffix.lower()
        ending = ending if ending in (".mp4", ".jpg", ".jpeg") else ".png"
        place = folder / source.inner.parent
        names = (f"{source.path.stem}{n}{DRAWN}{ending}" for n in _numbers())
        copies[source.path] = copy = next(place / name for name in names if not taken & _written(place / name))
        taken |= _written(copy)
    return copies
