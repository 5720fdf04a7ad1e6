"""The DataModule: a source, its split, its leaks, and the loaders of its three parts."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fer_lightning.data.augment import Augment, AugmentName
from fer_lightning.data.faceset import FaceSet, OnBadRow, ReadOptions, Role
from fer_lightning.data.folds import Protocol, Split, make_split
from fer_lightning.data.leakage import leakage, twin_free
from fer_lightning.data.loader import Batch, BatchSampler, FaceBatches
from fer_lightning.data.sources import SourceName, read_source
from fer_lightning.errors import UserError


class ExpressionDataModule(pl.LightningDataModule):
    """Faces and labels of any source, split officially or into folds, in batches."""

    def __init__(
        self,
        source: SourceName = "auto",
        root: str | None = None,
        split: Protocol = "auto",
        folds: int = 5,
        fold: int = 0,
        split_seed: int = 0,
        drop_leaks: bool = False,
        augment: AugmentName = "light",
        batch_size: int = 128,
        num_workers: int = 1,
        seed: int = 42,
        on_bad_row: OnBadRow = "error",
        frames: int = 3,
        first_as_neutral: bool = False,
        ferplus_classes: Literal[7, 8] = 8,
    ) -> None:
        """Choose the data; nothing is read before it is needed.

        Args:
            source: What the data are; auto recognises what lies at root, and takes the drawn faces without a root.
            root: File or folder that holds the data.
            split: How rows become training, validation and test rows; auto takes the official split where there
                is one, else grouped folds.
            folds: Number of folds of the random and grouped splits.
            fold: Which fold is scored, from 0.
            split_seed: Seed of the folds.
            drop_leaks: Leave out training rows whose picture also stands in the validation or test rows.
            augment: Changes drawn for training faces; strong is meant for long trainings.
            batch_size: Rows in a training batch of one process.
            num_workers: Processes that prepare training batches beside the network; 0 prepares them in between.
            seed: Seed of the order of the rows and of the augmentation.
            on_bad_row: Stop at the first row that cannot be read, or skip such rows and count them.
            frames: CK+ in its official layout, last frames taken of each labelled sequence.
            first_as_neutral: CK+ in its official layout, also take each sequence's first frame as neutral.
            ferplus_classes: FER+ with all 8 expressions, or 7 without contempt.
        """
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise UserError(f"--data.batch_size {batch_size} --data.num_workers {num_workers}: need at least 1 and 0")
        self.source: SourceName = source
        self.root = root
        self.protocol: Protocol = split
        self.folds, self.fold, self.split_seed = folds, fold, split_seed
        self.drop_leaks = drop_leaks
        self.augment: AugmentName = augment
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.options = ReadOptions(on_bad_row, frames, first_as_neutral, ferplus_classes)
        self._first_epoch = 0

    @cached_property
    def faces(self) -> FaceSet:
        """All rows of the source."""
        return read_source(self.source, Path(self.root).expanduser() if self.root else None, self.options)

    @cached_property
    def split(self) -> Split:
        """Which rows train, which choose, which are scored."""
        return make_split(self.faces, self.protocol, self.folds, self.fold, self.split_seed, self.drop_leaks)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the network's outputs."""
        return list(self.faces.classes)

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """What the network learns, float32 ``[N, K]``: the crowd's shares where there are some, else one-hot labels."""
        if self.faces.votes is not None:
            return np.asarray(self.faces.votes)
        return np.eye(len(self.classes), dtype=np.float32)[self.faces.labels]

    @property
    def class_shares(self) -> list[float]:
        """The share of each class among the training rows, summing to 1."""
        counts = np.bincount(self.faces.labels[self.split.train], minlength=len(self.classes))
        return [float(share) for share in counts / counts.sum()]

    def twin_free(self) -> NDArray[np.bool_]:
        """Return bool ``[test rows]``: True where the training part holds no identical picture and a face is seen."""
        return twin_free(self.faces, self.split)

    def summary(self) -> dict[str, Any]:
        """Return what the card and the report say of the data, as plain JSON."""
        split = self.split
        return {
            "source": self.faces.source,
            "fingerprint": self.faces.fingerprint,
            "split": split.protocol,
            "rows": {split.names[role]: len(self.rows(role)) for role in ("train", "validation", "test")},
            "dropped": dict(split.dropped),
            "leakage": leakage(self.faces, split),
            "augment": self.augment,
            "remarks": list(self.faces.remarks),
        }

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Return the row numbers of a part, int64."""
        return np.asarray(getattr(self.split, role), dtype=np.int64)

    def state_dict(self) -> dict[str, int]:
        """Return what a checkpoint keeps of the data: the epoch that a resumed run begins with."""
        done = self.trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"] if self.trainer else 0
        return {"epoch": int(done)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take up the epoch of a checkpoint; Lightning itself would begin with the batches of epoch 0."""
        self._first_epoch = state_dict["epoch"]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the training batches: shuffled, augmented, prepared beside the network."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the rows that choose the checkpoint, as they are."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the rows that are scored, as they are."""
        return self._loader("test")

    def _loader(self, role: Role) -> DataLoader[Batch]:
        training = role == "train"
        rows = self.rows(role)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        size = self.batch_size if training else 256
        sampler = BatchSampler(rows, size, shuffle=training, seed=self.seed, rank=rank, world=world)
        sampler.start_at(self._first_epoch)
        augment = Augment(self.augment if training else "none")
        workers = self.num_workers if training and self.augment != "none" else 0
        return DataLoader(
            FaceBatches(self.faces.faces, self.faces.labels, self.targets, augment),
            sampler=sampler,
            batch_size=None,  # the sampler's keys are whole batches
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=8 if workers else None,
            pin_memory=torch.cuda.is_available(),
        )
