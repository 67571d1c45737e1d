"""Streams of public reports, rebuilt: what their readers should have got.

`tests/data/streams/*.sse` are the bytes, each with the thread it comes from in its first line;
`expected.json` was written before any was run.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from scripted import Scripted

from kit import chat
from kit.chat import Parser
from kit.chat.sse import EventDecoder
from kit.errors import EndpointError
from kit.tools import run_tools

STREAMS = Path(__file__).parent / "data" / "streams"
EXPECTED: dict[str, dict[str, Any]] = json.loads((STREAMS / "expected.json").read_text("utf-8"))
CALLS = [name for name, want in EXPECTED.items() if "calls" in want]


def served(name: str) -> Scripted:
    return Scripted([(STREAMS / f"{name}.sse").read_bytes().decode()])


def figures(stream: chat.Stream, error: EndpointError | None) -> dict[str, Any]:
    usage = stream.usage
    return {
        "thinking": stream.thinking,
        "answer": stream.answer,
        "finish": stream.finish_reason or "",
        "calls": [[c.name, c.arguments] for _, c in sorted(stream.tool_calls.items())],
        "usage": [usage.prompt_tokens, usage.completion_tokens] if usage else None,
        "error": error.what if error else "",
        "hint": error.hint if error else "",
        "remark": stream.remark,
    }


def differences(want: dict[str, Any], got: dict[str, Any]) -> dict[str, Any]:
    """What is not as expected: of an error, its hint and the remark a part is given."""
    nothing = {"thinking": "", "calls": [], "error": ""}
    exact = {k: got[k] for k, v in {**nothing, **want}.items() if k in got and got[k] != v}
    for key in ("error", "hint", "remark"):
        if want.get(key, "") in got[key] and (key in want or key != "error"):
            exact.pop(key, None)
    return exact


@pytest.mark.parametrize("name", EXPECTED)
def test_a_reported_stream_gives_what_its_reader_needed(name: str) -> None:
    with served(name) as server:
        stream, error = chat.stream(server.endpoint, "Hi"), None
        try:
            events = list(stream)
        except EndpointError as problem:
            events, error = [], problem
        other = chat.stream(server.endpoint, "Hi")

        async def read() -> list[chat.Event]:
            return [event async for event in other]

        try:
            asynchronous = asyncio.run(read())
        except EndpointError:
            asynchronous = []
    assert differences(EXPECTED[name], figures(stream, error)) == {}
    assert asynchronous == events
    assert figures(other, error) == figures(stream, error)


@pytest.mark.parametrize("name", CALLS)
def test_the_tool_loop_runs_the_calls_of_a_reported_stream(name: str) -> None:
    seen: list[list[str]] = []

    def get_weather(city: str) -> str:
        """The weather.

        Args:
            city: where
        """
        seen.append(["get_weather", city])
        return "sun"

    def get_time(city: str = "") -> str:
        """The time.

        Args:
            city: where
        """
        seen.append(["get_time", city])
        return "noon"

    with served(name) as server:
        run = run_tools(server.endpoint, "Hi", [get_weather, get_time], max_steps=1)
        list(run)
    asked = [
        [tool, json.loads(text or "{}").get("city", "")] for tool, text in EXPECTED[name]["calls"]
    ]
    assert seen == asked
    assert all(result.problem is None for result in run.results[: len(asked)])


def test_each_stream_names_its_thread() -> None:
    for name, want in EXPECTED.items():
        first = (STREAMS / f"{name}.sse").read_text("utf-8").splitlines()[0]
        assert first == f": {want['source']}"
    assert {f"{name}.sse" for name in EXPECTED} == {f.name for f in STREAMS.glob("*.sse")}


ODD = [None, True, 0, -1, 1.5, "", "x", [], [None], ["x"], {}, {"x": 1}, [{"type": "image_url"}]]


def spoiled(value: Any, draw: random.Random) -> Any:
    """The value with something else in one of its places."""
    if draw.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return draw.choice(ODD)
    whole = dict(value) if isinstance(value, dict) else list(value)
    key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
    whole[key] = spoiled(whole[key], draw)
    return whole


def chunks_of(name: str) -> list[Any]:
    decoder = EventDecoder()
    found = decoder.feed((STREAMS / f"{name}.sse").read_bytes())
    try:
        return [value for value in (*found, *decoder.flush()) if value is not None]
    except ValueError:
        return []


@pytest.mark.parametrize("seed", range(50))
def test_no_shape_of_a_chunk_is_a_traceback(seed: int) -> None:
    draw = random.Random(seed)
    for name in EXPECTED:
        parser = Parser()
        with suppress(EndpointError):
            for chunk in chunks_of(name):
                other = spoiled(chunk, draw)
                parser.feed(other if isinstance(other, dict) else chunk)
        for event in parser.flush():
            assert isinstance(event, chat.Event)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_packets_that_a_stream_comes_in_change_nothing(name: str) -> None:
    whole = chunks_of(name)
    data = (STREAMS / f"{name}.sse").read_bytes()
    for size in (1, 2, 7, 64):
        decoder = EventDecoder()
        found: list[Any] = []
        with suppress(ValueError):
            for at in range(0, len(data), size):
                found += decoder.feed(data[at : at + size])
            found += decoder.flush()
        assert [value for value in found if value is not None][: len(whole)] == whole
