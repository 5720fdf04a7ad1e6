"""The doors of the house: which module may import what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fer_lightning"
MODULES = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}

# Each heavy or unmaintained library, and the modules that may touch it: no others, not even inside a function.
ONLY_IN: dict[str, set[str]] = {
    "albumentations": {"data.augment"},
    "cv2": {"data.augment"},
    "facenet_pytorch": {"faces"},
    "lightning": {"task", "callbacks", "assembly", "training", "evaluation", "data.datamodule"},
    "torchmetrics": {"metrics"},
    "torchvision": {"models.standard"},
    "sklearn": {"data.folds"},
    "scipy": {"data.duplicates", "calibration", "report.statistics"},
    "matplotlib": {"timeline", "report.figures"},
    "safetensors": {"checkpoint"},
    "av": {"film_files"},
    "pyarrow": {"records"},
    "pillow_heif": {"pictures"},
    "filelock": {"runs", "journal", "cell"},
    "gradio": set(),
    "pandas": set(),
}
SERVING = {"checkpoint", "preprocess", "faces", "pictures", "expressions", "errors", "models", "card", "runs", "scores"}
SERVING |= {
    "recognizer",
    "records",
    "predicting",
    "predict_options",
    "inputs",
    "journal",
    "overview",
    "drawing",
    "boxes",
}
SERVING |= {
    "answering",
    "tracking",
    "following",
    "film_files",
    "video",
    "live",
    "timeline",
    "drawn_film",
    "whole_files",
}


def imported(module: str) -> Iterator[str]:
    """Yield the full names of what a module imports, wherever in it; typing-only imports are left out."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written out in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def libraries(module: str) -> set[str]:
    """Return what a module imports from elsewhere, standard library left out."""
    return {name.split(".")[0] for name in imported(module)} - {"fer_lightning"} - set(sys.stdlib_module_names)


def rooms(module: str) -> set[str]:
    """Return the modules of this package that a module imports, and the packages around them."""
    own = [name.removeprefix("fer_lightning.") for name in imported(module) if name.startswith("fer_lightning")]
    return {known for known in MODULES for name in own if name == known or name.startswith(f"{known}.")} | {
        name.split(".")[0] for name in own
    }


def test_the_modules_are_found() -> None:
    assert {"cli", "task", "data.folds", "models.layers", "models.__init__"} <= set(MODULES)
    assert rooms("task") >= {"models", "metrics", "preprocess", "errors"}
    assert libraries("task") == {"torch", "lightning"}


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_has_its_one_door(library: str) -> None:
    assert {module for module in MODULES if library in libraries(module)} <= ONLY_IN[library]


@pytest.mark.parametrize("module", sorted(module for module in MODULES if module.startswith("models.")))
def test_models_import_torch_alone(module: str) -> None:
    assert libraries(module) <= {"torch", "torchvision"}
    assert rooms(module) <= {"models", "errors"} | {name for name in MODULES if name.startswith("models.")}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nothing_imports_what_lies_above_it(module: str) -> None:
    above = {
        "cli": {"__main__"},
        "training": {"cli", "cell"},
        "assembly": {"training", "evaluation", "averaging"},
        "task": {"assembly"},
    }
    for room, allowed in above.items():
        assert room not in rooms(module) or module in allowed
    if module.startswith("data."):
        assert not rooms(module) & {"task", "models", "metrics", "card", "checkpoint", "runs"}
    if module in ("task", "metrics", "callbacks", "scores", "results", "checkpoint"):
        assert "data" not in rooms(module)
    if module.startswith("report.") or module == "cells":
        assert not rooms(module) & {"task", "data", "assembly", "training", "evaluation", "recognizer"}
    if module in SERVING:
        assert not rooms(module) & {"task", "data", "metrics", "callbacks", "assembly", "training"}


@pytest.mark.parametrize(
    "module",
    [
        *("expressions", "errors", "options", "predict_options", "crossval_options", "report.options", "command_line"),
        "answering",
        *("presets", "records", "whole_files", "cells", "report.paper", "report.document", "cli", "__init__"),
    ],
)
def test_the_door_is_light(module: str) -> None:
    """At the top of these files stands nothing but the standard library and each other."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "fer_lightning"}


_SERVE = """
import sys
import torch
import fer_lightning.checkpoint, fer_lightning.models, fer_lightning.preprocess
import fer_lightning.faces, fer_lightning.pictures, fer_lightning.card, fer_lightning.scores
import fer_lightning.recognizer, fer_lightning.records, fer_lightning.predicting, fer_lightning.live
heavy = {"lightning", "torchmetrics", "albumentations", "gradio", "matplotlib", "sklearn", "facenet_pytorch"}
heavy |= {"cv2", "av", "pyarrow", "pandas"}
print(sorted(heavy & set(sys.modules)))
"""


def test_serving_loads_none_of_what_training_needs() -> None:
    done = subprocess.run([sys.executable, "-c", _SERVE], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_package_itself_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import fer_lightning; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert int(done.stdout) <= 1
