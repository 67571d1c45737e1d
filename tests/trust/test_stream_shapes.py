"""Whatever a stream's bytes and chunks are: a right reading, or two lines."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import DONE, Door, Script, Scripted, chunk, finish, say, usage

from kit import chat
from kit.chat import Answer, Parser, Thinking
from kit.chat.call_fragments import MOST_CALLS
from kit.chat.sse import MAX_EVENT, EventDecoder
from kit.errors import EndpointError, StreamCut

READABLE = (EndpointError, ValueError, RecursionError)  # what a Stream explains in two lines


SERVER = Scripted([])


@pytest.fixture(scope="module", autouse=True)
def serving() -> Iterator[None]:
    with SERVER:
        yield


def asked(*script: Any, **options: Any) -> chat.Stream:
    SERVER.script = script
    return chat.stream(SERVER.endpoint, "Hello", **options)


def read(*script: Any, **options: Any) -> chat.Stream:
    stream = asked(*script, **options)
    for _ in stream:
        pass
    return stream


def delta(sent: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": sent}]}


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (delta({"content": [{"type": "text", "text": "hi"}]}), "hi"),
        (delta({"content": 5}), "5"),
        (delta("hi"), "hi"),
        (delta([{"type": "text", "text": "hi"}]), "hi"),
        ({"choices": [{"index": "0", "delta": {"content": "hi"}}]}, "hi"),
        ({"choices": {"index": 0, "delta": {"content": "hi"}}}, "hi"),
        ({"choices": [], "usage": "many"}, ""),
        ({"choices": [], "usage": {"completion_tokens": -5, "prompt_tokens_details": [1]}}, ""),
        ({"choices": [], "usage": {"completion_tokens": 10**40, "prompt_tokens": "3"}}, ""),
    ],
)
def test_odd_shapes_that_can_be_read_are_read(sent: dict[str, Any], answer: str) -> None:
    stream = read(say("So: "), sent, finish(), DONE)
    assert (stream.answer, stream.remark) == (f"So: {answer}", "")
    assert stream.usage is None or 0 <= stream.usage.completion_tokens < 10**12


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"choices": 5}, "choices"),
        ({"choices": ["x"]}, "choices"),
        (delta(7), "delta"),
        (delta({"tool_calls": ["x"]}), "tool_calls"),
        (delta({"content": [{"type": "hologram", "data": "…"}]}), "hologram"),
    ],
)
def test_what_cannot_be_read_is_said_to_be_missing(sent: dict[str, Any], named: str) -> None:
    stream = read(say("So"), sent, finish(), DONE)
    assert stream.answer == "So"
    assert f"left out: {named}." in stream.remark


def test_an_answer_that_gives_no_reason_for_its_end_may_not_be_whole() -> None:
    assert "may not be whole" in read(say("So"), DONE).remark
    assert read(say("So"), finish()).remark == ""


def test_text_after_the_end_is_said_to_be_late() -> None:
    stream = read(say("So."), finish(), say("Late"), finish(), usage(1, 2), DONE)
    assert stream.answer == "So.Late"
    assert "after the server had said that it was finished" in stream.remark


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        (["\ud83d", "\ude42!"], "🙂!"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["\ude42"], "\ufffd"),
        (["x\ud83d"], "x\ufffd"),
        (["\ud83d\ud83d\ude42"], "\ufffd🙂"),
    ],
)
def test_halves_of_a_character_are_joined_or_replaced(pieces: list[str], answer: str) -> None:
    for key in ("content", "reasoning_content"):
        stream = read(*(chunk({key: piece}) for piece in pieces), say("."), finish(), DONE)
        text = stream.answer if key == "content" else stream.thinking
        assert text.rstrip(".") == answer
        (text + json.dumps(stream.message, ensure_ascii=False)).encode()
        assert ("arrived broken" in stream.remark) == ("\ufffd" in answer)


def test_surrogates_reach_no_tool_call_and_no_error() -> None:
    function = {"name": "f\ud800", "arguments": '{"a": "\udc00"}'}
    call = chunk({"tool_calls": [{"index": 0, "id": "\ud8ff", "function": function}]})
    stream = read(call, finish("tool_calls"), DONE)
    json.dumps(stream.message, ensure_ascii=False).encode()
    with pytest.raises(EndpointError) as caught:
        read({"error": {"message": "boom \ud83d"}})
    str(caught.value).encode()


def test_bytes_that_are_no_utf8_are_replaced_and_said() -> None:
    decoder = EventDecoder()
    (value,) = decoder.feed(b'data: {"a": "\xff\xfe"}\n\n')
    assert value == {"a": "\ufffd\ufffd"}
    assert decoder.mangled


DEEP = json.loads("[" * 400 + '"x"' + "]" * 400)


@pytest.mark.parametrize(
    "sent",
    [
        "data: " + "[" * 100_000 + "\n\n",
        "data: " + '{"a":' * 5000 + "\n\n",
        "data: " + json.dumps(delta({"content": DEEP})) + "\n\n",
        "data: " + json.dumps(delta({"content": "x"}))[:-5] + "\n\n",
        "data: 7\n\n",
        "data: []\n\n",
        'data: "text"\n\n',
        "data: " + "9" * 5000 + "\n\n",
    ],
)
def test_what_is_no_chunk_breaks_off_in_two_lines_and_keeps_what_came(sent: str) -> None:
    with pytest.raises(StreamCut) as caught:
        read(say("So far"), sent, say("never"), finish(), DONE)
    assert caught.value.arrived.startswith("So far")
    assert len(str(caught.value).splitlines()) == 2
    assert len(str(caught.value)) < 500


def test_a_stream_cut_within_an_event_is_called_cut() -> None:
    with pytest.raises(StreamCut, match="closed the stream before the answer had ended"):
        read(say("So far"), 'data: {"choices": [{"ind')


@pytest.mark.parametrize("alive", [": wait\n\n", "data: \n\n", chunk({"content": ""}), usage(1, 0)])
@pytest.mark.parametrize("before", [[], [say("So")]], ids=["at once", "midway"])
def test_what_keeps_a_connection_alive_is_no_answer(alive: Any, before: Script) -> None:
    begun_s = time.monotonic()
    with pytest.raises(EndpointError) as caught:
        read(*before, *[alive, 0.05] * 100, stall_s=0.3)
    assert "nothing of the answer came" in caught.value.what
    assert time.monotonic() - begun_s < 4


def test_a_reader_may_take_longer_than_the_server_may() -> None:
    stream = asked(say("a"), say("b"), say("c"), finish(), DONE, stall_s=0.2)
    for _ in stream:
        time.sleep(0.25)
    assert stream.answer == "abc"


def test_an_answer_without_end_ends_soon_after_its_max_tokens() -> None:
    forever = json.dumps(say("more "))
    with pytest.raises(StreamCut, match="an answer without an end"):
        read(*[f"data: {forever}\n\n" * 500] * 20, max_tokens=10)


def test_more_calls_than_anybody_makes_are_refused() -> None:
    calls = [{"index": i, "id": f"c{i}", "function": {"name": "f"}} for i in range(MOST_CALLS + 9)]
    with pytest.raises(EndpointError, match="more than 1,000 tool calls"):
        read(chunk({"tool_calls": calls}), finish("tool_calls"), DONE)


def test_a_large_event_costs_what_it_weighs_and_a_line_without_end_is_refused() -> None:
    decoder, piece = EventDecoder(), b"x" * 65536
    begun_s = time.process_time()
    assert not list(decoder.feed(b'data: "'))
    for _ in range(160):
        assert not list(decoder.feed(piece))
    (value,) = decoder.feed(b'"\n\n')
    assert len(value) == 160 * 65536
    assert time.process_time() - begun_s < 2  # joined anew with each, it was 20 s
    endless = (list(decoder.feed(piece)) for _ in range(MAX_EVENT // 65536 + 1))
    with pytest.raises(ValueError, match="more than 32 MiB"):
        list(endless)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    [
        *("choices", "index", "delta", "message", "text", "content", "type", "reasoning_content"),
        *("thinking", "tool_calls", "id", "function", "function_call", "name", "arguments"),
        *("finish_reason", "usage", "completion_tokens", "error", "code", "refusal"),
        "prompt_tokens_details",
    ]
)
JSON = st.recursive(
    LEAVES | st.sampled_from(["0", "text", "</think>", "<think>", "{}", '{"a": 1}', "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON | st.lists(st.fixed_dictionaries({"delta": JSON}), max_size=2),
        "usage": JSON,
        "error": JSON,
        "object": JSON,
    },
)


def feed_any(chunks: list[dict[str, Any]]) -> None:
    parser = Parser()
    try:
        events = [event for one in chunks for event in parser.feed(one)] + parser.flush()
    except READABLE:
        return
    for event in events:
        json.dumps(str(event), ensure_ascii=False).encode()
        assert not isinstance(event, Answer | Thinking) or event.text


def decode_any(pieces: list[bytes]) -> None:
    decoder = EventDecoder()
    try:
        for piece in pieces:
            list(decoder.feed(piece))
        list(decoder.flush())
    except ValueError:
        return


@settings(max_examples=150, deadline=None)
@given(st.lists(CHUNKS, max_size=4))
def test_chunks_of_any_shape(chunks: list[dict[str, Any]]) -> None:
    feed_any(chunks)


BYTES = st.binary(max_size=30) | st.sampled_from(
    [b"data: ", b"\n\n", b"\r", b"\r\n", b"[DONE]", b'{"a": 1}', b"event: error\n", b": ", b"\xef"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(BYTES, max_size=12))
def test_bytes_of_any_kind(pieces: list[bytes]) -> None:
    decode_any(pieces)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"data: 1", b"\r", b"\n", b"\r\n", b"\n\n", b":"]), max_size=10))
def test_where_a_line_is_cut_changes_nothing(pieces: list[bytes]) -> None:
    def values(parts: list[bytes]) -> list[Any]:
        decoder = EventDecoder()
        return [v for part in parts for v in decoder.feed(part)] + list(decoder.flush())

    wire = b"".join(pieces)
    try:
        whole = values([wire])
    except ValueError:
        return
    assert values([bytes([b]) for b in wire]) == whole


@pytest.mark.trust_long
def test_fifty_thousand_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    settings(max_examples=10_000, deadline=None)(given(st.lists(CHUNKS, max_size=4))(feed_any))()
    settings(max_examples=10_000, deadline=None)(given(st.lists(BYTES, max_size=12))(decode_any))()
    with capsys.disabled():
        print("\nstream shapes: 10,000 lists of chunks, 10,000 lists of bytes; no traceback")


@pytest.mark.parametrize("how", ["for", "async for"])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(how: str, monkeypatch) -> None:
    monkeypatch.setattr("kit.chat.streaming._CONNECT_S", 0.2)

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
            while True:
                connection.sendall(b"a")
                time.sleep(0.02)

    async def read_async(stream: chat.Stream) -> None:
        async for _ in stream:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=drip, daemon=True).start()
        port = listener.getsockname()[1]
        stream = chat.stream(Door(f"http://127.0.0.1:{port}"), "Hello", stall_s=0.3)
        with pytest.raises(EndpointError, match=r"nothing came from .* for 0\.3 s"):
            list(stream) if how == "for" else asyncio.run(read_async(stream))


@pytest.mark.parametrize("flood", [chunk({"content": ""}), usage(1, 2), ": x\n\n"])
def test_a_flood_without_a_word_ends_as_a_silence_does(flood: Any) -> None:
    text = flood if isinstance(flood, str) else f"data: {json.dumps(flood)}\n\n"
    begun_s = time.monotonic()
    with pytest.raises(EndpointError, match="nothing of the answer came"):
        read(*[text * 200, 0.002] * 1000, stall_s=0.3)
    assert time.monotonic() - begun_s < 4


def test_the_arguments_of_a_call_have_an_end() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}
    more = chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}" * 5000}}]})
    with pytest.raises(EndpointError, match="a tool call of more than 512 KiB"):
        read(chunk({"tool_calls": [first]}), *[more] * 200)
