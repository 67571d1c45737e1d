"""Who may drive the twin, what it fetches, and what slow or endless clients and images cost it."""

from __future__ import annotations

import asyncio
import base64
import http.server
import io
import json
import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient
from uvicorn.server import ServerState

from kit.twin import access, connection, fetch
from kit.twin.app import app
from kit.twin.errors import Refused
from kit.twin.process import TwinProcess, start
from kit.twin.server import Twin

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
HI = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "ignore_eos": True}
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app(Twin("h200x8", speed=500)), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinProcess]:
    running = start(speed=200)
    yield running
    running.close()


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


# --- what it fetches


def picture(url: str, kind: str = "image_url") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: {"url": url}}]}]}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/admin",
        "http://localhost:{port}/admin",
        "http://[::1]:{port}/admin",
        "http://[::ffff:127.0.0.1]:{port}/admin",
        "http://127.1:{port}/admin",
        "http://2130706433:{port}/admin",
        "http://0x7f.0.0.1:{port}/admin",
        "http://0.0.0.0:{port}/admin",
        "http://somebody:secret@127.0.0.1:{port}/admin",
        "http://169.254.169.254/latest/meta-data/",
        "http://168.63.129.16/machine",
        "http://10.1.2.3/",
        "http://192.168.0.1/",
        "http://172.16.0.1/",
        "http://100.100.100.200/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/",
        "http://[fe80::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http:///admin",
    ],
)
def test_no_address_of_this_machine_or_network_is_fetched(
    client: TestClient, site: Site, url: str
) -> None:
    for kind in ("image_url", "video_url"):
        answer = client.post(CHAT, json=picture(url.format(port=site.port), kind))
        assert answer.status_code == 400
        message = answer.json()["message"]
        assert message.startswith("The twin fetches from the public internet alone")
        assert "as a data: URL." in message
        assert message.count(". ") == 1  # two sentences
    assert site.asked == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd"])
def test_no_file_is_opened(client: TestClient, url: str) -> None:
    message = client.post(CHAT, json=picture(url)).json()["message"]
    assert message.startswith("The twin does not serve files")
    assert "data: URL" in message


class Site:
    """A web server on this machine, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, location, content = outer.answer(self.path)
                self.send_response(status)
                self.send_header("location", location)
                self.end_headers()
                with suppress(OSError):
                    for one in content:
                        self.wfile.write(bytes([one]))
                        if self.path == "/drip":
                            time.sleep(0.05)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/moved":
            return 302, f"http://127.0.0.1:{self.port}/admin", b""
        if path == "/to-a-file":
            return 302, "file:///etc/passwd", b""
        if path == "/round":
            return 302, "/round", b""
        return 200, "", b"x" * (100 if path == "/drip" else 10)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """pictures.example is on the public internet, at 127.0.0.1; the names that were resolved."""
    resolved: list[str] = []
    real = fetch.public_addresses

    def addresses(host: str, port: int) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"] if host == "pictures.example" else real(host, port)

    monkeypatch.setattr(fetch, "public_addresses", addresses)
    return resolved


def test_a_public_address_is_fetched(site: Site, public: list[str]) -> None:
    url = f"http://pictures.example:{site.port}/red.png?a=b"
    assert fetch.fetch_public(url, 3, 1000) == b"x" * 10
    assert site.asked == ["/red.png?a=b"]
    assert public == ["pictures.example"]  # once, and connected to that


@pytest.mark.parametrize("path", ["/moved", "/to-a-file"])
def test_a_redirect_leads_nowhere_else(site: Site, public: list[str], path: str) -> None:
    with pytest.raises(fetch.NotPublic):
        fetch.fetch_public(f"http://pictures.example:{site.port}{path}", 3, 1000)
    assert site.asked == [path]


@pytest.mark.parametrize(("path", "says"), [("/drip", "no answer"), ("/round", "redirects")])
def test_a_fetch_ends(site: Site, public: list[str], path: str, says: str) -> None:
    began_s = time.monotonic()
    with pytest.raises(ValueError, match=says):
        fetch.fetch_public(f"http://pictures.example:{site.port}{path}", 0.5, 1000)
    assert time.monotonic() - began_s < 3


def test_a_fetch_is_no_larger_than_asked(site: Site, public: list[str]) -> None:
    with pytest.raises(ValueError, match="more than"):
        fetch.fetch_public(f"http://pictures.example:{site.port}/red.png", 3, 9)


def test_a_name_that_resolves_otherwise_the_next_time_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    connected: list[str] = []

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        addresses = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in addresses]

    def create_connection(address: tuple[str, int], _: float) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError("made by this test")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(ValueError, match="made by this test"):
        fetch.fetch_public("http://rebinding.example/x.png", 3, 1000)
    assert connected == ["93.184.216.34"]
    with pytest.raises(fetch.NotPublic):
        fetch.fetch_public("http://rebinding.example/x.png", 3, 1000)


def test_a_name_with_one_private_address_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(fetch.NotPublic):
        fetch.public_addresses("both.example", 80)


def test_public_addresses_are_public() -> None:
    assert all(map(fetch.is_public, ["93.184.216.34", "8.8.8.8", "2606:4700::1111"]))
    assert not any(map(fetch.is_public, ["224.0.0.1", "255.255.255.255", "ff02::1", "::", "::1"]))


# --- images


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """A PNG of one bit per pixel, of which only some rows are there."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min(width * height // 8, 10**6)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(kind: str, side: int, mode: str = "1", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (side, side)).save(out, kind, **options)
    return out.getvalue()


