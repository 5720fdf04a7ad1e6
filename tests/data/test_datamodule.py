"""The DataModule: what it tells of the data, what it refuses, and that a second start reads nothing anew."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.errors import UserError
from tests import fakes


def test_hard_labels_become_one_hot_targets(fer2013: Path) -> None:
    data = ExpressionDataModule(root=str(fer2013))
    assert data.targets.dtype == np.float32
    assert data.targets.sum(1).tolist() == [1.0] * 350
    assert np.array_equal(data.targets.argmax(1), data.faces.labels)


def test_votes_are_the_targets_where_there_are_some(tmp_path: Path) -> None:
    fakes.write_fer2013(tmp_path)
    fakes.write_ferplus(tmp_path)
    data = ExpressionDataModule(source="ferplus", root=str(tmp_path), batch_size=8)
    np.testing.assert_allclose(np.sort(data.targets, 1)[:, -2:], [[0.3, 0.7]] * len(data.faces), atol=1e-6)
    batch = next(iter(data.train_dataloader()))
    assert np.array_equal(batch["targets"].numpy(), data.targets[batch["rows"].numpy()])
    assert len(data.classes) == batch["targets"].shape[1] == 8


def test_class_shares_are_those_of_the_training_rows(tmp_path: Path) -> None:
    fakes.write_classes(tmp_path / "train", ["calm", "cross"], 9)
    fakes.write_classes(tmp_path / "train", ["glad"], 2, seed=1)
    fakes.write_classes(tmp_path / "validation", ["calm", "cross", "glad"], 7, seed=2)
    fakes.write_classes(tmp_path / "test", ["calm", "cross", "glad"], 7, seed=3)
    data = ExpressionDataModule(source="folder", root=str(tmp_path), split="official")
    assert data.classes == ["calm", "cross", "glad"]
    assert data.class_shares == pytest.approx([9 / 20, 9 / 20, 2 / 20])


def test_the_summary_says_what_the_card_needs(fer2013: Path) -> None:
    data = ExpressionDataModule(root=str(fer2013), drop_leaks=True)
    summary = json.loads(json.dumps(data.summary()))  # plain JSON: nothing is lost
    assert summary == data.summary()
    assert summary["source"] == "fer2013"
    assert len(summary["fingerprint"]) == 64
    assert summary["split"] == "official, leaks dropped"
    assert summary["rows"] == {"Training": 252, "PublicTest": 49, "PrivateTest": 49}
    assert summary["dropped"] == {"identical": 0, "near-identical": 0}
    assert set(summary["leakage"]) == {"validation", "test", "test_in_validation"}
    assert summary["augment"] == "light"
    assert [remark for remark in summary["remarks"] if "taken for fer2013" in remark]
    assert data.twin_free().tolist() == [True] * 49


def test_the_fingerprint_is_of_the_data_and_not_of_their_place(tmp_path: Path) -> None:
    prints = []
    for name, seed in (("here", 0), ("there", 0), ("others", 1)):
        fakes.write_fer2013(tmp_path / name, seed=seed)
        prints.append(ExpressionDataModule(root=str(tmp_path / name)).summary()["fingerprint"])
    assert prints[0] == prints[1] != prints[2]


def test_folds_of_the_module_pool_to_the_whole_set(fer2013: Path) -> None:
    folds = [ExpressionDataModule(root=str(fer2013), split="random", folds=5, fold=fold) for fold in range(5)]
    assert sorted(np.concatenate([data.rows("test") for data in folds]).tolist()) == list(range(350))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"batch_size": 0}, "--data.batch_size 0"),
        ({"num_workers": -1}, "--data.num_workers -1"),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_read(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExpressionDataModule(**words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"source": "ckplus"}, "--data.source ckplus: say where it lies, with --data.root PATH"),
        ({"root": "/no/such/place"}, "--data.root /no/such/place: no such file or folder"),
        ({"split": "random", "fold": 9}, "--data.fold 9: choose from 0 to 4"),
        ({"split": "grouped", "folds": 0}, "--data.folds 0: need at least 2"),
    ],
)
def test_impossible_data_are_refused_when_they_are_needed(words: dict[str, Any], message: str) -> None:
    data = ExpressionDataModule(**words)
    with pytest.raises(UserError, match=message):
        data.train_dataloader()


_SECOND_START = """
import sys
import numpy as np
from fer_lightning.data import duplicates, fer2013, folds
from fer_lightning.data.datamodule import ExpressionDataModule

def poison(*args, **kwargs):
    raise AssertionError("read or searched anew")

fer2013.read_pixel_csv = duplicates.near_clusters = folds.StratifiedGroupKFold = poison
try:
    ExpressionDataModule(root=sys.argv[1]).faces
except AssertionError:
    print("a file that is new has to be read")
data = ExpressionDataModule(root=sys.argv[2], split="grouped", drop_leaks=True)
mapped = data.faces.faces
while not isinstance(mapped, np.memmap):
    mapped = mapped.base
print(data.summary())
"""


def test_a_second_start_maps_the_cache_and_makes_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_LIGHTNING_CACHE", str(tmp_path / "cache"))
    new, known = fakes.write_fer2013(tmp_path / "new", seed=1), fakes.write_fer2013(tmp_path / "known")
    first = ExpressionDataModule(root=str(known), split="grouped", drop_leaks=True).summary()
    done = subprocess.run([sys.executable, "-c", _SECOND_START, str(new), str(known)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["a file that is new has to be read", str(first)]
