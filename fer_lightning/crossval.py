"""``crossval``: the paper's protocol (section 3.2) and its leak-free twin, cell by cell, side by side, resumable."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

from fer_lightning import cells, checkpoint, options, runs
from fer_lightning.cell_work import Work
from fer_lightning.cells import Cell
from fer_lightning.crossval_options import Options
from fer_lightning.data.sources import recognise
from fer_lightning.errors import UserError


def crossval(wanted: Options) -> int:
    """Run the cells that are not finished.

    Args:
        wanted: What the command line asked for.

    Returns:
        The exit code: 0 all cells of this call are finished, 1 some failed or are at work in another process,
        130 stopped by Ctrl-C.

    Raises:
        UserError: If an option, the data or a start cannot be used, or a cell was begun with other options.
    """
    planned = plan(wanted)
    share, of = wanted.share
    own = planned[share - 1 :: of]
    for cell in own:
        cells.must_match(cells.folder_of(wanted.out, cell), cell)
    done = [cell for cell in own if cells.is_finished(cells.folder_of(wanted.out, cell))]
    print(f"{wanted.out}: {len(own)} cells" + (f" of {len(planned)}" if of > 1 else "") + f", {len(done)} finished")
    if wanted.list_only:
        for cell in own:
            print(f"{'done' if cell in done else 'open'}  {cell.name}")
        return 0
    code = Work(wanted, own).run()
    if code == 0:
        print(f"next: python -m fer_lightning report {wanted.out}")
    return code


def plan(wanted: Options) -> list[Cell]:
    """Return the cells in the order in which they run: every network has its first folds early.

    Raises:
        UserError: If the data or a start cannot be used.
    """
    given = dict(options.pairs(wanted.fit))
    root = given.get("data.root")
    source = recognise(given.get("data.source", "auto"), Path(root).expanduser() if root else None)  # type: ignore[arg-type]
    found = []
    starts = _starts(wanted)
    for teacher in options.teachers(wanted.fit):
        checkpoint.find(teacher)  # complains now, not when the first cell is at work
    for seed, fold, protocol, network in itertools.product(
        wanted.seeds, wanted.only_folds, wanted.protocols, wanted.networks
    ):
        for start, file in starts[network]:
            cell = Cell(source, protocol, network, start, seed, wanted.folds, fold, tta=wanted.tta)
            words = ["--data.split", protocol, "--data.folds", str(wanted.folds), "--data.fold", str(fold)]
            words += ["--model.network", network, "--seed_everything", str(seed), *wanted.fit]
            words += ["--trainer.default_root_dir", str(cells.folder_of(wanted.out, cell))]
            words += ["--init_from", str(file)] if file else []
            words += ["--trainer.devices", "1"] if wanted.jobs > 1 and "trainer.devices" not in given else []
            found.append(replace(cell, words=tuple(words)))
    return found


def _starts(wanted: Options) -> dict[str, list[tuple[str, Path | None]]]:
    """Return the starts of each network: what they are called, and the checkpoint."""
    starts: dict[str, list[tuple[str, Path | None]]] = {network: [] for network in wanted.networks}
    for name in wanted.starts:
        if name == "scratch":
            for of_network in starts.values():
                of_network.append(("scratch", None))
            continue
        given, equals, path = name.partition("=")
        file = _checkpoint(path if equals else name)
        card = checkpoint.read_card(file)
        network = card["network"]["name"]
        called = re.sub(r"\W", "_", given if equals else card["data"]["source"])  # it names a folder
        if network not in starts:
            raise UserError(f"--starts {name}: holds {network}, which is not among --networks")
        if called in dict(starts[network]):
            raise UserError(f"--starts {name}: a second start of {network} from {called}; call it otherwise: NAME=FILE")
        starts[network].append((called, file))
    if missing := [network for network, found in starts.items() if not found]:
        raise UserError(
            f"--starts: none is a checkpoint of {missing[0]}; add one, add scratch, or leave the network out"
        )
    return starts


def _checkpoint(name: str) -> Path:
    """Return the checkpoint that a start means: a file, the name of a shipped one, or the folder of a finished cell."""
    folder = Path(name).expanduser()
    return checkpoint.find(cells.trained_in(folder) / runs.BEST if folder.is_dir() else name)
