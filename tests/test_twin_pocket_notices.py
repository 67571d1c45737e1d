"""Prompts that the pocket model does not answer: the notice in its place says why."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pocket_twin import SUM, ask, instead, message, refuses, said, served
from starlette.testclient import TestClient

from kit import chat, connect
from kit.pocket import SUMS
from kit.provenance import AuthorKind
from kit.twin.app import app
from kit.twin.authored import AssistantTurn, filler
from kit.twin.chat_format import render
from kit.twin.llama_cpp import PocketModel, Weights
from kit.twin.process import start
from kit.twin.server import Twin


@pytest.fixture(scope="module")
def twin() -> Iterator[TestClient]:
    with served() as client:
        yield client


class Says:
    """A pocket model that says this."""

    def __init__(self, said: AssistantTurn) -> None:
        self._said = said

    def answer(self, *_: Any) -> AssistantTurn:
        return self._said


def test_where_many_wait_for_it_the_next_is_told_to_ask_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In SGLang's form of an error; who waits is answered, and so is the next after them."""
    go = threading.Event()

    def waits() -> Any:
        go.wait(20)
        return Says(AssistantTurn(None, "73"))

    instead(monkeypatch, waits)
    monkeypatch.setattr("kit.twin.llama_cpp.MOST_WAITING", 3)
    busy = Twin("h200x8", speed=200)
    with (
        TestClient(app(busy), base_url="http://127.0.0.1") as client,
        ThreadPoolExecutor(3) as learners,
    ):
        asked = [learners.submit(ask, client) for _ in range(3)]
        try:
            wait_until(lambda: busy.pocket.waiting == 3)
            body = {"messages": [said(SUM)], "stream": True}
            refused = client.post("/v1/chat/completions", json=body)
            told = {"text": render([said(SUM)]), "sampling_params": {"max_new_tokens": 9}}
            native = client.post("/generate", json=told)
            assert ask(client, "Hello").headers["x-kit-author"] == "authored"
        finally:
            go.set()
        assert [message(one.result())["content"] for one in asked] == ["73"] * 3
        assert message(ask(client))["content"] == "73"
    for answer in (refused, native):
        assert answer.status_code == answer.json()["code"] == 503
        assert answer.json()["object"] == "error"
        assert "Ask again in" in answer.json()["message"]


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not done():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_without_llama_cpp_the_twin_works_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('blocked')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = start("h200x8", speed=100)
    try:
        endpoint = connect(process.url, quiet=True)
        authored, strange = (chat.stream(endpoint, prompt, False) for prompt in ("Hello", SUM))
        assert "".join(getattr(e, "text", "") for e in authored).startswith("Hello!")
        text = "".join(getattr(event, "text", "") for event in strange)
        assert "llama.cpp, is not installed here. → pip install xllamacpp" in text
        assert strange.author is not None
        assert strange.author.kind is AuthorKind.NOTICE
        assert strange.finish_reason == "stop"
    finally:
        process.close()


def test_missing_and_altered_weights_get_the_notice(
    twin: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    instead(monkeypatch, lambda: PocketModel.load(Weights.read(tmp_path)))
    assert "weights cannot be read" in message(ask(twin))["content"]
    (tmp_path / SUMS).write_text("0  pocket.json")
    (tmp_path / "pocket.json").write_text("{}")
    assert "another checksum. → git checkout kit/data" in message(ask(twin))["content"]


def test_who_writes_nothing_gets_the_notice(
    twin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, lambda: Says(AssistantTurn("", "")))
    assert "had nothing to say" in message(ask(twin))["content"]


def test_what_comes_to_its_limit_ends_with_length(
    twin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looping = AssistantTurn("and so on " * 30, "", cut=True, still_thinking=True)
    instead(monkeypatch, lambda: Says(looping))
    answer = ask(twin).json()
    choice, usage = answer["choices"][0], answer["usage"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "")
    assert usage["reasoning_tokens"] == usage["completion_tokens"]


def test_benchmarks_and_bare_prompts_never_wait_for_it(
    twin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, refuses)
    endless = {"ignore_eos": True, "max_tokens": 20}
    assert "measures time" in message(ask(twin, **endless | {"max_tokens": 900}))["content"]
    bare = twin.post("/v1/completions", json={"prompt": "Once upon", "max_tokens": 9})
    assert filler().answer.startswith(bare.json()["choices"][0]["text"])
    ids = {"input_ids": [5, 6, 7], "sampling_params": {"max_new_tokens": 9}}
    assert filler().answer.startswith(twin.post("/generate", json=ids).json()["text"])
    chatted = render([said(SUM)])
    measured = twin.post("/v1/completions", json={"prompt": chatted, **endless})
    for answer in (bare, measured):
        assert "x-kit-held-s" not in answer.headers


def test_the_time_that_it_takes_is_none_of_the_played_machines(
    twin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> AssistantTurn:
        time.sleep(0.3)
        return AssistantTurn(None, "36")

    instead(monkeypatch, lambda: type("Slow", (), {"answer": slow}))
    prompt = render([said(SUM)], thinking=False)
    native = {"text": prompt, "sampling_params": {"max_new_tokens": 20}}
    answer = twin.post("/generate", json=native)
    assert float(answer.headers["x-kit-held-s"]) > 0.29
    assert answer.json()["meta_info"]["e2e_latency"] < 0.25
