"""Responses that are fed by the engine: server-sent events, or one JSON body at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast

from starlette.types import Receive, Scope, Send

Header = tuple[bytes, bytes]

DONE = b"data: [DONE]\n\n"


def dumps(value: Any) -> bytes:
    """JSON as SGLang writes it: no spaces, no escapes beyond what JSON asks for."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(value: Any) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def at_once(coroutine: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine here and now, up to its first wait: what is left of it, None if nothing.

    That spares a wake-up of the task it belongs to, which for fifty streams in a row is what
    makes the last of them late.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _Rest(coroutine, waits_for)


class _Rest:
    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._waits_for
        yield from self._coroutine.__await__()


class Outlet:
    """Bytes on their way to one client.

    While the client keeps up, a part is written where it is put. Otherwise it waits for the
    response's own task, and goes out with those that come meanwhile.
    """

    def __init__(self) -> None:
        self.write: Callable[[bytes], Coroutine[Any, Any, None]] | None = None
        self._unwritten: Awaitable[None] | None = None
        self._parts: list[bytes] = []
        self._closed = False
        self.broken = False
        self.scheduled = False  # tell the client when each part was due
        self._waiter: asyncio.Future[None] | None = None

    def put(self, part: bytes, due_s: float | None = None) -> None:
        if self.scheduled and due_s is not None:
            part = b": due %.6f\n" % due_s + part
        if self.write is not None and self._waiter is not None and not self._waiter.done():
            self._unwritten = at_once(self.write(part))
            if self._unwritten is None:
                return
        else:
            self._parts.append(part)
        self._wake()

    def close(self) -> None:
        """Nothing more will be put."""
        self._closed = True
        self._wake()

    def cut(self) -> None:
        """Drop the connection, in the middle of whatever was being said."""
        self.broken = True
        self.close()

    async def take(self) -> bytes:
        """What has been put since the last time; waits for some. Empty at the end."""
        while not self._parts and not self._closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            if self._unwritten is not None:
                await self._unwritten
                self._unwritten = None
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Fed:
    """An ASGI response whose body comes out of an outlet.

    Its status goes out with the first bytes, as SGLang's does, so that what fails before them
    can still be an error. When the client leaves, `hang_up` is called, once.
    """

    def __init__(
        self,
        outlet: Outlet,
        headers: list[Header],
        hang_up: Callable[[], None],
        stream: bool,
    ) -> None:
        self._outlet = outlet
        self._headers = headers
        self._hang_up = hang_up
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = asyncio.create_task(self._watch(receive))
        try:
            part = await self._outlet.take()
            if not part and not self._outlet.broken:
                return  # the client has left before the first token
            kind = b"text/event-stream; charset=utf-8" if self._stream else b"application/json"
            headers = [(b"content-type", kind), *self._headers]
            if not self._stream:
                length = len(part) or 1  # a cut answer promises what never comes
                headers.append((b"content-length", b"%d" % length))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if not self._stream:
                if part:
                    await send({"type": "http.response.body", "body": part, "more_body": False})
                return

            def write(part: bytes) -> Coroutine[Any, Any, None]:
                body = {"type": "http.response.body", "body": part, "more_body": True}
                return cast("Coroutine[Any, Any, None]", send(body))

            self._outlet.write = write
            while part:
                await write(part)
                part = await self._outlet.take()
            if not self._outlet.broken:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._outlet.write = None
            watch.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._hang_up()
        self._outlet.close()
