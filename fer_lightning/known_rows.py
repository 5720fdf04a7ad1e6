"""Which rows of the data a checkpoint knows: those that trained or chose it, or what its weights drew on."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lightning.ancestry import ancestors, cannot_tell
from fer_lightning.checkpoint import Card
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.data.duplicates import find_duplicates
from fer_lightning.data.folds import Split, make_split
from fer_lightning.errors import UserError

Part = Literal["validation", "test"]


class Predictions(NamedTuple):
    """A network's own probabilities float ``[n, K]``, labels int64 ``[n]`` and row numbers int64 ``[n]``, by row."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]


def trained_splits(card: Card, data: ExpressionDataModule) -> list[Split]:
    """Return how these data were split when the checkpoint, or what its weights drew on, was trained on them.

    Args:
        card: The checkpoint's card, or what it says of its start.
        data: The data; trainings on others are passed over.
    """
    splits = []
    for one in ancestors(card):
        was = one["training"]["config"]["data"]
        chosen = [was.get(key) for key in ("split", "folds", "fold", "split_seed", "drop_leaks")]
        chosen.append(was.get("clean", False))  # older cards do not know it
        if one["data"]["fingerprint"] == data.faces.fingerprint and None not in chosen:
            splits.append(make_split(data.faces, *chosen))
    return splits


def is_own(card: Card, data: ExpressionDataModule, part: Part, found: Predictions) -> bool:
    """Return whether the scored rows are all those that the checkpoint's own training had in this part."""
    own = {**card, "training": {"config": card["training"]["config"]}}
    return any(np.array_equal(getattr(split, part), found.rows) for split in trained_splits(own, data))


def seen_by(splits: list[Split], found: Predictions) -> dict[str, int] | None:
    """Count the scored rows that trained a checkpoint, and those that chose it; None if these are other data."""
    if not splits:
        return None
    trained, chose = (np.concatenate([getattr(split, part) for split in splits]) for part in ("train", "validation"))
    return {
        "trained": int(np.isin(found.rows, trained).sum()),
        "chose": int((np.isin(found.rows, chose) & ~np.isin(found.rows, trained)).sum()),
    }


def must_be_blind(source: dict[str, Any], data: ExpressionDataModule, summary: dict[str, Any], named: str) -> None:
    """Refuse a checkpoint that knows rows that are scored here; note in what is known of it if nobody can tell.

    Args:
        source: What is known of the checkpoint, as :func:`~fer_lightning.ancestry.origin` tells it.
        data: The data.
        summary: What the card says of the data.
        named: The option that names the checkpoint, with its value.

    Raises:
        UserError: If it knows some.
    """
    scored = np.concatenate([data.rows("validation"), data.rows("test")])
    near = find_duplicates(data.faces).near
    for split in trained_splits(source, data):
        choosing = np.isin(data.rows("validation"), split.train)  # rows that chose the checkpoint may choose again
        reported = np.isin(data.rows("test"), np.concatenate([split.train, split.validation]))
        if known := int(choosing.sum() + reported.sum()):
            raise UserError(
                f"{named}: was trained or chosen on {known:,} of the rows that are scored here; take a "
                "checkpoint of other data, or of this very split"
            )
        if data.drop_leaks and (twins := int(np.isin(near[scored], near[split.train]).sum())):
            raise UserError(
                f"{named}: was trained on pictures of {twins:,} rows that are scored here, which --data.drop_leaks "
                "leaves out; take a checkpoint that was trained with --data.drop_leaks"
            )
    if cannot_tell(source, named, summary):
        source["may_have_seen"] = True
