"""A video becomes Motion JPEG, or stays what the server decodes; its cost is known or said to be
unknown."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kit.course import drawings
from kit.errors import InvalidValue
from kit.models.image_tokens import video_cost
from kit.vision import avi, message, video
from kit.vision.avi import Film
from kit.vision.mp4 import Timing, timing
from kit.vision.video import MOST_FRAMES, _check_count

DATA = Path(__file__).parent / "data"

COLOURS = ["red", "green", "blue", "white", "black", "orange"]


def frames(count: int = 6, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    return [Image.new("RGB", size, COLOURS[i % len(COLOURS)]) for i in range(count)]


def animation(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    first, *rest = frames()
    first.save(out, kind, save_all=True, append_images=rest, duration=250, **options)
    return out.getvalue()


def jpegs(pictures: list[Image.Image]) -> tuple[bytes, ...]:
    made = []
    for picture in pictures:
        out = io.BytesIO()
        picture.save(out, "JPEG")
        made.append(out.getvalue())
    return tuple(made)


# --- Motion JPEG in AVI


@pytest.mark.parametrize("fps", [0.5, 8, 23.976, 60])
@pytest.mark.parametrize("count", [1, 2, 33])
def test_what_is_written_is_read_again(fps: float, count: int) -> None:
    film = Film(jpegs(frames(count)), fps, 64, 48)
    again = avi.read(avi.write(film))
    assert again.jpegs == film.jpegs
    assert again.fps == pytest.approx(fps, rel=1e-3)
    assert (again.width, again.height) == (64, 48)


def test_a_frame_of_odd_length_is_padded() -> None:
    odd = jpegs(frames(1))[0]
    odd += b"\0" * (1 - len(odd) % 2)
    data = avi.write(Film((odd, odd), 2, 64, 48))
    assert len(data) % 2 == 0
    assert avi.read(data).jpegs == (odd, odd)


def test_the_index_points_at_the_frames() -> None:
    film = Film(jpegs(frames(5)), 4, 64, 48)
    data = avi.write(film)
    start = data.index(b"movi")
    index = data[data.index(b"idx1") + 8 :]
    for i, jpeg in enumerate(film.jpegs):
        entry = index[16 * i : 16 * i + 16]
        at, size = (int.from_bytes(entry[k : k + 4], "little") for k in (8, 12))
        assert data[start + at : start + at + 4] == entry[:4]
        assert data[start + at + 8 : start + at + 8 + size] == jpeg


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data[:100],
        lambda data: data[:40],
        lambda data: data.replace(b"\xff\xd8", b"\0\0"),
        lambda data: data[:12] + b"LIST\xff\xff\xff\xffmovi" * 5000,
        lambda data: data.replace(b"vids" + b"MJPG", b"auds" + b"MJPG"),
    ],
)
def test_a_broken_file_is_refused(broken: Callable[[bytes], bytes]) -> None:
    data = broken(avi.write(Film(jpegs(frames(3)), 4, 64, 48)))
    with pytest.raises(InvalidValue) as refused:
        video(data)
    assert "ffmpeg" in refused.value.hint


# --- sources


def test_the_kits_clip_is_its_own_bytes() -> None:
    part = video(drawings.clip())
    url = part.to_part()["video_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:video/x-msvideo;base64"
    assert avi.read(base64.b64decode(data)) == drawings.clip().film
    assert part.duration_s == 4


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_becomes_a_film_at_its_own_pace(kind: str) -> None:
    part = video(animation(kind))
    assert part.film is not None
    assert (len(part.film.jpegs), part.film.fps) == (6, 4)
    middle = Image.open(io.BytesIO(part.film.jpegs[2])).getpixel((30, 20))
    assert middle[2] > 200 > 60 > middle[0]


def test_a_list_of_pictures_is_a_film_at_the_pace_given() -> None:
    part = video([*frames(3), np.zeros((48, 64, 3), np.uint8)], fps=2)
    assert part.duration_s == 2
    with pytest.raises(InvalidValue, match="no pace"):
        video(frames(3))


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\0\0\0\x20ftypisom" + b"\0" * 40, "video/mp4"),
        (b"\x1a\x45\xdf\xa3" + b"\0" * 40, "video/webm"),
    ],
)
def test_what_only_the_server_decodes_is_sent_as_it_is(data: bytes, media_type: str) -> None:
    part = video(data)
    assert part.to_part()["video_url"]["url"].startswith(f"data:{media_type};base64,")
    assert part.tokens is part.cost is None
    assert "tells its tokens afterwards" in str(part)
    with pytest.raises(InvalidValue, match="decoded by the server alone") as refused:
        part.frames()
    assert "ffmpeg" in refused.value.hint


@pytest.mark.parametrize(
    ("file", "size"), [("clip.mp4", (448, 256)), ("clip_turned.mp4", (256, 448))]
)
def test_an_mp4_tells_its_price_though_nobody_here_decodes_it(
    file: str, size: tuple[int, int]
) -> None:
    """The kit's clip, encoded by FFmpeg; decord decodes 32 frames of this size out of it."""
    part = video(DATA / file)
    assert part.timing == Timing(32, 8, *size)
    assert part.tokens == video_cost(32, 8, *size).tokens
    assert part.film is None


