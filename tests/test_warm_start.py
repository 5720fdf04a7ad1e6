"""Starting from another checkpoint: the very weights, heads by the names of classes, and never what is scored here."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fer_lightning import checkpoint
from fer_lightning.ancestry import ancestors, cannot_tell
from fer_lightning.cli import main
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.errors import UserError
from fer_lightning.expressions import FER2013_CLASSES
from fer_lightning.task import ExpressionTask
from tests import fakes, networks

Said = pytest.CaptureFixture[str]
HEADS = ("head.0.weight", "head.0.bias")
CK48_CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "contempt"]


def fit(data: Path, base: Path, *words: str | Path) -> int:
    """Train on one batch, with a rate that moves no weight."""
    fixed = ["--data.batch_size", "16", "--data.augment", "none", "--data.num_workers", "0"]
    fixed += ["--model.learning_rate", "1e-12", "--trainer.limit_train_batches", "1"]
    fixed += ["--trainer.default_root_dir", str(base)]
    longer = () if "--trainer.max_epochs" in words else ("--trainer.max_epochs", "1")
    return main(["fit", "--data.root", str(data), *fixed, *longer, *map(str, words)])


def run_of(base: Path) -> Path:
    (run,) = base.glob("*/version_0")
    return run


def made(data: Path, base: Path, *words: str | Path) -> Path:
    assert fit(data, base, *words) == 0
    return run_of(base) / "best.safetensors"


def refused(data: Path, base: Path, *words: str | Path, capsys: Said) -> str:
    capsys.readouterr()
    assert fit(data, base, *words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def weights(file: Path) -> dict[str, Tensor]:
    return dict(checkpoint.load(file).network.state_dict())


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """What each training of the test begins with, as the trainer has it."""
    seen: list[dict[str, Tensor]] = []

    def note(self: ExpressionTask) -> None:
        seen.append({name: value.clone() for name, value in self.net.state_dict().items()})

    monkeypatch.setattr(ExpressionTask, "on_train_start", note)
    return seen


@pytest.fixture(scope="module")
def ck48(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_ck48(tmp_path_factory.mktemp("ck48"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of FER2013's classes that has seen none of the data here."""
    return networks.write(tmp_path_factory.mktemp("foreign") / "foreign.safetensors", 1)


