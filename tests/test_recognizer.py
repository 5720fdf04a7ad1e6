"""The Recognizer: one preprocessing with training, batches that change nothing, any source, any classes."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from fer_lightning import checkpoint
from fer_lightning.cli import main
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.models import build_network
from fer_lightning.models.ensemble import Views
from fer_lightning.preprocess import to_tensor
from fer_lightning.recognizer import Face, Recognizer
from tests import fakes, films, networks


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer.from_checkpoint(fakes.write_checkpoint(tmp_path_factory.mktemp("fresh") / "fresh.safetensors"))


def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


def same(one: Face, other: Face) -> None:
    assert one.box == pytest.approx(other.box, abs=1e-3)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-3)
    assert np.array_equal(one.crop, other.crop)


def test_a_face_has_all_that_is_promised(recognizer: Recognizer) -> None:
    (face,) = recognizer.recognize(astronaut())
    left, top, right, bottom = face.box
    assert face.detection > 0.99
    assert face.landmarks.shape == (5, 2)
    assert ((face.landmarks > (left, top)) & (face.landmarks < (right, bottom))).all()
    assert face.classes == recognizer.classes == tuple(recognizer.card["classes"])
    assert face.probabilities.dtype == np.float64
    assert face.probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert face.label == face.classes[int(face.probabilities.argmax())]
    assert face.confidence == face.probabilities.max()
    assert face.crop.shape == (48, 48)
    assert face.crop.dtype == np.uint8


def test_probabilities_are_the_networks_own_of_the_crop(recognizer: Recognizer) -> None:
    (face,) = recognizer.recognize(astronaut())
    crop = torch.from_numpy(face.crop.copy())[None, None] / 255
    with torch.inference_mode():
        expected = recognizer._network(crop).double().softmax(1)[0]
    np.testing.assert_allclose(face.probabilities, expected.numpy(), atol=1e-6)


def test_a_batch_gives_what_single_pictures_give(recognizer: Recognizer) -> None:
    both = films.scene((films.astronaut(), (90, 120)), (films.hopper(), (230, 120)))
    pictures = [astronaut(), Image.new("RGB", (90, 80)), both, astronaut().convert("L").resize((300, 300))]
    batch = recognizer.recognize_batch(pictures)
    assert [len(faces) for faces in batch] == [1, 0, 2, 1]
    for picture, faces in zip(pictures, batch, strict=True):
        for face, alone in zip(faces, recognizer.recognize(picture), strict=True):
            same(face, alone)


def test_all_faces_of_all_pictures_take_one_forward_pass(recognizer: Recognizer) -> None:
    sizes = []
    hook = recognizer._network.register_forward_hook(lambda net, args, out: sizes.append(len(out)))
    both = films.scene((films.astronaut(), (90, 120)), (films.hopper(), (230, 120)))
    recognizer.recognize_batch([astronaut(), both, Image.new("L", (50, 50))])
    hook.remove()
    assert sizes == [3]


def test_the_largest_face_comes_first(recognizer: Recognizer) -> None:
    scene = films.scene((films.astronaut(90), (80, 120)), (films.hopper(160), (220, 120)))
    heights = [face.box[3] - face.box[1] for face in recognizer.recognize(scene)]
    assert len(heights) == 2
    assert heights[0] > heights[1]


def test_no_pictures_and_no_faces_are_no_mistake(recognizer: Recognizer) -> None:
    assert recognizer.recognize_batch([]) == []
    assert recognizer.recognize(Image.new("RGB", (300, 200), "grey")) == []
    assert recognizer.recognize(Image.new("RGB", (3, 2))) == []
    assert recognizer.classify([]).shape == (0, 7)
    assert recognizer.recognize_crops([]) == []


def sources(folder: Path) -> dict[str, Any]:
    picture = astronaut()
    picture.save(folder / "a.png")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    array = np.asarray(picture)
    return {
        "text": str(folder / "a.png"),
        "path": folder / "a.png",
        "bytes": buffer.getvalue(),
        "array": array,
        "RGBA array": np.dstack([array, np.full((512, 512), 255, np.uint8)]),
        "float array": array / 255,
        "16-bit array": array[..., 0].astype(np.uint16) * 257,
        "grey array": array[..., 0],
        "grey with a channel": array[..., :1],
        "reversed array": array[:, ::-1][:, ::-1],
    }


def test_every_source_of_one_picture_gives_one_result(recognizer: Recognizer, tmp_path: Path) -> None:
    colour, grey = recognizer.recognize_batch([astronaut(), np.asarray(astronaut())[..., 0]])
    for name, source in sources(tmp_path).items():
        (face,) = recognizer.recognize(source)
        same(face, (grey if "grey" in name or "16" in name else colour)[0])


def test_a_turned_photo_is_upright_before_it_is_searched(recognizer: Recognizer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    astronaut().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    same(recognizer.recognize(tmp_path / "turned.png")[0], recognizer.recognize(astronaut())[0])


def test_what_cannot_be_read_is_a_users_mistake(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such picture"):
        recognizer.recognize(tmp_path / "none.png")
    with pytest.raises(UserError, match="the picture: unreadable"):
        recognizer.recognize(b"no picture")


def test_large_pictures_are_searched_small_and_answered_in_their_own_pixels(tmp_path: Path) -> None:
    path = fakes.write_checkpoint(tmp_path / "a.safetensors")
    coarse, fine = Recognizer.from_checkpoint(path, working_side=512), Recognizer.from_checkpoint(path)
    large = astronaut().resize((2048, 2048))
    (face,) = coarse.recognize(large)
    assert face.box == pytest.approx([4 * edge for edge in fine.recognize(astronaut())[0].box], abs=12)


def test_faces_below_the_floor_are_not_looked_for(tmp_path: Path) -> None:
    path = fakes.write_checkpoint(tmp_path / "a.safetensors")
    scene = films.scene((films.astronaut(70), (100, 120)), (films.hopper(200), (220, 120)))  # their boxes: 46 and 154
    assert len(Recognizer.from_checkpoint(path, smallest_face=30).recognize(scene)) == 2
    assert len(Recognizer.from_checkpoint(path, smallest_face=120).recognize(scene)) == 1


def test_crops_fill_their_pictures(recognizer: Recognizer) -> None:
    pictures = [fakes.faces([3])[0], Image.fromarray(fakes.faces([2])[0]).resize((100, 130))]
    faces = recognizer.recognize_crops(pictures)
    assert [face.box for face in faces] == [(0, 0, 48, 48), (0, 0, 100, 130)]
    assert np.isnan([faces[0].detection, *faces[0].landmarks.ravel()]).all()
    np.testing.assert_allclose([face.probabilities for face in faces], recognizer.classify(pictures), atol=1e-6)


def test_a_checkpoint_of_other_classes_works(tmp_path: Path) -> None:
    names = ("joy", "boredom", "wonder", "0")
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path, build_network("plain_cnn", 4).eval(), fakes.card("plain_cnn", names))
    (face,) = Recognizer.from_checkpoint(path).recognize(astronaut())
    assert face.classes == names
    assert face.label in names
    assert face.probabilities.shape == (4,)


# Several checkpoints, and several views of a face

CROPS = list(fakes.scenes(7))
IN_UNITS: NDArray[np.float32] = (fakes.scenes(7) / 255).astype(np.float32)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return networks.write(folder / "a.safetensors", 1), networks.write(folder / "b.safetensors", 2, "plain_cnn")


def test_several_checkpoints_answer_as_one(pair: tuple[Path, Path]) -> None:
    first, second = map(Recognizer.from_checkpoint, pair)
    one, other = first.classify(CROPS), second.classify(CROPS)
    assert np.abs(one - other).max() > 0.1
    both = Recognizer.from_checkpoint(pair)
    np.testing.assert_allclose(both.classify(CROPS), (one + other) / 2, atol=1e-6)
    assert both.model == f"{first.model}+{second.model}" == "+".join(map(checkpoint.identity, pair))
    assert both.card == first.card
    assert Recognizer.from_checkpoint([str(path) for path in reversed(pair)]).card == second.card
    (face,) = both.recognize(astronaut())
    expected = [one.recognize_crops([face.crop])[0].probabilities for one in (first, second)]
    np.testing.assert_allclose(face.probabilities, np.mean(expected, axis=0), atol=1e-6)


def test_views_of_a_face_are_averaged(pair: tuple[Path, Path]) -> None:
    flipped = Recognizer.from_checkpoint(pair, tta="flip")
    members = [checkpoint.load(path).network for path in pair]
    views = [networks.answer(member, view) for member in members for view in (IN_UNITS, IN_UNITS[:, :, ::-1])]
    np.testing.assert_allclose(flipped.classify(CROPS), np.mean(views, axis=0), atol=1e-6)
    assert flipped.model == f"{checkpoint.identity(pair[0])}+{checkpoint.identity(pair[1])}, flip"
    lone = Recognizer.from_checkpoint(pair[0], tta="ten_crop")
    assert lone.model == f"{checkpoint.identity(pair[0])}, ten_crop"
    mirrored = [crop[:, ::-1] for crop in CROPS]
    np.testing.assert_allclose(lone.classify(CROPS), lone.classify(mirrored), atol=1e-5)
    assert np.abs(lone.classify(CROPS) - Recognizer.from_checkpoint(pair[0]).classify(CROPS)).max() > 0.01


@pytest.mark.parametrize("listed", [False, True])
def test_a_lone_checkpoint_answers_to_the_bit_as_its_network(listed: bool, pair: tuple[Path, Path]) -> None:
    recognizer = Recognizer.from_checkpoint([pair[0]] if listed else pair[0])
    network = checkpoint.load(pair[0]).network.to(memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        expected = network(to_tensor(np.stack(CROPS))).double().softmax(1).numpy()
    assert np.array_equal(recognizer.classify(CROPS), expected)
    assert recognizer.model == checkpoint.identity(pair[0])
    assert type(recognizer._network) is type(network)


def test_no_name_and_none_of_many_take_the_default(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_LIGHTNING_CHECKPOINT", str(pair[1]))
    default = Recognizer.from_checkpoint()
    assert default.model == Recognizer.from_checkpoint([]).model == checkpoint.identity(pair[1])


def calibrated(card: dict[str, Any], temperature: float) -> dict[str, Any]:
    """Return the card with another temperature."""
    return {**card, "calibration": {"temperature": temperature, "fitted_on": "PublicTest"}}


@pytest.fixture(scope="module")
def tempered(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same networks, with temperatures of 3 and 0.5."""
    folder = tmp_path_factory.mktemp("tempered")
    for path, temperature in zip(pair, (3.0, 0.5), strict=True):
        network, card = checkpoint.load(path)
        checkpoint.save(folder / path.name, network, calibrated(card, temperature))
    return folder / pair[0].name, folder / pair[1].name


