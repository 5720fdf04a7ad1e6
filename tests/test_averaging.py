"""``average``: weights by their formula, a card that tells whose they are, and rows that stay unseen."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from demo.about import about
from fer_lightning import checkpoint
from fer_lightning.ancestry import ancestors
from fer_lightning.averaging import mean
from fer_lightning.card import markdown
from fer_lightning.cells import read_json
from fer_lightning.cli import main
from tests import fakes, networks
from tests.processes import light

Said = pytest.CaptureFixture[str]
FIT = ["--data.batch_size", "16", "--data.num_workers", "0", "--trainer.max_epochs", "1"]


def fit(data: Path, base: Path, *words: str | Path) -> int:
    return main(["fit", "--data.root", str(data), *FIT, "--trainer.default_root_dir", str(base), *map(str, words)])


def only(base: Path) -> Path:
    (file,) = base.glob("*/version_0/best.safetensors")
    return file


def fold(number: int) -> list[str]:
    return ["--data.split", "random", "--data.folds", "3", "--data.fold", str(number)]


def averaged(base: Path, *words: str | Path) -> Path:
    assert main(["average", *map(str, words), "--trainer.default_root_dir", str(base)]) == 0
    return only(base)


def refused(capsys: Said, base: Path, *words: str | Path) -> str:
    capsys.readouterr()
    assert main(["average", *map(str, words), "--trainer.default_root_dir", str(base)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list(base.glob("*/version_*"))
    return said


@pytest.fixture(scope="module")
def pair(trained: Path, fer2013: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A trained network, and one trained on from it with other changes of the faces."""
    folder = tmp_path_factory.mktemp("pair")
    first = Path(shutil.copy(trained / "best.safetensors", folder / "first.safetensors"))
    assert fit(fer2013, folder / "runs", "--init_from", first, "--data.augment", "photo") == 0
    return first, Path(shutil.copy(only(folder / "runs"), folder / "second.safetensors"))


def weights(file: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint.load(file).network.state_dict())


def test_the_weights_are_the_mean_and_a_file_given_twice_counts_twice(
    pair: tuple[Path, Path], fer2013: Path, tmp_path: Path
) -> None:
    """Rounded to half precision where the networks of fit are; statistics of normalisation are averaged too."""
    first, second = map(weights, pair)
    half = weights(averaged(tmp_path / "half", *pair, "--data.root", fer2013))
    third = weights(averaged(tmp_path / "third", pair[0], pair[1], pair[0], "--data.root", fer2013))
    assert half.keys() == first.keys()
    for name, found in half.items():
        if found.is_floating_point():
            rtol = 1e-3 if found.ndim > 1 else 1e-6
            torch.testing.assert_close(found, (first[name] + second[name]) / 2, atol=1e-6, rtol=rtol)
            torch.testing.assert_close(third[name], (2 * first[name] + second[name]) / 3, atol=1e-6, rtol=rtol)
    moved = [name for name in first if "running_mean" in name and not torch.equal(half[name], first[name])]
    assert moved


def test_the_networks_that_are_averaged_stay_as_they_are() -> None:
    members = [networks.decided(1), networks.decided(2)]
    before = [{name: value.clone() for name, value in member.state_dict().items()} for member in members]
    mean(members)
    for member, kept in zip(members, before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in member.state_dict().items())