@pytest.fixture(scope="module")
def folded(fer2013: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that was trained on all of the fake FER2013 but its first fold of three."""
    return made(fer2013, tmp_path_factory.mktemp("folded"), *fold(0))


def fold(number: int) -> list[str]:
    return ["--data.split", "random", "--data.folds", "3", "--data.fold", str(number)]


def test_training_begins_with_the_very_weights_of_the_checkpoint(
    trained: Path, fer2013: Path, tmp_path: Path, starts: list[dict[str, Tensor]], capsys: Said
) -> None:
    """On the same split, too: what trained the start trains it on."""
    best = trained / "best.safetensors"
    file = made(fer2013, tmp_path, "--init_from", best)
    expected = weights(best)
    (began,) = starts
    assert began.keys() == expected.keys()
    assert [name for name in began if not torch.equal(began[name], expected[name])] == []
    ended = weights(file)  # the averaged weights, which began there as well
    learned = [name for name, _ in checkpoint.load(file).network.named_parameters()]
    for name in learned:
        torch.testing.assert_close(ended[name], expected[name], atol=1e-6, rtol=0)
    assert f"start: {checkpoint.identity(best)}, trained on fer2013\n" in capsys.readouterr().out


def test_outputs_follow_the_names_of_the_classes(
    foreign: Path, tmp_path: Path, starts: list[dict[str, Tensor]], capsys: Said
) -> None:
    """Other classes in another number and order; what the checkpoint does not know is as it would be without it."""
    data = fakes.write_classes(tmp_path / "data", ["happy", "bored", "surprise", "fear"], 12)
    ours = ["fear", "happy", "surprise", "bored"]
    made(data, tmp_path / "afresh")
    card = checkpoint.read_card(made(data, tmp_path / "runs", "--init_from", foreign))
    assert card["classes"] == ours
    afresh, began = starts
    expected = weights(foreign)
    for name in HEADS:
        for place, label in enumerate(ours[:3]):
            assert torch.equal(began[name][place], expected[name][FER2013_CLASSES.index(label)])
        assert torch.equal(began[name][3], afresh[name][3])
    assert [name for name in began if name not in HEADS and not torch.equal(began[name], expected[name])] == []
    assert card["training"]["init_from"]["classes"] == ours[:3]
    assert "; the outputs for bored start afresh" in capsys.readouterr().out


def test_ck_plus_starts_from_fer2013(
    trained: Path, ck48: Path, tmp_path: Path, starts: list[dict[str, Tensor]]
) -> None:
    """As many classes, but not the same: neutral's outputs are no start for contempt's."""
    best = trained / "best.safetensors"
    card = checkpoint.read_card(made(ck48, tmp_path, "--init_from", best, "--data.folds", "3"))
    assert card["classes"] == CK48_CLASSES
    (began,), expected = starts, weights(best)
    for name in HEADS:
        assert torch.equal(began[name][:6], expected[name][:6])
        assert not torch.equal(began[name][6], expected[name][6])


def test_the_card_says_where_the_weights_come_from(trained: Path, ck48: Path, tmp_path: Path) -> None:
    best = trained / "best.safetensors"
    came = checkpoint.read_card(made(ck48, tmp_path, "--init_from", best))["training"]["init_from"]
    before = checkpoint.read_card(best)
    assert came["checkpoint"] == checkpoint.identity(best)
    assert came["classes"] == CK48_CLASSES[:6]
    assert came["data"] == {key: before["data"][key] for key in ("source", "split", "fingerprint")}
    assert came["training"]["config"]["data"] == before["training"]["config"]["data"]
    assert came["training"]["init_from"] is None
    assert checkpoint.read_card(run_of(tmp_path) / "checkpoints" / "last.ckpt")["training"]["init_from"] == came


def test_without_a_start_the_card_names_none(trained: Path) -> None:
    assert not checkpoint.read_card(trained / "best.safetensors")["training"].get("init_from")


def test_another_network_is_refused_and_leaves_no_run(
    foreign: Path, fer2013: Path, tmp_path: Path, capsys: Said
) -> None:
    said = refused(fer2013, tmp_path, "--init_from", foreign, "--model.network", "plain_cnn", capsys=capsys)
    assert f"--init_from {foreign}: holds improved_cnn, not plain_cnn; choose --model.network improved_cnn" in said
    assert list(tmp_path.glob("*/*")) == []


def test_the_same_network_of_other_options_is_refused(
    foreign: Path, fer2013: Path, tmp_path: Path, capsys: Said
) -> None:
    said = refused(fer2013, tmp_path, "--init_from", foreign, "--model.groups", "8", capsys=capsys)
    assert f"--init_from {foreign}: its network has other options" in said


@pytest.mark.parametrize("first", ["true", "false"])
def test_a_plain_network_of_other_normalisation_is_refused(
    first: str, fer2013: Path, foreign: Path, tmp_path: Path, capsys: Said
) -> None:
    plain = ["--model.network", "plain_cnn", "--model.batch_norm"]
    start = made(fer2013, tmp_path / "first", *plain, first)
    then = "false" if first == "true" else "true"
    said = refused(fer2013, tmp_path / "then", "--init_from", start, *plain, then, capsys=capsys)
    assert f"--init_from {start}: its network has other options" in said


def test_a_start_that_is_none_is_refused(fer2013: Path, tmp_path: Path, capsys: Said) -> None:
    assert "gone: no such checkpoint" in refused(fer2013, tmp_path, "--init_from", "gone", capsys=capsys)
    (tmp_path / "notes.safetensors").write_text("none")
    said = refused(fer2013, tmp_path, "--init_from", tmp_path / "notes.safetensors", capsys=capsys)
    assert "notes.safetensors: no checkpoint of fer_lightning" in said


def seen_by(data: Path, before: dict[str, Any], now: dict[str, Any]) -> int:
    """Count the rows that choose now and trained before, or are reported now and trained or chose before."""
    was, split = (ExpressionDataModule(root=str(data), **options).split for options in (before, now))
    trained, chose = set(was.train.tolist()), set(was.validation.tolist())
    choosing = sum(row in trained for row in split.validation.tolist())
    return choosing + sum(row in trained | chose for row in split.test.tolist())


def test_a_start_that_knows_the_scored_rows_is_refused(
    folded: Path, fer2013: Path, tmp_path: Path, capsys: Said
) -> None:
    """Trained on two folds, one of which is scored now; on its own fold it may go on."""
    said = refused(fer2013, tmp_path / "other", *fold(1), "--init_from", folded, capsys=capsys)
    first, second = ({"split": "random", "folds": 3, "fold": number} for number in (0, 1))
    known = seen_by(fer2013, first, second)
    assert known > 100
    assert f"--init_from {folded}: was trained or chosen on {known} of the rows that are scored here; take" in said
    assert fit(fer2013, tmp_path / "same", *fold(0), "--init_from", folded) == 0


def test_a_start_of_the_official_split_is_no_start_for_folds(
    trained: Path, fer2013: Path, tmp_path: Path, capsys: Said
) -> None:
    said = refused(fer2013, tmp_path, *fold(2), "--init_from", trained / "best.safetensors", capsys=capsys)
    known = seen_by(fer2013, {}, {"split": "random", "folds": 3, "fold": 2})
    assert f"was trained or chosen on {known} of the rows" in said


def test_what_the_start_started_from_counts_as_well(
    folded: Path, fer2013: Path, ck48: Path, tmp_path: Path, capsys: Said
) -> None:
    """FER2013's folds, then CK+, then FER2013 again: the detour does not make its faces unseen."""
    detour = made(ck48, tmp_path / "detour", "--init_from", folded)
    said = refused(fer2013, tmp_path / "other", *fold(1), "--init_from", detour, capsys=capsys)
    assert f"--init_from {detour}: was trained or chosen on " in said
    back = checkpoint.read_card(made(fer2013, tmp_path / "back", *fold(0), "--init_from", detour))
    line = list(ancestors(back))
    assert line[0] is back
    assert [one["data"]["source"] for one in line] == ["fer2013", "ckplus", "fer2013"]
    assert [one.get("checkpoint") for one in line] == [None, *map(checkpoint.identity, (detour, folded))]
    assert [one["training"]["config"]["data"]["fold"] for one in line] == [0, 0, 0]
    fingerprints = [one["data"]["fingerprint"] for one in line]
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]


