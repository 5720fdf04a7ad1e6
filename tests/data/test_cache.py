"""The cache: made once, whole or not at all, and never in the way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_lightning.data.cache import Arrays, cached, content_hash

_HEAD = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from fer_lightning.data.cache import cached
here = Path(sys.argv[1])
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def arrays() -> Arrays:
    return {"faces": np.arange(12, dtype=np.uint8).reshape(3, 2, 2), "labels": np.array([3, 1, 2]), "none": np.zeros(0)}


def never() -> Arrays:
    raise AssertionError("made again")


def start(script: str, *args: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _HEAD + script, *map(str, args)])


def test_an_entry_is_made_once_and_mapped_read_only(cache: Path) -> None:
    cached("k", arrays)
    again = cached("k", never)
    assert {name: array.tolist() for name, array in again.items()} == {
        name: array.tolist() for name, array in arrays().items()
    }
    assert isinstance(again["faces"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again["faces"][0] = 0


def test_what_the_maker_raises_passes_through_and_writes_nothing(cache: Path) -> None:
    with pytest.raises(AssertionError, match="made again"):
        cached("k", never)
    assert not cache.exists()


def test_of_two_processes_at_once_one_leaves_its_entry(cache: Path, tmp_path: Path) -> None:
    script = """
def make():  # both are past the look into the cache before either writes
    (here / f"made-{sys.argv[2]}").touch()
    while len(list(here.glob("made-*"))) < 2:
        time.sleep(0.01)
    return {"faces": np.full((200, 48, 48), 7, np.uint8), "labels": np.arange(200)}
assert cached("k", make)["labels"].tolist() == list(range(200))
"""
    both = [start(script, tmp_path, number) for number in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert [path.name for path in cache.iterdir()] == ["k"]
    assert cached("k", never)["faces"].sum() == 7 * 200 * 48 * 48


def test_a_kill_during_the_writing_leaves_no_entry(cache: Path, tmp_path: Path) -> None:
    script = """
save = np.save
def save_and_die(file, array, **options):
    save(file, array, **options)
    os.kill(os.getpid(), signal.SIGKILL)
np.save = save_and_die
cached("k", lambda: {"faces": np.zeros(9), "labels": np.zeros(9)})
"""
    assert start(script, tmp_path).wait(60) == -signal.SIGKILL
    assert not (cache / "k").exists()
    assert cached("k", arrays)["labels"].tolist() == [3, 1, 2]
    assert cached("k", never)["labels"].tolist() == [3, 1, 2]


def test_a_stop_during_the_writing_clears_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached("k", arrays)
    assert list(cache.iterdir()) == []


def test_a_full_disk_costs_the_cache_not_the_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert cached("k", arrays)["labels"].tolist() == [3, 1, 2]
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(tmp_path / "file" / "cache"))  # no folder can be made there
    for _ in range(2):
        assert cached("k", arrays)["labels"].tolist() == [3, 1, 2]
    assert len(content_hash(tmp_path / "file")) == 64


def test_a_hash_is_remembered_until_the_file_changes(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    first = content_hash(file)
    assert first == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"  # sha256sum of "one"
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))  # size and time as before: the note is believed
    assert content_hash(file) == first
    os.utime(file, ns=(1, 2))
    assert content_hash(file) != first


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"stamp": 1'])
def test_a_broken_note_of_a_hash_is_made_anew(broken: str, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"one")
    first = content_hash(file)
    (note,) = (cache / "hashes").iterdir()
    note.write_text(broken)
    assert content_hash(file) == first
    assert first in note.read_text()


@pytest.mark.parametrize("damage", ["cut", "missing", "unnamed"])
def test_a_damaged_entry_is_made_again(damage: str, cache: Path) -> None:
    cached("k", arrays)
    if damage == "cut":
        (cache / "k" / "faces.npy").write_bytes((cache / "k" / "faces.npy").read_bytes()[:-4])
    else:
        (cache / "k" / ("labels.npy" if damage == "missing" else "names.json")).unlink()
    assert cached("k", arrays)["labels"].tolist() == [3, 1, 2]
    assert cached("k", never)["faces"].tolist() == arrays()["faces"].tolist()  # and is whole from then on


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_an_entry_can_be_read_by_the_other_users_of_a_shared_cache(cache: Path) -> None:
    cached("k", arrays)
    assert (cache / "k").stat().st_mode & 0o777 == 0o755
    assert all(file.stat().st_mode & 0o044 for file in (cache / "k").iterdir())
