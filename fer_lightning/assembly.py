"""From options to objects: LightningCLI parses ``--data.*``, ``--model.*`` and ``--trainer.*``, and builds."""

import contextlib
import importlib.util
import json
import re
import sys
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

from fer_lightning import checkpoint, options, runs
from fer_lightning.callbacks import callbacks
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.sources import recognise
from fer_lightning.errors import UserError
from fer_lightning.task import ExpressionTask

RUNS = "runs"
_LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "NoneType": "null", "str": "text"}
_TRAINER_DEFAULTS: dict[str, Any] = {
    "default_root_dir": RUNS,
    "num_sanity_val_steps": 0,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 10,
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the sampler shares the rows itself, and scores none twice
}


class _Parser(LightningArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise the complaint, for the command line to print.

        Raises:
            UserError: Always.
        """
        raise _users_mistake(ex) or UserError(_readable(message)) from ex


class Assembly(LightningCLI):
    """Task, data and trainer as the options ask for them."""

    model: ExpressionTask
    datamodule: ExpressionDataModule

    def __init__(self, args: Sequence[str], *, fitting: bool, resume: str | None = None) -> None:
        """Parse and build.

        Args:
            args: Options, as on the command line.
            fitting: True where a training follows; it gets a folder, callbacks and loggers.
            resume: The checkpoint to go on from, or ``last``.

        Raises:
            UserError: If an option or the data cannot be used.
        """
        self.fitting = fitting
        self.given = {name: value or "" for name, value in options.pairs(args)}
        self.resume = resume
        self.base = self.run = Path(RUNS)
        self.name = ""
        with _lone_arguments(), _one_line_mistakes():
            super().__init__(
                ExpressionTask,
                ExpressionDataModule,
                args=list(args),
                run=False,
                parser_class=_Parser,
                parser_kwargs={"prog": "python -m fer_lightning"},
                trainer_defaults=_TRAINER_DEFAULTS,
                seed_everything_default=42,
                save_config_callback=SaveConfigCallback if fitting else None,
                save_config_kwargs={"overwrite": True},
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what belongs to neither class, and link what follows from the data and the seed."""
        parser.add_argument("--patience", type=int, default=0)
        parser.add_argument("--init_from", type=str | None, default=None)
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")
        parser.link_arguments("data.class_shares", "model.class_shares", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Choose the length of a training, and what it goes on from."""
        trainer = self.config["trainer"]
        if self.config["patience"] < 0:
            raise UserError(f"--patience {self.config['patience']}: need 0 (never stop early) or a number of epochs")
        if not self.fitting:
            return
        data = self.config["data"]
        source = recognise(data["source"], Path(data["root"]).expanduser() if data["root"] else None)
        if trainer["overfit_batches"]:
            raise UserError("--trainer.overfit_batches: not supported here; use --trainer.limit_train_batches")
        if trainer["max_epochs"] == -1:
            raise UserError("--trainer.max_epochs -1: give the training a length; its learning rate falls to the end")
        self.base, self.name = Path(trainer["default_root_dir"]), f"{source}-{self.config['model']['network']}"
        if self.resume == "last":
            self.resume = str(runs.last_checkpoint(self.base, self.name))
        elif self.resume and not Path(self.resume).is_file():
            raise UserError(f"--ckpt_path {self.resume}: no such file; give a .ckpt file, or last")
        elif self.resume and not self.resume.endswith(".ckpt"):
            raise UserError(
                f"{self.resume}: holds no state of a training; resume from a .ckpt file, such as {runs.LAST}, or start "
                "from its weights with --init_from"
            )
        if trainer["max_epochs"] is None and trainer["max_steps"] == -1:  # the learning rate needs to know the end
            usual = options.EPOCHS_OF_DRAWINGS if source == "sketch" else options.EPOCHS
            trainer["max_epochs"] = (_planned(Path(self.resume)) if self.resume else None) or usual

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the run's folder, and add its callbacks and, where it is installed, TensorBoard."""
        wanted = self.config_init["trainer"]
        if self.fitting:
            self.run = (runs.run_of(Path(self.resume)) if self.resume else None) or runs.new_run(self.base, self.name)
            runs.share_run(self.run)
            kwargs["default_root_dir"] = str(self.run)
            wanted["callbacks"] = [*(wanted["callbacks"] or []), *callbacks(self.run, self.config["patience"])]
        if wanted["logger"] is None:
            logs = self.fitting and importlib.util.find_spec("tensorboard") is not None
            kwargs["logger"] = TensorBoardLogger(self.run, "", "") if logs else False
        if wanted["enable_progress_bar"] is None:
            kwargs["enable_progress_bar"] = self.fitting and sys.stdout.isatty()
        if not self.fitting:
            kwargs["enable_checkpointing"] = False
        for name in _LIMITS:  # the parser makes shares of whole numbers at times: 1 means one batch
            if self.given.get(f"trainer.{name}", "").isdecimal():
                kwargs[name] = int(self.given[f"trainer.{name}"])
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError, TypeError) as error:
            runs.leave_run(self.run)
            raise UserError(f"--trainer: {_one_line(str(error))}") from None

    def refuse_fold_of_official_split(self) -> None:
        """Complain of a fold that was asked for and would be passed over; ``test`` inherits that of the training.

        Raises:
            UserError: If the data are split officially.
        """
        fold, asked = self.datamodule.fold, self.fitting or "data.fold" in self.given
        if asked and fold and self.datamodule.split.protocol.startswith("official"):
            raise UserError(f"--data.fold {fold}: the official split has no folds; give --data.split grouped")

    def settings(self) -> dict[str, Any]:
        """Return the resolved options as plain JSON."""
        found: dict[str, Any] = json.loads(self.parser.dump(self.config, format="json", skip_none=False))
        return found


def _planned(resume: Path) -> int | None:
    epochs: int | None = checkpoint.read_card(resume)["training"]["config"]["trainer"]["max_epochs"]
    return epochs


@contextlib.contextmanager
def _lone_arguments() -> Iterator[None]:
    """Hide the process's own arguments, about which LightningCLI warns when it is given others."""
    kept, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = kept


@contextlib.contextmanager
def _one_line_mistakes() -> Iterator[None]:
    """Let a mistake of the user's come out as itself, however deep the libraries have wrapped it."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except ArgumentError as error:
        raise _users_mistake(error) or UserError(_readable(str(error))) from None
    except Exception as error:
        if mistake := _users_mistake(error):
            raise mistake from None
        if "is not in bounds" in str(error):  # what Lightning says of a seed
            raise UserError(f"--seed_everything: {_one_line(str(error))}") from None
        raise


def _users_mistake(error: BaseException | None) -> UserError | None:
    while error is not None:
        if isinstance(error, UserError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _readable(complaint: str) -> str:
    """Turn jsonargparse's complaint of a value into the option, the value and what it may be."""
    line = _one_line(complaint)
    key = re.search(r'Parser key "([\w.]+)"', line)
    value = re.search(r"(?:Given value|Got value): (.*)", line)
    choices = re.findall(r"'?([^\[\], ']+)'?", " ".join(re.findall(r"Literal\[([^]]*)\]", line)))
    kinds = re.findall(r"Expected an? <class '(\w+)'>", line)
    if not key or not value or not (choices or kinds):
        return f"{line[:300]}; see --help"
    given = value[1].split(" Given ")[0]
    if choices:
        return f"--{key[1]} {given}: choose from {', '.join(dict.fromkeys(choices))}"
    return f"--{key[1]} {given}: need {' or '.join(dict.fromkeys(_KINDS.get(kind, kind) for kind in kinds))}"


def _one_line(message: str) -> str:
    return " ".join(message.split())
