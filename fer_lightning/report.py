"""``report``: what a cross-validation found, as a page, as Markdown, as tables and pictures."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fer_lightning import cells, paper
from fer_lightning.document import Block, Picture, Table, html, markdown
from fer_lightning.experiments import Experiment, read_runs, read_table, write_tables
from fer_lightning.findings import findings
from fer_lightning.report_options import Options
from fer_lightning.report_sections import sections
from fer_lightning.whole_files import replacing

_TITLE = "Facial expression recognition by cross-validation"


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
    experiments = read_runs(runs) if runs else [one for file in wanted.runs for one in read_table(file)]
    missing = [folder.name for run in runs for folder in _unfinished(run)]
    found = findings(experiments)
    blocks = sections(found, experiments, missing, _costs(experiments, wanted.speed))
    _write(wanted.out, blocks, found)
    if runs:
        write_tables(wanted.out, experiments)
    for one in found["experiments"]:
        accuracy, f1 = (f"{one['mean'][name]:.3f} ± {one['spread'][name]:.3f}" for name in ("accuracy", "macro_f1"))
        low, high = one["intervals"]["accuracy"]
        folds = f"{len(one['parts'])} folds" + ("" if one["complete"] else f" of {one['key']['folds']}")
        print(f"{one['name']}: accuracy {accuracy} over {folds} ({low:.3f} to {high:.3f}), macro-F1 {f1}")
    if missing:
        print(f"not finished yet: {len(missing)} cells, the first {missing[0]}")
    print(f"written to {wanted.out}: index.html, report.md, findings.json, scores.csv, tables/, figures/")
    return 0


def _unfinished(run: Path) -> Iterator[Path]:
    for plan in sorted(run.glob(f"cells/*/{cells.PLAN}")):
        if not cells.is_finished(plan.parent):
            yield plan.parent


def _write(out: Path, blocks: Sequence[Block], found: dict[str, Any]) -> None:
    for block in blocks:
        if isinstance(block, Picture):
            _put(out / "figures" / f"{block.figure.slug}.svg", block.figure.svg)
            _put(out / "figures" / f"{block.figure.slug}.png", block.figure.png)
        elif isinstance(block, Table):
            _put(out / "tables" / f"{block.slug}.csv", _csv([block.header, *block.rows]))
    _put(out / "findings.json", json.dumps(found, indent=1).encode())
    _put(out / "scores.csv", _csv(_scores(found)))
    _put(out / "report.md", markdown(_TITLE, blocks, lambda figure: f"figures/{figure.slug}.svg").encode())
    _put(out / "index.html", html(_TITLE, blocks).encode())


def _put(file: Path, content: bytes) -> None:
    with replacing(file) as part:
        part.write_bytes(content)


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _scores(found: dict[str, Any]) -> list[Sequence[Any]]:
    """Return every score as a row of its own, in full precision, with the paper's where it printed one."""
    printed = {
        (table.source, network, table.score, name): value
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
            if not isinstance(values[0], list):
                rows.append((*key, "all", score, *values[:3], *values[3], ""))
                continue
            for name, mean, spread, pooled, bounds in zip(one["classes"], *values, strict=True):
                theirs = printed.get((one["key"]["source"], one["key"]["network"], score, name), "")
                rows.append((*key, name, score, mean, spread, pooled, *bounds, theirs))
    return rows


def _costs(experiments: Sequence[Experiment], measure: bool) -> list[dict[str, Any]]:
    """Return what each network costs, and how fast it is: in training as the cells ran, and in inference here."""
    cards: dict[str, Any] = {}
    trained: dict[str, list[float]] = {}
    for experiment in experiments:
        for cell in experiment.cells:
            cards.setdefault(experiment.key.network, cell["card"])
            trained.setdefault(experiment.key.network, []).extend(
                epoch["images_per_second"] for epoch in cell["history"]
            )
    found = []
    for network, card in sorted(cards.items()):
        one = {"network": network, **{name: card[name] for name in ("parameters", "multiply_adds")}}
        one["training"] = median(trained[network]) if trained[network] else None
        found.append(one | (_measured(card) if measure else {}))
    return found


def _measured(card: dict[str, Any]) -> dict[str, Any]:
    import torch

    from fer_lightning.card import environment
    from fer_lightning.models import build_network
    from fer_lightning.models.cost import images_per_second

    network = build_network(card["network"]["name"], len(card["classes"]), **card["network"]["options"])
    threads = f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"
    return {"images_per_second": images_per_second(network), "machine": f"{environment()['processor']}, {threads}"}
