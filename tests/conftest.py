"""Fixtures that every test may use: a cache of its own, and the real data sets where they are at hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache; one cache for the whole run, so that real data are read once."""
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``fer2013/``, ``fer2013_folders/`` and ``CK+48/`` as users have them; skips where there are none."""
    if given := os.environ.get("FER_LIGHTNING_TEST_DATA"):
        return Path(given)
    if not (_BESIDE / "unpack.py").exists():
        pytest.skip("no real data: set FER_LIGHTNING_TEST_DATA to a folder with fer2013/ and CK+48/")
    out = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, str(_BESIDE / "unpack.py"), str(out)], check=True)
    return out