def at(path: Path, faces: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) of a checkpoint's network."""
    with torch.inference_mode():
        logits = checkpoint.load(path).network(torch.from_numpy(faces.copy())[:, None])
    return np.asarray((logits.double() / temperature).softmax(1).numpy())


def test_probabilities_are_those_of_the_divided_logits(tempered: tuple[Path, Path]) -> None:
    for path, temperature in zip(tempered, (3.0, 0.5), strict=True):
        recognizer = Recognizer.from_checkpoint(path)
        expected = at(path, IN_UNITS, temperature)
        np.testing.assert_allclose(recognizer.classify(CROPS), expected, atol=1e-5)
        found = np.array([face.probabilities for face in recognizer.recognize_crops(CROPS)])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.abs(at(path, IN_UNITS, 1) - expected).max() > 0.05


def test_each_member_of_an_ensemble_has_its_own_temperature(tempered: tuple[Path, Path]) -> None:
    views = {"none": [IN_UNITS], "flip": [IN_UNITS, IN_UNITS[:, :, ::-1]]}
    for tta, seen in views.items():
        expected = np.mean([at(path, v, t) for path, t in zip(tempered, (3, 0.5), strict=True) for v in seen], axis=0)
        both = Recognizer.from_checkpoint(tempered, tta=tta)  # type: ignore[arg-type]
        np.testing.assert_allclose(both.classify(CROPS), expected, atol=1e-5)
        assert both.card == checkpoint.read_card(tempered[0])


