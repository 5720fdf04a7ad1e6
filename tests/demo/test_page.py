"""The page in a real browser, whose camera is fed with a film of a moving face."""

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data

from fer_lightning import records
from fer_lightning.expressions import FER2013_CLASSES
from tests import films
from tests.demo.conftest import Served

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

CAMERA_RATE, CAMERA_SIZE = 15, (640, 480)


def write_camera(path: Path) -> Path:
    """Write what the browser takes for a camera: two seconds of a face that moves from side to side."""
    places = [*films.line((220, 240), (420, 240), 15), *films.line((420, 240), (220, 240), 15)]
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (*CAMERA_SIZE, CAMERA_RATE))
        for place in places:
            light, blue, red = films.scene((films.astronaut(280), place), size=CAMERA_SIZE).convert("YCbCr").split()
            half = (CAMERA_SIZE[0] // 2, CAMERA_SIZE[1] // 2)
            file.write(b"FRAME\n" + light.tobytes() + blue.resize(half).tobytes() + red.resize(half).tobytes())
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m")
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *fake, f"--use-file-for-fake-video-capture={camera}"]
        )


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """A fresh visitor; nothing may be fetched from elsewhere, and no script may fail."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(30_000)
    foreign: list[str] = []
    failed: list[str] = []
    own = (served.url, "data:", "blob:")
    opened.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    opened.on("pageerror", lambda error: failed.append(str(error)))
    opened.goto(served.url)
    yield opened
    assert "Traceback" not in opened.inner_text("body")
    opened.close()
    assert (foreign, failed) == ([], [])


def bars(scope: Any) -> list[str]:
    return [name.strip() for name in scope.locator(".face").first.locator("th").all_inner_texts()]


def test_a_photo_is_read_and_its_table_downloaded(page: Any, tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    page.set_input_files("#photo input[type=file]", tmp_path / "astronaut.png")
    page.locator("#photo-cards .face").wait_for()
    assert re.match(r"1 face: face 1 \w+ \d", page.inner_text("#photo-cards .note"))
    assert bars(page.locator("#photo-cards")) == list(FER2013_CLASSES)
    shown = page.inner_text("#photo-cards .headline b")
    page.locator("#photo-result img").wait_for()
    with page.expect_download() as download:
        page.click("#photo-table")
    download.value.save_as(tmp_path / "table.csv")
    (row,) = records.read(tmp_path / "table.csv")[1]
    assert (row["source"], row["label"]) == ("astronaut.png", shown)


def test_an_example_is_read_again_by_another_checkpoint(page: Any) -> None:
    page.get_by_role("button", name="Drawings").click()
    page.locator("#photo-cards .face").nth(2).wait_for()
    page.get_by_label("Checkpoint").click()
    page.get_by_role("option", name="other").click()
    page.locator("#photo-cards th", has_text="amused").first.wait_for()
    assert bars(page.locator("#photo-cards")) == ["calm", "<b>tense</b>", "amused", "bored"]
    page.get_by_role("tab", name="About").click()
    page.locator("#about dd", has_text="other@").wait_for()
    assert "Apparent expression, not felt emotion" in page.inner_text("#about")


def test_a_broken_photo_is_refused_in_words(page: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    page.set_input_files("#photo input[type=file]", tmp_path / "broken.png")
    page.get_by_text("unreadable picture").wait_for()
    assert page.locator("#photo-cards .face").count() == 0


def test_live_frames_flow_for_20_seconds(page: Any) -> None:
    page.get_by_role("tab", name="Live").click()
    page.locator("#camera").get_by_text("Access Webcam").click()
    page.locator("#camera").get_by_role("button", name="Record").click()
    page.locator("#live-panel .face").wait_for()
    counts, pictures = [], set()
    for _ in range(4):
        page.wait_for_timeout(5000)
        counts.append(int(page.get_attribute("#live-panel .rate", "data-frames")))
        pictures.add(page.get_attribute("#live-view img", "src"))
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(counts)), counts
    assert len(pictures) == 4
    assert re.fullmatch(r"\d+ frames/s", page.inner_text("#live-panel .rate"))
    assert page.locator("#live-panel .chart polyline").count() >= len(FER2013_CLASSES)


def test_a_film_is_read_and_its_table_downloaded(page: Any, tmp_path: Path) -> None:
    places = films.line((100, 120), (220, 120), 25)
    film = films.write(tmp_path / "walk.mp4", (films.scene((films.astronaut(), place)) for place in places))
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#film input[type=file]", film)
    page.locator("#film-start:enabled").click()
    page.locator("#film-told .stay").wait_for()
    assert page.inner_text("#film-told .note").startswith("1 person in 25 frames")
    page.wait_for_function("document.querySelector('#film-result video').videoWidth === 320")
    with page.expect_download() as download:
        page.click("#film-table")
    download.value.save_as(tmp_path / "walk.csv")
    rows = list(records.read(tmp_path / "walk.csv")[1])
    assert [row["frame"] for row in rows] == list(range(25))
    assert {row["track"] for row in rows} == {1}


def test_a_phone_shows_it_without_scrolling_sideways(browser: Any, served: Served) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone.goto(served.url)
    for name in ("Photo", "Live", "Video", "About"):
        phone.get_by_role("tab", name=name).click()
        phone.wait_for_timeout(200)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()
