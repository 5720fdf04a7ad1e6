"""The page's About: what the checkpoint is, how good it is, what it must not be used for, where pictures go."""

from html import escape
from typing import Any

from fer_lightning.card import LIMITS, calibration_line, leakage_lines

KEPT_S = 600
"""Seconds after which uploads and results are deleted from the server."""

TUNNEL = (
    "This page is shared through Gradio's tunnel: your pictures pass through its servers on their way. "
    "The link is public; whoever has it can use this page."
)

PRIVACY = f"""
<h2>What happens to your pictures</h2>
<p>Nothing is stored. Pictures are read on the computer that runs this page, and by nobody else.</p>
<ul>
<li>Camera frames live in memory only, until the next one comes.</li>
<li>An uploaded photo or film, and the copy drawn from it, lie in a private temporary folder so that your browser can
show them. They are deleted after {KEPT_S // 60} minutes, and when the page is stopped.</li>
<li>No history, no account, no statistics: neither this server nor your browser keeps runs, and nothing is sent to
anybody else, unless a line at the top of the page says that it is shared through a tunnel.</li>
</ul>
"""

LIMITS_TEXT = f"""
<h2>What it can and cannot tell</h2>
<p><b>Apparent expression, not felt emotion.</b> {escape(LIMITS)}</p>
<ul>
<li>Its classes are those of its training pictures. It always chooses one, also for a face that shows none of them.</li>
<li>Faces turned far to the side, small, dark, blurred or covered are read badly or not found.</li>
<li>It learned from pictures off the web, in which ages, skin tones and cultures are not equally represented; errors
may be larger for some people than for others. It was not tested for that.</li>
<li>The numbers are the network's own certainty. They are no measurement of a person.</li>
</ul>
<h2>Law</h2>
<p>In the European Union the AI Act (Regulation 2024/1689) forbids systems that infer emotions of people at work and in
education from their faces, but for medical or safety reasons (article 5); elsewhere such systems are high-risk
(annex III), and the people concerned must be told (article 50). Do not use this page on people who have not agreed.</p>
"""

LICENCES_TEXT = """
<h2>Licences</h2>
<p>Code and weights: MIT. The weights were learned from the data named above, whose own terms bind you too. Face
detection: MTCNN of facenet-pytorch, MIT. Example photo: astronaut Eileen Collins, NASA, public domain, from
scikit-image; the other example is drawn.</p>
"""


def about(card: dict[str, Any], model: str) -> str:
    """Return the whole text for one checkpoint.

    Args:
        card: Its card.
        model: What tables call it.
    """
    left = f"{_facts(card, model)}{''.join(_scores(part, found) for part, found in card['scores'].items())}"
    right = f"{PRIVACY}{LIMITS_TEXT}{LICENCES_TEXT}"
    return f'<div class="about"><section>{left}</section><section>{right}</section></div>'


def _facts(card: dict[str, Any], model: str) -> str:
    data, training = card["data"], card["training"]
    facts = [
        ("Checkpoint", model),
        ("Network", f"{card['network']['name']}, {card['parameters']:,} parameters"),
        ("Expressions", ", ".join(card["classes"])),
        ("Learned from", f"{data['source']}, {data['split']} split"),
        ("Pictures", ", ".join(f"{name} {count:,}" for name, count in data["rows"].items())),
        *(("Leakage", line) for line in leakage_lines(data)),
        *(("Trained", f"{training['epochs']} epochs") for _ in range("epochs" in training)),
        *(("Mean of the weights of", one["checkpoint"]) for one in training.get("averaged", [])),
        ("Chosen by", training["chosen_by"]),
        *(("Calibrated", calibration_line(card)) for _ in range("calibration" in card)),
        ("Command", training["command"]),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(str(text))}</dd></div>" for name, text in facts)
    return f"<h2>The checkpoint</h2><dl>{rows}</dl>"


def _scores(part: str, found: dict[str, Any]) -> str:
    (low, high), (low_f1, high_f1) = found["accuracy_interval"], found["macro_f1_interval"]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{row[kind]:.2f}</td>" for kind in ("precision", "recall", "f1"))
        + f"<td>{row['support']:,}</td></tr>"
        for name, row in found["per_class"].items()
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Expression", "Precision", "Recall", "F1", "Pictures"))
    return (
        f"<h2>Scores on {escape(part)}</h2>"
        f"<p>Right in <b>{found['accuracy']:.1%}</b> of {found['n']:,} pictures "
        f"(95 % interval {low:.1%} to {high:.1%}); "
        f"macro-F1 {found['macro_f1']:.3f} ({low_f1:.3f} to {high_f1:.3f}).</p>"
        f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )
