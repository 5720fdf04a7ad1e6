"""``fit``: train, score the best checkpoint on the rows that chose it, and leave a file to serve and share."""

import datetime
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from fer_lightning import checkpoint, runs
from fer_lightning.ancestry import origin, tell_once
from fer_lightning.assembly import Assembly
from fer_lightning.callbacks import CHOSEN_BY, so_far
from fer_lightning.card import dropped_lines, environment, leakage_lines
from fer_lightning.card_scores import calibrate
from fer_lightning.errors import UserError
from fer_lightning.evaluation import predict_rows
from fer_lightning.known_rows import must_be_blind
from fer_lightning.models.cost import multiply_adds, parameters
from fer_lightning.preprocess import PREPROCESSING
from fer_lightning.results import show_scores
from fer_lightning.resuming import must_match
from fer_lightning.warm_start import start_from

_ABOUT_DRAWINGS = (
    "these faces are drawings, to try the tool without a download; for real ones give --data.root PATH "
    "(fer2013.csv, a CK+ tree, a folder of classes or a CSV of your own)"
)


def fit(args: Sequence[str], resume: str | None) -> int:
    """Train a network.

    Args:
        args: Options, as on the command line, without ``--ckpt_path``.
        resume: Its value: a ``.ckpt`` file or ``last``; None starts a new run.

    Returns:
        The exit code: 130 when it was stopped by Ctrl-C, else 0.

    Raises:
        UserError: If an option, the data or the checkpoint cannot be used.
    """
    cli = Assembly(args, fitting=True, resume=resume)
    try:
        cli.refuse_fold_of_official_split()
        cli.model.card = _card(cli, args)
        _ = cli.datamodule.targets  # complains of what is not there before anything is trained
        if given := cli.config["init_from"]:
            _start_from(cli, checkpoint.find(given))
        if names := cli.config["model"]["teacher"]:
            _learn_from(cli, [checkpoint.find(name) for name in names])
        tell_once(cli.model.card)
        if cli.resume and _is_finished(cli, Path(cli.resume)):
            return 0
        if cli.trainer.is_global_zero:
            _introduce(cli)
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.resume, weights_only=True)
    except SystemExit:  # how Lightning leaves after Ctrl-C
        if cli.trainer.is_global_zero:
            print(f"\nstopped; {_how_to_go_on(cli.run, args)}", file=sys.stderr)
        return 130
    finally:
        runs.leave_run(cli.run)
    _part_company()
    if cli.trainer.is_global_zero:
        _finish(cli)
    return 0


