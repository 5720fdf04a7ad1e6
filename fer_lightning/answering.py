"""How trained networks are asked: one or several, one view of a face or more, rare classes lifted, faces corrupted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from fer_lightning.errors import UserError

if TYPE_CHECKING:  # torch costs seconds; reading a command line needs none of it
    from torch import Tensor, nn

    from fer_lightning.checkpoint import Card, Loaded
    from fer_lightning.models.ensemble import Views

_LARGEST = 10

CorruptionName = Literal["none", "blur", "jpeg", "low_resolution", "noise", "rotation", "crop", "mixed"]
CORRUPTIONS: tuple[CorruptionName, ...] = get_args(CorruptionName)
"""What ``--corruption`` takes, as :class:`~fer_lightning.data.corruptions.Corruption` does."""


def adjustment(value: str | float) -> float:
    """Return a logit adjustment from what a user gave.

    Raises:
        UserError: If it is no number from 0 to 10: beyond, single precision would overflow some time.
    """
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= _LARGEST:
        raise UserError(f"logit_adjustment {value}: need a number from 0 to {_LARGEST}, such as 0.5")
    return number


@dataclass(frozen=True)
class Way:
    """How a face is put to networks.

    Attributes:
        tta: Test-time augmentation, the views of each face whose probabilities are averaged.
        logit_adjustment: From 0 to 10. Each probability is divided by this power of its class's share, so that rare
            classes are named more often (Menon et al. 2021, after training); 1 suits faces among which every class is
            as frequent as any other.
        corruption: What the DataModule does to each face before, to see how well bad photographs are read.

    Raises:
        UserError: If the adjustment or the corruption is none.
    """

    tta: "Views" = "none"
    logit_adjustment: float = 0.0
    corruption: CorruptionName = "none"

    def __post_init__(self) -> None:
        """Check adjustment and corruption; :class:`~fer_lightning.models.ensemble.Ensemble` checks the views."""
        adjustment(self.logit_adjustment)
        if self.corruption not in CORRUPTIONS:
            raise UserError(f"corruption {self.corruption}: choose from {', '.join(CORRUPTIONS)}")

    @property
    def told(self) -> str:
        """What stands behind the name of networks that are asked so; nothing for the plain way."""
        views = "" if self.tta == "none" else f", {self.tta}"
        lifted = f", logit adjustment {self.logit_adjustment:g}" if self.logit_adjustment else ""
        return views + lifted + ("" if self.corruption == "none" else f", corruption {self.corruption}")


PLAIN = Way()


def joint(loaded: Sequence["Loaded"], way: Way) -> "nn.Module":
    """Return what answers for checkpoints of the same classes; the probabilities of several are averaged.

    Args:
        loaded: At least one.
        way: How they are asked.

    Raises:
        UserError: If there are no such views, or a card does not tell how frequent its classes are.
    """
    from fer_lightning.models.ensemble import Ensemble

    if len(loaded) == 1 and way == PLAIN:
        return loaded[0].calibrated
    return Ensemble([_member(one, way.logit_adjustment) for one in loaded], way.tta)


def _member(one: "Loaded", power: float) -> "nn.Module":
    from fer_lightning.models.ensemble import Calibrated

    return Calibrated(one.network, one.temperature, power * _log_shares(one.card)) if power else one.calibrated


def _log_shares(card: "Card") -> "Tensor":
    """Return the logarithm of each class's share, ``(K,)``, of the rows that the temperature was fitted on.

    They are held out, but of the same kind as the training rows, whose shares no card tells. Each class counts one row
    more than it has, so that one without rows keeps its place.
    """
    import torch

    rows = card["scores"].get(card.get("calibration", {}).get("fitted_on"))
    if rows is None:
        raise UserError(
            f"logit_adjustment: the card of {card['network']['name']} does not tell how frequent its classes are; "
            "take a best.safetensors that fit wrote, or let validate fit its temperature"
        )
    counts = torch.tensor([rows["per_class"][name]["support"] + 1.0 for name in card["classes"]])
    return (counts / counts.sum()).log()
