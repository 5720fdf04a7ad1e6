"""Checkpoints: what is saved comes back, and what is not ours is refused in one line without running its code."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fer_lightning import checkpoint
from fer_lightning.cli import main
from fer_lightning.errors import UserError
from fer_lightning.models import NetworkName, build_network
from tests import fakes

FACES = torch.rand(5, 1, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_checkpoint(tmp_path_factory.mktemp("weights") / "best.safetensors")


@pytest.fixture
def file(shared: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    path = tmp_path / "best.safetensors"
    path.write_bytes(shared.read_bytes())
    return path


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("improved_cnn", {}),
        ("improved_cnn", {"groups": 8, "dropout": 0.3, "dilation": 2}),
        ("improved_cnn_wide", {"dilation": 1, "output_stride": 4}),
        ("plain_cnn", {}),
        ("plain_cnn", {"batch_norm": False}),
    ],
)
@torch.inference_mode()
def test_a_network_comes_back_as_it_was(network: NetworkName, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(1)
    made = build_network(network, 3, **options).to(memory_format=torch.channels_last)
    made.train()(FACES)  # so that the normalisation has something to remember
    card = fakes.card(network, ("a", "b", "c"), **options)
    checkpoint.save(tmp_path / "new" / "best.safetensors", made, card)
    loaded = checkpoint.load(tmp_path / "new" / "best.safetensors")
    assert loaded.card == card
    assert not loaded.network.training
    torch.testing.assert_close(loaded.network(FACES), made.eval()(FACES), rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(loaded.network.state_dict().values(), made.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_what_training_leaves_takes_half_the_space_and_answers_as_it_was_scored(trained: Path, tmp_path: Path) -> None:
    file = trained / "best.safetensors"
    weights = {name: value for name, value in load_file(file).items() if value.ndim > 1}
    assert weights
    assert {value.dtype for value in weights.values()} == {torch.float16}
    loaded = checkpoint.load(file)
    assert {value.dtype for value in loaded.network.parameters()} == {torch.float32}
    checkpoint.save(tmp_path / "again.safetensors", loaded.network, loaded.card)
    assert checkpoint.are_same(checkpoint.identity(tmp_path / "again.safetensors"), checkpoint.identity(file))


def test_a_layer_that_half_precision_cannot_hold_keeps_its_weights(tmp_path: Path) -> None:
    network = build_network("plain_cnn")
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    with torch.no_grad():
        layers[0].weight[0, 0] = 1e5
    before = [layer.weight.clone() for layer in layers]
    checkpoint.round_weights(network)
    assert layers[0].weight.equal(before[0])
    assert layers[1].weight.equal(before[1].half().float())
    assert not layers[1].weight.equal(before[1])
    checkpoint.save(tmp_path / "large.safetensors", network, fakes.card("plain_cnn"))
    loaded = checkpoint.load(tmp_path / "large.safetensors").network
    for mine, theirs in zip(loaded.state_dict().values(), network.state_dict().values(), strict=True):
        assert mine.equal(theirs)


def test_safetensors_alone_reads_it(file: Path) -> None:
    with safe_open(file, "pt") as read:
        metadata = read.metadata()
        assert set(read.keys()) == set(checkpoint.load(file).network.state_dict())
    assert json.loads(metadata["card"]) == checkpoint.read_card(file)
    assert metadata["fer_lightning"] == str(checkpoint.FORMAT)


def test_it_is_the_same_whatever_its_card_says_and_it_is_called_until_it_answers_otherwise(
    file: Path, tmp_path: Path
) -> None:
    was, loaded = checkpoint.identity(file), checkpoint.load(file)
    name, digest = was.split("@")
    assert (name, len(digest)) == (file.stem, 8)
    card = loaded.card | {"scores": {}}
    checkpoint.save(file, loaded.network, card)
    assert checkpoint.identity(file) == was
    renamed = file.rename(tmp_path / "another name, with a comma.safetensors")
    assert checkpoint.are_same(f"{was}, x@12345678", f"{checkpoint.identity(renamed)}, y@12345678")
    assert not checkpoint.are_same(was, f"{was}, x@12345678")
    assert not checkpoint.are_same(was, None)
    checkpoint.save(renamed, loaded.network, card | {"calibration": {"temperature": 2.0, "fitted_on": "PublicTest"}})
    assert not checkpoint.are_same(was, checkpoint.identity(renamed))
    with torch.no_grad():
        next(loaded.network.parameters()).add_(1)
    checkpoint.save(renamed, loaded.network, card)
    assert not checkpoint.are_same(was, checkpoint.identity(renamed))


def test_the_file_is_for_all_to_read_and_alone(file: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(file)
    checkpoint.save(file, loaded.network, loaded.card)
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_lightnings_file_of_a_run_holds_the_same_network_and_card(trained: Path) -> None:
    served, resumed = checkpoint.load(trained / "best.safetensors"), checkpoint.load(trained / "checkpoints/best.ckpt")
    checkpoint.round_weights(resumed.network)
    with torch.inference_mode():
        assert torch.equal(served.network(FACES), resumed.network(FACES))
    served.card.pop("calibration")  # is known only after the training, as the scores are
    assert {**served.card, "scores": {}, "training": {}} == {**resumed.card, "scores": {}, "training": {}}
    assert resumed.temperature == 1
    assert checkpoint.read_card(trained / "checkpoints/best.ckpt") == resumed.card


def rewritten(file: Path, change: Callable[[dict[str, Any], dict[str, str]], Any]) -> None:
    """Write a checkpoint anew with other tensors or another header; the file itself stays well-formed."""
    with safe_open(file, "pt") as read:
        metadata = dict(read.metadata())
    tensors = load_file(file)
    change(tensors, metadata)
    save_file(tensors, file, metadata=metadata)


def nudge(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    next(value for value in tensors.values() if value.is_floating_point()).view(-1)[0] += 1e-3


def boast(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["card"] = metadata["card"].replace('"accuracy": 0.', '"accuracy": 1.', 1)


def spoiled(change: Callable[[dict[str, Any], dict[str, str]], Any]) -> Callable[[Path], None]:
    return lambda file: rewritten(file, change)


def header(text: str) -> Callable[[Path], Any]:
    return lambda file: file.write_bytes(struct.pack("<Q", len(text)) + text.encode())


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda file: file.unlink(), "no such file"),
    "folder": (lambda file: file.rename(file.with_name("old")).with_name(file.name).mkdir(), "no such file"),
    "empty": (lambda file: file.write_bytes(b""), "no checkpoint of fer_lightning, or a damaged one"),
    "text": (lambda file: file.write_text("my weights, version 2\n"), "no checkpoint of fer_lightning"),
    "pickle": (lambda file: torch.save({"net": torch.ones(2)}, file), "no checkpoint of fer_lightning"),
    "start": (lambda file: file.write_bytes(file.read_bytes()[:900]), "no checkpoint of fer_lightning, or a damaged"),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:-1000]), "damaged or cut off"),
    "longer": (lambda file: file.write_bytes(file.read_bytes() + bytes(64)), "damaged or cut off"),
    "foreign": (lambda file: save_file({"net": torch.ones(2)}, file), "but none of fer_lightning's"),
    "foreign header": (lambda file: save_file({"n": torch.ones(2)}, file, {"card": "x"}), "none of fer_lightning's"),
    "list": (header("[1, 2]"), "no checkpoint of fer_lightning"),
    "odd metadata": (header('{"__metadata__": ["fer_lightning"]}'), "no checkpoint of fer_lightning"),
    "no metadata": (header('{"__metadata__": null}'), "no checkpoint of fer_lightning"),
    "deep": (header("[" * 100_000), "no checkpoint of fer_lightning"),
    "weights": (spoiled(nudge), "changed after it was written"),
    "card": (spoiled(boast), "changed after it was written"),
    "fewer": (spoiled(lambda tensors, metadata: tensors.popitem()), "changed after it was written"),
    "seal": (spoiled(lambda tensors, metadata: metadata.pop("sha256")), "changed after it was written"),
    "no card": (spoiled(lambda tensors, metadata: metadata.pop("card")), "its card is damaged"),
    "half card": (spoiled(lambda tensors, metadata: metadata.update(card='{"format": 1')), "its card is damaged"),
    "poor card": (spoiled(lambda tensors, metadata: metadata.update(card='{"format": 1}')), "its card is damaged"),
    "list card": (spoiled(lambda tensors, metadata: metadata.update(card="[]")), "its card is damaged"),
    "half precision": (
        spoiled(lambda t, metadata: t.update({k: v.bfloat16() for k, v in t.items()})),
        "damaged or cut",
    ),
    "newer": (
        spoiled(lambda tensors, metadata: metadata.update(fer_lightning="3")),
        "format 3, .* reads up to 2; update fer_lightning",
    ),
    "no version": (spoiled(lambda tensors, metadata: metadata.update(fer_lightning="new")), "names no version"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_ours_is_refused_in_one_line(case: str, file: Path) -> None:
    spoil, message = CASES[case]
    spoil(file)
    with pytest.raises(UserError, match=message) as refused:
        checkpoint.load(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_weights_of_another_network_do_not_fit(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", build_network("plain_cnn"), fakes.card("improved_cnn"))
    with pytest.raises(UserError, match="its weights do not fit its card"):
        checkpoint.load(tmp_path / "a.safetensors")
    checkpoint.save(tmp_path / "b.safetensors", build_network("plain_cnn"), fakes.card("resnet"))
    with pytest.raises(UserError, match=r"its weights do not fit its card \(network resnet: choose from improved_cnn"):
        checkpoint.load(tmp_path / "b.safetensors")


# The temperature


def calibrated_card(temperature: Any = 2.5, **more: Any) -> dict[str, Any]:
    return {**fakes.card(), "calibration": {"temperature": temperature, "fitted_on": "PublicTest", **more}}


@torch.inference_mode()
def test_a_temperature_divides_the_logits_and_the_weights_stay_as_they_were(file: Path) -> None:
    raw = checkpoint.load(file)
    assert (raw.temperature, raw.calibrated) == (1, raw.network)
    checkpoint.save(file, raw.network, calibrated_card())
    loaded = checkpoint.load(file)
    assert loaded.temperature == 2.5
    torch.testing.assert_close(loaded.calibrated(FACES), raw.network(FACES) / 2.5)
    assert torch.equal(loaded.network(FACES), raw.network(FACES))
    checkpoint.save(file, loaded.network, loaded.card)
    assert checkpoint.load(file).card == loaded.card
    for mine, theirs in zip(loaded.network.state_dict().values(), raw.network.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_file_of_the_first_format_is_read_and_has_no_temperature(file: Path) -> None:
    rewritten(file, lambda tensors, metadata: metadata.update(fer_lightning="1"))
    loaded = checkpoint.load(file)
    assert loaded.temperature == 1
    checkpoint.save(file, loaded.network, {**loaded.card, "format": 1})
    with safe_open(file, "pt") as read:
        assert read.metadata()["fer_lightning"] == "2"
    assert checkpoint.read_card(file)["format"] == 2


NO_TEMPERATURES = (0, -1.3, float("nan"), float("inf"), 1e-9, 1e9, 10**400, "1.3", True, None, [1.3])


@pytest.mark.parametrize("temperature", NO_TEMPERATURES, ids=lambda value: str(value)[:9])
@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_what_is_no_temperature_is_told_in_one_line(temperature: Any, ending: str, tmp_path: Path) -> None:
    path, card = tmp_path / f"best.{ending}", calibrated_card(temperature)
    if ending == "ckpt":
        torch.save(card_and(card=card), path)
    else:
        checkpoint.save(path, build_network("improved_cnn"), card)
    for read in (checkpoint.load, checkpoint.read_card):
        with pytest.raises(UserError) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: its card holds no temperature from 0.01 to 100; give a ")
        assert "\n" not in str(refused.value)


def test_a_temperature_of_unknown_rows_and_half_told_scores_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    half_told = {"uncalibrated": {"ece": 0.1}, "temperature": 2.5}
    cases: dict[str, Callable[[dict[str, Any]], Any]] = {
        "its card holds no temperature from": lambda card: card["calibration"].pop("fitted_on"),
        "its card holds no temperature": lambda card: card.update(calibration=1.3),
        "its card is damaged": lambda card: card["scores"]["PublicTest"].update(half_told),
    }
    for message, spoil in cases.items():
        card = calibrated_card()
        spoil(card)
        checkpoint.save(path, build_network("improved_cnn"), card)
        with pytest.raises(UserError, match=message):
            checkpoint.load(path)


class Attack:
    """What a stranger's pickle may do when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("form", ["torch.save", "pickle"])
