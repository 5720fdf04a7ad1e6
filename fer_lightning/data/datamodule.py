"""The DataModule: a source, its split, its leaks, and the loaders of its three parts."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fer_lightning.answering import CorruptionName
from fer_lightning.data.augment import Augment, AugmentName
from fer_lightning.data.augment_batch import BatchAugment, SeededBatches
from fer_lightning.data.cache import hash_arrays
from fer_lightning.data.corruptions import Corruption
from fer_lightning.data.faceset import CROWD_HINT, FaceSet, OnBadRow, ReadOptions, Role
from fer_lightning.data.folds import Protocol, Split, make_split
from fer_lightning.data.leakage import leakage, twin_free
from fer_lightning.data.loader import Batch, BatchSampler, FaceBatches, end_if_orphaned
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
        clean: bool = False,
        crowd: float = 0.0,
        augment: AugmentName = "light",
        augment_on: Literal["auto", "cpu", "accelerator"] = "auto",
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
            clean: Leave out training rows that repeat an earlier one's picture, and those on which FER+'s crowd, where
                its file lies beside FER2013, saw no face.
            crowd: FER2013 with FER+'s file beside it, share of the crowd's votes in what the network learns, 0..1;
                the rest is FER2013's own label.
            augment: Changes drawn for training faces; photo makes some look as in bad photographs, strong is meant for
                long trainings.
            augment_on: Where they are drawn; auto draws on the accelerator where training has one that is not the
                CPU, else on the CPU. The draws differ, their distribution does not.
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
        if not 0 <= crowd <= 1:
            raise UserError(f"--data.crowd {crowd}: need a share from 0 to 1")
        self.source: SourceName = source
        self.root = root
        self.protocol: Protocol = split
        self.folds, self.fold, self.split_seed = folds, fold, split_seed
        self.drop_leaks, self.clean, self.crowd = drop_leaks, clean, crowd
        self.augment: AugmentName = augment
        self.augment_on = augment_on
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.options = ReadOptions(on_bad_row, frames, first_as_neutral, ferplus_classes)
        self.corruption: CorruptionName = "none"  # what is done to the faces that are scored
        self._first_epoch = 0

    @cached_property
    def faces(self) -> FaceSet:
        """All rows of the source."""
        return read_source(self.source, Path(self.root).expanduser() if self.root else None, self.options)

    @cached_property
    def split(self) -> Split:
        """Which rows train, which choose, which are scored."""
        chosen = (self.protocol, self.folds, self.fold, self.split_seed, self.drop_leaks, self.clean)
        return make_split(self.faces, *chosen)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the network's outputs."""
        return list(self.faces.classes)

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """What the network learns, float32 ``[N, K]``: the crowd's votes where there are some, else one-hot labels.

        With ``crowd`` a mixture of both, but for rows on which the crowd did not agree: those keep their label.

        Raises:
            UserError: If a share of the crowd is asked for, and it is not known.
        """
        if not self.crowd:
            return self.truth
        said = f"--data.crowd {self.crowd}: {self.faces.source}"
        if self.faces.votes is not None:
            raise UserError(f"{said}'s targets are votes alone; give --data.crowd 0")
        if self.faces.crowd is None:
            raise UserError(f"{said} has no votes here; give --data.crowd 0, or {CROWD_HINT}")
        targets = self.truth.copy()
        agreed = self.faces.crowd.sum(1) > 0
        targets[agreed] += self.crowd * (self.faces.crowd[agreed] - targets[agreed])
        return targets

    @cached_property
    def truth(self) -> NDArray[np.float32]:
        """What scored rows are compared with, float32 ``[N, K]``: the crowd's votes, else one-hot labels."""
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
            "crowd": self._crowds_fingerprint(),
            "split": split.protocol,
            "rows": {split.names[role]: len(self.rows(role)) for role in ("train", "validation", "test")},
            "dropped": dict(split.dropped),
            "leakage": leakage(self.faces, split),
            "augment": self.augment,
            "remarks": list(self.faces.remarks),
        }

    def _crowds_fingerprint(self) -> str | None:
        """Return the SHA-256 (hex) of what FER+'s file adds to FER2013, None where no training row feels it."""
        crowd, not_face = self.faces.crowd, self.faces.not_face
        felt = self.clean or self.crowd > 0
        return hash_arrays(crowd, not_face) if felt and crowd is not None and not_face is not None else None

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
        """Return the batches of the rows that choose the checkpoint, as they are or corrupted."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the rows that are scored, as they are or corrupted."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch, and augment its faces there if it carries a seed, as training batches do that are still plain.

        The seed is read before the move: to read it from a GPU would wait until the GPU has done all before it.
        """
        seed = batch.pop("seed", None)
        batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if seed is not None:
            batch["faces"] = BatchAugment(self.augment)(batch["faces"], int(seed))
        return batch

    def _augments_there(self) -> bool:
        """Return whether training faces are augmented where the network is, not by the loader."""
        if self.augment_on == "auto":
            return self.trainer is not None and self.trainer.strategy.root_device.type != "cpu"
        return self.augment_on == "accelerator"

    def _loader(self, role: Role) -> DataLoader[Batch]:
        training = role == "train"
        rows = self.rows(role)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        size = self.batch_size if training else 256
        sampler = BatchSampler(rows, size, shuffle=training, seed=self.seed, rank=rank, world=world)
        sampler.start_at(self._first_epoch)
        augments = training and self.augment != "none"
        later = augments and self._augments_there()
        workers = self.num_workers if augments and not later else 0
        change = Augment("none" if later else self.augment) if training else Corruption(self.corruption)
        batches = SeededBatches if later else FaceBatches
        return DataLoader(
            batches(self.faces.faces, self.faces.labels, self.targets if training else self.truth, change),
            sampler=sampler,
            batch_size=None,  # the sampler's keys are whole batches
            num_workers=workers,
            worker_init_fn=end_if_orphaned,
            persistent_workers=workers > 0,
            prefetch_factor=8 if workers else None,
            pin_memory=torch.cuda.is_available(),
        )
