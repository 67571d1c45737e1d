"""A workload with images, on the wire and in the report."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image
from wired import END, OK, Asked, chat_delta, chunked, go, status

from kit.bench import Workload, read
from kit.errors import InvalidValue

SEEING = Workload(30, 6, 3, dataset="image", image_count=2, image_resolution="64x96", seed=5)


def seeing(counts_images: bool = True, reads_images: bool = True):
    """A chat server that counts what it was sent: words, and 70 tokens per image."""

    async def answer(asked: Asked):
        if asked.method == "GET":
            yield status(404, "No", {})
            return
        *pictures, text = asked.body["messages"][0]["content"]
        tokens = SEEING.image_tokens if reads_images else 0
        usage = {
            "prompt_tokens": len(text["text"].split()) + tokens + 2 * len(pictures),
            "completion_tokens": asked.body["max_tokens"],
        }
        if counts_images:
            usage["prompt_tokens_details"] = {"image_tokens": tokens}
        yield OK
        for total in range(1, asked.body["max_tokens"] + 1):
            yield chunked(chat_delta({"content": "word "}, total))
        yield chunked(chat_delta({}, finish="stop"))
        yield chunked(b"data: %s\n\n" % json.dumps({"choices": [], "usage": usage}).encode())
        yield chunked(b"data: [DONE]\n\n") + END

    return answer


def test_images_go_before_the_text_as_real_jpeg_files():
    _, server = go(seeing(), SEEING)
    assert {a.path for a in server.posts} == {"/v1/chat/completions"}
    for asked in server.posts[1:]:
        *pictures, text = asked.body["messages"][0]["content"]
        assert text["type"] == "text"
        files = [base64.b64decode(p["image_url"]["url"].partition(",")[2]) for p in pictures]
        assert [Image.open(io.BytesIO(file)).size for file in files] == [(96, 64)] * 2
        assert len(set(files)) == 2


def test_the_report_tells_text_and_vision_apart_as_bench_serving_does(tmp_path):
    report, _ = go(seeing(), SEEING)
    line = report.to_json()
    assert line["total_input_vision_tokens"] == 3 * SEEING.vision_tokens
    assert line["total_input_text_tokens"] == sum(text for text, _ in SEEING.text_lengths)
    assert line["total_input_tokens"] == SEEING.total_input_tokens
    assert f"Total input vision tokens:               {3 * SEEING.vision_tokens}" in report.table()
    assert report.missing == ()
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(line))
    (again,) = read(path)
    assert again.workload == SEEING
    assert again.total_input_vision_tokens == report.total_input_vision_tokens


@pytest.mark.parametrize(
    ("server", "vision", "says"),
    [
        (seeing(counts_images=False), 3 * SEEING.vision_tokens, "not apart"),
        (seeing(counts_images=False, reads_images=False), 0, "did not read the images"),
    ],
)
def test_a_server_that_does_not_count_images_is_said_so(server, vision, says):
    report, _ = go(server, SEEING)
    assert report.total_input_vision_tokens == vision
    assert any(says in what for what in report.missing)


def test_images_need_chat():
    with pytest.raises(InvalidValue, match="chat"):
        go(seeing(), SEEING, dialect="native")