@pytest.mark.parametrize("door", ["load", "card"])
def test_code_in_a_checkpoint_is_not_run(form: str, door: str, tmp_path: Path) -> None:
    file, mark = tmp_path / "best.ckpt", tmp_path / "mark"
    content = {"card": fakes.card(), "state_dict": {}, "more": Attack(mark)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file)
    assert main(["card", str(file)]) == 2 if door == "card" else True
    with pytest.raises(UserError, match=r"could run code|no checkpoint at all"):
        checkpoint.load(file)
    assert not mark.exists()
    torch.load(file, weights_only=False) if form == "torch.save" else pickle.loads(file.read_bytes())
    assert mark.exists()  # the attack itself was real


def card_and(**more: Any) -> dict[str, Any]:
    return {"card": fakes.card(), "state_dict": {"net.x": torch.ones(1)}, **more}


def zipped(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


CKPT_CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda file: None, "no such file"),
    "empty": (lambda file: file.write_bytes(b""), "damaged or no checkpoint at all"),
    "text": (lambda file: file.write_text("epoch,loss\n0,1.9\n"), "damaged or no checkpoint at all"),
    "page": (lambda file: file.write_text("<!DOCTYPE html><html>"), "damaged or no checkpoint at all"),
    "zip": (lambda file: zipfile.ZipFile(file, "w").writestr("a.txt", "a"), "damaged or no checkpoint at all"),
    "foreign": (lambda file: torch.save({"state_dict": {}, "epoch": 3}, file), "but none of fer_lightning's"),
    "tensor": (lambda file: torch.save(torch.ones(3), file), "but none of fer_lightning's"),
    "no weights": (lambda file: torch.save(card_and(state_dict=[]), file), "but none of fer_lightning's"),
    "poor card": (lambda file: torch.save(card_and(card={"format": 1}), file), "its card is damaged"),
    "card of other kinds": (lambda file: torch.save(card_and(card={**fakes.card(), "data": []}), file), "card is dam"),
    "scores of other kinds": (
        lambda file: torch.save(card_and(card={**fakes.card(), "scores": {"all": 1.0}}), file),
        "its card is damaged",
    ),
    "no config": (
        lambda file: torch.save(card_and(card={**fakes.card(), "training": {"command": "fit"}}), file),
        "its card is damaged",
    ),
    "other weights": (lambda file: torch.save(card_and(), file), "its weights do not fit its card"),
    "newer": (lambda file: torch.save(card_and(card={**fakes.card(), "format": 9}), file), "format 9, .* update"),
    "cut off": (lambda file: file.write_bytes(zipped(card_and())[:-200]), "damaged or no checkpoint at all"),
    "damaged": (lambda file: file.write_bytes(zipped(card_and()).replace(b"card", b"\xff\x00\x80.")), "damaged or no"),
}


@pytest.mark.parametrize("case", CKPT_CASES)
def test_a_ckpt_that_is_not_ours_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    spoil, message = CKPT_CASES[case]
    spoil(file)
    with pytest.raises(UserError, match=message) as refused:
        checkpoint.load(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", range(0, 4000, 250))
def test_no_flipped_byte_of_the_start_passes_or_crashes(place: int, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0x55
    file.write_bytes(content)
    with pytest.raises(UserError):
        checkpoint.load(file)


def test_a_save_that_fails_keeps_the_old_file_and_leaves_no_part(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    network = build_network("improved_cnn")
    with pytest.raises(TypeError):
        checkpoint.save(file, network, {"path": file})  # no JSON

    def full(*args: object, **words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(UserError, match="cannot be written \\(No space left"):
        checkpoint.save(file, network, fakes.card())
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
