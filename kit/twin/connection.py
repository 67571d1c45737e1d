"""One connection of the twin: uvicorn's, with limits on what a slow or endless client can hold.

| what | limit |
|---|---|
| the head of a request | 64 KiB, complete within 30 s |
| its body (kit.twin.body has the size) | a byte in 30 s, complete within 120 s |
| a body that was refused | 256 MiB are read to its end, so that the error arrives |
| a connection without a request | 30 s before the first, 75 s after each |
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 2**10
MOST_REFUSED_BYTES = 256 * 2**20
HEAD_S = 30.0
BODY_S = 120.0
SILENT_S = 30.0
KEEP_ALIVE_S = 75
_SWEEP_S = 1.0


class Connection(HttpToolsProtocol):
    """`http` of uvicorn's Config. `sweep` must run beside it: it closes what is overdue."""

    _reading = True  # a request is being read, or the first one is awaited
    _in_head = True
    _head_bytes = 0
    _length = 0  # of its lines so far
    _refused_bytes = 0
    _began_s = 0.0
    _heard_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began_s = self._heard_s = monotonic()

    def data_received(self, data: bytes) -> None:
        self._heard_s = monotonic()
        if not self._reading or (self._in_head and not self._head_bytes):
            self._restart()  # with these bytes a request begins
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._restart()
        self.scope["state"]["abort"] = self.transport.abort

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._limit(len(self.url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._length += len(name) + len(value) + 4
        self._limit(self._length)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = self._length = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._refused_bytes += len(body)
            if self._refused_bytes > MOST_REFUSED_BYTES:
                self.transport.abort()

    def on_message_complete(self) -> None:
        self._reading = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if max(self._length, self._head_bytes) <= MOST_HEAD_BYTES:
            super().send_400_response(msg)
            return
        head = b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[431] + head)
        self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()  # and not close: that would wait until all has been read

    @property
    def overdue(self) -> bool:
        """Whether its client has taken too long to send a request."""
        now_s, answering = monotonic(), self.cycle is not None and not self.cycle.response_complete
        if not self._reading or self.transport.is_closing():
            return False
        if self._in_head:
            return not answering and now_s - self._began_s > HEAD_S
        if self.flow.read_paused:
            return False
        return now_s - self._heard_s > SILENT_S or now_s - self._began_s > BODY_S

    def _restart(self) -> None:
        self._reading = self._in_head = True
        self._head_bytes = self._length = 0
        self._began_s = monotonic()

    def _limit(self, size: int) -> None:
        if size > MOST_HEAD_BYTES:
            self._length = size
            raise ValueError("the head is too large")  # the parser reports it as a bad request


async def sweep(connections: Iterable[Any]) -> None:
    """Close what is overdue, again and again."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        for one in [c for c in connections if isinstance(c, Connection) and c.overdue]:
            one.transport.abort()
