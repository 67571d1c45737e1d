"""An error's body that does not end is read up to a limit, and said in two lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from servers import Handler, Server

import kit
from kit import chat
from kit.error_body import MAX_ERROR_BYTES
from kit.errors import EndpointError


class Endless(Handler):
    sent = 0

    def do_GET(self) -> None:
        self.reply({"data": [{"id": "m"}]}, 200 if self.path.endswith("models") else 404)

    def do_POST(self) -> None:
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.end_headers()
        Endless.sent = 0
        try:
            while Endless.sent < 100 * MAX_ERROR_BYTES:
                self.wfile.write(b"x" * 65536)
                Endless.sent += 65536
        except OSError:
            self.close_connection = True


@pytest.fixture
def endless() -> Iterator[kit.Endpoint]:
    with Server(Endless) as server:
        yield kit.connect(server.url, quiet=True)


def test_an_endless_error_is_read_up_to_a_limit(endless: kit.Endpoint) -> None:
    with pytest.raises(EndpointError) as plain:
        list(chat.stream(endless, "x"))
    assert len(str(plain.value).splitlines()) <= 2
    assert Endless.sent < 60 * MAX_ERROR_BYTES


def test_the_asynchronous_client_too(endless: kit.Endpoint) -> None:
    async def ask() -> None:
        async for _ in chat.stream(endless, "x"):
            pass

    with pytest.raises(EndpointError):
        asyncio.run(ask())
    assert Endless.sent < 60 * MAX_ERROR_BYTES
