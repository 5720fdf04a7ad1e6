"""The shipped checkpoints answer as they did when they were shipped: probabilities kept as numbers, no pictures.

``python -m tests.test_shipped NAME [ROOT]`` writes a checkpoint's numbers anew, from the FER2013 that lies at ROOT.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_lightning import checkpoint
from fer_lightning.data.datamodule import ExpressionDataModule
from fer_lightning.recognizer import Recognizer
from fer_lightning.whole_files import csv_bytes, write

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = Path(__file__).with_name("shipped")
SHIPPED = sorted((ROOT / "checkpoints").glob("*.safetensors"))
ROWS = 200
"""So many PrivateTest rows, the first in the order of the file."""
FIGURES = {"ece", "nll", "brier"}


def answers(file: Path, root: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Return the ids of the rows, and what a checkpoint says of them; their labels are not looked at."""
    faces = ExpressionDataModule(source="fer2013", root=str(root)).faces
    assert faces.parts is not None
    rows = np.flatnonzero(faces.parts == "PrivateTest")[:ROWS]
    return faces.row_ids[rows].tolist(), Recognizer.from_checkpoint(file).classify(list(faces.faces[rows]))


def write_expected(file: Path, root: Path) -> Path:
    """Write down what a checkpoint says now."""
    ids, probabilities = answers(file, root)
    lines = ([row, *(f"{p:.7f}" for p in found)] for row, found in zip(ids, probabilities, strict=True))
    return write(EXPECTED / f"{file.stem}.csv", csv_bytes([["row", *checkpoint.read_card(file)["classes"]], *lines]))


def read_expected(file: Path) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Return classes, ids and probabilities as they were written down."""
    with (EXPECTED / f"{file.stem}.csv").open(newline="", encoding="utf-8") as handle:
        header, *lines = csv.reader(handle)
    return header[1:], [line[0] for line in lines], np.array([line[1:] for line in lines], dtype=np.float64)


def test_every_checkpoint_has_its_numbers() -> None:
    assert SHIPPED
    assert sorted(file.stem for file in EXPECTED.glob("*.csv")) == [file.stem for file in SHIPPED]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_card_tells_of_its_calibration(file: Path) -> None:
    card = checkpoint.read_card(file)
    assert card["calibration"]["fitted_on"] == card["training"]["chosen_by"].split(" on ")[1]
    assert {"PublicTest", "PrivateTest", "PrivateTest twin-free"} <= set(card["scores"])
    for found in card["scores"].values():
        assert found["temperature"] == card["calibration"]["temperature"]
        assert set(found) >= FIGURES
        assert set(found["uncalibrated"]) >= FIGURES
    chosen_on = card["scores"][card["calibration"]["fitted_on"]]
    assert chosen_on["nll"] < chosen_on["uncalibrated"]["nll"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_numbers_are_probabilities_of_its_classes(file: Path) -> None:
    classes, ids, probabilities = read_expected(file)
    assert classes == checkpoint.read_card(file)["classes"]
    assert len(set(ids)) == len(probabilities) == ROWS
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert len(set(probabilities.argmax(1))) > 5  # the faces differ, so agreement means something


@pytest.mark.realdata
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_checkpoint_answers_as_it_did(file: Path, real_data: Path) -> None:
    _, expected_ids, expected = read_expected(file)
    ids, found = answers(file, real_data / "fer2013")
    assert ids == expected_ids
    np.testing.assert_allclose(found, expected, atol=1e-4)


if __name__ == "__main__":
    print(write_expected(checkpoint.find(sys.argv[1]), Path(*(sys.argv[2:] or ["data/fer2013"]))))
