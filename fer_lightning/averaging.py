"""``average``: one network whose weights are the mean of several networks' (Wortsman et al. 2022)."""

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fer_lightning import checkpoint, runs
from fer_lightning.ancestry import origin, tell_once
from fer_lightning.assembly import Assembly
from fer_lightning.callbacks import CHOSEN_BY
from fer_lightning.card import environment
from fer_lightning.card_scores import calibrate
from fer_lightning.checkpoint import Card
from fer_lightning.errors import UserError
from fer_lightning.evaluation import assemble, predict_rows
from fer_lightning.known_rows import must_be_blind
from fer_lightning.preprocess import PREPROCESSING
from fer_lightning.results import score_line, show_scores

_OF_A_TRAINING = ("augment", "augment_on", "batch_size")
"""Options of the data that shape a training but not its rows: a mean has none of its own."""


def average(names: Sequence[str], args: Sequence[str]) -> int:
    """Make one network of several, score and calibrate it, and leave a file as ``fit`` does.

    Args:
        names: The checkpoints, at least two; one that is named twice counts twice.
        args: Options, as on the command line; what is not given is as it was in the training of the first.

    Returns:
        The exit code 0.

    Raises:
        UserError: If a checkpoint, an option or the data cannot be used, or they have no common mean.
    """
    paths = [checkpoint.find(name) for name in names]
    members = [checkpoint.load(path) for path in paths]
    cards = [member.card for member in members]
    for path, card in zip(paths, cards, strict=True):
        _must_be_alike(path, card, paths[0], cards[0])
    cli = assemble(paths, cards, ["--trainer.devices", "1", *args])
    data, first = cli.datamodule, cards[0]
    if first["data"]["fingerprint"] != data.faces.fingerprint:
        raise UserError(f"{paths[0]}: was trained on other data than these; give those with --data.root")
    sources = [origin(path, card) for path, card in zip(paths, cards, strict=True)]
    for path, source in zip(paths, sources, strict=True):
        must_be_blind(source, data, first["data"], str(path))
    run = runs.new_run(Path(cli.trainer.default_root_dir), f"{data.faces.source}-{first['network']['name']}")
    try:
        network = mean([member.network for member in members])
        checkpoint.round_weights(network)  # before it is scored, so that the scores are those of the file
        card = _card(cli, cards, sources, shlex.join(["python", "-m", "fer_lightning", "average", *names, *args]))
        calibrate(card, data, predict_rows(cli, network, "validation"))
        checkpoint.save(run / runs.BEST, network, card)
    finally:
        runs.leave_run(run)
    part = data.split.names["validation"]
    for source, before in zip(sources, cards, strict=True):
        if part in before["scores"]:
            print(f"{source['checkpoint']} on {part}: {score_line(before['scores'][part])}")
        if source.get("may_have_seen"):
            print(f"it cannot be told whether {source['checkpoint']} has seen these pictures under another name")
    show_scores(card["scores"][part], f"their mean on {part}, the rows that chose them", Console())
    print(f"checkpoint: {run / runs.BEST}")
    print(f"next: python -m fer_lightning test --ckpt_path {shlex.quote(str(run / runs.BEST))}")
    return 0


def mean(networks: Sequence[nn.Module]) -> nn.Module:
    """Return a network in evaluation mode that has the mean of the weights of some.

    The statistics of normalisation are the mean of theirs too, not measured anew on training faces: networks that are
    near enough to be averaged agree in them.

    Args:
        networks: Networks of one architecture, at least one; they stay as they are.
    """
    averaged = AveragedModel(networks[0], use_buffers=True)
    for network in networks:
        averaged.update_parameters(network)
    return averaged.module.eval()


def _card(cli: Assembly, cards: Sequence[Card], sources: Sequence[dict[str, Any]], command: str) -> Card:
    first = cards[0]
    kept = ("network", "parameters", "multiply_adds", "classes", "preprocessing")
    changes = " and ".join(dict.fromkeys(card["data"].get("augment", "unknown") for card in cards))
    config = {name: value for name, value in cli.settings()["data"].items() if name not in _OF_A_TRAINING}
    card: Card = {
        "format": checkpoint.FORMAT,
        **{key: first[key] for key in kept},
        "data": {**first["data"], "augment": changes},
        "training": {
            "command": command,
            "config": {
                "data": config,
                "model": {"network": first["network"]["name"], **first["network"]["options"]},
            },
            "averaged": list(sources),
            "chosen_by": f"{CHOSEN_BY} of each network averaged, on {cli.datamodule.split.names['validation']}",
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "device": f"{cli.trainer.strategy.root_device.type} x {cli.trainer.world_size}",
        },
        "environment": environment(),
        "scores": {},
    }
    tell_once(card)
    return card


def _must_be_alike(path: Path, card: Card, first: Path, firsts: Card) -> None:
    """Refuse a network whose weights do not mean the same as those of the first, or were learned from other rows."""
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: is a state of a training, which no rows have chosen; give a .safetensors file")
    if _kind(card) != _kind(firsts):
        raise UserError(f"{path}: holds {_kind(card)}, but {first} {_kind(firsts)}; average networks of one kind")
    if card["classes"] != firsts["classes"] or _rows(card) != _rows(firsts):
        raise UserError(f"{path}: was trained on other rows than {first}; average networks of the same rows")
    if card["preprocessing"] != PREPROCESSING:
        raise UserError(f"{path}: sees faces otherwise ({card['preprocessing']}); take another")


def _rows(card: Card) -> list[Any]:
    """Return what a card says of the rows of its training; a mean has one card, so its members must agree on them."""
    told = [card["data"][key] for key in ("fingerprint", "split", "rows", "dropped")]
    return [*told, card["training"]["config"]["data"].get("fold")]


def _kind(card: Card) -> str:
    """Return what a network is; how much dropout trained it does not matter."""
    options = (f"{name} {value}" for name, value in card["network"]["options"].items() if name != "dropout")
    return ", ".join([card["network"]["name"], *options])
