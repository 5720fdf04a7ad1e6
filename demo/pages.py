"""The four tabs: Gradio's components, and handlers that call the plain functions behind them."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray

from fer_lightning import records
from fer_lightning.errors import UserError

from . import about, looks, reading
from .models import Models

EXAMPLES = Path(__file__).resolve().parent / "examples"
_SHOWN_EVERY = 3  # frames of a stream after which bars and chart are redrawn; the picture is on each
_TOLD_EVERY = 5  # frames of a film after which the progress bar moves
_CAMERA = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}, "facingMode": "user"}}
_NO_PHOTO = looks.empty("Your faces appear here", "Choose a photo, paste one, take a snapshot, or try an example.")
_NO_FILM = looks.empty("No film yet", "A short film is enough; everybody in it gets a number that stays.")
_Handler = Callable[..., Any]
_html = functools.partial(gr.HTML, apply_default_css=False)


def _plainly(handler: _Handler) -> _Handler:
    """Show a visitor's mistake in words; what else goes wrong stays in the log of the server."""

    @functools.wraps(handler)
    def careful(*args: Any, **options: Any) -> Any:
        try:
            return handler(*args, **options)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False, title="That did not work") from None

    return careful


def _folder() -> Path:
    """Make a folder for results inside Gradio's own, from which they are deleted in time."""
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))


def _unread(photo: gr.Image) -> gr.Image:
    """Let a component hand on the file as it was uploaded; Gradio would open it first, and fail without clear words."""
    photo.preprocess = lambda payload: payload.path if payload else None  # type: ignore[method-assign]
    return photo