def _part_company() -> None:
    """End the joint work of several processes; the first one scores alone."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _finish(cli: Assembly) -> None:
    chosen = cli.run / "checkpoints" / "best.ckpt"
    if not chosen.exists():
        last = cli.run / runs.LAST
        known = f"; the last weights: {last}" if last.exists() else ""
        print(f"no checkpoint was chosen, as no epoch was validated{known}")
        return
    best = checkpoint.load(chosen)
    checkpoint.round_weights(best.network)  # before it is scored, so that the scores are those of the file
    part = cli.datamodule.split.names["validation"]
    calibrate(best.card, cli.datamodule, predict_rows(cli, best.network, "validation"))
    epochs, seconds = so_far(cli.run)
    best.card["training"] |= {"epochs": epochs, "seconds": seconds, "resumed": cli.resume is not None}
    file = cli.run / runs.BEST
    checkpoint.save(file, best.network, best.card)
    show_scores(best.card["scores"][part], f"{part}: the rows that chose the checkpoint", Console())
    print(f"checkpoint: {file}")
    print(f"next: python -m fer_lightning test --ckpt_path {shlex.quote(str(file))}")


def _card(cli: Assembly, args: Sequence[str]) -> checkpoint.Card:
    task, data = cli.model, cli.datamodule
    chosen_on = data.split.names["validation"]
    return {
        "format": checkpoint.FORMAT,
        "network": {"name": task.network_name, "options": task.options},
        "parameters": parameters(task.net),
        "multiply_adds": multiply_adds(task.net),
        "classes": list(task.classes),
        "preprocessing": PREPROCESSING,
        "data": data.summary(),
        "training": {
            "command": shlex.join(["python", "-m", "fer_lightning", "fit", *args]),
            "config": cli.settings(),
            "chosen_by": f"{CHOSEN_BY} on {chosen_on}",
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "device": f"{cli.trainer.strategy.root_device.type} x {cli.trainer.world_size}",
        },
        "environment": environment(),
        "scores": {},
    }


def _start_from(cli: Assembly, path: Path) -> None:
    """Take the weights of a checkpoint that has not seen what will be scored."""
    task = cli.model
    came_from = start_from(task.net, task.network_name, task.options, task.classes, path)
    must_be_blind(came_from, cli.datamodule, task.card["data"], f"--init_from {path}")
    task.card["training"]["init_from"] = came_from


def _learn_from(cli: Assembly, paths: Sequence[Path]) -> None:
    """Take trained networks of the same classes as teachers, which have not seen what will be scored either."""
    task, networks, taught_by = cli.model, [], []
    for path in paths:
        loaded = checkpoint.load(path)
        named = f"--model.teacher {path}"
        if (theirs := tuple(loaded.card["classes"])) != task.classes:
            raise UserError(
                f"{named}: answers with the classes {', '.join(theirs)}, but the data have {', '.join(task.classes)}; "
                "take a teacher that was trained on these data"
            )
        if loaded.card["preprocessing"] != PREPROCESSING:
            raise UserError(f"{named}: sees faces otherwise ({loaded.card['preprocessing']}); take another")
        taught_by.append(origin(path, loaded.card))
        if taught_by[-1]["checkpoint"] in [one["checkpoint"] for one in taught_by[:-1]]:
            raise UserError(f"{named}: is given twice; each teacher counts once")
        must_be_blind(taught_by[-1], cli.datamodule, task.card["data"], named)
        networks.append(loaded.network)
    task.learn_from(networks)
    task.card["training"]["teachers"] = taught_by


def _introduce(cli: Assembly) -> None:
    data, card = cli.datamodule, cli.model.card
    if data.faces.source == "sketch":
        print(_ABOUT_DRAWINGS)
    for remark in data.faces.remarks:
        print(remark)
    rows = ", ".join(f"{count:,} {part}" for part, count in card["data"]["rows"].items())
    print(f"data: {data.faces.source}, {len(data.classes)} classes, {card['data']['split']} split: {rows} rows")
    for line in dropped_lines(card["data"]):
        print(f"left out: {line}")
    for line in leakage_lines(card["data"]):
        print(line)
    cost = f"{card['parameters']:,} parameters, {card['multiply_adds']:,} multiply-adds a face"
    print(f"network: {card['network']['name']}, {cost}, on {card['training']['device']}")
    if start := card["training"].get("init_from"):
        fresh = [name for name in card["classes"] if name not in start["classes"]]
        words = f"; the outputs for {', '.join(fresh)} start afresh" if fresh else ""
        print(f"start: {start['checkpoint']}, trained on {start['data']['source']}{words}")
    teachers = card["training"].get("teachers", [])
    for teacher in teachers:
        print(f"teacher: {teacher['checkpoint']}")
    for source in (start, *teachers):
        if source and source.get("may_have_seen"):
            print(f"it cannot be told whether {source['checkpoint']} has seen these pictures under another name")
    print(f"run: {cli.run}" + (f", resumed from {cli.resume}" if cli.resume else ""), flush=True)


def _is_finished(cli: Assembly, resume: Path) -> bool:
    """Refuse to go on otherwise than the training began; return True, and say so, if nothing is left to train."""
    before = checkpoint.read_card(resume)
    must_match(resume, before, cli.model.card)
    done, wanted = before["training"].get("best_epoch", 0), cli.trainer.max_epochs
    planned = before["training"]["config"]["trainer"]["max_epochs"]
    if wanted is None or wanted < 0 or done < wanted:
        if planned != wanted and cli.trainer.is_global_zero:
            print(f"planned for {planned} epochs, now for {wanted}: the learning rate goes on along the new length")
        return False
    file = cli.run / runs.BEST
    if cli.trainer.is_global_zero:
        if not file.exists() or checkpoint.read_card(file)["training"]["epochs"] != so_far(cli.run)[0]:
            _finish(cli)  # it was stopped after the last epoch, but before its end
        else:
            print(f"{resume}: has its {done} epochs, nothing is left to train; checkpoint: {file}")
            print(f"to train longer, give a --trainer.max_epochs above {done}")
    return True


def _how_to_go_on(run: Path, args: Sequence[str]) -> str:
    last = run / runs.LAST
    command = shlex.join(["python", "-m", "fer_lightning", "fit", *args])
    if not last.exists():
        return f"no epoch was finished, nothing to resume; start again: {command}"
    return f"saved {last} after the last finished epoch; resume: {command} --ckpt_path {shlex.quote(str(last))}"
