"""The two files of a trained network, read without running anyone's code.

``.safetensors`` is to serve and share: weights, and in its header everything that prediction needs (the card).
``.ckpt`` is Lightning's, to resume from; it is read with ``weights_only=True`` alone, and its card is the same without
what is known only after the training: scores and temperature.
"""

import hashlib
import json
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_lightning import card_shape
from fer_lightning.errors import UserError
from fer_lightning.whole_files import replacing

if TYPE_CHECKING:  # torch costs seconds; reading a card needs none of it
    import numpy as np
    from torch import Tensor, nn

FORMAT = 2
"""Version of the card and of the file around it; a reader refuses what is newer than it knows.

2 may hold a temperature, which a reader of 1 would pass over, and so give other probabilities than the card is about.
"""

_DEFAULT = "ferplus-improved_cnn_wide"
_KEY = "fer_lightning"
_BESIDE = Path(__file__).resolve().parents[1] / "checkpoints"
_LARGEST_HEADER = 16 << 20
Card = dict[str, Any]


class Loaded(NamedTuple):
    """A trained network in evaluation mode, as it was trained, and its card."""

    network: "nn.Module"
    card: Card

    @property
    def temperature(self) -> float:
        """What its logits are divided by before they become probabilities."""
        return temperature_of(self.card)

    @property
    def calibrated(self) -> "nn.Module":
        """The network to ask for probabilities; without a temperature the network itself."""
        from fer_lightning.models.ensemble import Calibrated

        return self.network if self.temperature == 1 else Calibrated(self.network, self.temperature)


def temperature_of(card: Card) -> float:
    """Return what a network's logits are divided by before they become probabilities; 1 where its card names none."""
    return float(card["calibration"]["temperature"]) if "calibration" in card else 1.0


def shipped() -> list[Path]:
    """Return the checkpoints in ``./checkpoints`` and beside the package, by name, the default first.

    Of two of the same name the first counts. The default has learned from FER+'s ten votes a face.
    """
    found: dict[str, Path] = {}
    for folder in (Path("checkpoints"), _BESIDE):
        for file in sorted(folder.glob("*.safetensors")):
            found.setdefault(file.stem, file)
    return [found[name] for name in sorted(found, key=lambda name: (name != _DEFAULT, name))]


def find(name: str | Path | None = None) -> Path:
    """Return the file that a user means.

    Args:
        name: A path, or the name of a shipped checkpoint with or without its ending; None takes
            ``$FER_LIGHTNING_CHECKPOINT``, else the default of the shipped ones.

    Raises:
        UserError: If there is none; names those that there are.
    """
    wanted = name or os.environ.get("FER_LIGHTNING_CHECKPOINT")
    known = shipped()
    if not wanted and known:
        return known[0]
    if wanted:
        path = Path(wanted).expanduser()
        for file in (path, *(file for file in known if str(wanted) in (file.stem, file.name))):
            if file.is_file():
                return file
    options = f"choose from {', '.join(file.stem for file in known)}" if known else "none is shipped here"
    raise UserError(f"{wanted or 'checkpoint'}: no such checkpoint; {options}, or train one with fit and give its path")


def identity(path: Path) -> str:
    """Return what tables call a checkpoint: its name and the first digits of a SHA-256.

    That is over what it answers by, its weights and temperature: scores that are added to its card change none of it.

    Raises:
        UserError: If the file is missing, foreign, damaged, changed, or of a newer version.
    """
    if path.suffix == ".ckpt":
        content = _read_ckpt(path)
        card, arrays = content["card"], {name: tensor.numpy() for name, tensor in _weights_in(content).items()}
    else:
        card, arrays = _read_safetensors(path)
    return f"{path.stem}@{_seal(str(temperature_of(card)), arrays)[:8]}"


def are_same(identities: str | None, others: str | None) -> bool:
    """Return whether two lists of identities are of the same checkpoints, whatever their files are called."""
    digests = re.compile("@([0-9a-f]{8})(?=, |$)")
    return digests.findall(identities or "") == digests.findall(others or "")


def save(path: Path, network: "nn.Module", card: Card) -> None:
    """Write the file to serve and share; it appears whole or not at all.

    Numbers that half precision holds exactly are written so, and come back the same.

    Args:
        path: Where, ending in ``.safetensors``.
        network: One of this package's networks, as it was trained.
        card: What is known of it; see ``card.py``.
    """
    from safetensors.torch import save_file

    tensors = {name: _smallest(value.detach().cpu().contiguous()) for name, value in network.state_dict().items()}
    text = json.dumps({**card, "format": FORMAT})
    seal = _seal(text, {name: value.numpy() for name, value in tensors.items()})
    header = {_KEY: str(FORMAT), "card": text, "sha256": seal}
    with replacing(path) as part:
        save_file(tensors, part, metadata=header)


