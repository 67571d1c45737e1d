"""connect() against whatever listens: an endpoint, or two lines, within its time and memory."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import http, server_identity
from kit.endpoint import Endpoint, base_url, connect
from kit.errors import UNSHOWABLE, EndpointError, KitError

LIMIT_S = 0.6
MODELS = b'{"object": "list", "data": [{"id": "m", "object": "model"}]}'


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def named(*ids: object) -> bytes:
    return reply(json.dumps({"data": [{"id": one} for one in ids]}).encode())


def moved(to: str) -> bytes:
    return reply(b"", "302 Found", f"location: {to}")


def forever(part: bytes, pause_s: float = 0.0, head: bytes = b"") -> Iterator[bytes]:
    yield head
    while True:
        yield part
        time.sleep(pause_s)


JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
# What comes for /v1/models, by name; an empty part ends it, None keeps the connection open.
FAULTS: dict[str, Callable[[], Iterator[bytes | None]]] = {
    "good": lambda: iter([reply(MODELS)]),
    "closes at once": lambda: iter([]),
    "another protocol": lambda: iter([b"220 mail.example.org ESMTP \x1b[31m\r\n"]),
    "500": lambda: iter([reply(b'{"message": "boom \x1b[31m"}', "500 \x1b[31mNo")]),
    "503 in HTML": lambda: iter([reply(b"<h1>Bad gateway</h1>", "503 No")]),
    "429": lambda: iter([reply(b"{}", "429 Slow", "retry-after: 7")]),
    "401": lambda: iter([reply(b"{}", "401 No")]),
    "HTML": lambda: iter([reply(b"<html>", "200 OK", "content-type: text/\x1b[31mhtml")]),
    "JSON of another kind": lambda: iter([reply(b"[1, 2]")]),
    "says nothing": lambda: iter([None]),
    "half a head": lambda: iter([b"HTTP/1.1 200 OK\r\ncontent-type: text/", None]),
    "half a body": lambda: iter([JSON_HEAD + MODELS[:20], None]),
    "half a body, and closes": lambda: iter([reply(MODELS)[:-9]]),
    "a head byte by byte": lambda: forever(b"x", 0.05, b"HTTP/1.1 200 OK\r\nx: "),
    "a body byte by byte": lambda: forever(b" ", 0.05, JSON_HEAD),
    "continue, for ever": lambda: forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
    "JSON without end": lambda: forever(b"0," * 500_000, 0.0, JSON_HEAD + b'{"data":['),
    "headers without end": lambda: forever(
        b"x: " + b"a" * 9000 + b"\r\n", 0.001, b"HTTP/1.1 200 OK\r\n"
    ),
    "a length beyond all": lambda: iter(
        [b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", None]
    ),
    "no length": lambda: iter([b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"]),
    "chunks of no size": lambda: iter(
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"]
    ),
    "deep JSON": lambda: iter([reply(b"[" * 200_000)]),
    "a number of a million digits": lambda: iter([reply(b'{"data": ' + b"9" * 10**6 + b"}")]),
    "no UTF-8": lambda: iter([reply(b'{"data": [{"id": "\xff\xfe"}]}')]),
    "names of other kinds": lambda: iter([named(5, {"a": 1}, None, [])]),
    "a name with escapes": lambda: iter([named("m\x1b[31m\nx")]),
    "a name that turns the writing": lambda: iter([named("m\u202egpj")]),
    "half a character": lambda: iter([reply(b'{"data": [{"id": "\\ud83d"}]}')]),
    "a name of a megabyte": lambda: iter([named("m" * 2**20)]),
    "no name": lambda: iter([named("")]),
    "strange names and a good one": lambda: iter([named("\x07", 7, "m")]),
    "many models": lambda: iter([named(*(f"m{i}\x1b"[: 20] for i in range(5)), "a" * 500, "b")]),
    "no twin": lambda: iter([reply(MODELS, "200 OK", "x-kit-twin: nonsense")]),
    "a twin without time": lambda: iter(
        [reply(MODELS, "200 OK", "x-kit-twin: profile=h200x8; sglang=0.5.23; speed=nan")]
    ),
    "a twin with escapes": lambda: iter(
        [reply(MODELS, "200 OK", "x-kit-twin: profile=\x1b[31m; sglang=0.5.23; speed=1")]
    ),
    "elsewhere, by FTP": lambda: iter([moved("ftp://127.0.0.1:1/x")]),
    "elsewhere, to a file": lambda: iter([moved("file:///etc/passwd")]),
    "elsewhere, to nothing": lambda: iter([moved("http://[::1")]),
    "in circles": lambda: iter([moved("/in%20circles")]),
}  # fmt: skip


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError, IndexError):
            path = self.request.recv(65536).split(b" ")[1].decode()
            name = path.split("/")[1].replace("%20", " ")
            if path.endswith("/server_info"):
                self.request.sendall(reply(b"{}", "404 No"))
                return
            for part in FAULTS[name]():
                if part is None:
                    time.sleep(3 * LIMIT_S)
                elif part:
                    self.request.sendall(part)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Cell(NamedTuple):
    name: str
    found: Endpoint | KitError
    took_s: float


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        server_identity, "get", lambda url, key, limit_s: http.get(url, key, min(LIMIT_S, limit_s))
    )


def try_one(url: str, name: str) -> Cell:
    began = time.monotonic()
    try:
        found: Endpoint | KitError = connect(f"{url}/{name.replace(' ', '%20')}", quiet=True)
    except KitError as error:
        found = error
    return Cell(name, found, time.monotonic() - began)


def test_whatever_answers_gives_an_endpoint_or_two_lines_in_time(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        cells = list(pool.map(lambda name: try_one(url, name), FAULTS))
    errors = {cell.name: str(cell.found) for cell in cells if isinstance(cell.found, KitError)}
    print(f"\n{len(cells)} servers: {len(cells) - len(errors)} endpoints, {len(errors)} two lines")
    assert set(FAULTS) - set(errors) == {"good", "strange names and a good one"}
    for name, text in errors.items():
        first, _, second = text.partition("\n")
        assert second.startswith("→ "), name
        assert not UNSHOWABLE.search(first + second), name
        assert len(text) < 500, name
    late = {cell.name: cell.took_s for cell in cells if cell.took_s > LIMIT_S + 5}  # a busy machine
    assert late == {}


def test_a_good_name_among_strange_ones_is_taken(url: str) -> None:
    found = try_one(url, "strange names and a good one").found
    assert isinstance(found, Endpoint)
    assert found.model == "m"


def test_a_call_that_is_given_up_leaves_neither_socket_nor_thread(url: str) -> None:
    for name in ("says nothing", "a head byte by byte", "continue, for ever"):
        try_one(url, name)
    until = time.monotonic() + 5
    while time.monotonic() < until and any(t.name == "kit.http" for t in threading.enumerate()):
        time.sleep(0.02)
    assert [t.name for t in threading.enumerate() if t.name == "kit.http"] == []


def test_a_name_that_is_looked_up_for_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2) or [])
    began = time.monotonic()
    with pytest.raises(EndpointError, match="no connection within"):
        http.get("http://somewhere.invalid", None, 0.2)
    assert time.monotonic() - began < 1.5


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60) | st.text("htps:/@?#[]%.0123456789abc \n\0", max_size=30))
def test_any_text_is_an_address_or_two_lines(text: str) -> None:
    try:
        found = base_url(text)
    except EndpointError as refused:
        shown = str(refused)
        assert len(shown.splitlines()) <= 2
    else:
        assert found.startswith(("http://", "https://"))
        assert not set("@?#") & set(found)
        assert not UNSHOWABLE.search(found)


@pytest.mark.trust_long
@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: named(text)))
def test_any_bytes_are_an_endpoint_or_two_lines(body: bytes, url: str) -> None:
    FAULTS["any"] = lambda: iter([body])
    found = try_one(url, "any").found
    if isinstance(found, KitError):
        assert len(str(found).splitlines()) == 2
    else:
        assert not UNSHOWABLE.search(str(found))
