"""The real SGLang on a CPU by the kit's own path: it chats, calls a tool, sees an image, ends."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from waits import patience, until

from kit import server
from kit.server import Server, cpu, log
from kit.server.processes import free_port, members

THINKING = "Let me think about this question."
ANSWER = "Hello there! How can I help you today?"
HELLO = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
INSTRUCT = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.fixture(scope="module", params=["dense", "moe"])
def toy(request: pytest.FixtureRequest) -> Iterator[Server]:
    command = cpu.tiny(free_port(), kind=request.param)
    with server.start(command) as running:
        yield running


def post(toy: Server, body: dict[str, Any]) -> tuple[int, Any]:
    given = {"model": cpu.TINY, "max_tokens": 100, "messages": HELLO, **body}
    request = urllib.request.Request(
        f"{toy.url}/v1/chat/completions",
        json.dumps(given).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60 * patience()) as answer:
            text = answer.read().decode()
            return answer.status, text if given.get("stream") else json.loads(text)
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def deltas(text: str) -> list[dict[str, Any]]:
    chunks = [json.loads(x[6:]) for x in text.splitlines() if x.startswith("data: {")]
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def message(toy: Server, **body: Any) -> dict[str, Any]:
    status, answer = post(toy, body)
    assert status == 200, answer
    return answer["choices"][0]["message"]


def test_thinking_streams_apart_from_the_answer(toy: Server) -> None:
    status, text = post(toy, {"stream": True})
    parts = deltas(text)
    assert status == 200
    assert "".join(d.get("reasoning_content") or "" for d in parts) == THINKING
    assert "".join(d.get("content") or "" for d in parts) == "\n\n" + ANSWER
    assert len(parts) > 10
    assert text.rstrip().endswith("data: [DONE]")


def test_without_thinking_the_answer_comes_at_once(toy: Server) -> None:
    said = message(toy, **INSTRUCT)
    assert (said["reasoning_content"], said["content"]) == (None, ANSWER)


@pytest.mark.parametrize("instruct", [{}, INSTRUCT], ids=["thinking", "instruct"])
def test_with_tools_it_calls_one(toy: Server, instruct: dict[str, Any]) -> None:
    (call,) = message(toy, tools=[WEATHER], **instruct)["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


def test_the_tools_result_ends_the_calling(toy: Server) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    turn = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "18 degrees"},
    ]
    said = message(toy, tools=[WEATHER], messages=turn)
    assert said["content"].strip() == ANSWER


def test_an_image_is_read_and_counted(toy: Server) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "?"}]
    status, answer = post(toy, {"messages": [{"role": "user", "content": content}]})
    assert status == 200, answer
    assert "picture" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 4  # 64 × 64 in cells of 32


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"messages": [{"role": "user", "content": "dog " * 1500}]}, "longer than the model's"),
        ({"temperature": -3}, "temperature"),
        ({"messages": []}, "messages"),
    ],
    ids=["too long", "temperature", "no messages"],
)
def test_errors_are_sglangs_flat_ones(toy: Server, body: dict[str, Any], says: str) -> None:
    status, answer = post(toy, body)
    assert status == 400
    assert answer["object"] == "error"
    assert says in answer["message"].lower()


def test_the_ledger_and_the_record_are_what_it_was_started_with(toy: Server) -> None:
    held = toy.ledger()
    assert (held.slots, held.kv_tokens, held.max_running_requests) == (64, 8192, 8)
    assert toy.info()["version"] == cpu.SGLANG_PINNED
    assert "a toy on a CPU" in toy.provenance.source
    phases = list(dict.fromkeys(event.phase for event in log.read(toy.log_text())))
    assert phases == ["options", "ranks", "weights", "pools", "limits", "http", "ready"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ctrl_c_a_polite_end_and_kill_9_leave_no_process(sign: signal.Signals) -> None:
    port = free_port()
    serve = [sys.executable, "-m", "kit.cli", "serve", cpu.POCKET, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    serving = subprocess.Popen(serve, stdout=subprocess.DEVNULL)
    try:
        ours = until(lambda: [s for s in server.running() if s.url == url and s.ready], 110)
        group = ours[0].group
        assert len(members(group)) >= 4  # supervisor, HTTP, scheduler, detokenizer
        os.kill(serving.pid, sign)
        code = serving.wait(timeout=60 * patience())
        if sign != signal.SIGKILL:
            assert code == 0
        until(lambda: not members(group), 20)
    finally:
        serving.kill()  # its server ends with it
        serving.wait()
