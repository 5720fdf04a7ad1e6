"""Batches: every row where it belongs, once, and each process with a share of its own."""

import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fer_lightning.data.augment import Augment
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.loader import BatchKey, BatchSampler, FaceBatches
from tests import fakes

ROWS = np.arange(100, 203)  # 103 rows: a multiple of no batch and no world


def sampler(rank: int = 0, world: int = 1, *, size: int = 16, shuffle: bool = True, count: int = 103) -> BatchSampler:
    return BatchSampler(ROWS[:count], size, shuffle=shuffle, seed=1, rank=rank, world=world)


def rows(batches: list[BatchKey]) -> list[int]:
    return np.concatenate([batch.rows for batch in batches]).tolist() if batches else []


def test_a_batch_holds_what_its_rows_say() -> None:
    faces = fakes.scenes(6)
    labels, targets = np.array([2, 0, 1, 2, 0, 1]), np.random.default_rng(0).random((6, 3), np.float32)
    batch = FaceBatches(faces, labels, targets, Augment("none"))[BatchKey(np.array([4, 0, 3]), 1)]
    assert {name: (values.dtype, tuple(values.shape)) for name, values in batch.items()} == {
        "faces": (torch.uint8, (3, 48, 48)),
        "labels": (torch.int64, (3,)),
        "targets": (torch.float32, (3, 3)),
        "rows": (torch.int64, (3,)),
    }
    assert batch["rows"].tolist() == [4, 0, 3]
    assert batch["labels"].tolist() == [0, 2, 2]
    assert np.array_equal(batch["faces"].numpy(), faces[[4, 0, 3]])
    assert np.array_equal(batch["targets"].numpy(), targets[[4, 0, 3]])


def test_a_batch_of_a_memory_map_is_a_copy(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    np.save(tmp_path / "faces.npy", fakes.scenes(3))
    faces: NDArray[np.uint8] = np.load(tmp_path / "faces.npy", mmap_mode="r")
    data = FaceBatches(faces, np.zeros(3, np.int64), np.ones((3, 1), np.float32), Augment("none"))
    data[BatchKey(np.array([0, 1]), 1)]["faces"].zero_()
    assert faces[:2].any()
    assert not [str(warning.message) for warning in recwarn if "writable" in str(warning.message)]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 16, 48, 103])
def test_scoring_takes_each_row_once_over_all_processes(world: int, count: int) -> None:
    samplers = [sampler(rank, world, shuffle=False, count=count) for rank in range(world)]
    batches = [list(one) for one in samplers]
    assert [len(share) for share in batches] == [len(one) for one in samplers]
    assert sorted(chain(*map(rows, batches))) == ROWS[:count].tolist()
    assert all(0 < len(batch.rows) <= 16 for share in batches for batch in share)


def test_scoring_keeps_the_order() -> None:
    assert rows(list(sampler(shuffle=False))) == ROWS.tolist()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_training_processes_take_equally_many_full_batches_of_different_rows(world: int) -> None:
    shares = [list(sampler(rank, world)) for rank in range(world)]
    assert [len(share) for share in shares] == [103 // (16 * world)] * world
    assert {len(batch.rows) for share in shares for batch in share} == {16}
    taken = list(chain(*map(rows, shares)))
    assert len(set(taken)) == len(taken)
    seeds = [batch.seed for share in shares for batch in share]
    assert len(set(seeds)) == len(seeds)


def test_each_epoch_has_its_order_and_over_time_every_row() -> None:
    one = sampler()
    seen, seeds = [], []
    for epoch in range(6):
        one.set_epoch(epoch)
        seen.append(rows(list(one)))
        seeds += [batch.seed for batch in one]
    assert len({tuple(order) for order in seen}) == 6
    assert len(set(seeds)) == 6 * len(one)
    assert set(chain(*seen)) == set(ROWS.tolist())  # what one epoch leaves over, another takes
    one.set_epoch(2)
    assert rows(list(one)) == seen[2]
    assert seen[0] != sorted(seen[0])


def test_a_resumed_run_goes_on_with_its_epoch() -> None:
    whole, resumed = sampler(), sampler()
    resumed.start_at(4)
    for told, epoch in ((None, 4), (0, 4), (5, 5)):  # Lightning asks once before it tells the epoch
        if told is not None:
            resumed.set_epoch(told)
        whole.set_epoch(epoch)
        assert [(key.rows.tolist(), key.seed) for key in resumed] == [(key.rows.tolist(), key.seed) for key in whole]


def test_a_set_smaller_than_a_batch_makes_one_batch() -> None:
    (batch,) = list(sampler(size=500))
    assert sorted(batch.rows.tolist()) == ROWS.tolist()
    shares = [list(sampler(rank, 2, size=500)) for rank in range(2)]
    assert [len(share) for share in shares] == [1, 1]
    assert sorted(chain(*map(rows, shares))) == ROWS.tolist()


def test_a_process_without_a_row_borrows_one() -> None:
    shares = [list(sampler(rank, 3, count=2)) for rank in range(3)]
    assert [[len(batch.rows) for batch in share] for share in shares] == [[1], [1], [1]]


def test_the_loaders_give_every_row_of_their_part(fer2013: Path) -> None:
    data = ExpressionDataModule(root=str(fer2013))
    for role, loader in (("validation", data.val_dataloader()), ("test", data.test_dataloader())):
        taken = torch.cat([batch["rows"] for batch in loader]).tolist()
        assert taken == getattr(data.split, role).tolist()


_KILLED_AT_ONCE = """
import os, sys, time
from fer_lightning.data.datamodule import ExpressionDataModule

data = ExpressionDataModule(source="fer2013", root=sys.argv[1])
data.setup("fit")
loader = data.train_dataloader()
begin, parent = loader.worker_init_fn, os.getpid()

def late(worker):
    print("up", flush=True)
    while os.getppid() == parent:
        time.sleep(0.01)
    begin(worker)
    print("at work", flush=True)

loader.worker_init_fn = late
batches = iter(loader)
os._exit(0)
"""


def test_a_worker_whose_process_ended_before_it_was_up_ends_too(fer2013: Path) -> None:
    words = [sys.executable, "-c", _KILLED_AT_ONCE, str(fer2013)]
    ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=60)  # the output ends with the worker
    assert ended.stdout == "up\n"
