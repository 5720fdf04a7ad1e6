"""Films: time stamps, persons through the film, chunks, damage, and the films that are written."""

import wave
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.errors import UserError
from fer_lightning.recognizer import Recognizer
from fer_lightning.video import FilmFrame, FilmWriter, film_frames, is_film, recognize_film
from tests import fakes, films


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer.from_checkpoint(fakes.write_checkpoint(tmp_path_factory.mktemp("video") / "net.safetensors"))


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of three seconds: the astronaut goes right, Grace Hopper left in front of her."""
    right, left = films.line((55, 118), (265, 118), 75), films.line((265, 122), (55, 122), 75)
    frames = [films.scene((films.astronaut(), a), (films.hopper(), b)) for a, b in zip(right, left, strict=True)]
    return films.write(tmp_path_factory.mktemp("crossing") / "crossing.mp4", frames)


def walk(count: int) -> list[Image.Image]:
    return [films.scene((films.astronaut(), place)) for place in films.line((80, 120), (240, 120), count)]


def middle(frame: FilmFrame, number: int) -> float:
    return float(np.mean(frame.faces[number].face.box[::2]))


def test_frames_have_the_films_own_times(recognizer: Recognizer, tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.31, 0.32, 0.9, 1.1, 2.7]  # seconds, as a phone saves light and a screen recorder work
    film = films.write(tmp_path / "uneven.mp4", walk(8), times)
    frames = list(recognize_film(recognizer, film))
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=1e-4)
    assert [frame.number for frame in frames] == list(range(8))
    assert film_frames(film) == 8
    assert all(frame.picture.size == films.SIZE and frame.picture.mode == "RGB" for frame in frames)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mov"])
def test_other_containers_are_read_too(recognizer: Recognizer, tmp_path: Path, name: str) -> None:
    frames = list(recognize_film(recognizer, films.write(tmp_path / name, walk(6), [0, 0.04, 0.08, 0.12, 0.16, 0.2])))
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(6) * 0.04, abs=2e-3)
    assert [face.track for frame in frames for face in frame.faces] == [1] * 6


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_film_is_seen_as_the_camera_was_held(recognizer: Recognizer, tmp_path: Path, turned: int) -> None:
    upright = walk(3)
    lying = [frame.rotate(-turned, expand=True) for frame in upright]
    frames = list(recognize_film(recognizer, films.write(tmp_path / "turned.mp4", lying, turned=turned)))
    assert frames[0].picture.size == films.SIZE
    assert np.abs(np.asarray(frames[0].picture, int) - np.asarray(upright[0], int)).mean() < 4
    assert [len(frame.faces) for frame in frames] == [1, 1, 1]


def test_fewer_frames_a_second_keep_their_numbers_and_times(recognizer: Recognizer, tmp_path: Path) -> None:
    film = films.write(tmp_path / "film.mp4", walk(25))
    frames = list(recognize_film(recognizer, film, fps=5))
    assert [frame.number for frame in frames] == [0, 5, 10, 15, 20]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=1e-4)
    assert len(list(recognize_film(recognizer, film, fps=60))) == 25


@pytest.mark.parametrize("every", [1, 5])
def test_faces_that_cross_keep_their_tracks(recognizer: Recognizer, crossing: Path, every: int) -> None:
    frames = list(recognize_film(recognizer, crossing, every=every))
    goes: dict[int, list[float]] = {}
    for frame in frames:
        for number, face in enumerate(frame.faces):
            goes.setdefault(face.track, []).append(middle(frame, number))
    assert sorted(goes) == [1, 2]
    assert sorted(round(path[-1] - path[0], -2) for path in goes.values()) == [-200, 200]
    assert min(len(path) for path in goes.values()) > 45


def test_who_leaves_and_returns_soon_keeps_the_track(recognizer: Recognizer, tmp_path: Path) -> None:
    places = [*films.line((120, 120), (350, 120), 30), *[None] * 15, *films.line((350, 125), (120, 125), 30)]
    film = films.write(tmp_path / "away.mp4", [films.scene((films.astronaut(), place)) for place in places])
    frames = list(recognize_film(recognizer, film))
    assert {face.track for frame in frames for face in frame.faces} == {1}
    assert not any(frame.faces for frame in frames[32:43])
    assert frames[0].faces
    assert frames[-1].faces


def test_the_size_of_chunks_changes_nothing(recognizer: Recognizer, crossing: Path) -> None:
    runs = [list(recognize_film(recognizer, crossing, chunk=chunk)) for chunk in (1, 32, 1000)]
    for frames in zip(*runs, strict=True):
        first = [(face.track, face.face.box) for face in frames[0].faces]
        assert all([(face.track, face.face.box) for face in frame.faces] == first for frame in frames)
        smoothed = [np.array([face.smoothed for face in frame.faces]) for frame in frames]
        assert smoothed[1] == pytest.approx(smoothed[0], abs=1e-6)
        assert smoothed[2] == pytest.approx(smoothed[0], abs=1e-6)


def test_a_chunk_goes_through_the_network_at_once_and_no_more_is_held(
    recognizer: Recognizer, crossing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    classify: Callable[[Any], NDArray[np.float64]] = recognizer.classify

    def counted(crops: Any) -> NDArray[np.float64]:
        batches.append(len(crops))
        return classify(crops)

    monkeypatch.setattr(recognizer, "classify", counted)
    shown: list[weakref.ref[Image.Image]] = []
    most = 0
    for frame in recognize_film(recognizer, crossing, chunk=10):
        shown.append(weakref.ref(frame.picture))
        most = max(most, sum(picture() is not None for picture in shown))
    assert len(batches) == 8
    assert max(batches) == 20
    assert most <= 11


def test_probabilities_are_those_of_the_frame_and_smoothed_ones_follow(recognizer: Recognizer, crossing: Path) -> None:
    frames = list(recognize_film(recognizer, crossing))
    crops = [face.face.crop for frame in frames for face in frame.faces]
    raw = np.stack([face.face.probabilities for frame in frames for face in frame.faces])
    assert raw == pytest.approx(recognizer.classify(crops), abs=1e-6)
    smoothed = np.stack([face.smoothed for frame in frames for face in frame.faces])
    assert smoothed.sum(1) == pytest.approx(np.ones(len(raw)))
    assert np.abs(smoothed - raw).max() > 0


def problem(recognizer: Recognizer, path: Path, **options: Any) -> tuple[str, int]:
    """Return the error of a film and how many frames came before it."""
    frames: list[FilmFrame] = []
    with pytest.raises(UserError) as caught:
        frames.extend(recognize_film(recognizer, path, **options))
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text or options
    return text, len(frames)


def silent_film_of_a_second(path: Path) -> Path:
    """Write a film that is nothing but (silent) sound."""
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def test_what_is_no_film_is_told_in_a_line(
    recognizer: Recognizer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise, empty, sound = tmp_path / "noise.mp4", tmp_path / "empty.mkv", tmp_path / "sound.avi"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    empty.touch()
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))
    assert "unreadable film" in problem(recognizer, noise)[0]
    assert "unreadable film" in problem(recognizer, empty)[0]
    assert "unreadable film" in problem(recognizer, tmp_path)[0]
    assert "unreadable film" in problem(recognizer, sound)[0]
    assert "no moving picture" in problem(recognizer, silent_film_of_a_second(tmp_path / "sound.mp4"))[0]
    assert "no such film" in problem(recognizer, tmp_path / "none.mp4")[0]
    assert capfd.readouterr() == ("", "")


def test_a_film_that_is_cut_off_gives_its_frames_and_then_the_error(recognizer: Recognizer, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    with FilmWriter(whole, films.SIZE, quality=10) as writer:  # its index stands in front
        for number, frame in enumerate(walk(60)):
            noisy = np.asarray(frame) ^ np.random.default_rng(number).integers(0, 64, (240, 320, 3), dtype=np.uint8)
            writer.add(Image.fromarray(noisy), number / 25)
    half = tmp_path / "half.mp4"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    text, count = problem(recognizer, half, chunk=7)
    assert "damaged or cut off" in text
    assert 20 <= count <= 40
    assert f"{count} frames" in text


def test_a_film_without_a_whole_frame_is_told(recognizer: Recognizer, tmp_path: Path) -> None:
    whole = films.write(tmp_path / "film.ts", walk(3))
    start = tmp_path / "start.ts"
    start.write_bytes(whole.read_bytes()[: 188 * 4])
    text, count = problem(recognizer, start)
    assert count == 0
    assert "film" in text


def test_options_out_of_range_and_a_missing_reader_are_told(
    recognizer: Recognizer, crossing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options in ({"every": 0}, {"chunk": 0}, {"fps": 0.0}, {"fps": float("nan")}):
        assert "must be above 0" in problem(recognizer, crossing, **options)[0]
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'fer-lightning\[video\]'"):
        next(recognize_film(recognizer, crossing))


def test_films_are_known_by_their_names() -> None:
    assert all(is_film(Path(name)) for name in ("a.mp4", "B.MOV", "c.webm", "d.mkv", "e.avi"))
    assert not any(is_film(Path(name)) for name in ("a.png", "mp4", ".hidden.mp4", "a.gif", "a.csv"))


def test_a_written_film_plays_in_browsers_and_keeps_its_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 1.0, 1.0, 2.5]
    path = tmp_path / "new" / "out.mp4"
    with FilmWriter(path, (321, 241)) as writer:
        for frame, time_s in zip(walk(6), times, strict=True):
            writer.add(frame.resize((321, 241)), time_s)
        assert not path.exists()
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert [file.name for file in path.parent.iterdir()] == ["out.mp4"]
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(film.decode(stream))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    assert (frames[0].width, frames[0].height) == (320, 240)
    shown = frames[3].to_ndarray(format="rgb24").astype(int)
    assert np.abs(shown - np.asarray(walk(6)[3].resize((321, 241)).crop((0, 0, 320, 240)), int)).mean() < 4


def test_frames_of_another_size_are_scaled_into_the_film(tmp_path: Path) -> None:
    with FilmWriter(tmp_path / "out.mp4", (160, 120)) as writer:
        writer.add(walk(1)[0], 0.0)
        writer.add(walk(1)[0].convert("L"), 0.04)
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert [(frame.width, frame.height) for frame in film.decode(video=0)] == [(160, 120)] * 2


def broken_off(path: Path) -> None:
    with FilmWriter(path, films.SIZE) as writer:
        writer.add(walk(1)[0], 0.0)
        raise KeyboardInterrupt


def test_a_film_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path / "out.mp4")
    with pytest.raises(UserError, match="needs a frame"), FilmWriter(tmp_path / "none.mp4", films.SIZE):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), FilmWriter(tmp_path / "file" / "out.mp4", films.SIZE):
        pass


@pytest.mark.parametrize("ending", ["mkv", "webm"])
def test_a_film_without_an_index_that_is_cut_off_is_told(recognizer: Recognizer, tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole.{ending}"
    with av.open(str(whole), "w") as film:
        stream: Any = film.add_stream("libx264" if ending == "mkv" else "libvpx", rate=25)
        stream.pix_fmt, (stream.width, stream.height) = "yuv420p", films.SIZE
        for frame in walk(75):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")))
        film.mux(stream.encode())
    assert len(list(recognize_film(recognizer, whole))) == 75
    half = tmp_path / f"half.{ending}"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    text, count = problem(recognizer, half)
    assert "damaged or cut off" in text
    assert 5 < count < 65


@pytest.mark.parametrize("shape", [Fraction(255, 1), Fraction(1, 200)])
def test_an_impossible_shape_of_pixels_is_taken_for_a_mistake(
    recognizer: Recognizer, tmp_path: Path, shape: Fraction
) -> None:
    path = tmp_path / "odd.mp4"
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("libx264", rate=25)
        stream.pix_fmt, (stream.width, stream.height) = "yuv420p", films.SIZE
        stream.codec_context.sample_aspect_ratio = shape
        for frame in walk(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")))
        film.mux(stream.encode())
    assert {frame.picture.size for frame in recognize_film(recognizer, path)} == {films.SIZE}


def test_a_name_with_a_colon_is_a_name_and_a_playlist_is_no_film(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    films.write(tmp_path / "12-30.mp4", walk(3)).rename(tmp_path / "12:30 talk.mp4")
    assert len(list(recognize_film(recognizer, Path("12:30 talk.mp4")))) == 3
    films.write(tmp_path / "other.mp4", walk(3))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert "unreadable film" in problem(recognizer, tmp_path / "list.mp4")[0]
