"""``report``: what a cross-validation found, as a page, as Markdown, as tables and pictures."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fer_lightning import cells
from fer_lightning.report import paper, runs_part, scores_part
from fer_lightning.report.document import Block, Code, Heading, Picture, Table, Text, html, markdown
from fer_lightning.report.experiments import Experiment
from fer_lightning.report.findings import findings
from fer_lightning.report.options import Options
from fer_lightning.report.paper_part import paper_part
from fer_lightning.report.reading import read_runs
from fer_lightning.report.table import checked, read_table, write_tables
from fer_lightning.report.wording import called, spread
from fer_lightning.whole_files import csv_bytes, write

_TITLE = "Facial expression recognition by cross-validation"
_FILES = "files"


def report(wanted: Options) -> int:
    """Write the report.

    Args:
        wanted: What the command line asked for.

    Returns:
        The exit code 0.

    Raises:
        UserError: If there is nothing to report, or it cannot be written.
    """
    runs = [run for run in wanted.runs if run.is_dir()]
    experiments = checked(read_runs(runs) if runs else [one for file in wanted.runs for one in read_table(file)])
    missing = [folder.name for run in runs for folder in _unfinished(run)]
    found = findings(experiments)
    _write(wanted.out, list(_blocks(found, experiments, missing, wanted.speed)), found)
    if runs:
        write_tables(wanted.out, experiments)
    for one in found["experiments"]:
        accuracy, f1 = (spread(one["mean"][name], one["spread"][name]) for name in ("accuracy", "macro_f1"))
        low, high = one["intervals"]["accuracy"]
        done = f"{len(one['parts'])} of {one['wanted']} trainings"
        print(f"{one['name']}: accuracy {accuracy} ({low:.3f} to {high:.3f}), macro-F1 {f1}, {done}")
    if missing:
        print(f"not finished yet: {len(missing)} cells, the first {missing[0]}")
    print(f"written to {wanted.out}: index.html, report.md, findings.json, scores.csv, tables/, figures/")
    return 0


def _unfinished(run: Path) -> Iterator[Path]:
    for plan in sorted(run.glob(f"cells/*/{cells.PLAN}")):
        if not cells.is_finished(plan.parent):
            yield plan.parent


def _blocks(
    found: dict[str, Any], experiments: Sequence[Experiment], missing: Sequence[str], speed: bool
) -> Iterator[Block]:
    """Yield the document; most of it is about the experiments without test-time views, where there are such."""
    plain = [one for one in experiments if one.key.tta == "none"] or list(experiments)
    keys = [one.key._asdict() for one in plain]
    mine = [one for one in found["experiments"] if one["key"] in keys]
    yield from runs_part.what_was_run(plain, missing)
    yield from paper_part(mine, found["experiments"])
    yield from scores_part.overall(found)
    recipes = {tuple(one.key): one.recipe for one in experiments if one.cells}
    yield from scores_part.comparisons(found, recipes)
    yield from scores_part.leaks(found, recipes)
    yield from runs_part.leakage(experiments)
    yield from scores_part.classes(mine)
    yield from scores_part.calibration(found, mine)
    yield from scores_part.confusions(mine)
    yield from runs_part.curves(plain)
    yield from runs_part.costs(_costs(plain, speed))
    yield Heading("Recompute it")
    yield Text(
        "out_of_fold-*.csv hold every prediction (row, group, fold, label, probabilities, temperature). Every score "
        "above follows from them; this computes it again, and findings.json holds the result in full precision."
    )
    sources = dict.fromkeys(one.key.source for one in experiments)
    yield Code("\n".join(f"python -m fer_lightning report out_of_fold-{source}.csv" for source in sources))


def _write(out: Path, blocks: Sequence[Block], found: dict[str, Any]) -> None:
    """Write all files, and take away those that an earlier report wrote and this one does not."""
    contents: dict[str, bytes] = {}
    for block in blocks:
        if isinstance(block, Picture):
            contents[f"figures/{block.figure.slug}.svg"] = block.figure.svg
            contents[f"figures/{block.figure.slug}.png"] = block.figure.png
        elif isinstance(block, Table):
            contents[f"tables/{block.slug}.csv"] = csv_bytes([block.header, *block.rows])
    contents["scores.csv"] = csv_bytes(_scores(found))
    contents["report.md"] = markdown(_TITLE, blocks, lambda figure: f"figures/{figure.slug}.svg").encode()
    contents["index.html"] = html(_TITLE, blocks).encode()
    before = _files_before(out)
    contents["findings.json"] = json.dumps({**found, _FILES: sorted(contents)}, indent=1).encode()
    for name, content in contents.items():
        write(out / name, content)
    for name in before - contents.keys():
        (out / name).unlink(missing_ok=True)


def _files_before(out: Path) -> set[str]:
    """Return what an earlier report wrote to the tables and figures there."""
    try:
        names = json.loads((out / "findings.json").read_text(encoding="utf-8"))[_FILES]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in map(str, names) if name.startswith(("tables/", "figures/")) and ".." not in name}


def _scores(found: dict[str, Any]) -> list[Sequence[Any]]:
    """Return every score as a row of its own, in full precision; beside the paper's where it is about the same."""
    printed = {
        (table.source, "random", network, "scratch", "none", table.score, name): value
        for table in paper.TABLES
        for network, values in table.values.items()
        for name, value in values.items()
    }
    keys = ("source", "protocol", "network", "start", "tta", "folds")
    rows: list[Sequence[Any]] = [(*keys, "class", "score", "mean", "spread", "pooled", "low", "high", "paper")]
    for one in [*found["experiments"], *found["ensembles"]]:
        key = [one["key"][name] for name in keys]
        for score in ("accuracy", "macro_f1", "precision", "recall", "f1"):
            values = [one[kind][score] for kind in ("mean", "spread", "pooled", "intervals")]
            if score in ("accuracy", "macro_f1"):
                rows.append((*key, "all", score, *values[:3], *values[3], ""))
                continue
            for name, mean, deviation, pooled, bounds in zip(one["classes"], *values, strict=True):
                theirs = printed.get((*key[:5], score, name), "")
                rows.append((*key, name, score, mean, deviation, pooled, *bounds, theirs))
    return rows


