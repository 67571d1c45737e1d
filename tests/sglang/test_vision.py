"""Lesson 05's requests, asked of the real SGLang: taken, and counted as the kit says beforehand."""

from __future__ import annotations

import importlib.util
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from kit import server
from kit.course import drawings
from kit.models.image_tokens import smart_resize, video_cost
from kit.server import Server, cpu
from kit.server.processes import free_port
from kit.vision import avi, image, message, video

LIMITS = (1_024, 262_144)  # of the toy's processor, in pixels (deploy/sglang-cpu/make_toy.py)
SEEN = "That picture meets a toy without eyes..."
DECODER = importlib.util.find_spec("torchcodec") or importlib.util.find_spec("decord")


@pytest.fixture(scope="module")
def toy() -> Iterator[Server]:
    with server.start(cpu.tiny(free_port())) as running:
        yield running


def ask(toy: Server, *messages: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    body = {
        "model": cpu.TINY,
        "messages": list(messages),
        "max_tokens": 20,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    request = urllib.request.Request(
        f"{toy.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def tokens_here(width: int, height: int) -> int:
    rows, columns = smart_resize(height, width, min_pixels=LIMITS[0], max_pixels=LIMITS[1])
    return rows * columns // 32**2


@pytest.mark.parametrize("name", ["geometry", "chart", "receipt", "letter"])
@pytest.mark.parametrize("cap", [None, 100_000])
def test_a_drawing_is_taken_and_counted(toy: Server, name: str, cap: int | None) -> None:
    part = image(getattr(drawings, name)(), max_pixels=cap)
    status, answer = ask(toy, message("?", part))
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"] == SEEN
    usage = answer["usage"]
    _, without = ask(toy, {"role": "user", "content": "?"})
    assert usage["prompt_tokens_details"] == {
        "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        "image_tokens": tokens_here(part.width, part.height),
    }
    added = usage["prompt_tokens"] - without["usage"]["prompt_tokens"]
    assert added == tokens_here(part.width, part.height) + 2
    if cap:  # small enough for the toy too: the price told is the price charged
        assert added == part.prompt_tokens


FILES = [
    *(("PNG", mode) for mode in ("RGB", "L", "RGBA", "P", "1")),
    *(("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
]


@pytest.mark.parametrize(("kind", "mode"), FILES)
def test_whatever_it_was_it_is_taken(toy: Server, kind: str, mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (96, 64)).save(out, kind)
    status, answer = ask(toy, message("?", out.getvalue()))
    assert status == 200, answer
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 6


def test_two_pictures_are_counted_together(toy: Server) -> None:
    parts = [image(drawings.geometry()), image(drawings.geometry(3))]
    _, answer = ask(toy, message("What is different between these two images?", *parts))
    counted = answer["usage"]["prompt_tokens_details"]["image_tokens"]
    assert counted == sum(tokens_here(part.width, part.height) for part in parts)


def test_frames_of_the_clip_are_pictures(toy: Server) -> None:
    status, answer = ask(toy, message("?", *video(drawings.clip()).frames(6)))
    assert status == 200, answer
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 6 * tokens_here(448, 256)


@pytest.mark.skipif(not DECODER, reason="this SGLang has no decoder for videos")
def test_the_clip_is_decoded_and_counted_row_by_row(toy: Server) -> None:
    film = avi.read(video(drawings.clip()).data)
    status, answer = ask(toy, message("?", video(drawings.clip())))
    assert status == 200, answer
    expected = video_cost(len(film.jpegs), film.fps, film.width, film.height, LIMITS)
    assert answer["usage"]["prompt_tokens_details"]["video_tokens"] == expected.tokens
