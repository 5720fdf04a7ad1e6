"""The command line of ``crossval`` before anything heavy is imported: what it understands, and what it refuses."""

from pathlib import Path

import pytest

from fer_lightning import crossval_options, options
from fer_lightning.cli import main
from fer_lightning.crossval_options import Options, parse
from fer_lightning.errors import UserError
from tests.processes import light


def test_without_options_both_networks_and_both_protocols_have_five_folds() -> None:
    assert parse([]) == Options(
        out=Path("runs/crossval"),
        networks=("improved_cnn", "plain_cnn"),
        protocols=("random", "grouped"),
        folds=5,
        only_folds=(0, 1, 2, 3, 4),
        starts=("scratch",),
        seeds=(42,),
        tta=("none", "flip"),
        jobs=1,
        share=(1, 1),
        list_only=False,
        fit=(),
    )


def test_every_option_is_understood() -> None:
    words = "--out here --networks plain_cnn,improved_cnn_wide --protocols grouped --folds 10 --only_folds 9,0"
    words += " --starts scratch,a/b.safetensors --seeds 1,0 --tta ten_crop --jobs=3 --cell 2/7 --list"
    assert parse(words.split()) == Options(
        out=Path("here"),
        networks=("plain_cnn", "improved_cnn_wide"),
        protocols=("grouped",),
        folds=10,
        only_folds=(9, 0),
        starts=("scratch", "a/b.safetensors"),
        seeds=(1, 0),
        tta=("ten_crop",),
        jobs=3,
        share=(2, 7),
        list_only=True,
        fit=(),
    )


def test_options_of_fit_pass_through_in_their_order() -> None:
    words = ["--data.root", "my faces", "--jobs", "2", "--model.dropout=0.1", "--data.drop_leaks", "--folds", "3"]
    found = parse([*words, "--data.num_workers", "0", "--trainer.limit_train_batches", "3", "--patience", "4"])
    assert found.fit == (
        *("--data.root", "my faces", "--model.dropout=0.1", "--data.drop_leaks", "true", "--data.num_workers", "0"),
        *("--trainer.limit_train_batches", "3", "--patience", "4"),
    )
    assert (found.jobs, found.folds, found.only_folds) == (2, 3, (0, 1, 2))


def test_a_value_may_begin_with_one_dash() -> None:
    assert parse(["--data.root", "-odd", "--model.dropout", "-1"]).fit == (
        "--data.root",
        "-odd",
        "--model.dropout",
        "-1",
    )


