"""``average``: one network whose weights are the mean of several networks' (Wortsman et al. 2022)."""

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from torch import nn
from torch.optim.swa_utils import AveragedModel

from fer_lightning import checkpoint, runs
from fer_lightning.ancestry import origin, tell_once
from fer_lightning.assembly import Assembly
from fer_lightning.callbacks import CHOSEN_BY
from fer_lightning.card import environment
from fer_lightning.card_scores import calibrate
from fer_lightning.checkpoint import Card, Loaded
from fer_lightning.errors import UserError
from fer_lightning.evaluation import assemble, predict_rows
from fer_lightning.known_rows import must_be_blind
from fer_lightning.preprocess import PREPROCESSING
from fer_lightning.results import score_line, show_scores


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
    for path, member in zip(paths, members, strict=True):
        _must_be_alike(path, member.card, paths[0], members[0].card)
    cli = assemble(paths, [member.card for member in members], ["--trainer.devices", "1", *args])
    card = _card(cli, paths, members, shlex.join(["python", "-m", "fer_lightning", "average", *names, *args]))
    network = mean([member.network for member in members])
    checkpoint.round_weights(network)
    calibrate(card, cli.datamodule, predict_rows(cli, network, "validation"))
    part = cli.datamodule.split.names["validation"]
    for one, member in zip(card["training"]["averaged"], members, strict=True):
        if part in member.card["scores"]:
            print(f"{one['checkpoint']} on {part}: {score_line(member.card['scores'][part])}")
    show_scores(card["scores"][part], f"their mean on {part}, the rows that chose them", Console())
    base = Path(cli.trainer.default_root_dir)
    file = runs.new_run(base, f"{cli.datamodule.faces.source}-{card['network']['name']}") / runs.BEST
    checkpoint.save(file, network, card)
    print(f"checkpoint: {file}")
    print(f"next: python -m fer_lightning test --ckpt_path {shlex.quote(str(file))}")
    return 0


def mean(networks: Sequence[nn.Module]) -> nn.Module:
    """Return a network in evaluation mode whose weights, and statistics of normalisation, are the mean of some.

    Args:
        networks: Networks of one architecture, at least one; they stay as they are.
    """
    averaged = AveragedModel(networks[0], use_buffers=True)
    for network in networks:
        averaged.update_parameters(network)
    return averaged.module.eval()


def _card(cli: Assembly, paths: Sequence[Path], members: Sequence[Loaded], command: str) -> Card:
    data, first = cli.datamodule, members[0].card
    card: Card = {key: first[key] for key in ("network", "parameters", "multiply_adds", "classes", "preprocessing")}
    card |= {"format": checkpoint.FORMAT, "data": data.summary(), "environment": environment(), "scores": {}}
    sources = [origin(path, member.card) for path, member in zip(paths, members, strict=True)]
    for path, member, source in zip(paths, members, sources, strict=True):
        if member.card["data"]["fingerprint"] != data.faces.fingerprint:
            raise UserError(f"{path}: was trained on other data than these; give those with --data.root")
        must_be_blind(source, data, card["data"], str(path))
    card["training"] = {
        "command": command,
        "config": {
            "data": cli.settings()["data"],
            "model": {"network": card["network"]["name"], **card["network"]["options"]},
        },
        "averaged": sources,
        "chosen_by": f"{CHOSEN_BY} of each of those on {data.split.names['validation']}",
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": f"{cli.trainer.strategy.root_device.type} x {cli.trainer.world_size}",
    }
    tell_once(card)
    return card


def _must_be_alike(path: Path, card: Card, first: Path, firsts: Card) -> None:
    """Refuse a network whose weights do not mean the same as those of the first."""
    if card["network"] != firsts["network"]:
        raise UserError(f"{path}: holds {_named(card)}, but {first} {_named(firsts)}; average networks of one kind")
    if card["classes"] != firsts["classes"]:
        raise UserError(f"{path}: has other classes than {first}; average networks that were trained on the same data")
    if card["preprocessing"] != PREPROCESSING:
        raise UserError(f"{path}: sees faces otherwise ({card['preprocessing']}); take another")


def _named(card: Card) -> str:
    options = (f"{name} {value}" for name, value in card["network"]["options"].items())
    return ", ".join([card["network"]["name"], *options])
