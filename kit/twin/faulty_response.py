"""What a fault does to a response: instead of it, or in its middle.

The faults stand between the application and uvicorn: they take what the application sends, and
send something else. Those below HTTP (half a head, a reset) write to uvicorn's transport.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.twin.errors import error
from kit.twin.event_forms import counts
from kit.twin.sse import DONE, event

_ALIVE_S = 0.2  # between two signs of life


class Wire:
    """The connection to one client."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers = headers
        self._cycle: Any = getattr(send, "__self__", None)  # uvicorn's, with its transport

    @property
    def transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self._cycle.transport
        return transport

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._cycle is None or self._cycle.disconnected or self.transport.is_closing()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        merged = {**headers, **self._headers}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in merged.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def put(self, part: bytes) -> None:
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def reply(self, status: int, body: bytes, media: str = "application/json") -> None:
        await self.start(status, {"content-type": media, "content-length": str(len(body))})
        await self.put(body)
        await self.end()

    async def silence(self) -> None:
        """Keep the connection open until the client leaves."""
        while not self.gone:
            await asyncio.sleep(_ALIVE_S)

    async def close(self) -> None:
        """Close the connection, and wait until it is: uvicorn would write an error on it."""
        self.transport.close()
        for _ in range(100):
            if self._cycle.disconnected:
                return
            await asyncio.sleep(0.01)
        self.transport.abort()

    def reset(self) -> None:
        """End the connection with a reset instead of an end."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Answer:
    """The right answer of the application, event by event."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, after: int) -> None:
        self.after = after
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(256)
        self._receive = receive
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))
        self._streamed = False

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._received, self._messages.put)
        finally:
            await self._messages.put(None)

    async def _received(self) -> Message:
        """What the client sends; that it left, once nobody wants the answer any more."""
        waits = [asyncio.create_task(w) for w in (_wait(self._receive), self._over_message())]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for one in waits:
                one.cancel()

    async def _over_message(self) -> Message:
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def begin(self, wire: Wire) -> None:
        """Pass on the status and the headers."""
        head = await self._messages.get()
        if head is None:
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in head["headers"]}
        self._streamed = headers.get("content-type", "").startswith("text/event-stream")
        if not self._streamed:
            self.after = 0
            headers.pop("content-length", None)
        await wire.start(head["status"], headers)

    async def events(self) -> AsyncIterator[bytes]:
        """The events, each with the blank line that ends it; a body that is no stream, whole."""
        rest = b""
        while (message := await self._messages.get()) is not None:
            rest += message.get("body", b"")
            if self._streamed:
                *whole, rest = rest.split(b"\n\n")
                for one in whole:
                    yield one + b"\n\n"
        if rest:
            yield rest

    async def end(self) -> None:
        """The application is told that its client has left, and waited for."""
        self._over.set()
        while not self._task.done():
            with suppress(asyncio.QueueEmpty):
                self._messages.get_nowait()
            await asyncio.sleep(0.001)


async def _wait(receive: Receive) -> Message:
    return await receive()


async def midway(act: Callable[[Wire, bytes], Awaitable[None]], wire: Wire, answer: Answer) -> None:
    """Pass on the first events; then the fault, with the event that would have come next."""
    left = answer.after
    async for one in answer.events():
        if counts(one):
            if left == 0:
                return await act(wire, one)
            left -= 1
        await wire.put(one)
    return await wire.end()


async def one_more(more: bytes, wire: Wire, answer: Answer) -> None:
    """The answer, with one event more in it."""
    left = answer.after
    async for one in answer.events():
        if counts(one):
            if left == 0:
                await wire.put(more)
            left -= 1
        await wire.put(one)
    await wire.end()


async def other_form(
    form: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]], wire: Wire, answer: Answer
) -> None:
    async for part in form(answer.events()):
        if wire.gone:
            return
        await wire.put(part)
    await wire.end()


# Instead of an answer.


async def _garbage(wire: Wire) -> None:
    wire.transport.write(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n")
    await wire.close()


async def _stall_head(wire: Wire) -> None:
    wire.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/")
    await wire.silence()


async def _endless_head(wire: Wire) -> None:
    wire.transport.write(b"HTTP/1.1 200 OK\r\n")
    while not wire.gone:
        wire.transport.write(b"X-More: " + b"a" * 30_000 + b"\r\n")
        await asyncio.sleep(0.005)


async def _endless_body(wire: Wire) -> None:
    await wire.start(200, {"content-type": "application/json"})
    await wire.put(b'{"data":[')
    while not wire.gone:
        await wire.put(b"0," * 200_000)


async def _drip_body(wire: Wire) -> None:
    await wire.start(200, {"content-type": "application/json"})
    while not wire.gone:
        await wire.put(b" ")
        await asyncio.sleep(0.1)


async def _deep_body(wire: Wire) -> None:
    await wire.reply(200, b"[" * 200_000)


async def _gzip_bomb(wire: Wire) -> None:
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    await wire.start(200, headers)
    packer = zlib.compressobj(wbits=31)
    await wire.put(packer.compress(b'data: "'))
    for _ in range(300):
        if wire.gone:
            return
        await wire.put(packer.compress(bytes(1_000_000)))
        await asyncio.sleep(0)
    await wire.put(packer.flush())
    await wire.end()


INSTEAD: dict[str, Callable[[Wire], Awaitable[None]]] = {
    "close": Wire.close,
    "garbage": _garbage,
    "stall_start": Wire.silence,
    "stall_head": _stall_head,
    "endless_head": _endless_head,
    "endless_body": _endless_body,
    "drip_body": _drip_body,
    "deep_body": _deep_body,
    "gzip_bomb": _gzip_bomb,
}


# In the middle of an answer; uvicorn closes the connection of a response that was not ended.


async def _cut(wire: Wire, following: bytes) -> None:
    return


async def _cut_clean(wire: Wire, following: bytes) -> None:
    await wire.end()


async def _cut_event(wire: Wire, following: bytes) -> None:
    await wire.put(following[: len(following) // 2])


async def _reset(wire: Wire, following: bytes) -> None:
    await asyncio.sleep(0.05)  # what was sent before should arrive
    wire.reset()


async def _broken(wire: Wire, following: bytes) -> None:
    problem = error("Generation aborted.", kind="INTERNAL_SERVER_ERROR", code=500)
    await wire.put(b"data: " + json.dumps({"error": problem}).encode() + b"\n\n" + DONE)
    await wire.end()


async def _stall(wire: Wire, following: bytes) -> None:
    await wire.silence()


async def _keep_alives(wire: Wire, following: bytes) -> None:
    while not wire.gone:
        await wire.put(b": keep-alive\n\n")
        await asyncio.sleep(_ALIVE_S)


async def _empty_deltas(wire: Wire, following: bytes) -> None:
    empty = event({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]})
    while not wire.gone:
        await wire.put(empty)
        await asyncio.sleep(_ALIVE_S)


async def _endless(wire: Wire, following: bytes) -> None:
    while not wire.gone:
        await wire.put(following * 50)
        await asyncio.sleep(0.001)


async def _endless_line(wire: Wire, following: bytes) -> None:
    await wire.put(b'data: "')
    while not wire.gone:
        await wire.put(b"x" * 2**18)


MIDWAY: dict[str, Callable[[Wire, bytes], Awaitable[None]]] = {
    "cut": _cut,
    "cut_clean": _cut_clean,
    "cut_event": _cut_event,
    "reset": _reset,
    "broken": _broken,
    "stall": _stall,
    "keep_alives": _keep_alives,
    "empty_deltas": _empty_deltas,
    "endless": _endless,
    "endless_line": _endless_line,
}