@pytest.mark.parametrize("option", ["networks", "seeds", "only_folds", "starts", "tta", "protocols"])
def test_what_is_named_twice_is_run_once(option: str) -> None:
    given = {
        "networks": "plain_cnn,plain_cnn",
        "seeds": "7,07,7",
        "only_folds": "1,01",
        "starts": "scratch,,scratch",
        "tta": "flip,flip",
        "protocols": "random,random",
    }
    assert len(getattr(parse([f"--{option}", given[option]]), option)) == 1


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--data.root", "x", "--jobs", "0", "--help"]])
def test_help_is_whole_and_costs_no_torch(words: list[str]) -> None:
    done = light("crossval", *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = ["out", "networks", "protocols", "folds", "only_folds", "starts", "seeds", "tta", "jobs", "cell", "list"]
    assert [line.split()[0] for line in lines if line.startswith("  --")] == [f"--{name}" for name in names]
    assert max(map(len, lines)) <= 80
    assert done.stdout.rstrip("\n") == crossval_options.help_text().rstrip("\n")


def test_the_choices_are_those_of_fit() -> None:
    for ours, theirs in (("networks", "model.network"), ("protocols", "data.split")):
        group = theirs.partition(".")[0]
        known = options.options(group)[theirs].choices
        assert set(crossval_options._CHOICES[ours]) == set(known) - {"auto", "official"}
    assert ",".join(crossval_options._CHOICES["tta"]) in next(name for name in options.OTHERS if "--tta" in name)


MISTAKES = {
    "--data.sorce sketch": "--data.sorce: no such option; did you mean --data.source",
    "--job 2": "--job: no such option",
    "--fold 3": "--fold: no such option",
    "--patiense 3": "--patiense: no such option; did you mean --patience?",
    "--data.source sktch": "--data.source sktch: choose from auto, ",
    "--data.split random": "--data.split: crossval sets it for each cell; use --protocols",
    "--data.fold=2": "--data.fold: crossval sets it for each cell; use --folds",
    "--data.folds 5": "--data.folds: crossval sets it for each cell; use --folds",
    "--model.network plain_cnn": "--model.network: crossval sets it for each cell; use --networks",
    "--seed_everything 3": "--seed_everything: crossval sets it for each cell; use --seeds",
    "--init_from a.safetensors": "--init_from: crossval sets it for each cell; use --starts",
    "--ckpt_path last": "--ckpt_path: crossval sets it for each cell; use nothing",
    "--config a.yaml": "--config: crossval sets it for each cell; use the options themselves",
    "--data a.yaml": "--data: crossval sets it for each cell; use the options themselves",
    "--trainer.default_root_dir x": "--trainer.default_root_dir: crossval sets it for each cell; use --out",
    "--trainer.num_nodes 2": "--trainer.num_nodes: crossval sets it for each cell; use --cell I/N, a share for each",
    "--print_config": "--print_config: is not for crossval",
    "--help_all": "--help_all: is not for crossval",
    "--networks plain": "--networks: plain: choose from improved_cnn, improved_cnn_wide, plain_cnn",
    "--networks plain_cnn,Improved_CNN": "--networks: Improved_CNN: choose from improved_cnn, ",
    "--networks ,": "--networks: needs at least one",
    "--networks": "--networks: expected one argument",
    "--protocols official": "--protocols: official: choose from random, grouped",
    "--tta five_crop": "--tta: five_crop: choose from none, flip, ten_crop",
    "--folds 1": "--folds: 1 is no whole number from 2 on",
    "--folds 2.5": "--folds: 2.5 is no whole number from 2 on",
    "--folds 3 --only_folds 1,3": "--only_folds 3: choose from 0 to 2, as --folds is 3",
    "--only_folds 5": "--only_folds 5: choose from 0 to 4, as --folds is 5",
    "--only_folds one": "--only_folds: one is no whole number",
    "--only_folds=-1": "--only_folds: -1 is no whole number",
    "--seeds 1,x": "--seeds: x is no whole number",
    "--jobs 0": "--jobs: 0 is no whole number from 1 on",
    "--jobs two": "--jobs: two is no whole number from 1 on",
    "--cell 0/4": "--cell: 0/4 is no share such as 3/10",
    "--cell 5/4": "--cell: 5/4 is no share such as 3/10",
    "--cell 3": "--cell: 3 is no share such as 3/10",
    "--cell 1/0": "--cell: 1/0 is no share such as 3/10",
    "--list yes": "yes: crossval takes options alone",
    "faces": "faces: crossval takes options alone",
    "--data.root faces more": "more: crossval takes options alone",
    "--model.dropout=0.1 0.2": "0.2: crossval takes options alone",
    "-x": "-x: crossval takes options alone",
    "--data.root --jobs 2": "--data.root: needs a value",  # as with an empty $VARIABLE
    "--data.root --data.augment none": "--data.root: needs a value",
    "--jobs 2 --data.root": "--data.root: needs a value",
    "--corruption blur": "--corruption: is not for crossval; see",
    "--logit_adjustment 1": "--logit_adjustment: is not for crossval; see",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_gets_one_line_and_leaves_nothing(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["crossval", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {MISTAKES[words]}")
    assert err.count("\n") == 1
    assert len(err) < 320
    assert list(tmp_path.iterdir()) == []


def test_an_option_in_the_middle_of_anothers_words_is_no_value() -> None:
    with pytest.raises(UserError, match=r"--data\.root: needs a value"):
        parse(["--data.root", "--out", "x"])


def test_a_mistake_is_told_before_anything_heavy_is_imported() -> None:
    done = light("crossval", "--data.root", "x", "--cell", "4/3")
    assert done.returncode == 2, done.stderr
    assert done.stderr == "error: --cell: 4/3 is no share such as 3/10, from 1/10 to 10/10; see crossval --help\n"
