"""What the twin fetches for a request: the public internet, and of that a bounded piece."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from servers import Handler, Server
from starlette.testclient import TestClient

from kit.twin import fetch

from .twin_client import CHAT, picture


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

        class Noting(Handler):
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

        self.server = Server(Noting)
        self.port = self.server.server_port

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
    with made.server:
        yield made


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