def came(source: str, split: str = "official", seen: str = "theirs", before: Any = None) -> dict[str, Any]:
    """What a card says of a start."""
    return {
        "data": {"source": source, "split": split, "fingerprint": seen},
        "training": {"config": {"data": {}}, "init_from": before},
    }


FOLDS = "grouped by picture, 5 folds, seed 0"
RELATED = {
    "FER2013's pictures, then its votes": (came("fer2013", FOLDS), "ferplus", FOLDS),
    "and the other way round": (came("ferplus"), "fer2013", FOLDS),
    "folds first": (came("ferplus", FOLDS), "fer2013", "official"),
    "fewer rows of the same": (came("fer2013", FOLDS), "fer2013", FOLDS),
    "CK+48, then CK+": (came("ckplus", FOLDS), "ckplus", FOLDS),
    "by a detour": (came("ckplus", FOLDS, before=came("fer2013")), "ferplus", FOLDS),
}


@pytest.mark.parametrize("case", RELATED)
def test_the_same_pictures_in_another_form_are_refused(case: str) -> None:
    start, source, split = RELATED[case]
    with pytest.raises(UserError, match=r"--init_from a\.safetensors: was trained on \w+ in another form than") as told:
        cannot_tell(start, "--init_from a.safetensors", {"source": source, "split": split, "fingerprint": "ours"})
    assert "\n" not in str(told.value)


def test_twins_that_are_left_out_are_not_known_by_way_of_the_other_labels() -> None:
    """FER2013 and FER+ are the same pictures: a start of one may not bring the twins that the other leaves out."""
    data = {"source": "ferplus", "split": "official, leaks dropped, cleaned", "fingerprint": "ours"}
    for start in (came("fer2013"), came("sketch", before=came("fer2013"))):
        with pytest.raises(UserError, match=r"a\.safetensors: was trained on fer2013 with twins of rows"):
            cannot_tell(start, "--init_from a.safetensors", data)


UNRELATED = {
    "the official parts are the same pictures": (came("fer2013"), "ferplus", "official", False),
    "leaks dropped": (came("ferplus", "official, leaks dropped"), "fer2013", "official, leaks dropped", False),
    "leaks dropped before": (came("ferplus", "official, leaks dropped"), "fer2013", "official", False),
    "the very same data, of which the rows tell": (came("ckplus", FOLDS, seen="ours"), "ckplus", FOLDS, False),
    "other faces": (came("fer2013"), "ckplus", FOLDS, False),
    "drawn ones before": (came("sketch", before=came("sketch")), "folder", "official", False),
    "drawn ones now": (came("folder", before=came("fer2013")), "sketch", "official", False),
    "a folder of whatever": (came("folder"), "ckplus", FOLDS, True),
    "a table of whatever": (came("fer2013", before=came("csv")), "ckplus", FOLDS, True),
    "a folder now": (came("fer2013"), "folder", "official", True),
    "another folder": (came("folder"), "folder", "official", True),
    "the very same folder": (came("folder", seen="ours"), "folder", "official", False),
}


