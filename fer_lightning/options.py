"""The options of ``fit``, ``validate`` and ``test``, read from the source of the classes that take them.

Importing those classes costs ten seconds of torch and Lightning; reading their signatures and docstrings costs
milliseconds. So ``--help`` and the answer to a mistyped option are immediate, and cannot drift from the code.
"""

import ast
import contextlib
import difflib
import importlib.util
import json
import re
import textwrap
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_lightning.answering import CORRUPTIONS
from fer_lightning.errors import UserError
from fer_lightning.presets import PRESETS

if TYPE_CHECKING:  # torch stands behind it
    from fer_lightning.models.ensemble import Views

_PACKAGE = Path(__file__).resolve().parent
_CLASSES = {"data": "ExpressionDataModule", "model": "ExpressionTask", "trainer": "Trainer"}
_FILES = "--model.teacher"
_LINKED = {"classes", "class_shares", "seed"}  # the command line takes them from the data and --seed_everything

EPOCHS, EPOCHS_OF_DRAWINGS = 30, 12
"""Length of a training that was not given one: of real faces, and of the drawn ones, which are learned sooner."""

OF_THE_TRAINER = {
    "precision": "32-true",
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": 1.0,
    "limit_train_batches": None,
    "limit_val_batches": None,
}
"""Options of Lightning's Trainer that shape a training, with their usual values; one not given may be None."""

VIEWS: tuple["Views", ...] = ("none", "flip", "ten_crop")
"""What ``--tta`` takes, as :class:`~fer_lightning.models.ensemble.Ensemble` does."""

OTHERS = {
    "--config FILE": "read options from a YAML file, such as the config.yaml that every fit leaves",
    "--print_config": "print all options with their values, and stop",
    "--ckpt_path FILE": "fit: resume (last finds the newest run of this source and network); "
    "validate, test: what to score; given several times, their probabilities are averaged",
    f"--tta {{{','.join(VIEWS)}}}": "validate, test: average over views of each face (default: none)",
    "--logit_adjustment POWER": "validate, test: name rare classes more often: divide each probability by this power "
    "of its class's share, such as 0.5 (default: 0)",
    f"--corruption {{{','.join(CORRUPTIONS)}}}": "validate, test: score faces as bad photographs have them; mixed does "
    "one of the other six to each face (default: none)",
    "--seed_everything N": "seed of the weights, the order of rows, augmentation and dropout (default: 42)",
    "--patience N": "fit: stop when validation macro-F1 has not risen for N epochs (default: 0, never)",
    "--init_from FILE": "fit: start from the weights of a checkpoint (a file, or the name of a shipped one); outputs "
    "of classes that it lacks start afresh",
    f"--preset {{{','.join(PRESETS)}}}": "fit: a recipe with a name; options that are given besides win "
    "(default: none, which is paper's recipe)",
    "--trainer.max_epochs N": f"fit: length of the training (default: {EPOCHS}; drawn faces: {EPOCHS_OF_DRAWINGS})",
    "--trainer.accelerator, --trainer.devices, ...": "all of Lightning's Trainer; --help_all lists them",
    "--trainer.default_root_dir DIR": "where runs are kept (default: runs)",
}
_PLAIN = {
    "config",
    "print_config",
    "ckpt_path",
    "seed_everything",
    "patience",
    "init_from",
    "preset",
    "tta",
    "logit_adjustment",
    "corruption",
    "help",
    "help_all",
    "verbose",
}


class Option(NamedTuple):
    """One option: its full name, choices (empty if free), default as written, and what it does."""

    name: str
    choices: tuple[str, ...]
    default: str
    text: str


@cache
def options(group: str) -> dict[str, Option]:
    """Return the options of a group (``data``, ``model``, ``trainer``) by their full names, such as ``data.source``."""
    module = ast.parse(_file(group).read_text(encoding="utf-8"))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == _CLASSES[group])
    init = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    texts = _described(ast.get_docstring(init) or "")
    arguments = init.args.args[1:]
    defaults = [None] * (len(arguments) - len(init.args.defaults)) + list(init.args.defaults)
    arguments, defaults = arguments + init.args.kwonlyargs, defaults + init.args.kw_defaults
    found = {}
    for argument, default in zip(arguments, defaults, strict=True):
        if argument.arg not in _LINKED:
            name = f"{group}.{argument.arg}"
            written = "" if default is None else ast.unparse(default).strip("'")
            choices = _choices(argument.annotation, module)
            found[name] = Option(name, choices, written, texts.get(argument.arg, ""))
    return found


def _file(group: str) -> Path:
    if group == "data":
        return _PACKAGE / "data/datamodule.py"
    if group == "model":
        return _PACKAGE / "task.py"
    lightning = importlib.util.find_spec("lightning")  # finds, but does not import
    folders = lightning.submodule_search_locations if lightning else None
    if not folders:
        raise UserError("lightning is not installed; run: pip install -e .")
    return Path(folders[0]) / "pytorch/trainer/trainer.py"


