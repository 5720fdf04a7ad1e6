"""The card that travels in every checkpoint, as machines and as people want to read it."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_lightning import __version__

if TYPE_CHECKING:  # only `show` prints
    from rich.console import Console

LIMITS = (
    "It names the expression that people see on a face, not what the person feels. The EU AI Act forbids inferring "
    "emotions at work and in education, with narrow exceptions."
)
LICENCES = (
    "Code and weights: MIT. The weights were learned from the data named above, whose own terms bind you too: "
    "FER2013, FER+'s pictures and CK+ are for research."
)
_DROPPED = {
    "identical": "with a picture identical to a scored one",
    "near-identical": "with a picture near-identical to a scored one",
    "repeated": "that repeat an earlier one's picture",
    "faceless": "on which the crowd saw no face",
}
_PACKAGES = ("torch", "lightning", "torchmetrics", "albumentations", "numpy", "scikit-learn")


def environment() -> dict[str, Any]:
    """Return what a training ran on: versions, system, processor, accelerators and the commit of the code."""
    versions: dict[str, str | None] = {"fer_lightning": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0)) if _linux() else os.cpu_count()} cores",
        "accelerators": _accelerators(),
        "git_commit": _commit(),
        "versions": versions,
    }


def _linux() -> bool:
    return sys.platform.startswith("linux")


def _processor() -> str:
    if _linux():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def _commit() -> str | None:
    """Return the commit of the checkout that the package runs from, with ``+changes`` if it was edited."""
    here = Path(__file__).resolve().parents[1]
    if not (here / ".git").exists():
        return None

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def card_json(card: dict[str, Any]) -> str:
    """Return a card for machines: ``network`` is its name, the rest stands as it was written."""
    return json.dumps(
        {**card, "network": card["network"]["name"], "network_options": card["network"]["options"]}, indent=2
    )


def show(card: dict[str, Any], console: "Console") -> None:
    """Print a card for people."""
    from fer_lightning.results import show_scores

    for name, text in _facts(card):
        console.print(f"[bold]{name}[/bold]: {_plain(text)}", highlight=False, soft_wrap=False)
    for part, found in card["scores"].items():
        show_scores(found, part, console)


def markdown(card: dict[str, Any], name: str) -> str:
    """Return a card as Markdown, for a README or a model hub.

    Args:
        card: The card.
        name: What stands above, the name of the checkpoint.
    """
    from fer_lightning.results import score_line

    lines = [f"## {name}", "", *(f"- **{fact}**: {text}" for fact, text in _facts(card))]
    for part, found in card["scores"].items():
        lines += ["", f"{part}: {score_line(found)}", "", "| class | precision | recall | F1 | support |"]
        lines.append("|---|---:|---:|---:|---:|")
        for label, row in found["per_class"].items():
            rates = " | ".join(f"{row[kind]:.3f}" for kind in ("precision", "recall", "f1"))
            lines.append(f"| {label} | {rates} | {row['support']:,} |")
    return "\n".join(lines)


def _facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    training, data = card["training"], card["data"]
    options = "".join(f", {name} {value}" for name, value in card["network"]["options"].items())
    return [
        ("network", f"{card['network']['name']}{options}"),
        ("cost", f"{card['parameters']:,} parameters, {card['multiply_adds']:,} multiply-adds a face"),
        ("classes", ", ".join(card["classes"])),
        ("input", card["preprocessing"]),
        ("data", f"{data['source']}, {data['split']} split; fingerprint {data['fingerprint'][:16]}"),
        ("rows", ", ".join(f"{name} {count:,}" for name, count in data["rows"].items())),
        *(("left out", line) for line in dropped_lines(data)),
        *(("leakage", line) for line in leakage_lines(data)),
        *(("started from", one["checkpoint"]) for one in [training.get("init_from")] if one),
        *(("taught by", one["checkpoint"]) for one in training.get("teachers", [])),
        *(("mean of the weights of", one["checkpoint"]) for one in training.get("averaged", [])),
        ("chosen by", training["chosen_by"]),
        *(("calibration", calibration_line(card)) for _ in range("calibration" in card)),
        *(("trained", _how_long(training)) for _ in range("averaged" not in training)),
        ("command", training["command"]),
        ("on", _machine(card["environment"], training)),
        ("commit", str(card["environment"]["git_commit"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in card["environment"]["versions"].items())),
        ("limits", LIMITS),
        ("licences", LICENCES),
    ]


def dropped_lines(data: dict[str, Any]) -> list[str]:
    """Return one line on each reason for which training rows were left out."""
    return [f"{count:,} training rows {_DROPPED.get(why, why)}" for why, count in data["dropped"].items()]


def leakage_lines(data: dict[str, Any]) -> list[str]:
    """Return one line on each part of which the training rows hold pictures or persons."""
    lines = []
    for part, name in (("validation", "validation rows"), ("test", "test rows")):
        found = data["leakage"][part]
        people = "" if found["shared_subjects"] is None else f", {found['shared_subjects']} shared subjects"
        lines.append(
            f"of {found['rows']:,} {name}, {found['identical']:,} have an identical picture in training, "
            f"{found['near_identical']:,} an identical or near-identical one{people}"
        )
    return lines


def calibration_line(card: dict[str, Any]) -> str:
    """Return the temperature of a card that has one, and where it comes from."""
    found = card["calibration"]
    return f"temperature {found['temperature']:.2f}, fitted on {found['fitted_on']}"


def _how_long(training: dict[str, Any]) -> str:
    seconds = f" in {training['seconds'] / 60:.1f} minutes" if "seconds" in training else ""
    return f"{training.get('epochs', '?')} epochs{seconds}, best after epoch {training.get('best_epoch', '?')}"


def _machine(environment: dict[str, Any], training: dict[str, Any]) -> str:
    parts = [environment["processor"], *environment["accelerators"], f"device {training['device']}"]
    return ", ".join([*parts, environment["system"], f"Python {environment['python']}"])


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
