"""How the page looks: its theme, and the pieces of HTML that show faces; plain strings, escaped here."""

import base64
import io
import itertools
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.drawing import COLOURS
from fer_lightning.recognizer import Face
from fer_lightning.timeline import Timeline

from .reading import HISTORY, LONGEST_FILM, FilmReading, LiveView, Stay, Visitor, stays

_GREENS = (
    *("#effaf6", "#d6f2e9", "#aee5d5", "#7bd1bb", "#46b69d", "#25957f"),
    *("#0b6e5f", "#0a5c50", "#0a4a41", "#093d36", "#04241f"),
)
_UNSURE = 0.5  # below it no class has the majority
_PEOPLE = 24  # of a film that are listed
_GAP = 1.0  # seconds out of sight from which a line is broken


TITLE = f"""
<div class="brand">{(Path(__file__).parent / "favicon.svg").read_text(encoding="utf-8")}
<div><h1>fer_lightning</h1><p>Names the expression a face shows: in photos, on camera, in films.</p></div></div>
"""


def theme() -> gr.themes.Base:
    """Return colours and type: quiet greys, one green, the fonts of the visitor's system (none is fetched)."""
    green = gr.themes.Color(*_GREENS)
    fonts = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    base = gr.themes.Base(
        primary_hue=green, secondary_hue=green, neutral_hue="zinc", radius_size="lg", font=fonts, font_mono=mono
    )
    return base.set(
        input_background_fill="#ffffff",
        input_background_fill_dark="#25282b",
        input_border_color="#d5d5d0",
        input_border_color_dark="#3a3e43",
        input_border_width="1px",
        body_background_fill="#f6f6f4",
        body_background_fill_dark="#121314",
        body_text_color="#1a1c1e",
        body_text_color_dark="#ececec",
        body_text_color_subdued="#5a5e63",
        body_text_color_subdued_dark="#a6abb1",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1b1d1f",
        block_border_color="#e2e2de",
        block_border_color_dark="#303338",
        block_label_text_color="#5a5e63",
        block_label_text_color_dark="#b4b9bf",
        block_label_background_fill="#ffffff",
        block_label_background_fill_dark="#1b1d1f",
        block_shadow="none",
        block_title_text_weight="600",
        block_title_text_color="#45494e",
        block_title_text_color_dark="#d0d4d8",
        block_info_text_color="#45494e",
        button_primary_background_fill="#0b6e5f",
        button_primary_background_fill_hover="#095a4e",
        button_primary_background_fill_dark="#0b6e5f",
        button_primary_background_fill_hover_dark="#0d8371",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#eeeeea",
        button_secondary_background_fill_dark="#25282b",
        button_secondary_background_fill_hover_dark="#303338",
        button_secondary_border_color="#d5d5d0",
        button_secondary_border_color_dark="#3a3e43",
        button_border_width="1px",
    )


def data_url(picture: Image.Image, kind: str = "jpeg", quality: int = 80) -> str:
    """Return a picture as a ``data:`` address, so that no file of it is made."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": quality} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def percent(value: float) -> str:
    """Return a share as text: ``99.1 %``."""
    return f"{value:.1%}".replace("%", "\N{NO-BREAK SPACE}%")


def note(text: str, kind: str = "plain") -> str:
    """Return one line for the visitor; the kind is ``plain`` or ``warn``."""
    return f'<p class="note {kind}" role="status">{escape(text)}</p>'


def face_cards(faces: Sequence[Face], shown: Iterable[NDArray[np.float64]], numbers: Iterable[int]) -> str:
    """Return a card for each face: its crop as the network saw it, and a bar for every class in the fixed order.

    Args:
        faces: The faces.
        shown: The probabilities ``[K]`` to show for each.
        numbers: What each is called, as on the picture.
    """
    cards = [_card(face, values, number) for face, values, number in zip(faces, shown, numbers, strict=True)]
    return f'<div class="faces">{"".join(cards)}</div>'


def _card(face: Face, values: NDArray[np.float64], number: int) -> str:
    best = int(values.argmax())
    label = escape(face.classes[best])
    unsure = '<span class="unsure">unsure</span>' if values[best] < _UNSURE else ""
    crop = data_url(Image.fromarray(face.crop), "png")
    return (
        f'<article class="face" aria-label="Face {number}: {label}, {percent(values[best])}">'
        f'<figure><img src="{crop}" alt="Face {number} as the network saw it" width="96" height="96">'
        "<figcaption>as the network saw it</figcaption></figure>"
        f'<div class="reading"><p class="headline"><span class="number">{number}</span> <b>{label}</b> '
        f'<span class="share">{percent(values[best])}</span> {unsure}</p>{bars(face.classes, values)}</div></article>'
    )


def bars(classes: Sequence[str], values: Sequence[float] | NDArray[np.float64]) -> str:
    """Return a bar for every class, in the order of the classes, with its percentage as text."""
    best = int(np.argmax(values))
    rows = "".join(
        f'<tr{" class=top" if place == best else ""}><th scope="row">{escape(name)}</th>'
        f'<td class="track"><span style="width:{100 * float(value):.1f}%"></span></td>'
        f'<td class="percent">{percent(float(value))}</td></tr>'
        for place, (name, value) in enumerate(zip(classes, values, strict=True))
    )
    return f'<table class="bars"><tbody>{rows}</tbody></table>'


def chart(
    classes: Sequence[str],
    times: Sequence[float],
    rows: Sequence[NDArray[np.float64]],
    span: tuple[float, float],
    ends: tuple[str, str],
) -> str:
    """Return a line for each class over time, broken where the face was out of sight.

    Args:
        classes: Names of the K classes.
        times: Seconds, rising.
        rows: Probabilities ``[K]`` at each.
        span: Seconds at the left and the right edge.
        ends: What stands below these edges.
    """
    across = [100 * (time - span[0]) / max(span[1] - span[0], 1e-3) for time in times]
    breaks = [0, *(place for place in range(1, len(times)) if times[place] - times[place - 1] > _GAP), len(times)]
    parts = [slice(*ends) for ends in itertools.pairwise(breaks)]
    lines = "".join(
        f'<polyline points="{_points(across[part], [float(row[place]) for row in rows[part]])}" '
        f'stroke="{colour(place)}"/>'
        for place in range(len(classes))
        for part in parts
    )
    now = f"; at the end {escape(classes[int(rows[-1].argmax())])}" if rows else ""
    return (
        f'<figure class="chart" role="img" aria-label="Probability of each expression over time{now}">'
        f'<div class="plot"><span class="high">100&nbsp;%</span><span class="low">0&nbsp;%</span>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M0 25H100M0 50H100M0 75H100"/>{lines}</svg></div>'
        f'<p class="axis"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></p></figure>'
    )


def legend(classes: Sequence[str]) -> str:
    """Return the names of the classes with the colours of their lines."""
    names = (f'<li><i style="background:{colour(place)}"></i>{escape(name)}</li>' for place, name in enumerate(classes))
    return f'<ul class="legend">{"".join(names)}</ul>'


def colour(place: int) -> str:
    """Return the colour of a class's line, the one that it has on drawn pictures."""
    return COLOURS[place % len(COLOURS)]


def _points(across: Sequence[float], up: Sequence[float]) -> str:
    return " ".join(f"{x:.2f},{100 - 100 * y:.1f}" for x, y in zip(across, up, strict=True))


def summary(faces: Sequence[Face]) -> str:
    """Return in words what is on a photo, also for those who cannot see it."""
    if not faces:
        return "no face"
    named = (f"face {number} {face.label} {percent(face.confidence)}" for number, face in enumerate(faces, 1))
    return f"{len(faces)} {'face' if len(faces) == 1 else 'faces'}: {', '.join(named)}"


def empty(title: str, text: str) -> str:
    """Return what stands where a result will be."""
    return f'<div class="empty"><p><b>{escape(title)}</b></p><p>{escape(text)}</p></div>'


