"""The page: photos, live video and films, read by a checkpoint. A Hugging Face Space runs this file.

``python -m demo`` starts it with options; :func:`build` returns it to be launched by others.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

if not __package__:  # run by its path: the folder around it becomes the package that the imports below need
    __package__ = Path(__file__).resolve().parent.name
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gradio as gr
from PIL import Image

from . import about, looks, pages, reading
from .models import Models

_HERE = Path(__file__).resolve().parent

LAUNCH: dict[str, Any] = {
    "theme": looks.theme(),
    "css_paths": _HERE / "style.css",
    "favicon_path": _HERE / "favicon.svg",
    "max_file_size": "200mb",
    "run_history": False,  # else every run stays in the visitor's browser, faces and all
    "footer_links": ["api"],
    "state_session_capacity": 200,
    "ssr_mode": False,
    "show_error": False,
    "quiet": True,
}
"""What to launch the page with: its looks, and what keeps pictures from being stored or read by others."""


def build(models: Models) -> gr.Blocks:
    """Return the page, ready for ``launch(**LAUNCH)``.

    Args:
        models: The checkpoints it offers.
    """
    Image.MAX_IMAGE_PIXELS = reading.LARGEST_PICTURE
    gr.set_static_paths([pages.EXAMPLES])  # shown from where they lie, and the only files that are
    kept = (60, about.KEPT_S)
    page: gr.Blocks = gr.Blocks(title="fer_lightning", analytics_enabled=False, delete_cache=kept)
    with page:
        tunnel = gr.HTML(apply_default_css=False, elem_id="tunnel")
        page.load(
            lambda: looks.note(about.TUNNEL, "warn") if page.share_url else "",
            None,
            tunnel,
            api_visibility="private",
            show_progress="hidden",
        )
        with gr.Row(elem_id="head"):
            gr.HTML(looks.TITLE, apply_default_css=False, elem_id="title")
            checkpoint = gr.Dropdown(
                models.names, value=models.names[0], label="Checkpoint", scale=0, min_width=280, elem_id="checkpoint"
            )
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Photo", id="photo"):
                pages.photo_tab(models, checkpoint)
            with gr.Tab("Live", id="live"):
                pages.live_tab(models, checkpoint)
            with gr.Tab("Video", id="video"):
                pages.video_tab(models, checkpoint)
            with gr.Tab("About", id="about"):
                pages.about_tab(models, checkpoint, page)
    page.queue(max_size=20)
    return page


if __name__ == "__main__":
    sys.exit(importlib.import_module(f"{__package__}.__main__").main())
