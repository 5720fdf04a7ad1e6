"""Fixtures that every test may use: a cache of its own, a trained run, and the real data where they are at hand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_lightning.cli import main
from tests import fakes

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests out of the user's cache; one cache for the whole run, so that real data are read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_LIGHTNING_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session")
def fer2013(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a fer2013.csv of 350 rows that a network can learn."""
    return fakes.write_fer2013(tmp_path_factory.mktemp("fer2013"), 350).parent


@pytest.fixture(scope="session")
def trained(fer2013: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of four short epochs on the fake FER2013; copy it before you change it."""
    base = tmp_path_factory.mktemp("trained")
    words = ["--data.root", str(fer2013), "--data.batch_size", "16", "--data.augment", "none"]
    assert main(["fit", *words, "--trainer.max_epochs", "4", "--trainer.default_root_dir", str(base)]) == 0
    return base / "fer2013-improved_cnn" / "version_0"


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