CAMERA_HELP = """
<ol class="steps"><li>Choose <b>Click to Access Webcam</b> and allow it.</li><li>Choose <b>Record</b>.</li></ol>
<p class="note warn insecure" hidden>Browsers lend the camera only to pages on <b>localhost</b> or over <b>https</b>;
this page is neither. Open it on the computer that runs it, or have it shared with <code>--share</code>.</p>
"""
CAMERA_CHECK = """
element.querySelector('.insecure').hidden = window.isSecureContext
// Gradio calls the button "capture photo" for screen readers, whether it says Record or Stop
const unname = () => document.querySelector('#camera .capture-button[aria-label]')?.removeAttribute('aria-label')
new MutationObserver(unname).observe(document.body, { childList: true, subtree: true })
"""

LIVE_VIEW = f"""
<img class="live" alt="Camera picture with faces boxed and named" hidden>
{empty("No picture yet", "Start the camera: boxes, bars and a chart follow the faces.")}
"""
LIVE_SCRIPT = """
const [picture, waiting] = element.querySelectorAll('.live, .empty')
watch('value', () => {
  picture.hidden = !props.value
  waiting.hidden = !!props.value
  if (props.value) picture.src = props.value
})
"""


def live_panel(visitor: Visitor, seen: LiveView) -> str:
    """Return rate, bars and chart of a stream; quiet for screen readers, which could not keep up."""
    faces = [tracked.face for tracked in seen.faces]
    status = f"{len(faces) or 'No'} face{'' if len(faces) == 1 else 's'}"
    head = (
        f'<p class="status"><span>{status}</span><span class="rate" data-frames="{visitor.frames}">'
        f"{seen.rate:.0f} frames/s</span></p>"
    )
    if not faces and not visitor.times:
        return f'<div aria-live="off">{head}{note("No face in view: come closer, or turn on a light.", "warn")}</div>'
    cards = face_cards(faces, [face.smoothed for face in seen.faces], [face.track for face in seen.faces])
    end = visitor.times[-1] if visitor.times else 0.0
    span = (end - HISTORY, end)
    lines = chart(
        visitor.recognizer.classes, list(visitor.times), list(visitor.rows), span, (f"{HISTORY:.0f} s ago", "now")
    )
    title = f"<h2>Face {visitor.track}, the last seconds</h2>"
    return f'<div aria-live="off">{head}{cards}{title}{lines}{legend(visitor.recognizer.classes)}</div>'


def film_report(read: FilmReading) -> str:
    """Return who is in a film, and a chart of each."""
    timeline, people = read.timeline, stays(read.timeline)
    size = f"{read.frames:,} frames, {timeline.duration:.1f} s"
    cut = note(f"Only the first {LONGEST_FILM / 60:.0f} minutes were read.", "warn") if read.cut else ""
    cut += note(read.damage, "warn") if read.damage else ""
    who = f"{len(people) or 'No'} {'person' if len(people) == 1 else 'people'}"
    told = note(f"{who} in {size}", "plain" if people else "warn") + cut
    return (
        told
        + (legend(timeline.classes) if people else "")
        + "".join(_stay(stay, timeline) for stay in people[:_PEOPLE])
    )


def _stay(stay: Stay, timeline: Timeline) -> str:
    crop = data_url(Image.fromarray(stay.crop), "png")
    lines = chart(
        timeline.classes, stay.times, stay.rows, (0.0, timeline.duration), ("0 s", f"{timeline.duration:.1f} s")
    )
    label = escape(stay.label)
    return (
        f'<article class="stay" aria-label="Person {stay.track}: mostly {label}">'
        f'<img src="{crop}" alt="Person {stay.track} as the network saw it" width="64" height="64">'
        f'<div><p class="headline"><span class="number">{stay.track}</span> mostly <b>{label}</b> '
        f'<span class="share">{percent(stay.share)} of the time, '
        f"{stay.times[0]:.1f} to {stay.times[-1]:.1f} s</span></p>"
        f"{lines}</div></article>"
    )