def round_weights(network: "nn.Module") -> None:
    """Round the weights of convolutions and dense layers to half precision, by which :func:`save` takes half the space.

    Biases and normalisation, few and of a wide range, stay as they are; so does a layer beyond half precision.
    """
    import torch

    with torch.no_grad():
        for weights in network.parameters():
            rounded = weights.half()
            if weights.ndim > 1 and rounded.isfinite().all():
                weights.copy_(rounded)


def load(path: Path) -> Loaded:
    """Load a trained network from either file.

    Args:
        path: A ``.safetensors`` or ``.ckpt`` file that this package wrote.

    Raises:
        UserError: If the file is missing, foreign, damaged, changed, or of a newer version.
    """
    if path.suffix == ".ckpt":
        content = _read_ckpt(path)
        card, tensors = content["card"], _weights_in(content)
    else:
        import torch

        card, arrays = _read_safetensors(path)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return Loaded(_rebuild(path, card, tensors), card)


def read_card(path: Path) -> Card:
    """Return the card of either file; that of a ``.safetensors`` file is checked against its seal, without torch.

    Raises:
        UserError: If the file is missing, foreign, damaged, changed, or of a newer version.
    """
    if path.suffix == ".ckpt":
        card: Card = _read_ckpt(path)["card"]
        return card
    return _read_safetensors(path)[0]


def _header(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file: 8 bytes of length, then JSON."""
    _must_exist(path)
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        text = file.read(length) if 0 < length <= _LARGEST_HEADER else b""
    try:
        metadata: dict[str, str] = json.loads(text).get("__metadata__", {})
        return dict(metadata.items())
    except (ValueError, AttributeError, RecursionError):
        raise UserError(f"{path}: no checkpoint of fer_lightning, or a damaged one; {_cure()}") from None


def _card_of(path: Path, header: dict[str, str]) -> Card:
    if _KEY not in header:
        raise UserError(f"{path}: a safetensors file, but none of fer_lightning's; {_cure()}")
    _check_version(path, header[_KEY])
    try:
        card = json.loads(header["card"])
    except (KeyError, TypeError, ValueError, RecursionError):
        card = None
    return _whole(path, card)


def _whole(path: Path, card: Any) -> Card:
    """Return a card that has what its readers rely on."""
    if wrong := card_shape.damage(card):
        raise UserError(f"{path}: its card {wrong}; {_cure()}")
    found: Card = card
    return found


def _read_safetensors(path: Path) -> tuple[Card, dict[str, "np.ndarray[Any, Any]"]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    header = _header(path)
    card = _card_of(path, header)
    try:
        arrays = load_file(path)
        seal = _seal(header["card"], arrays)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: damaged or cut off ({_first_line(error)}); {_cure()}") from None
    if header.get("sha256") != seal:
        raise UserError(f"{path}: changed after it was written (its seal does not fit); {_cure()}")
    return card, arrays


def _read_ckpt(path: Path) -> dict[str, Any]:
    import torch

    _must_exist(path)
    if not zipfile.is_zipfile(path):  # as all of Lightning's are; this also keeps bare pickles out
        raise UserError(f"{path}: damaged or no checkpoint at all; {_cure()}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(f"{path}: holds more than weights, so it is not opened: it could run code; {_cure()}") from None
    except Exception as error:  # there is no end to what damage can raise in there
        raise UserError(f"{path}: damaged or no checkpoint at all ({_first_line(error)}); {_cure()}") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in ("card", "state_dict")):
        raise UserError(f"{path}: a checkpoint, but none of fer_lightning's; {_cure()}")
    _check_version(path, content["card"].get("format"))
    _whole(path, content["card"])
    return content


def _weights_in(content: dict[str, Any]) -> dict[str, "Tensor"]:
    """Return the network's own tensors in what Lightning saved."""
    prefix = "net."
    found = content["state_dict"].items()
    return {name[len(prefix) :]: tensor for name, tensor in found if str(name).startswith(prefix)}


def _rebuild(path: Path, card: Card, tensors: dict[str, "Tensor"]) -> "nn.Module":
    from fer_lightning.models import build_network

    try:
        network = build_network(card["network"]["name"], len(card["classes"]), **card["network"]["options"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError, UserError) as error:
        raise UserError(f"{path}: its weights do not fit its card ({_first_line(error)}); {_cure()}") from None
    return network.eval()


def _smallest(values: "Tensor") -> "Tensor":
    """Return the very same numbers in half precision where it holds them all."""
    rounded = values.half()
    return rounded if values.is_floating_point() and rounded.to(values.dtype).equal(values) else values


def _seal(text: str, arrays: dict[str, "np.ndarray[Any, Any]"]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}torch.{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _check_version(path: Path, version: Any) -> None:
    if not str(version).isdecimal():
        raise UserError(f"{path}: names no version of its format; {_cure()}")
    if int(version) > FORMAT:
        raise UserError(f"{path}: format {version}, this package reads up to {FORMAT}; update fer_lightning")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {_cure()}")


def _cure() -> str:
    return "give a .safetensors or .ckpt file that `python -m fer_lightning fit` or `average` wrote"
