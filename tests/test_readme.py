"""README and the shipped cards tell the truth: commands are accepted, figures are the checkpoints' own."""

import re
import runpy
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from demo.__main__ import _parser
from fer_lightning import average_options, checkpoint, crossval_options, options, predict_options
from fer_lightning.card import markdown
from fer_lightning.cli import main
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.models import NetworkName, build_network
from fer_lightning.models.cost import multiply_adds, parameters
from fer_lightning.preprocess import to_tensor
from fer_lightning.report import options as report_options

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARDS = (ROOT / "checkpoints" / "README.md").read_text(encoding="utf-8")
SHIPPED = sorted((ROOT / "checkpoints").glob("*.safetensors"))
BLOCKS = re.findall(r"```bash\n(.*?)```", README + CARDS, re.DOTALL)
COMMANDS = [line.partition("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
OURS = [command for command in COMMANDS if command.startswith("python -m fer_lightning")]


def test_there_are_checkpoints_and_commands() -> None:
    assert SHIPPED
    assert len(OURS) > 8


@pytest.mark.parametrize("command", sorted(set(OURS)))
def test_every_command_is_one_that_the_tool_takes(command: str) -> None:
    verb, *words = shlex.split(command)[3:]
    if verb == "compare":
        assert len(words) == 2  # of runs that only a user has
    elif verb == "average":
        assert average_options.parse(words)
    elif verb == "card":
        assert main([verb, *(str(ROOT / word) if "/" in word else word for word in words)]) == 0
    elif verb == "predict":
        assert "--help" in words or predict_options.parse(words)
    elif verb == "crossval":
        assert crossval_options.parse(words).fit
    elif verb == "report":
        assert words
        assert not [word for word in words if word.startswith("--") and word not in report_options.help_text()]
    else:
        assert main([verb, "--help"]) == 0
        options.check(words)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python -m demo")])
def test_every_command_of_the_demo_is_one_that_it_takes(command: str) -> None:
    _parser().parse_args(shlex.split(command)[3:])


@pytest.mark.parametrize("target", sorted({command.split()[1] for command in COMMANDS if command.startswith("make ")}))
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_what_networks_cost(name: NetworkName) -> None:
    network = build_network(name)
    assert f"| `{name}` | {parameters(network):,} | {multiply_adds(network):,} |" in README


def test_the_map_names_every_module() -> None:
    missing = [
        file.name
        for file in (ROOT / "fer_lightning").rglob("*.py")
        if file.name not in README and not file.name.startswith("__")
    ]
    assert missing == []


def test_the_results_are_those_of_the_reports() -> None:
    """The section on the experiment is what the reports in docs/results say, and its pictures are there."""
    excerpt = runpy.run_path(str(ROOT / "docs" / "results" / "excerpt.py"))
    assert excerpt["in_place"](README) == README
    section = README.partition("<!-- results -->")[2].partition("<!-- end of results -->")[0]
    assert section.count("\n| CK+ | ") > 20
    assert section.count("\n| FER2013 | ") > 5
    assert section.count(f"| improved_cnn | 5 {excerpt['NAMED']}") == 3  # tables 1 and 2, scores
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", section)
    assert len(pictures) >= 4
    assert [name for name in pictures if not (ROOT / name).exists()] == []


def row(file: Path, card: dict[str, Any]) -> str:
    """Return what a card amounts to in README's table."""
    chosen, scored = card["scores"]["PublicTest"], card["scores"]["PrivateTest"]
    low, high = scored["accuracy_interval"]
    cells = [
        f"`{file.stem}`",
        card["network"]["name"],
        f"{card['parameters']:,}",
        f"{chosen['accuracy']:.2%}",
        f"{scored['accuracy']:.2%} ({low:.1%} to {high:.1%})",
        f"{card['scores']['PrivateTest twin-free']['accuracy']:.2%}",
        f"{scored['macro_f1']:.3f}",
        f"{scored['ece']:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_figure_is_the_cards_own(file: Path) -> None:
    card = checkpoint.read_card(file)
    assert row(file, card) in README
    if agreed := card["scores"].get("PrivateTest majority"):
        low, high = agreed["accuracy_interval"]
        said = f"{agreed['n']:,} PrivateTest rows it has {agreed['accuracy']:.2%} ({low:.1%} to {high:.1%}), macro-F1 "
        assert f"{said}{agreed['macro_f1']:.3f}, ECE {agreed['ece']:.3f}" in " ".join(README.split())
    assert markdown(card, file.stem) in CARDS


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_checkpoint_was_made_honestly(file: Path) -> None:
    card = checkpoint.read_card(file)
    whose = " of each network averaged," if "averaged" in card["training"] else ""
    assert card["training"]["chosen_by"] == f"val/macro_f1{whose} on PublicTest"
    assert card["data"]["leakage"]["test"]["near_identical"] == 0
    assert card["data"]["leakage"]["validation"]["near_identical"] == 0
    assert not card["environment"]["git_commit"].endswith("+changes")
    assert card["scores"]["PrivateTest"]["accuracy"] >= 0.6
    assert "/" not in card["training"]["config"]["data"]["root"].removeprefix("data/")  # no one's own folders


@pytest.mark.realdata
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_its_figures_come_out_again(file: Path, real_data: Path) -> None:
    loaded = checkpoint.load(file)
    was = loaded.card["training"]["config"]["data"]
    kept = {key: was[key] for key in ("source", "drop_leaks", "clean") if key in was}
    data = ExpressionDataModule(root=str(real_data / "fer2013"), **kept)
    assert data.faces.fingerprint == loaded.card["data"]["fingerprint"]
    rows = data.split.test
    faces = to_tensor(data.faces.faces[rows])
    with torch.inference_mode():
        predicted = torch.cat([loaded.network(batch).argmax(1) for batch in faces.split(256)]).numpy()
    right = predicted == data.faces.labels[rows]
    for part, hits in (("PrivateTest", right), ("PrivateTest twin-free", right[data.twin_free()])):
        expected = loaded.card["scores"][part]
        assert len(hits) == expected["n"]
        # another processor adds in another order, so a tie or two may fall the other way
        assert int(hits.sum()) == pytest.approx(expected["accuracy"] * expected["n"], abs=3)