def photo_tab(models: Models, checkpoint: gr.Dropdown) -> None:
    """Lay out and wire the tab of photos."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = _unread(
                gr.Image(label="Photo", type="filepath", height=320, elem_id="photo", buttons=["fullscreen"])
            )
            _html('<p class="caption">Or try an example:</p>')
            with gr.Row(elem_classes="examples"):
                for name, file in (("A photo", "astronaut.jpg"), ("Drawings", "drawn-trio.jpg")):
                    example = gr.Button(name, icon=str(EXAMPLES / file), size="sm", elem_classes="example")
                    example.click(
                        functools.partial(str, EXAMPLES / file), None, photo, api_visibility="private", queue=False
                    )
        with gr.Column(scale=3, min_width=300):
            result = gr.Image(
                label="Faces",
                show_label=False,
                format="jpeg",
                interactive=False,
                visible=False,
                elem_id="photo-result",
                buttons=["download", "fullscreen"],
            )
            cards = _html(_NO_PHOTO, elem_id="photo-cards")
            table = gr.DownloadButton("Download the table (CSV)", visible=False, size="sm", elem_id="photo-table")

    @_plainly
    def read(path: str | None, name: str) -> tuple[Any, str, Any]:
        if path is None:
            return gr.update(value=None, visible=False), _NO_PHOTO, gr.update(visible=False)
        recognizer = models.get(name)
        picture, faces = reading.read_photo(recognizer, Path(path))
        said = looks.summary(faces)
        file = _folder() / f"{Path(path).stem}.csv"
        records.write(file, reading.photo_rows(recognizer, faces, Path(path).name), recognizer.classes)
        shown = looks.face_cards(faces, [face.probabilities for face in faces], range(1, len(faces) + 1))
        return (
            gr.update(value=reading.marked(picture, faces), visible=True, alt_text=f"The photo, with {said} marked"),
            looks.note(said[0].upper() + said[1:], "plain" if faces else "warn") + shown,
            gr.update(value=str(file), visible=True),
        )

    gr.on(
        [photo.change, checkpoint.change],
        read,
        [photo, checkpoint],
        [result, cards, table],
        trigger_mode="always_last",
        concurrency_limit=2,
        concurrency_id="photo",
        show_progress="minimal",
        api_visibility="private",
    )
    _api(models)


def _api(models: Models) -> None:
    """Offer ``/predict`` to programs: hidden components, so that Gradio checks the file as it does an upload."""
    picture = gr.File(visible=False, label="picture")
    checkpoint = gr.Dropdown(models.names, value=models.names[0], visible=False, label="checkpoint")
    answer = gr.JSON(visible=False, label="predictions")

    @_plainly
    def predict(picture: str | None, checkpoint: str) -> dict[str, Any]:
        """Find the faces of a picture and name their apparent expressions; as `predict --out x.json` writes it."""
        if picture is None:
            raise UserError("give a picture")
        return reading.prediction(models.get(checkpoint), Path(picture))

    gr.Button(visible=False).click(
        predict, [picture, checkpoint], answer, api_name="predict", concurrency_limit=2, concurrency_id="photo"
    )


def live_tab(models: Models, checkpoint: gr.Dropdown) -> None:
    """Lay out and wire the tab of the camera."""
    visitor = gr.State(None, time_to_live=3600)
    with gr.Row(elem_id="live"):
        with gr.Column(elem_id="live-camera"):
            _html(looks.CAMERA_HELP, js_on_load=looks.CAMERA_CHECK)
            camera = gr.Image(
                label="Camera",
                sources=["webcam"],
                streaming=True,
                type="numpy",
                height=240,
                elem_id="camera",
                webcam_options=gr.WebcamOptions(mirror=True, constraints=_CAMERA),
            )
        with gr.Column(elem_id="live-picture"):
            view = _html("", html_template=looks.LIVE_VIEW, js_on_load=looks.LIVE_SCRIPT, elem_id="live-view")
        with gr.Column(elem_id="live-reading"):
            panel = _html("", elem_id="live-panel")

    @_plainly
    def look(frame: NDArray[np.uint8] | None, name: str, known: reading.Visitor | None) -> tuple[Any, Any, Any]:
        if frame is None:
            return gr.skip(), gr.skip(), known
        recognizer = models.get(name)
        if known is None or known.recognizer is not recognizer:
            known = reading.Visitor(recognizer)
        seen = known.look(frame)
        is_due = known.frames % _SHOWN_EVERY == 1
        return looks.data_url(seen.picture), looks.live_panel(known, seen) if is_due else gr.skip(), known

    camera.stream(
        look,
        [camera, checkpoint, visitor],
        [view, panel, visitor],
        stream_every=0.05,
        time_limit=15,
        concurrency_limit=3,
        show_progress="hidden",
        api_visibility="private",
    )


def video_tab(models: Models, checkpoint: gr.Dropdown) -> None:
    """Lay out and wire the tab of films."""
    halt = gr.State(reading.Halt())
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            film = gr.Video(label="Film", sources=["upload"], height=260, elem_id="film")
            with gr.Row():
                start = gr.Button("Read the film", variant="primary", interactive=False, elem_id="film-start")
                stop = gr.Button("Stop", visible=False, elem_id="film-stop")
            _html(f'<p class="caption">Up to 200 MB; the first {reading.LONGEST_FILM / 60:.0f} minutes are read.</p>')
        with gr.Column(scale=3, min_width=300):
            result = gr.Video(
                label="Annotated film",
                show_label=False,
                interactive=False,
                visible=False,
                elem_id="film-result",
                buttons=["download"],
            )
            told = _html(_NO_FILM, elem_id="film-told")
            table = gr.DownloadButton("Download the table (CSV)", visible=False, size="sm", elem_id="film-table")

    @_plainly
    def read(
        path: str | None,
        name: str,
        halt: reading.Halt,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio looks for it in the defaults)
    ) -> tuple[Any, ...]:
        halt.asked = False
        if path is None:
            raise UserError("choose a film first")
        if not Path(path).is_file():
            raise UserError("the film was deleted from the server already; upload it once more")
        progress(0, desc="Opening the film")
        recognizer = models.get(name)

        def tell(done: int, total: int | None) -> bool:
            if done % _TOLD_EVERY == 0:
                of = f" of {total}" if total else ""
                progress(min(1.0, done / total) if total else 0.5, desc=f"Frame {done}{of}")
            return not halt.asked

        found = reading.read_film(recognizer, Path(path), _folder(), tell)
        return (
            gr.update(value=str(found.film), visible=True),
            looks.film_report(found),
            gr.update(value=str(found.table), visible=True),
        )

    outputs: list[Any] = [result, told, table]
    quiet: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    start.click(lambda: gr.update(visible=True), None, stop, **quiet)
    running = start.click(
        read, [film, checkpoint, halt], outputs, concurrency_limit=1, api_visibility="private", show_progress_on=told
    )
    running.then(lambda: gr.update(visible=False), None, stop, **quiet)
    stop.click(lambda halt: setattr(halt, "asked", True), halt, None, **quiet)
    film.change(lambda path: gr.update(interactive=path is not None), film, start, **quiet)
    film.clear(
        lambda: (gr.update(value=None, visible=False), _NO_FILM, gr.update(visible=False)), None, outputs, **quiet
    )


def about_tab(models: Models, checkpoint: gr.Dropdown, page: gr.Blocks) -> None:
    """Lay out and wire the tab that says what this is."""
    text = _html(elem_id="about")

    @_plainly
    def tell(name: str) -> str:
        recognizer = models.get(name)
        return about.about(recognizer.card, recognizer.model)

    gr.on([page.load, checkpoint.change], tell, checkpoint, text, api_visibility="private", show_progress="hidden")