# The fake cards' rows, three of angry, two of disgust and one of each other class, and one more of each.
SHARES = np.array([4, 3, 2, 2, 2, 2, 2]) / 17


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_rare_classes_are_lifted_by_a_power_of_their_share(tempered: tuple[Path, Path], power: float) -> None:
    lifted = []
    for path, temperature in zip(tempered, (3.0, 0.5), strict=True):
        raised = at(path, IN_UNITS, temperature) / SHARES**power
        lifted.append(raised / raised.sum(1, keepdims=True))
        recognizer = Recognizer.from_checkpoint(path, logit_adjustment=power)
        np.testing.assert_allclose(recognizer.classify(CROPS), lifted[-1], atol=1e-5)
        assert recognizer.model == f"{checkpoint.identity(path)}, logit adjustment {power:g}"
        assert np.abs(at(path, IN_UNITS, temperature) - lifted[-1]).max() > 0.02
    both = Recognizer.from_checkpoint(tempered, logit_adjustment=power)
    np.testing.assert_allclose(both.classify(CROPS), np.mean(lifted, axis=0), atol=1e-5)


def test_no_adjustment_changes_nothing(tempered: tuple[Path, Path]) -> None:
    plain, none = Recognizer.from_checkpoint(tempered[0]), Recognizer.from_checkpoint(tempered[0], logit_adjustment=0)
    assert np.array_equal(plain.classify(CROPS), none.classify(CROPS))
    assert plain.model == none.model


