"""The common form that every source is read into, and the policy for rows that cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fer_lightning.errors import UserError

CROWD_HINT = "lay FER+'s fer2013new.csv beside fer2013.csv"
Role = Literal["train", "validation", "test"]
OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces and what their source says of each; row ``i`` of every array belongs to face ``i``.

    Attributes:
        source: Name of the source, such as ``fer2013``.
        classes: Names of the K classes; a label is an index into them.
        faces: Grey faces, uint8 ``[N, 48, 48]``; may be a read-only memory map.
        labels: Hard labels, int64 ``[N]``, each in 0..K-1.
        row_ids: Where the row came from, ``[N]`` strings, unique: a row number or a path below the root.
        fingerprint: SHA-256 (hex) over what was read; equal data give equal fingerprints wherever they lie.
        votes: Shares of the crowd's votes, float32 ``[N, K]``, rows sum to 1; None where the source has none.
        crowd: FER2013 alone: shares of FER+'s votes for the seven classes, float32 ``[N, 7]``, zeros where its rule
            drops a row; None where they are not known. They can be mixed into the targets; labels stay FER2013's.
        subjects: Index of the person on each picture, int64 ``[N]``; None where the source does not know.
        parts: Name of the official part of each row, ``[N]`` strings; None where there is no official split.
        roles: Which part plays which role in the official split, such as ``{"train": "Training"}``.
        not_face: bool ``[N]``, True where the crowd saw no face; None where unknown.
        majority: bool ``[N]``, True where more than half of the crowd's votes (single ones do not count) are for the
            label; None without votes.
        remarks: One line each on what the reader did that the user should know (rows skipped, files left out).
    """

    source: str
    classes: tuple[str, ...]
    faces: NDArray[np.uint8]
    labels: NDArray[np.int64]
    row_ids: NDArray[np.str_]
    fingerprint: str
    votes: NDArray[np.float32] | None = None
    crowd: NDArray[np.float32] | None = None
    subjects: NDArray[np.int64] | None = None
    parts: NDArray[np.str_] | None = None
    roles: Mapping[Role, str] = field(default_factory=dict)
    not_face: NDArray[np.bool_] | None = None
    majority: NDArray[np.bool_] | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.faces)


class BadRows:
    """What to do with a row that cannot be read: stop at the first, or skip and count."""

    def __init__(self, policy: OnBadRow) -> None:
        self.policy = policy
        self.count = 0
        self.first = ""

    def add(
        self, place: str, reason: str, cure: str = "mend the row, or skip such rows: --data.on_bad_row skip"
    ) -> None:
        """Note one bad row.

        Args:
            place: File and row, such as ``fer2013.csv row 17``.
            reason: What is wrong with it.
            cure: What the user can do.

        Raises:
            UserError: If the policy is ``error``.
        """
        if self.policy == "error":
            raise UserError(f"{place}: {reason}; {cure}")
        self.count += 1
        self.first = self.first or f"{place}: {reason}"

    def remarks(self) -> tuple[str, ...]:
        """Return one line on what was skipped, or nothing."""
        return (f"{self.count} bad rows skipped, the first: {self.first}",) if self.count else ()


@dataclass(frozen=True)
class ReadOptions:
    """What a reader may be told; each source uses what concerns it.

    Attributes:
        on_bad_row: Stop at the first row that cannot be read, or skip and count.
        frames: CK+, official layout: how many of the last frames of each labelled sequence are taken.
        first_as_neutral: CK+, official layout: also take the first frame of each sequence, as neutral.
        ferplus_classes: FER+: all 8 expressions, or 7 (contempt votes left out) to compare with FER2013.
    """

    on_bad_row: OnBadRow = "error"
    frames: int = 3
    first_as_neutral: bool = False
    ferplus_classes: Literal[7, 8] = 8
