"""The page as users start it: `python -m demo` in a folder of its own, once for all tests that open it."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_lightning import checkpoint
from fer_lightning.models import build_network
from tests import fakes

ROOT = Path(__file__).resolve().parents[2]
OTHER_CLASSES = ("calm", "<b>tense</b>", "amused", "bored")
"""Of the second checkpoint; a page must show such names as they are."""


@dataclass
class Served:
    """A page that runs."""

    url: str
    checkpoint: Path
    folder: Path  # in which it was started
    temp: Path  # where it may keep pictures as long as it runs
    process: subprocess.Popen[str]


def write_other(path: Path) -> Path:
    """Write a checkpoint of other classes."""
    network = build_network("plain_cnn", len(OTHER_CLASSES)).eval()
    checkpoint.save(path, network, fakes.card("plain_cnn", OTHER_CLASSES))
    return path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start the page with two checkpoints; at the end it must leave nothing behind."""
    base = tmp_path_factory.mktemp("served")
    folder, temp = base / "folder", base / "temp"
    temp.mkdir()
    net = fakes.write_checkpoint(base / "net.safetensors")
    write_other(folder / "checkpoints" / "other.safetensors")
    before = sorted(folder.rglob("*"))
    page = _start(net, folder, temp)
    try:
        yield page
    finally:
        page.process.send_signal(signal.SIGTERM)
        rest, _ = page.process.communicate(timeout=30)
    assert "Traceback" not in rest, rest
    assert list(temp.iterdir()) == []
    assert sorted(folder.rglob("*")) == before


def _start(net: Path, folder: Path, temp: Path) -> Served:
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", "--port", "0", "--checkpoint", str(net)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temp), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    said, end = "", time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if select.select([process.stdout], [], [], 1)[0]:
            said += process.stdout.readline()
            if found := re.search(r"^open (http\S+?)/?$", said, re.MULTILINE):
                return Served(found[1], net, folder, temp, process)
    process.kill()
    pytest.fail(f"the page did not start: {said}")