@pytest.mark.parametrize("case", UNRELATED)
def test_where_nothing_can_be_told_it_is_known_that_nothing_can(case: str) -> None:
    start, source, split, doubtful = UNRELATED[case]
    data = {"source": source, "split": split, "fingerprint": "ours"}
    assert cannot_tell(start, "--init_from a.safetensors", data) is doubtful


def test_fer_plus_is_no_other_data_than_fer2013(trained: Path, tmp_path: Path, capsys: Said) -> None:
    """As users have it: the official parts may follow each other, folds of the one are known to the other."""
    data = fakes.write_fer2013(tmp_path / "data", 350).parent
    fakes.write_ferplus(data, 350)
    best, votes = trained / "best.safetensors", ("--data.source", "ferplus")
    said = refused(data, tmp_path / "folds", *votes, *fold(0), "--init_from", best, capsys=capsys)
    assert f"--init_from {best}: was trained on fer2013 in another form than the ferplus here" in said
    assert not list((tmp_path / "folds").glob("*/*"))
    card = checkpoint.read_card(made(data, tmp_path / "official", *votes, "--init_from", best))
    assert card["data"]["source"] == "ferplus"
    assert "may_have_seen" not in card["training"]["init_from"]
    assert "cannot be told" not in capsys.readouterr().out


def test_scoring_says_where_the_pictures_are_known_under_other_labels(
    trained: Path, tmp_path: Path, capsys: Said
) -> None:
    """FER2013's training rows, shuffled into folds of FER+: no row tells, but the pictures are the same."""
    data = fakes.write_fer2013(tmp_path / "data", 350).parent
    fakes.write_ferplus(data, 350)
    words = ["test", "--ckpt_path", str(trained / "best.safetensors"), "--data.root", str(data), "--data.source"]
    words += ["ferplus", "--data.ferplus_classes", "7", "--trainer.default_root_dir", str(tmp_path)]
    for split, told in (("random", True), ("official", False)):
        assert main([*words, "--data.split", split]) == 0
        assert ("was trained on these pictures in another form" in capsys.readouterr().out) is told


def test_a_start_of_which_nothing_can_be_told_says_so(trained: Path, tmp_path: Path, capsys: Said) -> None:
    data = fakes.write_classes(tmp_path / "data", ["happy", "surprise", "fear"], 12)
    card = checkpoint.read_card(made(data, tmp_path / "runs", "--init_from", trained / "best.safetensors"))
    assert card["training"]["init_from"]["may_have_seen"] is True
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if line.startswith("it cannot be told whether best@")]
    assert [line.endswith(" has seen these pictures under another name") for line in said] == [True]


def test_a_card_without_a_start_has_no_ancestors() -> None:
    card = fakes.card()
    assert list(ancestors(card)) == [card]


def test_a_training_goes_on_from_its_own_start_alone(
    foreign: Path, fer2013: Path, tmp_path: Path, capsys: Said
) -> None:
    other = networks.write(tmp_path / "other.safetensors", 2)
    base = tmp_path / "runs"
    made(fer2013, base, "--init_from", foreign)
    last = run_of(base) / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    on = ("--trainer.max_epochs", "2", "--ckpt_path", last)
    was = checkpoint.identity(foreign)
    cases: tuple[tuple[tuple[str | Path, ...], str], ...]
    cases = ((("--init_from", other), checkpoint.identity(other)), ((), "None"))
    for words, now in cases:
        said = refused(fer2013, base, *on, *words, capsys=capsys)
        assert f"{last}: was trained with --init_from {was}, now it is {now}; resume with the same settings" in said
    assert last.read_bytes() == before
    moved = Path(shutil.copy(foreign, tmp_path / "renamed.safetensors"))
    assert fit(fer2013, base, *on, "--init_from", moved) == 0
    card = checkpoint.read_card(run_of(base) / "best.safetensors")
    assert (card["training"]["epochs"], card["training"]["resumed"]) == (2, True)
    assert card["training"]["init_from"]["checkpoint"] == was


def test_a_start_is_worth_something(trained: Path, fer2013: Path, tmp_path: Path) -> None:
    """The one batch that moves no weight scores as the start did, and not as a fresh network does."""
    best = trained / "best.safetensors"
    before = checkpoint.read_card(best)["scores"]["PublicTest"]["accuracy"]
    files = made(fer2013, tmp_path / "warm", "--init_from", best), made(fer2013, tmp_path / "cold")
    warm, cold = (checkpoint.read_card(file)["scores"]["PublicTest"]["accuracy"] for file in files)
    assert before > 0.5
    assert warm > before - 0.2
    assert cold < (before + 1 / 7) / 2
