"""``validate`` and ``test``: the scores of a checkpoint, and the report that ``test`` leaves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from fer_lightning import checkpoint, options, runs
from fer_lightning.assembly import RUNS, Assembly
from fer_lightning.card import environment
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.folds import Split, make_split
from fer_lightning.errors import UserError
from fer_lightning.results import show_scores, write_report
from fer_lightning.scores import score

Part = Literal["validation", "test"]
_OPTION = {"validation": "val", "test": "test"}


class Predictions(NamedTuple):
    """Probabilities float ``[n, K]``, labels int64 ``[n]`` and row numbers int64 ``[n]``, in the order of the rows."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]


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


def evaluate(verb: Literal["validate", "test"], args: Sequence[str], given: str | None) -> int:
    """Score a checkpoint on the rows of its own split, or on other data of the same classes.

    Args:
        verb: ``validate`` scores the rows that choose; ``test`` the rows that are reported, and writes the report.
        args: Options, as on the command line; what is not given is as it was in the checkpoint's training.
        given: The checkpoint; None takes the newest run's best, else a shipped one.

    Returns:
        The exit code 0.

    Raises:
        UserError: If the checkpoint, an option or the data cannot be used.
    """
    if given == "last":
        raise UserError(f"--ckpt_path last: is for fit; give {verb} a file, or nothing for the newest run's best")
    base = dict(options.pairs(args)).get("trainer.default_root_dir") or RUNS
    path = Path(given).expanduser() if given else runs.best_checkpoint(Path(base))
    loaded = checkpoint.load(path)
    cli = Assembly(["--config", _settings_of(loaded.card), *args], fitting=False)
    _must_fit(path, loaded.card, cli)
    part: Part = "validation" if verb == "validate" else "test"
    found = predict_rows(cli, loaded.network, part)
    if cli.trainer.is_global_zero:
        name = cli.datamodule.split.names[part]
        scores = {name: score(found.probabilities, found.labels, loaded.card["classes"])}
        show_scores(scores[name], f"{path.name} on {name} of {cli.datamodule.faces.source}", Console())
        if verb == "test":
            _report(cli, path, loaded.card, scores, found)
    return 0


def _report(cli: Assembly, path: Path, card: checkpoint.Card, scores: dict[str, Any], found: Predictions) -> None:
    data = cli.datamodule
    _score_twin_free(data, card, scores, found)
    trained = _trained_split(card, data)
    report = {
        "checkpoint": str(path),
        "network": card["network"]["name"],
        "parameters": card["parameters"],
        "classes": card["classes"],
        "data": {**data.summary(), "rows_of_the_training": _seen(trained, found)},
        "scores": scores,
        "environment": environment(),
    }
    folder = (runs.run_of(path) or Path(cli.trainer.default_root_dir) / path.stem) / f"test-{data.faces.source}"
    files = write_report(folder, report, _table(cli, card, found))
    print(f"written to {folder}: " + ", ".join(file.name for file in files))
    seen = report["data"]["rows_of_the_training"]
    if seen and (seen["trained"] or seen["chose"]):
        print(
            f"of these {len(found.rows):,} rows the network was trained on {seen['trained']:,} and chosen by "
            f"{seen['chose']:,}: this is no score on unseen faces"
        )
    if trained is not None and np.array_equal(trained.test, found.rows):
        _compare(path, card, scores)
    else:
        print("the card is about other rows, or about more of them, so it stays as it is")


def _score_twin_free(
    data: ExpressionDataModule, card: checkpoint.Card, scores: dict[str, Any], found: Predictions
) -> None:
    """Add the score of the rows without a twin; official parts have twins, folds by picture have none."""
    alone = data.twin_free()[np.isin(data.rows("test"), found.rows)]
    if data.faces.roles and not alone.all() and alone.any():
        part = f"{data.split.names['test']} twin-free"
        scores[part] = score(found.probabilities[alone], found.labels[alone], card["classes"])
        accuracy, n = scores[part]["accuracy"], scores[part]["n"]
        print(f"{part}: accuracy {accuracy:.2%}, macro-F1 {scores[part]['macro_f1']:.3f}, n = {n:,}")


def _trained_split(card: checkpoint.Card, data: ExpressionDataModule) -> Split | None:
    """Return how the rows were split when the checkpoint was trained; None if these are other data."""
    if card["data"]["fingerprint"] != data.faces.fingerprint:
        return None
    was = card["training"]["config"]["data"]
    try:
        chosen = [was[key] for key in ("split", "folds", "fold", "split_seed", "drop_leaks")]
    except KeyError:
        return None
    return make_split(data.faces, *chosen)


def _seen(trained: Split | None, found: Predictions) -> dict[str, int] | None:
    """Count the scored rows that trained the checkpoint, and those that chose it; None if these are other data."""
    if trained is None:
        return None
    return {
        "trained": int(np.isin(found.rows, trained.train).sum()),
        "chose": int(np.isin(found.rows, trained.validation).sum()),
    }


def _table(cli: Assembly, card: checkpoint.Card, found: Predictions) -> list[Sequence[Any]]:
    classes = card["classes"]
    header = ("row", "label", "predicted", *(f"p_{name}" for name in classes))
    names = cli.datamodule.faces.row_ids[found.rows]
    return [
        header,
        *(
            (str(row), classes[label], classes[int(p.argmax())], *p.tolist())
            for row, label, p in zip(names, found.labels, found.probabilities, strict=True)
        ),
    ]


def _compare(path: Path, card: checkpoint.Card, scores: dict[str, Any]) -> None:
    """Say whether the card's figures were reproduced; figures that it lacks are added to it."""
    for part, found in scores.items():
        if part not in card["scores"]:
            card["scores"][part] = found
            if path.suffix == ".safetensors":
                checkpoint.save(path, checkpoint.load(path).network, card)
                print(f"card: {part} added")
        elif card["scores"][part]["accuracy"] == found["accuracy"]:
            print(f"card: {part} reproduced exactly, accuracy {found['accuracy']:.6f}")
        else:
            print(f"card: {part} is {card['scores'][part]['accuracy']:.6f}, here it is {found['accuracy']:.6f}")


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