def check(args: Sequence[str]) -> None:
    """Refuse a mistyped option or choice before anything heavy is imported.

    Raises:
        UserError: With the nearest names, or the choices.
    """
    for name, value in pairs(args):
        group, dot, _ = name.partition(".")
        if (not dot and name not in _PLAIN and name not in _CLASSES) or (dot and group not in _CLASSES):
            raise UserError(f"--{name}: no such option; {_nearest(name)}")
        if not dot or (group == "trainer" and name.count(".") > 1):  # an argument of one of the Trainer's objects
            continue
        known = options(group)
        if name not in known:
            raise UserError(f"--{name}: no such option; {_nearest(name)}")
        choices = known[name].choices
        if choices and value is not None and not value.startswith("--") and value.lower() not in choices:
            raise UserError(f"--{name} {value}: choose from {', '.join(choices)}")


def spelled_out(args: Sequence[str]) -> list[str]:
    """Return the arguments as the parser wants them.

    A switch that stands alone, such as ``--data.drop_leaks``, gets its ``true``; the files behind every
    ``--model.teacher`` become one list.
    """
    switches = {f"--{o.name}" for group in _CLASSES for o in options(group).values() if o.choices == ("true", "false")}
    words: list[str] = []
    files: list[str] = []
    rest = deque(args)
    while rest:
        word = rest.popleft()
        option, equals, value = word.partition("=")
        if option == _FILES:
            given = [value] if equals else []
            while not equals and rest and not rest[0].startswith("--"):
                given.append(rest.popleft())
            if not given or given[0] == "null" or given[0].startswith("["):  # as the parser itself writes it
                words += [option, *given]
            else:
                files += given
            continue
        words.append(word)
        if word in switches and (not rest or rest[0].startswith("--")):
            words.append("true")
    return [*words, _FILES, json.dumps(files)] if files else words


def teachers(args: Sequence[str]) -> list[str]:
    """Return the files of the last ``--model.teacher`` of arguments that :func:`spelled_out` has written.

    Raises:
        UserError: If it names no files.
    """
    given = dict(pairs(args)).get(_FILES.removeprefix("--"))
    if not given or given == "null":
        return []
    with contextlib.suppress(json.JSONDecodeError):
        found = json.loads(given)
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return found
    raise UserError(f"{_FILES} {given}: need files, divided by spaces")


def help_text(verb: str) -> str:
    """Return the help of a verb, as wide as a terminal of 80 columns."""
    lines = [f"usage: python -m fer_lightning {verb} [options]", ""]
    for group, title in (("data", "Data"), ("model", "Network and recipe")):
        lines.append(f"{title}:")
        for option in options(group).values():
            shown = "{" + ",".join(option.choices) + "}" if option.choices else option.name.split(".")[1].upper()
            default = f" (default: {option.default})" if option.default not in ("", "None") else ""
            lines += _entry(f"--{option.name} {shown}", option.text + default)
        lines.append("")
    lines.append("Training and the rest:")
    for name, text in OTHERS.items():
        lines += _entry(name, text)
    return "\n".join(lines)


def _entry(head: str, text: str) -> list[str]:
    indent = " " * 6
    return [f"  {head}", *textwrap.wrap(text, 80, initial_indent=indent, subsequent_indent=indent)]


def pairs(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the name of each long option with its value, which follows ``=`` or stands next."""
    for place, word in enumerate(args):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            following = args[place + 1] if place + 1 < len(args) else None
            yield name.rstrip("+"), value if equals else following


def _nearest(name: str) -> str:
    known = [*options("data"), *options("model"), *options("trainer"), *sorted(_PLAIN)]
    if near := difflib.get_close_matches(name, known, 3, 0.6):
        return "did you mean " + ", ".join(f"--{option}" for option in near) + "?"
    group = name.partition(".")[0]
    if group in ("data", "model"):
        return "choose from " + ", ".join(f"--{option}" for option in options(group))
    return "see --help_all" if group == "trainer" else "see --help"


def _described(docstring: str) -> dict[str, str]:
    """Return the text of each argument of a Google-style docstring."""
    section = docstring.partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _choices(annotation: ast.expr | None, module: ast.Module) -> tuple[str, ...]:
    """Return the values of a ``Literal``, also one that was given a name in this or an imported module."""
    if isinstance(annotation, ast.Name):
        return ("true", "false") if annotation.id == "bool" else _choices(_named(annotation.id, module), module)
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        inner = annotation.slice
        values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        return tuple(str(value.value) for value in values if isinstance(value, ast.Constant))
    return ()


def _named(name: str, module: ast.Module) -> ast.expr | None:
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            base = _PACKAGE.parent / (node.module or "").replace(".", "/")
            file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            return _named(name, ast.parse(file.read_text(encoding="utf-8"))) if file.exists() else None
    return None
