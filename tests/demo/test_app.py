"""The page without a browser: its functions, its command line, and its interface for programs."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fer_lightning import records
from fer_lightning.cli import main as fer_lightning
from fer_lightning.errors import UserError
from fer_lightning.recognizer import Recognizer
from fer_lightning.video import film_frames
from tests import fakes, films, networks
from tests.demo.conftest import OTHER_CLASSES, ROOT, Served, write_other

pytest.importorskip("gradio")
from demo import looks, reading
from demo.__main__ import main, sweep
from demo.models import Models


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer.from_checkpoint(fakes.write_checkpoint(tmp_path_factory.mktemp("demo") / "net.safetensors"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer.from_checkpoint(write_other(tmp_path_factory.mktemp("demo") / "other.safetensors"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def test_help_is_answered_without_what_takes_seconds_to_import() -> None:
    code = "import sys; from demo.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\nfinally: "
    code += "print(sorted({'gradio', 'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "--checkpoint" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "ninety"], "a number from 0 to 65535"),
        (["--port", "99999"], "a number from 0 to 65535"),
        (["--auth", "me"], "USER:PASS"),
        (["--checkpoint", "nowhere"], "no such checkpoint"),
        (["--logit_adjustment", "some"], "invalid float value: 'some'"),
        (["--logit_adjustment", "-2"], "logit_adjustment -2.0: need a number from 0 to 10"),
        (["--shine"], "unrecognized arguments: --shine"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: Any = main(words)
    except SystemExit as stopped:
        code = stopped.code
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_the_given_checkpoint_stands_first_and_others_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = fakes.write_checkpoint(tmp_path / "mine.safetensors")
    write_other(tmp_path / "checkpoints" / "other.safetensors")
    monkeypatch.chdir(tmp_path)
    models = Models(str(given))
    assert models.names[0] == "mine"
    assert "other" in models.names
    assert models.get() is models.get("mine")
    assert models.get("other").classes == OTHER_CLASSES
    with pytest.raises(UserError, match="choose from mine"):
        models.get("../secret")


def test_rare_expressions_are_lifted_where_the_page_is_started_so(tmp_path: Path) -> None:
    told = str(networks.write(tmp_path / "told.safetensors", 1, temperature=1.5))
    face = fakes.faces(range(1))[0]
    plain, lifted = (Models(told, power).get().classify([face])[0] for power in (0.0, 0.5))
    counts = np.array([4, 3, 2, 2, 2, 2, 2])  # the fake card's rows, and one more of each class
    np.testing.assert_allclose(lifted, plain / counts**0.5 / (plain / counts**0.5).sum(), atol=1e-6)
    assert Models(told, 0.5).get().model.endswith(", logit adjustment 0.5")


def test_a_photo_is_read_whole_and_shown_small(recognizer: Recognizer, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    Image.fromarray(data.astronaut()).resize((2400, 2400)).save(large)
    picture, faces = reading.read_photo(recognizer, large)
    assert picture.size == (2400, 2400)
    shown = reading.marked(picture, faces)
    assert shown.size == (1600, 1600)
    left, top, right, bottom = (2 / 3 * edge for edge in faces[0].box)
    drawn = np.abs(np.asarray(shown, float) - np.asarray(picture.resize((1600, 1600)), float)).max(2) > 60
    rows, columns = np.nonzero(drawn[round(top) : round(bottom) + 10, round(left) - 10 : round(right) + 10])
    assert rows.size
    assert (columns.min(), columns.max()) == pytest.approx((10, right - left + 10), abs=12)


def test_what_is_no_picture_or_too_large_is_said_without_the_servers_folders(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", reading.LARGEST_PICTURE)
    (tmp_path / "text.png").write_text("no picture")
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    (tmp_path / "fat.jpg").write_bytes(bytes(reading.LARGEST_PHOTO + 1))
    for name, said in (("text.png", "unreadable"), ("bomb.png", "too large"), ("fat.jpg", "larger than 10 MB")):
        with pytest.raises(UserError, match=said) as caught:
            reading.read_photo(recognizer, tmp_path / name)
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(UserError, match="upload it once more"):
        reading.read_photo(recognizer, tmp_path / "gone.jpg")


def test_bars_keep_the_order_of_the_classes_and_show_names_as_they_are(other: Recognizer, photo: Path) -> None:
    _, faces = reading.read_photo(other, photo)
    html = looks.face_cards(faces, [face.probabilities for face in faces], [1])
    places = [html.index(f'<th scope="row">{name}') for name in ("calm", "&lt;b&gt;tense&lt;/b&gt;", "amused", "bored")]
    assert places == sorted(places)
    assert "<b>tense" not in html
    for value in faces[0].probabilities:
        assert looks.percent(float(value)) in html


def test_a_stream_counts_its_rate_and_remembers_the_last_seconds(other: Recognizer) -> None:
    now = [100.0]
    visitor = reading.Visitor(other, clock=lambda: now[0])
    for step in range(160):
        frame = films.scene((films.astronaut(240), (300 + step % 20, 240)), size=(640, 480))
        seen = visitor.look(np.asarray(frame))
        now[0] += 0.1
    assert seen.rate == pytest.approx(10, abs=0.5)
    assert seen.picture.size == (640, 480)
    assert visitor.times[-1] - visitor.times[0] == pytest.approx(reading.HISTORY, abs=0.2)
    html = looks.live_panel(visitor, seen)
    assert html.count("<polyline") == len(OTHER_CLASSES)
    assert "10 frames/s" in html


def test_a_stream_without_a_face_says_so(recognizer: Recognizer) -> None:
    visitor = reading.Visitor(recognizer)
    seen = visitor.look(np.full((480, 640, 3), 90, np.uint8))
    assert "No face in view" in looks.live_panel(visitor, seen)


def test_a_film_becomes_a_film_a_table_and_a_report(other: Recognizer, tmp_path: Path) -> None:
    places = films.line((100, 120), (220, 120), 20)
    path = films.write(tmp_path / "in.mp4", (films.scene((films.astronaut(), place)) for place in places))
    out = tmp_path / "out"
    out.mkdir()
    read = reading.read_film(other, path, out, lambda done, total: True)
    _, rows = records.read(read.table)
    assert [row["frame"] for row in rows] == list(range(20))
    assert film_frames(read.film) == 20
    (stay,) = reading.stays(read.timeline)
    assert stay.label in OTHER_CLASSES
    assert "1 person in 20 frames" in looks.film_report(read)
    assert sorted(file.name for file in out.iterdir()) == ["in.csv", "in.faces.mp4"]


def test_a_film_ends_where_the_visitor_stops_it(recognizer: Recognizer, tmp_path: Path) -> None:
    path = films.write(tmp_path / "in.mp4", [films.scene()] * 40)
    read = reading.read_film(recognizer, path, tmp_path, lambda done, total: done < 5)
    assert read.frames == 5
    (row,) = records.read(read.table)[1]
    assert row["face"] is None
    assert "No people" in looks.film_report(read)


def test_what_is_no_film_is_said_without_the_servers_folders(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(UserError, match=r"^text.mp4: unreadable film"):
        reading.read_film(recognizer, tmp_path / "text.mp4", tmp_path, lambda done, total: True)


@pytest.mark.parametrize("name", ["astronaut.png", "empty.png"])
def test_the_interface_for_programs_answers_as_predict_writes(served: Served, tmp_path: Path, name: str) -> None:
    from gradio_client import Client, handle_file

    picture = data.astronaut() if name == "astronaut.png" else np.full((300, 300, 3), 90, np.uint8)
    Image.fromarray(picture).save(tmp_path / name)
    client = Client(served.url, verbose=False, download_files=False)
    answer = client.predict(handle_file(str(tmp_path / name)), api_name="/predict")
    out = tmp_path / "out.json"
    assert (
        fer_lightning(["predict", str(tmp_path / name), "--checkpoint", str(served.checkpoint), "--out", str(out)]) == 0
    )
    written = json.loads(out.read_text())
    assert {key: answer[key] for key in answer if key != "records"} == {
        key: written[key] for key in written if key != "records"
    }
    assert len(answer["records"]) == len(written["records"]) == 1
    for ours, theirs in zip(answer["records"], written["records"], strict=True):
        assert Path(theirs["source"]).name == ours["source"] == name
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"source"}:
            assert ours[key] == (
                pytest.approx(theirs[key], abs=1e-5) if isinstance(theirs[key], float) else theirs[key]
            )


def test_the_interface_can_choose_a_checkpoint_of_other_classes(served: Served, photo: Path) -> None:
    from gradio_client import Client, handle_file

    answer = Client(served.url, verbose=False).predict(handle_file(str(photo)), "other", api_name="/predict")
    assert answer["classes"] == list(OTHER_CLASSES)
    assert answer["records"][0]["label"] in OTHER_CLASSES


def test_a_broken_picture_is_answered_in_words(served: Served, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(Exception, match=r"broken.png: unreadable picture") as caught:
        Client(served.url, verbose=False).predict(handle_file(str(tmp_path / "broken.png")), api_name="/predict")
    assert "Traceback" not in str(caught.value)
    assert str(served.temp) not in str(caught.value)


def test_files_are_deleted_when_their_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "upload").mkdir()
    file = tmp_path / "upload" / "face.jpg"
    file.write_bytes(b"face")
    sweep(tmp_path, 600)
    assert file.exists()
    sweep(tmp_path, -1)
    assert not file.exists()


def test_examples_are_no_uploads_that_vanish(served: Served) -> None:
    with urllib.request.urlopen(f"{served.url}/config") as answer:
        components = json.load(answer)["components"]
    icons = [part["props"]["icon"]["path"] for part in components if part["props"].get("icon")]
    assert sorted(Path(icon).name for icon in icons) == ["astronaut.jpg", "drawn-trio.jpg"]
    for icon in icons:
        assert Path(icon).is_relative_to(ROOT)
        with urllib.request.urlopen(f"{served.url}/gradio_api/file={icon}") as file:
            assert file.read() == Path(icon).read_bytes()


def test_nothing_but_predict_is_public_and_no_file_is_served(served: Served) -> None:
    from gradio_client import Client

    described: Any = Client(served.url, verbose=False).view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/predict"]
    for file in (served.checkpoint, "/etc/passwd", ROOT / "demo" / "app.py"):
        with pytest.raises(urllib.error.HTTPError, match=r"403|404"):
            urllib.request.urlopen(f"{served.url}/gradio_api/file={file}")


def test_a_space_runs_the_file_by_its_path() -> None:
    code = "import runpy, sys; sys.argv = ['app.py', '--help']; runpy.run_path(sys.path.pop(), run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path += [{str(ROOT)!r}, {str(ROOT / 'demo/app.py')!r}]; {code}"],
        capture_output=True,
        text=True,
        cwd=ROOT / "demo",
    )
    assert "--checkpoint" in done.stdout, done.stderr