def shown(data: bytes, times: int = 1) -> dict[str, Any]:
    part = picture("data:image/x;base64," + base64.b64encode(data).decode())["messages"][0]
    return {**HI, "messages": [{"role": "user", "content": part["content"] * times}]}


def scans(count: int) -> bytes:
    """A progressive JPEG that refines the same thing again and again."""
    data = encoded("JPEG", 2000, "L", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * count + data[-2:]


def with_texts() -> bytes:
    """Six texts of 20 MB each, compressed, beside a small picture."""
    return png(64, 64, *[chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(20_000_000)))] * 6)


def tiff(side: int) -> bytes:
    return encoded("TIFF", side, compression="group4")


BOMBS: dict[str, tuple[Callable[[], Any], int]] = {
    "30,000 × 30,000": (lambda: shown(png(30_000, 30_000)), 400),
    "2 billion × 1": (lambda: shown(png(2**31 - 1, 1)), 400),
    "rows that are missing": (lambda: shown(png(9000, 9000)), 400),
    "six texts of 20 MB": (lambda: shown(with_texts()), 400),
    "a GIF of 36 million pixels": (lambda: shown(encoded("GIF", 6000, "P")), 200),
    "a TIFF of 36 million": (lambda: shown(tiff(6000)), 200),
    "a hundred of them": (lambda: shown(tiff(6000), 100), 400),
    "300 scans": (lambda: shown(scans(300)), 400),
    "10,000 that are none": (lambda: shown(b"", 10_000), 400),
    "3,000 that are none": (lambda: shown(b"", 3000), 400),
    "SVG": (lambda: shown(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), 400),
    "a video of nothing": (lambda: picture("data:video/avi;base64,UklGRgAAAAA=", "video_url"), 400),
}


def ping_s(twin: TwinProcess) -> float:
    began_s = time.monotonic()
    with urllib.request.urlopen(f"{twin.url}/health", timeout=20) as answer:
        answer.read()
    return time.monotonic() - began_s


def post(twin: TwinProcess, content: Any, wait_s: float = 30) -> tuple[int, bytes]:
    asked = urllib.request.Request(twin.url + CHAT, json.dumps(content).encode(), JSON)
    try:
        with urllib.request.urlopen(asked, timeout=wait_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_others_nothing(twin: TwinProcess, name: str) -> None:
    made, status = BOMBS[name]
    content = made()
    got: list[tuple[int, bytes]] = []
    thread = threading.Thread(target=lambda: got.append(post(twin, content)))
    began_s = time.monotonic()
    thread.start()
    pings = [ping_s(twin)]
    while thread.is_alive():
        time.sleep(0.02)
        pings.append(ping_s(twin))
    assert got[0][0] == status, got[0][1][:300]
    assert max(pings) < 1
    assert time.monotonic() - began_s < 15
    assert twin.alive


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
    assert post(twin, HI)[0] == 200
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
