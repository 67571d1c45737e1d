"""Addresses: what a web server may do to a client, done by a real one."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import pytest
from PIL import Image
from servers import Handler, Server

from kit.errors import EndpointError, InvalidValue, KitError
from kit.vision import image
from kit.vision.load_image import fetch


def red() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


class Pictures(Handler):
    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        if name == "/red.png":
            self.reply(red())
        elif name == "/moved":
            self.reply(b"", 302, location="/red.png")
        elif name == "/to-a-file":
            self.reply(b"", 302, location="file:///etc/passwd")
        elif name == "/large":
            self.reply(b"x" * 5000)
        elif name == "/page.png":
            self.reply(b"<!doctype html><p>sign in</p>")
        elif name == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "9999")
            self.end_headers()
            self.wfile.write(b"x")
        elif name == "/silent":
            self.server.released.wait(5)  # type: ignore[attr-defined]
        elif name == "/drip":
            self.send_response(200)
            self.end_headers()
            while not self.server.released.wait(0.02):  # type: ignore[attr-defined]
                self.wfile.write(b"x")
        else:
            self.send_error(404)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with Server(Pictures) as server:
        server.released = threading.Event()  # type: ignore[attr-defined]
        yield server.url
        server.released.set()  # type: ignore[attr-defined]


def test_a_picture_is_fetched_here_and_sent_as_itself(web: str) -> None:
    part = image(f"{web}/red.png?size=large")
    assert part.data == red()
    assert part.name == "red.png"


def test_a_redirect_is_followed(web: str) -> None:
    assert fetch(f"{web}/moved") == red()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nothing.png", "answers 404 Not Found"),
        ("/cut", "broke off"),
        ("/to-a-file", "cannot be reached|answers|broke off"),
    ],
)
def test_an_error_of_the_server_is_told(web: str, path: str, says: str) -> None:
    with pytest.raises(EndpointError, match=says) as refused:
        fetch(web + path)
    assert "save it" in refused.value.hint


@pytest.mark.parametrize("path", ["/silent", "/drip"])
def test_a_server_that_stalls_is_left(web: str, path: str) -> None:
    before = time.monotonic()
    with pytest.raises(EndpointError, match=r"did not answer within 0\.3 s"):
        fetch(web + path, timeout_s=0.3)
    assert time.monotonic() - before < 4


def test_too_much_is_not_read_to_its_end(web: str) -> None:
    with pytest.raises(EndpointError, match="larger than"):
        fetch(f"{web}/large", max_bytes=1000)


def test_a_page_under_a_pictures_name_is_a_page(web: str) -> None:
    with pytest.raises(KitError, match="a web page, not a picture"):
        image(f"{web}/page.png")


def test_nobody_there_is_told() -> None:
    with pytest.raises(EndpointError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/x.png")


def test_a_key_in_the_address_is_not_repeated(web: str) -> None:
    with pytest.raises(EndpointError) as refused:
        fetch(f"{web}/nothing.png?token=hush")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://host/x.png", "http://", "https:///x", "httpx://h/x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="no web address"):
        fetch(url)
