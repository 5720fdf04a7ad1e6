"""``validate`` and ``test``: the scores of a checkpoint, and the report that ``test`` leaves."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from rich.console import Console
from torch import nn

from fer_lightning import checkpoint, options, runs
from fer_lightning.ancestry import may_know
from fer_lightning.answering import PLAIN, Way, joint
from fer_lightning.assembly import RUNS, Assembly
from fer_lightning.calibration import with_temperature
from fer_lightning.card import environment
from fer_lightning.card_scores import calibrate_once, compare, score_rows
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.folds import groups_of
from fer_lightning.errors import UserError
from fer_lightning.known_rows import Part, Predictions, is_own, seen_by, trained_splits
from fer_lightning.models.ensemble import Ensemble
from fer_lightning.results import score_line, show_scores, write_report

_OPTION = {"validation": "val", "test": "test"}
_LONGEST_NAME = 100  # bytes; file systems take 255 for a folder


def predict_rows(cli: Assembly, network: nn.Module, part: Part) -> Predictions:
    """Run a network over a part of the data, on the trainer's devices.

    Args:
        cli: Data and trainer; its task gets the network.
        network: The trained network.
        part: Which rows.
    """
    task = cli.model
    task.net = network.to(memory_format=torch.channels_last)
    trainer = cli.trainer
    if cli.fitting:  # its averaged weights and callbacks belong to the training; one process scores
        trainer = pl.Trainer(
            accelerator=trainer.accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
        )
    run = trainer.validate if part == "validation" else trainer.test
    run(task, cli.datamodule, verbose=False)
    if not task.predictions:
        raise UserError(f"no batch of the {part} rows was scored; leave --trainer.limit_{_OPTION[part]}_batches out")
    rows, labels, probabilities = (torch.cat(column).numpy() for column in zip(*task.predictions, strict=True))
    order = np.argsort(rows)
    return Predictions(probabilities[order], labels[order], rows[order])


class Opened(NamedTuple):
    """Data and trainer as a checkpoint had them, what is scored, and the cards of its members.

    The network's own probabilities still need the temperature. It is that of a lone checkpoint seen one way, of which
    both kinds are scored; the members of an ensemble have theirs within it.
    """

    cli: Assembly
    network: nn.Module
    cards: list[checkpoint.Card]
    temperature: float = 1.0


def open_checkpoints(paths: Sequence[Path], args: Sequence[str], way: Way, *, calibrated: bool = True) -> Opened:
    """Load what is to be scored.

    Args:
        paths: The checkpoints, of the same classes; several answer as one.
        args: Options, as on the command line; what is not given is as it was in the training of the first.
        way: How they are asked.
        calibrated: Whether temperatures count; False is for those who fit their own.

    Raises:
        UserError: If a checkpoint, an option or the data cannot be used.
    """
    loaded = [checkpoint.load(path) for path in paths]
    cards = [one.card for one in loaded]
    cli = assemble(paths, cards, args)
    cli.datamodule.corruption = way.corruption
    if len(loaded) == 1 and way == PLAIN:
        return Opened(cli, loaded[0].network, cards, loaded[0].temperature if calibrated else 1.0)
    if not calibrated:
        return Opened(cli, Ensemble([one.network for one in loaded], way.tta), cards)
    return Opened(cli, joint(loaded, way), cards)


def assemble(paths: Sequence[Path], cards: Sequence[checkpoint.Card], args: Sequence[str]) -> Assembly:
    """Return data and trainer as the first of some checkpoints had them, where options do not say otherwise.

    Args:
        paths: The checkpoints.
        cards: Their cards.
        args: Options, as on the command line.

    Raises:
        UserError: If an option or the data cannot be used, or the data have other classes than a checkpoint.
    """
    cli = Assembly(["--config", _settings_of(cards[0]), *args], fitting=False)
    for path, card in zip(paths, cards, strict=True):
        _must_fit(path, card, cli)
    cli.refuse_fold_of_official_split()
    return cli


def evaluate(verb: Literal["validate", "test"], args: Sequence[str], given: Sequence[str], way: Way = PLAIN) -> int:
    """Score a checkpoint on the rows of its own split, or on other data of the same classes.

    Args:
        verb: ``validate`` scores the rows that choose; ``test`` the rows that are reported, and writes the report.
        args: Options, as on the command line; what is not given is as it was in the checkpoint's training.
        given: The checkpoints, whose probabilities are averaged; none takes the newest run's best, else a shipped one.
        way: How they are asked.

    Returns:
        The exit code 0.

    Raises:
        UserError: If a checkpoint, an option or the data cannot be used.
    """
    if "last" in given:
        raise UserError(f"--ckpt_path last: is for fit; give {verb} a file, or nothing for the newest run's best")
    base = dict(options.pairs(args)).get("trainer.default_root_dir") or RUNS
    paths = [checkpoint.find(name) for name in given] or [runs.best_checkpoint(Path(base))]
    opened = open_checkpoints(paths, args, way)
    part: Part = "validation" if verb == "validate" else "test"
    cli = opened.cli
    found = predict_rows(cli, opened.network, part)
    if cli.trainer.is_global_zero:
        if verb == "validate" and len(paths) == 1 and way == PLAIN:
            own = calibrate_once(paths[0], opened.cards[0], cli.datamodule, found)
            opened = opened._replace(temperature=own)
        name = cli.datamodule.split.names[part]
        scores = {name: score_rows(cli.datamodule, found, opened.temperature)}
        what = " + ".join(path.name for path in paths) + way.told
        show_scores(scores[name], f"{what} on {name} of {cli.datamodule.faces.source}", Console())
        if verb == "test":
            _report(opened, paths, way, scores, found)
    return 0


def _report(opened: Opened, paths: Sequence[Path], way: Way, scores: dict[str, Any], found: Predictions) -> None:
    data, cards = opened.cli.datamodule, opened.cards
    _score_subsets(opened, way, scores, found)
    seen = seen_by([split for card in cards for split in trained_splits(card, data)], found)
    report = {
        "checkpoint": " + ".join(map(str, paths)),
        "network": " + ".join(card["network"]["name"] for card in cards),
        "tta": way.tta,
        "logit_adjustment": way.logit_adjustment,
        "corruption": way.corruption,
        "parameters": sum(card["parameters"] for card in cards),
        "temperatures": [checkpoint.temperature_of(card) for card in cards],
        "classes": data.classes,
        "data": {**data.summary(), "rows_of_the_training": seen},
        "scores": scores,
        "environment": environment(),
    }
    folder = _folder(opened.cli, paths) / _name_of_test(cards[0], data, way)
    files = write_report(folder, report, _table(data, found, opened.temperature), way.told)
    print(f"written to {folder}: " + ", ".join(file.name for file in files))
    if seen and (seen["trained"] or seen["chose"]):
        print(
            f"of these {len(found.rows):,} rows the network was trained on {seen['trained']:,} and chosen by "
            f"{seen['chose']:,}: this is no score on unseen faces"
        )
    if any(may_know(card, report["data"]) for card in cards):
        print("the network was trained on these pictures in another form: it may know rows that are scored here")
    if len(paths) > 1 or way != PLAIN:
        return
    if is_own(cards[0], data, "test", found):
        compare(paths[0], cards[0], scores)
    else:
        print("the card is about other rows, or about more of them, so it stays as it is")


def _folder(cli: Assembly, paths: Sequence[Path]) -> Path:
    """Return where reports on these checkpoints go: into the run of a single one, else below the root of all runs."""
    if len(paths) == 1 and (run := runs.run_of(paths[0])):
        return run
    stems = "+".join(path.stem for path in paths).encode(errors="ignore")[:_LONGEST_NAME].decode(errors="ignore")
    identities = "+".join(map(checkpoint.identity, paths)).encode(errors="ignore")
    return Path(cli.trainer.default_root_dir) / f"{stems}@{hashlib.sha256(identities).hexdigest()[:8]}"


def _name_of_test(card: checkpoint.Card, data: ExpressionDataModule, way: Way) -> str:
    """Return the name of a test's folder: what is scored, with the fold where it is not the checkpoint's own."""
    name = f"test-{data.faces.source}" + way.told.replace(", ", "-").replace(" ", "-")
    own = any(np.array_equal(split.test, data.rows("test")) for split in trained_splits(card, data))
    if own or data.split.names["test"] == data.faces.roles.get("test"):
        return name
    return f"{name}-{re.sub(r'[^a-z0-9]+', '-', f'{data.split.protocol} fold {data.fold}'.lower())}"


def _score_subsets(opened: Opened, way: Way, scores: dict[str, Any], found: Predictions) -> None:
    """Add the scores of the rows without a twin (official parts have twins), and of those with a majority of votes."""
    data = opened.cli.datamodule
    alone = data.twin_free()[np.isin(data.rows("test"), found.rows)]
    subsets = {"twin-free": alone} if data.faces.roles else {}
    if data.faces.majority is not None:
        subsets["majority"] = data.faces.majority[found.rows]
    for name, taken in subsets.items():
        if taken.any() and not taken.all():
            part = f"{data.split.names['test']} {name}"
            those = Predictions(found.probabilities[taken], found.labels[taken], found.rows[taken])
            scores[part] = score_rows(data, those, opened.temperature)
            print(f"{part}{way.told}: {score_line(scores[part])}")


def _table(data: ExpressionDataModule, found: Predictions, temperature: float) -> list[Sequence[Any]]:
    classes = data.classes
    answers = found.probabilities if temperature == 1 else with_temperature(found.probabilities, temperature)
    header = ("row", "group", "label", "predicted", *(f"p_{name}" for name in classes))
    names, groups = data.faces.row_ids[found.rows], groups_of(data.faces)[found.rows].tolist()
    return [
        header,
        *(
            (str(row), group, classes[label], classes[int(p.argmax())], *p.tolist())
            for row, group, label, p in zip(names, groups, found.labels, answers, strict=True)
        ),
    ]


def _must_fit(path: Path, card: checkpoint.Card, cli: Assembly) -> None:
    ours, theirs = list(card["classes"]), cli.datamodule.classes
    if ours != theirs:
        raise UserError(
            f"{path}: trained on the classes {', '.join(ours)}, but the data have {', '.join(theirs)}; "
            "choose the data with --data.source and --data.root"
        )


def _settings_of(card: checkpoint.Card) -> str:
    """Return the data and network options of a checkpoint's training, as the text of a config."""
    config = card["training"]["config"]
    return json.dumps({"data": config["data"], "model": config["model"]})
