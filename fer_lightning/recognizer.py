"""From pictures to faces with probabilities, with the very preprocessing that the networks were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from fer_lightning import checkpoint
from fer_lightning.answering import Way, joint
from fer_lightning.errors import UserError
from fer_lightning.faces import Detection, FaceDetector, cut_face
from fer_lightning.models.ensemble import Views
from fer_lightning.pictures import PictureLike, as_picture
from fer_lightning.preprocess import SIDE, shrink, to_tensor


@dataclass(frozen=True, eq=False)
class Face:
    """A face and its apparent expression.

    Attributes:
        box: ``(left, top, right, bottom)`` in pixels of the upright picture; may reach beyond its edge.
        detection: The detector's probability, 0..1; nan where none looked.
        landmarks: float64 ``[5, 2]``: eyes (left on the picture first), nose, corners of the mouth; in pixels.
        classes: Names of the K classes of the checkpoint.
        probabilities: float64 ``[K]``, sums to 1.
        crop: The face as the network saw it, grey uint8 ``[48, 48]``.
    """

    box: tuple[float, float, float, float]
    detection: float
    landmarks: NDArray[np.float64]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    crop: NDArray[np.uint8]

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(self.probabilities.max())


class Recognizer:
    """Finds faces on pictures and names their apparent expression."""

    def __init__(
        self, network: nn.Module, card: checkpoint.Card, model: str, detector: FaceDetector, device: str = "cpu"
    ) -> None:
        """Put the parts together; :meth:`from_checkpoint` is the usual way.

        Args:
            network: What answers with logits; its temperature, if it has one, is within it.
            card: What is known of it.
            model: What tables call it.
            detector: What finds the faces.
            device: Where the network runs, such as ``cpu`` or ``cuda``.
        """
        self.card = card
        self.classes: tuple[str, ...] = tuple(card["classes"])
        self.model = model
        self.detector = detector
        self.device = device
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()

    @classmethod
    def from_checkpoint(
        cls,
        name: str | Path | Sequence[str | Path] | None = None,
        *,
        tta: Views = "none",
        logit_adjustment: float = 0.0,
        smallest_face: int = 40,
        working_side: int = 2048,
        device: str = "cpu",
    ) -> "Recognizer":
        """Load a checkpoint, or several that answer as one: their probabilities are averaged.

        Args:
            name: A ``.safetensors`` or ``.ckpt`` file, or the name of a shipped one, or several of these, whose first
                gives the card; None takes the default.
            tta: Test-time augmentation, the views of each face whose probabilities are averaged: ``none`` takes the
                face alone, ``flip`` its mirror image, too, and ``ten_crop`` ten crops of it.
            logit_adjustment: Rare classes are named more often: each probability is divided by this power of the share
                of its class, as :class:`~fer_lightning.answering.Way` has it; 0 leaves them as they are.
            smallest_face: Height in pixels of the smallest face that is looked for.
            working_side: A picture of more pixels than a square of this side is scaled down to as many for the search,
                and there a face needs 20 pixels.
            device: Where the network runs, such as ``cpu`` or ``cuda``.

        Raises:
            UserError: If there is no such checkpoint, it cannot be used, several differ in their classes or
                preprocessing, or the way of asking them is none.
        """
        way = Way(tta, logit_adjustment)
        names = [name] if name is None or isinstance(name, str | Path) else name
        paths = [checkpoint.find(one) for one in names or [None]]
        model = "+".join(map(checkpoint.identity, paths)) + way.told
        return cls(*_together(paths, way), model, FaceDetector(smallest_face, working_side), device)

    def recognize(self, picture: PictureLike) -> list[Face]:
        """Find the faces of a picture, the largest first; an empty list where there is none.

        Args:
            picture: A path, bytes of a file, a Pillow image, or an array (grey or RGB).

        Raises:
            UserError: If it cannot be read.
        """
        return self.recognize_batch([picture])[0]

    def recognize_batch(self, pictures: Sequence[PictureLike]) -> list[list[Face]]:
        """Find the faces of several pictures; all of them go through the network together.

        Raises:
            UserError: If one cannot be read.
        """
        read = [as_picture(picture) for picture in pictures]
        found = [self.detector(picture) for picture in read]
        return self.name_faces(read, found)

    def name_faces(self, pictures: Sequence[Image.Image], found: Sequence[Sequence[Detection]]) -> list[list[Face]]:
        """Name the expressions of faces that were found before; one forward pass for all.

        Args:
            pictures: Pictures of mode ``L`` or ``RGB``.
            found: The faces of each.
        """
        crops = [cut_face(picture, face) for picture, faces in zip(pictures, found, strict=True) for face in faces]
        named = iter(self.name_crops([face for faces in found for face in faces], crops))
        return [[next(named) for _ in faces] for faces in found]

    def name_crops(self, found: Sequence[Detection], crops: Sequence[NDArray[np.uint8]]) -> list[Face]:
        """Name the expressions of faces that were found and cut out before; one forward pass for all.

        Args:
            found: The faces.
            crops: What :func:`~fer_lightning.faces.cut_face` made of each.
        """
        return [
            Face(face.box, face.probability, face.landmarks, self.classes, probabilities, crop)
            for face, crop, probabilities in zip(found, crops, self.classify(crops), strict=True)
        ]

    def recognize_crops(self, pictures: Sequence[PictureLike]) -> list[Face]:
        """Name the expressions on pictures that are face crops already, of any size, without looking for faces.

        Returns:
            A face for each picture, which fills it; its ``detection`` and ``landmarks`` are nan.

        Raises:
            UserError: If one cannot be read.
        """
        read = [as_picture(picture) for picture in pictures]
        nowhere = np.full((5, 2), np.nan)
        found = [Detection((0.0, 0.0, float(p.width), float(p.height)), float("nan"), nowhere) for p in read]
        return self.name_crops(found, [shrink(picture) for picture in read])

    def classify(self, faces: Sequence[PictureLike]) -> NDArray[np.float64]:
        """Classify pictures that are face crops already, framed as training had them, of any size.

        Returns:
            Probabilities, float64 ``[N, K]``; calibrated if the checkpoint has a temperature.

        Raises:
            UserError: If one cannot be read.
        """
        if not len(faces):
            return np.zeros((0, len(self.classes)))
        small = np.stack([shrink(as_picture(face)) for face in faces]).reshape(-1, SIDE, SIDE)
        with torch.inference_mode():
            logits: torch.Tensor = self._network(to_tensor(small).to(self.device))
            return np.asarray(logits.cpu().double().softmax(1).numpy(), dtype=np.float64)


def _together(paths: Sequence[Path], way: Way) -> tuple[nn.Module, checkpoint.Card]:
    """Return what answers as one, and the first one's card."""
    loaded = [checkpoint.load(path) for path in paths]
    first = loaded[0]
    for path, other in zip(paths, loaded, strict=True):
        for what in ("classes", "preprocessing"):
            ours, theirs = first.card[what], other.card[what]
            if ours != theirs:
                raise UserError(
                    f"{path}: has other {what} ({_words(theirs)}) than {paths[0]} ({_words(ours)}), so they cannot "
                    "answer as one; choose checkpoints that share them, or give one alone"
                )
    return joint(loaded, way), first.card


def _words(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
