"""The one door: ``main`` sends each verb to its room, and turns a user's mistake into one line and exit code 2."""

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from fer_lightning import __version__, options, presets
from fer_lightning.answering import CORRUPTIONS, Way, adjustment
from fer_lightning.errors import UserError

_USAGE = """usage: python -m fer_lightning VERB [options]

  fit        train a network and score it: without options on drawn faces,
             with --data.root PATH on yours
  validate   score a checkpoint on the rows that chose it
  test       score a checkpoint on the rows that are reported; writes
             report.json, scores.csv and a picture of the confusion matrix
  average    make one network of several: the mean of their weights, scored
             and calibrated on the rows that chose them: average FILE FILE...
  compare    a paired test of two checkpoints, from the folders that test
             wrote: compare FIRST SECOND [--json]
  predict    find the faces on photos, folders and films and name their
             expressions: predict INPUT... [--out FILE]
  crossval   train and score networks on every fold, resumable
  report     tables, figures and tests of a crossval: report RUN
  card       print what a checkpoint says of itself: card FILE
             [--json | --markdown]

VERB --help lists the options of a verb; --version prints the version.
"""
_TRAINING = ("fit", "validate", "test")
_VERBS = (*_TRAINING, "average", "compare", "predict", "crossval", "report", "card")
_FOR_FIT = ("init_from", "preset")
_CARD_FORMS = ("--json", "--markdown")
_Choice = TypeVar("_Choice", bound=str)