def test_it_is_scored_and_its_card_tells_whose_mean_it_is(
    pair: tuple[Path, Path], fer2013: Path, tmp_path: Path, capsys: Said
) -> None:
    bytes_before = [file.read_bytes() for file in pair]
    file = averaged(tmp_path, *pair, "--data.root", fer2013)
    said = capsys.readouterr().out
    identities = [checkpoint.identity(path) for path in pair]
    for identity in identities:
        assert f"{identity} on PublicTest: accuracy " in said
    assert f"next: python -m fer_lightning test --ckpt_path {file}" in said
    assert [path.read_bytes() for path in pair] == bytes_before
    card = checkpoint.read_card(file)
    assert [one["checkpoint"] for one in card["training"]["averaged"]] == identities
    assert card["calibration"]["fitted_on"] == "PublicTest"
    assert list(card["scores"]) == ["PublicTest"]
    assert card["data"]["rows"] == checkpoint.read_card(pair[0])["data"]["rows"]
    assert card["training"]["command"].startswith(f"python -m fer_lightning average {pair[0]} {pair[1]} ")
    text = markdown(card, "mean")
    assert all(f"- **mean of the weights of**: {identity}\n" in text for identity in identities)
    assert "- **chosen by**: val/macro_f1 of each network averaged, on PublicTest\n" in text
    assert "epochs" not in text
    assert card["data"]["augment"] == "none and photo"
    assert "augment" not in card["training"]["config"]["data"]
    page = about(card, "mean")
    assert all(f"<dt>Mean of the weights of</dt><dd>{identity}</dd>" in page for identity in identities)