def test_a_fragmented_mp4_does_not_tell() -> None:
    assert video(DATA / "clip_fragmented.mp4").timing is None


@pytest.mark.parametrize("length", range(8, 4782, 97))
def test_an_mp4_cut_anywhere_never_lies(length: int) -> None:
    whole = (DATA / "clip.mp4").read_bytes()
    assert timing(whole[:length]) in (None, Timing(32, 8, 448, 256))
    assert timing(whole[:length] + b"\xff" * 64) in (None, Timing(32, 8, 448, 256))


def test_frames_are_images_from_the_first_to_the_last() -> None:
    clip = drawings.clip()
    chosen = video(clip).frames(5)
    assert [part.data for part in chosen] == [clip.film.jpegs[i] for i in (0, 8, 16, 23, 31)]
    assert len(video(clip).frames(1000)) == len(clip.film.jpegs)
    assert len(video(clip).frames(1)) == 1


def test_a_message_takes_videos_and_pictures_together() -> None:
    made = message("?", video(drawings.clip()), drawings.geometry())
    assert [part["type"] for part in made["content"]] == ["video_url", "image_url", "text"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "is empty"),
        (b"some words", "text, not a picture"),
        (jpegs(frames(1))[0], "is one picture"),
        ({"url": "x"}, "is no video"),
        ([Image.new("RGB", (64, 48)), Image.new("RGB", (64, 50))], "make them one size"),
        (frames(1), "has 1 frames"),
        (frames(2) * (MOST_FRAMES // 2 + 1), "frames"),
    ],
)
def test_a_bad_video_is_a_line_and_what_to_do(source: Any, says: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        video(source, fps=2)
    assert says in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_pace_that_cannot_be_is_refused(fps: float) -> None:
    with pytest.raises(InvalidValue, match="frames per second"):
        video(frames(3), fps=fps)


def test_a_small_animation_that_unpacks_to_gigabytes_is_refused() -> None:
    with pytest.raises(InvalidValue, match="2,058 million pixels"):
        _check_count(42, "a film", 7000 * 7000)


# --- cost: what SGLang does is in tests/reference/test_images.py; here, what follows from it


def test_the_clip_costs_four_rows() -> None:
    cost = video(drawings.clip()).cost
    assert cost is not None
    assert (len(cost.frames), len(cost.times_s), cost.row_tokens) == (8, 4, 14 * 8)
    assert cost.tokens == 4 * 14 * 8
    assert cost.times_s[0] < drawings.clip().data["lamp_on_s"] < cost.times_s[-1]


@pytest.mark.parametrize("seconds", [1, 10, 60, 384, 4000])
def test_a_longer_video_never_has_more_frames_than_it_has_or_than_768(seconds: int) -> None:
    cost = video_cost(seconds * 25, 25, 1280, 720)
    assert len(cost.frames) == len(set(cost.frames)) == 2 * len(cost.times_s)
    assert max(cost.frames) == seconds * 25 - 1
    assert len(cost.frames) <= 768
    assert cost.tokens <= 25_165_824 // 2 // 32**2


@pytest.mark.parametrize(("count", "fps"), [(1, 8), (0, 8), (8, 0)])
def test_what_is_no_video_has_no_cost(count: int, fps: float) -> None:
    with pytest.raises(InvalidValue):
        video_cost(count, fps, 640, 360)