@pytest.mark.parametrize("power", [-0.5, float("nan"), 1e30])
def test_an_adjustment_that_is_none_is_refused(tempered: tuple[Path, Path], power: float) -> None:
    said = refused([tempered[0]], logit_adjustment=power)
    assert said == f"logit_adjustment {power}: need a number from 0 to 10, such as 0.5"


def test_an_adjustment_needs_a_card_that_tells_the_shares(pair: tuple[Path, Path]) -> None:
    said = refused([pair[0]], logit_adjustment=0.5)
    assert said.startswith(
        "logit_adjustment: the card of improved_cnn does not tell how frequent its classes are; take "
    )


def refused(names: list[Path], tta: Views = "none", logit_adjustment: float = 0.0) -> str:
    with pytest.raises(UserError) as told:
        Recognizer.from_checkpoint(names, tta=tta, logit_adjustment=logit_adjustment)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_checkpoints_that_cannot_be_averaged_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    turned = networks.write(tmp_path / "turned.safetensors", 1, classes=FER2013_CLASSES[::-1])
    fewer = networks.write(tmp_path / "fewer.safetensors", 1, classes=("happy", "sad"))
    card = fakes.card() | {"preprocessing": "colour, 224x224"}
    checkpoint.save(tmp_path / "colour.safetensors", networks.decided(1), card)
    for other, what in (
        (turned, "classes (neutral, surprise, sad, happy, fear, disgust, angry)"),
        (fewer, "classes (happy, sad)"),
        (tmp_path / "colour.safetensors", "preprocessing (colour, 224x224)"),
    ):
        said = refused([*pair, other])
        shared = ", ".join(FER2013_CLASSES) if "classes" in what else checkpoint.read_card(pair[0])["preprocessing"]
        assert said.startswith(f"{other}: has other {what} than {pair[0]} ({shared}), so")
        assert said.endswith("; choose checkpoints that share them, or give one alone")
    assert "no such checkpoint" in refused([pair[0], tmp_path / "gone"])
    assert refused([pair[0]], "sideways") == "tta sideways: choose from none, flip, ten_crop"  # type: ignore[arg-type]