def main(args: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        args: The words of the command line; by default those the process was started with.

    Returns:
        The exit code: 0 done, 2 a mistake of the user's, 3 some files could not be read, 130 stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # outside of training, which says more
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 0


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    if words[0] == "--version":
        print(f"fer_lightning {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in _VERBS:
        near = difflib.get_close_matches(verb, _VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(_VERBS)}"
        raise UserError(f"{verb}: no such verb; {hint}")
    if verb == "card":
        return _card(rest)
    if verb == "compare":
        return _compare(rest)
    if verb == "predict":
        return _predict(rest)
    if verb == "average":
        return _average(rest)
    if verb == "crossval":
        return _crossval(rest)
    if verb == "report":
        return _report(rest)
    if "-h" in rest or "--help" in rest:
        print(options.help_text(verb))
        return 0
    if verb == "fit":
        rest = presets.expanded(rest)
    options.check(rest)
    return _train_or_score(verb, options.spelled_out(rest))


def _train_or_score(verb: str, rest: list[str]) -> int:
    words, files = _taken(rest, "--ckpt_path", "a file, or for fit the word last")
    words, tta = _chosen(words, "--tta", options.VIEWS)
    words, corruption = _chosen(words, "--corruption", CORRUPTIONS)
    words, powers = _taken(words, "--logit_adjustment", "a number from 0 to 10")
    way = Way(tta or "none", adjustment(powers[-1] if powers else 0), corruption or "none")
    if verb == "fit" and (len(files) > 1 or tta or powers or corruption):
        raise UserError("--tta, --logit_adjustment, --corruption and several --ckpt_path are for validate and test")
    if verb != "fit" and (name := next((name for name in _FOR_FIT if name in dict(options.pairs(words))), None)):
        raise UserError(f"--{name}: is for fit; name what to score with --ckpt_path FILE")
    from fer_lightning import runtime

    runtime.hush()
    runtime.keep_memory()
    if "--help_all" in words:
        words = ["--help"]
    if verb == "fit":
        from fer_lightning.training import fit  # ten seconds of imports, paid only here

        return fit(words, files[0] if files else None)
    from fer_lightning.evaluation import evaluate

    return evaluate("validate" if verb == "validate" else "test", words, files, way)


def _taken(words: list[str], option: str, needs: str) -> tuple[list[str], list[str]]:
    """Take an option of ours, which may stand several times, out of Lightning's; return the rest and its values."""
    kept, values = [], []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name == option:
            given = value if equals else next(rest, "")
            if not given or given.startswith("--"):
                raise UserError(f"{option}: needs {needs}")
            values.append(given)
        else:
            kept.append(word)
    return kept, values


def _chosen(words: list[str], option: str, choices: tuple[_Choice, ...]) -> tuple[list[str], _Choice | None]:
    """Take an option of ours that has choices out of Lightning's; return the rest and its last value or None."""
    words, values = _taken(words, option, "one of " + ", ".join(choices))
    known = {str(choice): choice for choice in choices}
    if wrong := next((value for value in values if value not in known), None):
        raise UserError(f"{option} {wrong}: choose from {', '.join(choices)}")
    return words, known[values[-1]] if values else None


def _average(rest: list[str]) -> int:
    from fer_lightning import average_options

    if "-h" in rest or "--help" in rest:
        print(average_options.help_text(), end="")
        return 0
    files, words = average_options.parse(rest)
    from fer_lightning import runtime

    runtime.hush()
    runtime.keep_memory()
    from fer_lightning.averaging import average  # ten seconds of imports, paid only here

    return average(files, words)


def _predict(rest: list[str]) -> int:
    from fer_lightning import predict_options

    if "-h" in rest or "--help" in rest:
        print(predict_options.help_text(), end="")
        return 0
    wanted = predict_options.parse(rest)
    from fer_lightning import inputs, runtime

    sources = inputs.find_sources(wanted.inputs)
    runtime.keep_memory()
    runtime.scratch()
    from fer_lightning import predicting  # seconds of torch, not paid for help or a mistake

    return predicting.predict(wanted, sources)


def _crossval(rest: list[str]) -> int:
    from fer_lightning import crossval_options

    if "-h" in rest or "--help" in rest:
        print(crossval_options.help_text(), end="")
        return 0
    wanted = crossval_options.parse(rest)
    from fer_lightning.crossval import crossval

    return crossval(wanted)


def _report(rest: list[str]) -> int:
    from fer_lightning.report import options as report_options

    if "-h" in rest or "--help" in rest:
        print(report_options.help_text(), end="")
        return 0
    wanted = report_options.parse(rest)
    from fer_lightning import runtime
    from fer_lightning.report.write import report

    runtime.scratch()
    return report(wanted)


def _compare(rest: list[str]) -> int:
    tables = _files("compare", rest, "FIRST SECOND", ("--json",))
    if tables is None:
        return 0
    if len(tables) != 2:
        raise UserError("compare takes FIRST and SECOND, folders that test wrote")
    import json

    from fer_lightning import paired

    found = paired.compare(*map(Path, tables))
    print(json.dumps(found, indent=2) if "--json" in rest else "\n".join(paired.lines_of(found)))
    return 0


def _files(verb: str, rest: list[str], needs: str, forms: tuple[str, ...]) -> list[str] | None:
    """Return the files that stand behind a verb with few options; None if it was asked for help, which is given."""
    unknown = [word for word in rest if word.startswith("-") and word not in (*forms, "-h", "--help")]
    if unknown:
        raise UserError(f"{unknown[0]}: no such option; {verb} takes {needs} and {' or '.join(forms)}")
    if "-h" in rest or "--help" in rest:
        print(f"usage: python -m fer_lightning {verb} {needs} [{' | '.join(forms)}]")
        return None
    return [word for word in rest if not word.startswith("-")]


def _card(rest: list[str]) -> int:
    files = _files("card", rest, "FILE", _CARD_FORMS)
    if files is None:
        return 0
    if len(files) != 1:
        raise UserError("card takes one FILE, a .safetensors or .ckpt checkpoint")
    from fer_lightning import card, checkpoint

    path = Path(files[0])
    read = checkpoint.read_card(path)
    if "--json" in rest:
        print(card.card_json(read))
    elif "--markdown" in rest:
        print(card.markdown(read, path.stem))
    else:
        from rich.console import Console

        card.show(read, Console())
    return 0
