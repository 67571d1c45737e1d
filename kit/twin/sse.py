"""Responses that the engine writes: server-sent events, or one JSON body at the end."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import Receive, Scope, Send

Header = tuple[bytes, bytes]

DONE = b"data: [DONE]\n\n"
MOST_UNSENT = 64 * 2**20  # bytes that one client may leave unread
MOST_UNSENT_IN_ALL = 4 * MOST_UNSENT  # of all clients; then who leaves more than a sixteenth goes
_AT_ONCE = 2**20  # bytes that are passed on at once: the connection keeps them until they are read

_unsent = [0]  # bytes that all clients have left unread


def dumps(value: Any) -> bytes:
    """JSON as SGLang writes it: no spaces, and only the escapes that JSON needs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def event(value: Any) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def run_until_wait(coroutine: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine here and now, up to its first wait. Returns the rest of it, None if it ended.

    That saves waking the task that it belongs to. With fifty streams in a row, those wake-ups are
    what makes the last of them late.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _RestOfCoroutine(coroutine, waits_for)


@dataclass(frozen=True)
class _RestOfCoroutine:
    coroutine: Coroutine[Any, Any, None]
    waits_for: Any

    def __await__(self) -> Generator[Any, Any, None]:
        yield self.waits_for
        yield from self.coroutine.__await__()


@dataclass
class AnswerTimes:
    """The twin's own times of one answer, in seconds since `origin_s` of its clock.

    Of a stream each part has them, in an SSE comment that says when its step ended, when the
    request arrived, and when this part was due on the monotonic clock. Of another answer a header
    has them.
    """

    at_s: Callable[[float], float]  # of the twin's clock at a time of the monotonic one
    origin_s: float
    arrived_s: float  # since origin_s
    streamed: bool
    ended_s: float = 0.0

    def stamp(self, due_s: float) -> bytes:
        """What precedes a part that is due then."""
        self.ended_s = self.at_s(due_s) - self.origin_s
        if not self.streamed:
            return b""
        return b": twin at %.6f of %.6f due %.6f\n" % (self.ended_s, self.arrived_s, due_s)

    @property
    def header(self) -> Header:
        return b"x-kit-clock", b"at=%.6f; of=%.6f" % (self.ended_s, self.arrived_s)


class ResponseWriter:
    """Takes the parts of a response body and passes them on to one client.

    While the client keeps up, a part is sent as soon as it is put. Otherwise it waits for the
    response's own task, which sends it together with those that were put meanwhile. A client that
    leaves too much unread is dropped.
    """

    def __init__(self) -> None:
        self.send: Callable[[bytes], Coroutine[Any, Any, None]] | None = None
        self._unsent: Awaitable[None] | None = None
        self._parts: deque[bytes] = deque()
        self._size = 0  # of the parts
        self._closed = False
        self.broken = False
        self.abandon: Callable[[], None] | None = None  # drops the connection at once
        self.times: AnswerTimes | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, part: bytes, due_s: float | None = None) -> None:
        if self._closed:
            return
        if self.times is not None and due_s is not None:
            part = self.times.stamp(due_s) + part
        if self.send is not None and self._waiter is not None and not self._waiter.done():
            self._unsent = run_until_wait(self.send(part))
            if self._unsent is None:
                return
        else:
            self._keep(part)
        self._wake()

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._count(len(part))
        share = MOST_UNSENT if _unsent[0] <= MOST_UNSENT_IN_ALL else MOST_UNSENT_IN_ALL // 16
        if self._size > share:
            self.forget()
            self.drop()
            if self.abandon is not None:
                self.abandon()

    def _count(self, size: int) -> None:
        self._size += size
        _unsent[0] += size

    def forget(self) -> None:
        """Nobody will take what is left."""
        self._parts.clear()
        self._count(-self._size)

    def close(self) -> None:
        """No more parts will be put."""
        self._closed = True
        self._wake()

    def drop(self) -> None:
        """Drop the connection, in the middle of the response."""
        self.broken = True
        self.close()

    async def take(self) -> bytes:
        """The parts put since the last call; waits for one. Empty at the end."""
        while not self._parts and not self._closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            if self._unsent is not None:
                await self._unsent
                self._unsent = None
        taken: list[bytes] = []
        size = 0
        while self._parts and (not taken or size + len(self._parts[0]) <= _AT_ONCE):
            taken.append(self._parts.popleft())
            size += len(taken[-1])
        self._count(-size)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True)
class EngineResponse:
    """An ASGI response whose body comes from a ResponseWriter.

    Its status is sent with the first bytes, as SGLang sends it, so that a failure before them can
    still be an error response. When the client leaves, `hang_up` is called once.
    """

    writer: ResponseWriter
    headers: list[Header]
    hang_up: Callable[[], None]
    stream: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.writer.abandon = scope.get("state", {}).get("abort")
        watch = asyncio.create_task(self._watch(receive))
        try:
            part = await self.writer.take()
            if not part and not self.writer.broken:
                return  # the client has left before the first token
            kind = b"text/event-stream; charset=utf-8" if self.stream else b"application/json"
            headers = [(b"content-type", kind), *self.headers]
            if not self.stream:
                length = len(part) or 1  # a dropped answer promises a byte that never comes
                headers.append((b"content-length", b"%d" % length))
                if self.writer.times is not None:
                    headers.append(self.writer.times.header)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if self.stream:
                await self._send_parts(part, send)
            elif part:
                await send({"type": "http.response.body", "body": part, "more_body": False})
        finally:
            self.writer.send = None
            self.writer.close()
            self.writer.forget()
            watch.cancel()

    async def _send_parts(self, part: bytes, send: Send) -> None:
        def send_part(part: bytes) -> Coroutine[Any, Any, None]:
            body = {"type": "http.response.body", "body": part, "more_body": True}
            return cast("Coroutine[Any, Any, None]", send(body))

        self.writer.send = send_part
        while part:
            await send_part(part)
            part = await self.writer.take()
        if not self.writer.broken:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.hang_up()
        self.writer.close()