def probabilities(rows: list[dict[str, Any]], classes: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])


def test_training_recognizer_and_predict_agree_on_a_face(trained: Path, fer2013: Path, tmp_path: Path) -> None:
    """The same 49 faces through ``test``, :meth:`Recognizer.classify`, and ``predict`` on their picture files."""
    run = tmp_path / "runs" / "fer2013-improved_cnn" / "version_0"
    shutil.copytree(trained, run)
    best = run / "best.safetensors"
    network, card = checkpoint.load(best)
    checkpoint.save(best, network, calibrated(card, 2.5))
    assert main(["test", "--ckpt_path", str(best)]) == 0
    with (run / "test-fer2013" / "predictions.csv").open(newline="") as file:
        tested = list(csv.DictReader(file))
    module = ExpressionDataModule(root=str(fer2013))
    faces = module.faces.faces[module.split.test]
    recognizer = Recognizer.from_checkpoint(best)
    expected = probabilities(tested, recognizer.classes)
    assert np.ptp(expected, axis=0).max() > 0.1  # the faces differ, so agreement means something
    with torch.inference_mode():
        logits = network(to_tensor(faces))
    np.testing.assert_allclose((logits / 2.5).softmax(1), expected, atol=1e-5)
    assert np.abs(logits.softmax(1).numpy() - expected).max() > 0.05
    np.testing.assert_allclose(recognizer.classify(list(faces)), expected, atol=1e-5)
    for number, face in enumerate(faces):
        fakes.save(face, tmp_path / "faces" / f"{number:03d}.png")
    words = ["--detector", "none", "--checkpoint", str(best), "--out", str(tmp_path / "x.json")]
    assert main(["predict", str(tmp_path / "faces"), *words]) == 0
    found = json.loads((tmp_path / "x.json").read_text())["records"]
    np.testing.assert_allclose(probabilities(found, recognizer.classes), expected, atol=1e-5)
    assert [row["label"] for row in found] == [row["predicted"] for row in tested]


def test_test_and_predict_agree_on_several_checkpoints_and_views(trained: Path, fer2013: Path, tmp_path: Path) -> None:
    files = [trained / "best.safetensors", networks.write(tmp_path / "other.safetensors", 4)]
    network, card = checkpoint.load(files[1])
    checkpoint.save(files[1], network, calibrated(card, 0.6))
    words = [word for file in files for word in ("--ckpt_path", str(file))]
    assert main(["test", *words, "--tta", "ten_crop", "--trainer.default_root_dir", str(tmp_path)]) == 0
    (table,) = tmp_path.glob("best+other@*/test-fer2013-ten_crop/predictions.csv")
    with table.open(newline="") as file:
        tested = list(csv.DictReader(file))
    module = ExpressionDataModule(root=str(fer2013))
    faces = module.faces.faces[module.split.test]
    recognizer = Recognizer.from_checkpoint(files, tta="ten_crop")
    expected = probabilities(tested, recognizer.classes)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(recognizer.classify(list(faces)), expected, atol=1e-5)
    for number, face in enumerate(faces):
        fakes.save(face, tmp_path / "faces" / f"{number:03d}.png")
    words = [word for file in files for word in ("--checkpoint", str(file))]
    words += ["--tta", "ten_crop", "--detector", "none", "--out", str(tmp_path / "x.json")]
    assert main(["predict", str(tmp_path / "faces"), *words]) == 0
    found = json.loads((tmp_path / "x.json").read_text())
    np.testing.assert_allclose(probabilities(found["records"], recognizer.classes), expected, atol=1e-5)
    assert found["model"] == recognizer.model


_SERVE = """
import sys
import fer_lightning.recognizer
heavy = "lightning torchmetrics albumentations gradio matplotlib sklearn cv2 pandas av pyarrow facenet_pytorch".split()
print(sorted(set(heavy) & set(sys.modules)))
"""


def test_importing_the_recognizer_loads_none_of_what_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", _SERVE], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