def _costs(experiments: Sequence[Experiment], measure: bool) -> list[dict[str, Any]]:
    """Return what each network costs, and how fast it is: in training as the cells ran, and in inference here."""
    cards: dict[tuple[str, str], Any] = {}
    speeds: dict[tuple[str, str], list[float]] = {}
    for one in experiments:
        for cell in one.cells:
            place = (one.key.network, f"{called(one.key.source)}, precision {one.recipe.get('precision', '32-true')}")
            cards.setdefault(place, cell["card"])
            speeds.setdefault(place, []).extend(epoch["images_per_second"] for epoch in cell["history"])
    measured: dict[str, dict[str, Any]] = {}
    found: list[dict[str, Any]] = []
    for (network, where), card in sorted(cards.items()):
        if measure and network not in measured:
            measured[network] = _measured(card)
        size = {name: card[name] for name in ("parameters", "multiply_adds")}
        training = median(speeds[network, where]) if speeds[network, where] else None
        about = {"network": network, "trained_on": where, "training": training}
        found.append({**about, **size, **measured.get(network, {})})
    return found


def _measured(card: dict[str, Any]) -> dict[str, Any]:
    import torch

    from fer_lightning.card import environment
    from fer_lightning.models import build_network
    from fer_lightning.models.cost import images_per_second

    network = build_network(card["network"]["name"], len(card["classes"]), **card["network"]["options"])
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    machine = f"{environment()['processor']}, {torch.get_num_threads()} threads{load}"
    return {"inference": images_per_second(network), "machine": machine}
