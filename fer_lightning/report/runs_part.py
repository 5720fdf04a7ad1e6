"""The parts of a report about the trainings themselves: what was run, leakage, learning curves, cost."""

from collections.abc import Iterator, Sequence
from typing import Any

from fer_lightning.report import figures
from fer_lightning.report.document import Block, Heading, Picture, Table, Text
from fer_lightning.report.experiments import Experiment
from fer_lightning.report.wording import NONE, UNKNOWN, Found, called, settings, start_of


def what_was_run(experiments: Sequence[Experiment], missing: Sequence[str]) -> Iterator[Block]:
    """Yield what was trained, how and on what, and what was left out.

    Args:
        experiments: The experiments without test-time views.
        missing: Names of the cells that were planned and are not finished.
    """
    yield Heading("What was run")
    yield Text(
        "Every score here is out of fold: a row was predicted by a network that neither learned from it nor was chosen "
        "on it. The checkpoint of each fold was chosen by macro-F1 on rows held out of its training folds. Random "
        "folds are the paper's protocol; grouped folds are its honest twin: they keep a person, and a cluster of alike "
        "pictures, on one side. Settings are those that are not the tool's default."
    )
    rows = []
    for one in experiments:
        seconds = sum(cell["card"]["training"]["seconds"] for cell in one.cells)
        rows.append(
            [
                called(one.key.source),
                one.key.network,
                f"{one.key.folds} {one.key.protocol}",
                start_of(one.key._asdict()),
                f"{len(one.parts)} of {one.wanted}",
                f"{len(one.label):,}",
                (settings(one.recipe) or NONE) if one.cells else UNKNOWN,
                f"{seconds / 60:,.0f}" if one.cells else NONE,
            ]
        )
    header = ("data", "network", "folds", "start", "trainings done", "rows scored", "settings", "minutes")
    yield Table("run", "Experiments", header, rows)
    if missing:
        yield Text(
            f"Planned and not finished, {len(missing)}: {', '.join(missing)}. Means are over the folds that were "
            "scored; nothing is filled in."
        )
    yield from _remarks(experiments)


def _remarks(experiments: Sequence[Experiment]) -> Iterator[Block]:
    machines: dict[str, set[str]] = {}
    doubtful = set()
    for cell in (cell for one in experiments for cell in one.cells):
        environment = cell["card"]["environment"]
        machine = ", ".join([environment["processor"], *environment["accelerators"]])
        machines.setdefault(machine, set()).add(called(cell["cell"]["source"]))
        training = cell["card"]["training"]
        for source in (training.get("init_from"), *training.get("teachers", [])):
            if source and source.get("may_have_seen"):
                doubtful.add(f"{source['checkpoint']} for {called(cell['cell']['source'])}")
    if machines:
        where = (f"{machine} ({', '.join(sorted(sources))})" for machine, sources in sorted(machines.items()))
        yield Text(f"Trained on {'; '.join(where)}.")
    if doubtful:
        yield Text(
            f"It cannot be told whether these starts or teachers saw the pictures: {', '.join(sorted(doubtful))}."
        )


def leakage(experiments: Sequence[Experiment]) -> Iterator[Block]:
    """Yield the rows of every fold of which the training rows hold the picture or the person."""
    counted: dict[tuple[str, int, str, int], Found] = {}
    for cell in (cell for one in experiments for cell in one.cells):
        place = (cell["cell"]["source"], cell["cell"]["folds"], cell["cell"]["protocol"], cell["cell"]["fold"])
        counted[place] = cell["card"]["data"]["leakage"]
    if not counted:
        return
    yield Heading("Leakage of every fold")
    rows = []
    for (source, folds, protocol, fold), found in sorted(counted.items()):
        cells = [called(source), f"{folds} {protocol}", str(fold)]
        for part in ("test", "validation"):
            values = found[part]
            people = values["shared_subjects"]
            cells += [f"{values['rows']:,}", f"{values['identical']:,}", f"{values['near_identical']:,}"]
            cells.append(UNKNOWN if people is None else str(people))
        rows.append(cells)
    counts = ("rows", "identical", "identical or near", "shared persons")
    header = ("data", "folds", "fold", *(f"{part} {what}" for part in ("scored:", "held out:") for what in counts))
    yield Table("leakage", "Rows with such a picture, and persons, among the training rows", header, rows)


def curves(experiments: Sequence[Experiment]) -> Iterator[Block]:
    """Yield the learning curves.

    Args:
        experiments: The experiments without test-time views.
    """
    together: dict[tuple[str, str, str, int], dict[str, list[Any]]] = {}
    for one in experiments:
        runs = [cell["history"] for cell in one.cells if cell["history"]]
        place = (one.key.source, one.key.protocol, one.key.start, one.key.folds)
        if runs:
            together.setdefault(place, {})[one.key.network] = runs
    if not together:
        return
    yield Heading("Learning curves")
    for (source, protocol, start, folds), histories in together.items():
        title = f"Learning curves on {called(source)}, {folds} {protocol} folds, {start_of({'start': start})}"
        yield Picture(figures.curves(f"curves-{source}-{protocol}{folds}-{start}", title, histories))


def costs(found: Sequence[Found]) -> Iterator[Block]:
    """Yield what each network costs.

    Args:
        found: For each network and way of training ``network``, ``parameters``, ``multiply_adds``, ``trained_on``,
            ``training`` (images/s) and perhaps ``inference`` (images/s) and ``machine``.
    """
    if not found:
        return
    yield Heading("Cost of each network")
    machine = next((one["machine"] for one in found if one.get("machine")), None)
    measured = f" Inference: measured for this report, batches of 32, {machine}." if machine else ""
    yield Text(f"Training: median of the epochs of all cells as they ran, perhaps beside others.{measured}")
    rows = []
    for one in found:
        fast = [f"{one[name]:,.0f}" if one.get(name) else NONE for name in ("training", "inference")]
        rows.append([one["network"], f"{one['parameters']:,}", f"{one['multiply_adds']:,}", one["trained_on"], *fast])
    header = (
        "network",
        "parameters",
        "multiply-adds a face",
        "trained on",
        "training, images/s",
        "inference, images/s",
    )
    yield Table("costs", "Size and speed", header, rows)
