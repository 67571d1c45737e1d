"""Who may drive the twin, and what slow or endless clients cost it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient
from uvicorn.server import ServerState

from kit.twin import access, connection
from kit.twin.app import app
from kit.twin.errors import Refused
from kit.twin.process import TwinProcess, start
from kit.twin.server import Twin

from .twin_client import CHAT, EVIL, HI, JSON, ping_s, send

# --- who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:30000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "a"},
        {"host": ""},
        {"host": "[::1"},
        {"host": "127.0.0.1@evil.example"},
        {"host": "10.0.0.7:30000"},
        {"host": "0.0.0.0"},
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "file://"},
        {"origin": "http://localhost.evil.example:8888"},
        {"origin": "http://127.0.0.1@evil.example"},
        {"origin": "chrome-extension://localhost.abc"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [CHAT, "/abort_request", "/flush_cache", "/nothing"])
def test_a_page_elsewhere_is_refused(
    client: TestClient, path: str, headers: dict[str, str]
) -> None:
    answer = client.post(path, json=HI, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost:30000"},
        {"host": "LOCALHOST."},
        {"host": "127.0.0.1:8000"},
        {"host": "127.8.8.8"},
        {"host": "[::1]:30000"},
        {"host": "twin.localhost:30000"},
        {"origin": "http://localhost:8888"},
        {"origin": "http://127.0.0.1:30000"},
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": "Application/JSON"},
    ],
    ids=str,
)
def test_a_program_of_this_machine_is_served(client: TestClient, headers: dict[str, str]) -> None:
    given = {**JSON, **headers}
    assert client.post(CHAT, content=json.dumps(HI), headers=given).status_code == 200


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None]
)
@pytest.mark.parametrize("path", [CHAT, "/generate", "/abort_request"])
def test_a_body_that_a_page_may_send_unasked_is_refused(
    client: TestClient, path: str, media: str | None
) -> None:
    """In the words of SGLang, which demands the type as well."""
    headers = {} if media is None else {"content-type": media}
    answer = client.post(path, content=b'{"abort_all": true}', headers=headers)
    assert answer.status_code == 400
    assert "Only 'application/json' is allowed" in answer.json()["message"]


def test_a_preflight_allows_nothing(client: TestClient) -> None:
    asked = {"origin": EVIL, "access-control-request-method": "POST"}
    answer = client.options(CHAT, headers=asked)
    assert answer.status_code == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_link_may_be_opened_and_a_picture_may_not_be_embedded(client: TestClient) -> None:
    opened = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/metrics", headers=opened).status_code == 200
    assert (
        client.get("/metrics", headers={**opened, "sec-fetch-mode": "no-cors"}).status_code == 403
    )


def test_two_hosts_are_not_one(client: TestClient) -> None:
    headers = [("host", "127.0.0.1"), ("host", "evil.example")]
    with pytest.raises(Refused):
        access.check("GET", [(n.encode(), v.encode()) for n, v in headers], ())


def test_a_proxys_name_can_be_allowed() -> None:
    served = Twin("h200x8", speed=500, allowed_hosts=["Hub.example"])
    with TestClient(app(served), base_url="http://hub.example") as client:
        assert client.post(CHAT, json=HI).status_code == 200
        assert client.post(CHAT, json=HI, headers={"origin": "https://hub.example"}).is_success
        assert client.post(CHAT, json=HI, headers={"origin": EVIL}).status_code == 403


# --- the connection


def raw(twin: TwinProcess, data: bytes, wait_s: float = 5) -> bytes:
    """Whatever is answered to these bytes, until nothing more comes."""
    port = int(twin.url.rpartition(":")[2])
    found = b""
    with socket.create_connection(("127.0.0.1", port), wait_s) as sock, suppress(OSError):
        sock.sendall(data)
        while got := sock.recv(65536):
            found += got
            sock.settimeout(0.2)
    return found


GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /tokenize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (GET + b"X: " + b"a" * 200_000 + b"\r\n\r\n", b"HTTP/1.1 431"),
        (GET + b"".join(b"X%d: a\r\n" % i for i in range(10_000)) + b"\r\n", b"HTTP/1.1 431"),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 431"),
        (POST + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}", b"HTTP/1.1 400"),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 400"),
        (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 400"),
        (POST + b"Content-Length: -1\r\n\r\n", b"HTTP/1.1 400"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", b"HTTP/1.1 400"),
        (b"GET http:/// HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"HTTP/1.1 4"),
        (b"GET * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"HTTP/1.1 4"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 400"),
        (bytes(range(256)) * 16, b"HTTP/1.1 400"),
        (b"GET /v1/models/%ED%A0%80%00%0d%0aX: HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"HTTP/1.1 4"),
    ],
)
def test_what_is_no_request_is_refused(twin: TwinProcess, sent: bytes, answers: bytes) -> None:
    assert raw(twin, sent).startswith(answers)
    assert ping_s(twin) < 1
    assert twin.alive


def test_no_path_leads_out_and_no_header_in(twin: TwinProcess) -> None:
    for path in ("/v1/models/../../../../etc/passwd", "//etc/passwd", "/v1/models/a%0d%0aEvil:1"):
        got = raw(twin, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert got.startswith(b"HTTP/1.1 404")
        assert b"root:" not in got
        assert b"\r\nEvil" not in got


def test_a_thousand_requests_at_once_are_answered(twin: TwinProcess) -> None:
    assert raw(twin, (GET + b"\r\n") * 1000).count(b"HTTP/1.1 200") == 1000


async def answer_slowly(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that reads the body, and answers a second later."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    ("sent", "drip", "served"),
    [
        (b"", b"", False),
        (b"GET / HT", b"", False),
        (b"GET / HTTP/1.1\r\nX: ", b"x", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\n{", b"", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n{", b"x", False),
        (b"GET / HTTP/1.1\r\n\r\n", b"", True),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1", b"", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"", True),
    ],
)
def test_a_client_that_does_not_come_on_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, drip: bytes, served: bool
) -> None:
    """An answer that takes longer than any of the limits is waited for all the same."""
    for name, value in {"HEAD_S": 0.3, "BODY_S": 0.6, "SILENT_S": 0.3, "_SWEEP_S": 0.05}.items():
        monkeypatch.setattr(connection, name, value)

    async def go() -> tuple[bytes, float]:
        config = uvicorn.Config(answer_slowly, log_level="critical", lifespan="off")
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: connection.Connection(config, state, {}), "127.0.0.1", 0
        )
        sweeping = asyncio.create_task(connection.sweep(state.connections))
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        began_s, found = time.monotonic(), b""
        writer.write(sent)
        with suppress(ConnectionError):
            while time.monotonic() - began_s < 5 and not found.endswith(b"ok\r\n0\r\n\r\n"):
                try:
                    got = await asyncio.wait_for(reader.read(1000), 0.05)
                except TimeoutError:
                    writer.write(drip)
                    continue
                if not got:
                    break
                found += got
        took_s = time.monotonic() - began_s
        writer.close()
        sweeping.cancel()
        server.close()
        return found, took_s

    found, took_s = asyncio.run(go())
    if served:
        assert found.startswith(b"HTTP/1.1 200")
    else:
        assert found == b""
        assert took_s < 4


def descriptors(twin: TwinProcess) -> int:
    return len(os.listdir(f"/proc/{twin.pid}/fd"))


@pytest.mark.trust_long
def test_a_thousand_slow_clients_are_closed_and_forgotten(twin: TwinProcess) -> None:
    port, before = int(twin.url.rpartition(":")[2]), descriptors(twin)
    socks = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(1000)]
    for sock in socks:
        sock.sendall(POST + b"Content-Length: 1000\r\n\r\n{")
    assert send(twin, CHAT, HI)[0] == 200
    deadline = time.monotonic() + 90
    while descriptors(twin) > before + 5 and time.monotonic() < deadline:
        time.sleep(1)
    assert descriptors(twin) <= before + 5
    for sock in socks:
        sock.close()
    print("twin: 1000 clients whose bodies do not come on, all closed")


@pytest.mark.trust_long
def test_streams_that_nobody_reads_do_not_grow_without_end() -> None:
    twin = start(speed=1000)
    port, socks = int(twin.url.rpartition(":")[2]), []
    content = {"text": "Hi", "stream": True}
    content["sampling_params"] = {"max_new_tokens": 20_000, "ignore_eos": True}
    data = json.dumps(content).encode()
    try:
        for _ in range(300):
            socks.append(socket.create_connection(("127.0.0.1", port), 5))
            head = POST.replace(b"/tokenize", b"/generate")
            socks[-1].sendall(head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        time.sleep(60)
        assert ping_s(twin) < 2
        pages = int(Path(f"/proc/{twin.pid}/statm").read_text().split()[1])
        print(f"twin: 300 streams unread for 60 s, {pages * 4096 / 2**20:.0f} MiB")
        assert pages * 4096 < 2**30
    finally:
        for sock in socks:
            sock.close()
        twin.close()
