"""Code of the sources, as it is pasted, against the twin; with no network but this machine's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kit
from kit import chat
from kit.http import get_json
from kit.twin.media import COOKBOOK_IMAGE
from kit.twin.process import TwinProcess, start

SNIPPET = (Path(__file__).parent / "data" / "cookbook_vision.txt").read_text()


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinProcess]:
    """Behind a proxy that nobody runs: what is fetched from the web fails."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.setenv(name, "http://127.0.0.1:9")
        patch.setenv("no_proxy", "localhost,127.0.0.1")
        running = start("h200x8", speed=200, served_model_name="qwen")
    yield running
    running.close()


def test_the_cookbooks_image_is_answered_offline_and_says_by_whom(twin: TwinProcess) -> None:
    code = SNIPPET.replace("http://localhost:30000", twin.url)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    thinking, content = ran.stdout.split("=============== Content =================\n")
    assert thinking.startswith("=============== Thinking =================\n")
    assert "the **twin**" in content
    assert "not fetched" in content
    assert "authors wrote this answer" in content
    assert "a square with a circle on each of its four corners" in content
    assert len(content.splitlines()) > 10


def test_another_picture_of_the_web_is_refused_as_sglang_refuses_one(twin: TwinProcess) -> None:
    code = SNIPPET.replace("http://localhost:30000", twin.url).replace("mathv-1327", "other")
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "An exception occurred while loading IMAGE data at index 0" in ran.stderr


def test_another_question_about_it_is_told_what_there_is(twin: TwinProcess) -> None:
    picture = {"type": "image_url", "image_url": {"url": COOKBOOK_IMAGE}}
    text = {"type": "text", "text": "Which theorem is this the proof of, in Latin?"}
    endpoint = kit.connect(twin.url, quiet=True)
    stream = chat.stream(endpoint, [{"role": "user", "content": [picture, text]}])
    list(stream)
    assert "640 × 576 pixels" in stream.answer
    assert "in place of the cookbook's picture, which was not fetched" in stream.answer


def test_the_served_name_is_listed_carried_and_asked_for(twin: TwinProcess) -> None:
    """As Lambda's server lists it: `--served-model-name qwen`."""
    listed = get_json(twin.url, "/v1/models")["data"]
    assert [(card["id"], card["root"]) for card in listed] == [("qwen", "qwen")]
    assert get_json(twin.url, "/v1/models/qwen")["id"] == "qwen"
    info = get_json(twin.url, "/server_info")
    assert (info["served_model_name"], info["model_path"]) == ("qwen", "Qwen/Qwen3.5-397B-A17B")
    assert info["launch_command"].endswith("--served-model-name qwen")
    model_info = get_json(twin.url, "/model_info")
    assert model_info["served_model_name"] == "qwen"
    assert model_info["model_path"] == "Qwen/Qwen3.5-397B-A17B"
    endpoint = kit.connect(twin.url, quiet=True)
    assert (endpoint.model, endpoint.kind) == ("qwen", "twin")
    chunk = next(
        iter(
            endpoint.client().chat.completions.create(
                model="qwen", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
        )
    )
    assert chunk.model == "qwen"