def test_it_is_scored_again_as_any_other(pair: tuple[Path, Path], fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    """Validate gives the very same figures, test adds its own to the card, and its report lies beside it."""
    file = averaged(tmp_path, *pair, "--data.root", fer2013)
    found = checkpoint.read_card(file)["scores"]["PublicTest"]
    words = ["--ckpt_path", str(file), "--data.root", str(fer2013), "--trainer.default_root_dir", str(tmp_path)]
    capsys.readouterr()
    assert main(["validate", *words]) == 0
    assert f"accuracy {found['accuracy']:.2%}" in capsys.readouterr().out
    assert main(["test", *words]) == 0
    assert "card: PrivateTest added" in capsys.readouterr().out
    rows = read_json(file.with_name("test-fer2013") / "report.json")["data"]["rows_of_the_training"]
    assert rows == {"trained": 0, "chose": 0}
    assert main(["test", *words]) == 0
    assert "card: PrivateTest reproduced exactly" in capsys.readouterr().out


def test_a_network_averaged_with_itself_is_itself(trained: Path, fer2013: Path, tmp_path: Path) -> None:
    """The same weights, the same scores and temperature: nothing but the card tells them apart."""
    best = trained / "best.safetensors"
    file = averaged(tmp_path, best, best, "--data.root", fer2013)
    assert all(torch.equal(value, weights(best)[name]) for name, value in weights(file).items())
    (one, other) = (checkpoint.read_card(path) for path in (best, file))
    assert one["calibration"] == other["calibration"]
    np.testing.assert_equal(one["scores"]["PublicTest"], other["scores"]["PublicTest"])


def test_a_mean_of_a_checkpoint_and_itself_hides_no_forebear(
    pair: tuple[Path, Path], fer2013: Path, tmp_path: Path
) -> None:
    """It answers as the checkpoint does, so their digests are the same; what that started from is told all the same."""
    start, second = pair
    file = averaged(tmp_path / "mean", second, second, "--data.root", fer2013)
    assert fit(fer2013, tmp_path / "then", "--init_from", file) == 0
    further = averaged(tmp_path / "further", file, second, "--data.root", fer2013)
    for last in (only(tmp_path / "then"), further):
        line = [one.get("checkpoint") for one in ancestors(checkpoint.read_card(last))]
        assert checkpoint.identity(start) in line


def test_a_mean_is_no_training_to_resume(pair: tuple[Path, Path], fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    file = averaged(tmp_path / "mean", *pair, "--data.root", fer2013)
    words = ["fit", "--data.root", str(fer2013), "--trainer.default_root_dir", str(tmp_path / "runs")]
    assert main([*words, "--ckpt_path", str(file)]) == 2
    assert f"{file}: holds no state of a training; resume from a .ckpt file" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_its_members_know_it_knows(fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    """Trained on two folds of three: it is no start where one of those is scored, nor do folds mix."""
    assert fit(fer2013, tmp_path / "zero", *fold(0)) == 0
    assert fit(fer2013, tmp_path / "one", *fold(1)) == 0
    zero, one = only(tmp_path / "zero"), only(tmp_path / "one")
    said = refused(capsys, tmp_path / "mixed", zero, one, "--data.root", fer2013)
    assert f"{one}: was trained on other rows than {zero}" in said
    file = averaged(tmp_path / "mean", zero, zero, "--data.root", fer2013)
    line = list(ancestors(checkpoint.read_card(file)))
    assert [part.get("checkpoint") for part in line] == [None, *2 * [checkpoint.identity(zero)]]
    capsys.readouterr()
    assert fit(fer2013, tmp_path / "then", *fold(1), "--init_from", file) == 2
    assert f"--init_from {file}: was trained or chosen on " in capsys.readouterr().err
    assert fit(fer2013, tmp_path / "same", *fold(0), "--init_from", file) == 0
    (_, start, *further) = ancestors(checkpoint.read_card(only(tmp_path / "same")))
    assert start["checkpoint"] == checkpoint.identity(file)
    assert {part["checkpoint"] for part in further} == {checkpoint.identity(zero)}


def test_networks_that_differ_in_dropout_alone_have_a_mean(
    pair: tuple[Path, Path], fer2013: Path, tmp_path: Path
) -> None:
    first = pair[0]
    assert fit(fer2013, tmp_path / "runs", "--init_from", first, "--model.dropout", "0.3") == 0
    card = checkpoint.read_card(averaged(tmp_path / "mean", first, only(tmp_path / "runs"), "--data.root", fer2013))
    assert card["network"] == checkpoint.read_card(first)["network"]


def test_networks_without_a_common_mean_are_refused(trained: Path, fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    best, root = trained / "best.safetensors", ("--data.root", fer2013)
    plain = networks.write(tmp_path / "plain.safetensors", 1, "plain_cnn")
    said = refused(capsys, tmp_path, best, plain, *root)
    assert f"{plain}: holds plain_cnn, but {best} improved_cnn; average networks of one kind" in said
    fewer = networks.write(tmp_path / "fewer.safetensors", 1, classes=["happy", "sad"])
    assert f"{fewer}: was trained on other rows than {best}" in refused(capsys, tmp_path, best, fewer, *root)
    foreign = networks.write(tmp_path / "foreign.safetensors", 1)
    said = refused(capsys, tmp_path, best, foreign, *root)
    assert f"{foreign}: was trained on other rows than {best}; average networks of the same rows" in said
    last = trained / "checkpoints" / "last.ckpt"
    said = refused(capsys, tmp_path, best, last, *root)
    assert f"{last}: is a state of a training, which no rows have chosen; give a .safetensors file" in said
    assert fit(fer2013, tmp_path / "clean", "--data.clean", "true", "--data.drop_leaks", "true") == 0
    clean = only(tmp_path / "clean")
    for order in ((best, clean), (clean, best)):
        said = refused(capsys, tmp_path / "runs", *order, *root)
        assert f"{order[1]}: was trained on other rows than {order[0]}; average networks of the same rows" in said
    other = fakes.write_fer2013(tmp_path / "other", 70).parent
    assert f"{best}: was trained on other data than these" in refused(
        capsys, tmp_path, best, best, "--data.root", other
    )


def test_mistakes_on_its_command_line(tmp_path: Path, capsys: Said) -> None:
    assert "average takes at least two FILES" in refused(capsys, tmp_path, "one")
    assert "gone: no such checkpoint" in refused(capsys, tmp_path, "gone", "gone")
    assert "--data.augment: no such option; see average --help" in refused(capsys, tmp_path, "a", "--data.augment", "b")
    assert "--data.root: expected one argument" in refused(capsys, tmp_path, "a", "b", "--data.root")


def test_help_costs_no_torch() -> None:
    done = light("average", "--help")
    assert done.returncode == 0
    assert "usage: python -m fer_lightning average FILE FILE... [options]" in done.stdout
