"""Several networks, or several views of one face, answering as one: their probabilities are averaged.

The paper's conclusion speaks of integrated models; averaging in probability is their plainest form.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from torch import Tensor, nn, stack
from torch.nn import functional as F

from fer_lightning.errors import UserError

Views = Literal["none", "flip", "ten_crop"]

_CROP = 44
"""Side of the ten crops of a 48 x 48 face; each is brought back to 48 x 48."""


class Ensemble(nn.Module):
    """The mean of the probabilities that several networks give to several views of a face."""

    def __init__(self, members: Sequence[nn.Module], tta: Views = "none") -> None:
        """Join networks of the same classes.

        Args:
            members: The networks, at least one.
            tta: Test-time augmentation: ``none``; ``flip`` adds the mirror image; ``ten_crop`` takes the four corners
                and the centre, and their mirror images.

        Raises:
            UserError: If there are no such views.
        """
        if tta not in get_args(Views):
            raise UserError(f"tta {tta}: choose from {', '.join(get_args(Views))}")
        super().__init__()
        self.members = nn.ModuleList(members)
        self.tta: Views = tta

    def forward(self, x: Tensor) -> Tensor:
        """Map grey faces ``(N, 1, 48, 48)`` in 0..1 to log-probabilities ``(N, K)``: logits, as every network gives."""
        answers = [member(view).float().softmax(1) for view in _views(x, self.tta) for member in self.members]
        return stack(answers).mean(0).clamp(min=1e-30).log()


def _views(x: Tensor, tta: Views) -> Iterator[Tensor]:
    if tta == "ten_crop":
        far = x.shape[-1] - _CROP
        for top, left in ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)):
            crop = x[:, :, top : top + _CROP, left : left + _CROP]
            yield from _both_ways(F.interpolate(crop, x.shape[-2:], mode="bilinear", align_corners=False))
    elif tta == "flip":
        yield from _both_ways(x)
    else:
        yield x


def _both_ways(x: Tensor) -> Iterator[Tensor]:
    yield x
    yield x.flip(-1)
