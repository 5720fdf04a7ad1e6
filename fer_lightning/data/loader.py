"""Batches of faces: the order of the rows, their augmentation, and their share among processes.

Order and draws of the augmentation depend on (seed, epoch, batch) alone. So two runs agree, a resumed run draws what
the uninterrupted one would have drawn, and the number of workers changes nothing.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

Batch = dict[str, Tensor]
"""``faces`` uint8 ``[B, 48, 48]``, ``targets`` float32 ``[B, K]``, ``labels`` int64 ``[B]``, ``rows`` int64 ``[B]``."""


class BatchKey(NamedTuple):
    """Which rows make a batch, and the seed of its augmentation."""

    rows: NDArray[np.int64]
    seed: int


class FaceBatches(Dataset[Batch]):
    """Gives whole batches: one look-up, one copy and one message between processes for each."""

    def __init__(
        self,
        faces: NDArray[np.uint8],
        labels: NDArray[np.int64],
        targets: NDArray[np.float32],
        change: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]],
    ) -> None:
        self.faces = faces
        self.labels = labels
        self.targets = targets
        self.change = change

    def __getitem__(self, key: BatchKey) -> Batch:
        """Return the batch that the sampler asks for."""
        faces = np.ascontiguousarray(self.faces[key.rows])
        return {
            "faces": torch.from_numpy(self.change(faces, key.seed)),
            "labels": torch.from_numpy(self.labels[key.rows]),
            "targets": torch.from_numpy(self.targets[key.rows]),
            "rows": torch.from_numpy(key.rows),
        }


class BatchSampler(Sampler[BatchKey]):
    """Cuts rows into batches, a new order each epoch for training, and gives each process its own share."""

    def __init__(self, rows: NDArray[np.int64], size: int, *, shuffle: bool, seed: int, rank: int, world: int) -> None:
        """Set up the batches.

        Args:
            rows: The rows of the part.
            size: Rows in a batch of one process.
            shuffle: True for training: a new order each epoch, and full batches only, as many for each process
                (where there is at least one full batch). False for scoring: each row once, none twice.
            seed: What the order and the augmentation depend on, together with the epoch.
            rank: Which process this is, 0..world-1.
            world: How many processes share the rows.
        """
        self.rows = rows
        self.size = size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = self._first = 0

    def start_at(self, epoch: int) -> None:
        """Tell the epoch that a resumed run begins with: its first batches are drawn before ``set_epoch`` is told."""
        self.epoch = self._first = epoch

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch, from which the order follows; Lightning calls it before each."""
        self.epoch = max(epoch, self._first)

    def __len__(self) -> int:
        mine = len(range(self.rank, len(self.rows), self.world))
        if self.shuffle:
            return max(1, len(self.rows) // (self.size * self.world))
        return -(-mine // self.size)

    def __iter__(self) -> Iterator[BatchKey]:
        rows = self.rows
        if self.shuffle:
            rows = np.random.default_rng((self.seed, self.epoch)).permutation(rows)
            rows = np.resize(rows, max(len(rows), self.world))  # a process without a row would halt all the others
        mine = rows[self.rank :: self.world]
        for batch in range(len(self)):
            draw = np.random.SeedSequence((self.seed, self.epoch, batch, self.rank)).generate_state(1)[0]
            yield BatchKey(mine[batch * self.size : (batch + 1) * self.size], int(draw))


def end_if_orphaned(worker: int) -> None:
    """End this worker of a loader if the process that started it is gone.

    PyTorch's workers look whether their parent has changed, but only from when they are up: one whose parent was killed
    before that takes the process that adopted it for its parent, and would wait for batches for ever.

    Args:
        worker: Its number, as PyTorch tells it; all workers do the same.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(1)
