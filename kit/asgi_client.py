"""A client of servers that live in this process: openai's two transports, without a socket.

    http = httpx2.Client(transport=AsgiTransport(app))        # or AsyncClient

Parts of an answer are given when the application sends them, and a client that closes the answer
has hung up. `Exchange` is one request and its answer. To the application it looks like uvicorn's
connection: faults on purpose, which cut and close it, work as over a socket.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator, MutableMapping
from typing import Any, Self
from urllib.parse import unquote

import httpx2

from kit.page import App, wait_for

Header = tuple[bytes, bytes]
_CUT = "peer closed connection without sending complete message body (incomplete chunked read)"
_NO_HTTP = "the server sent what is no HTTP"


class Exchange:
    """One request to an application, in the event loop that it runs in."""

    def __init__(
        self, app: App, method: str, target: str, headers: Iterable[Header], body: bytes
    ) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.disconnected = False
        self._body: bytes | None = body
        self._parts: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._begun = asyncio.Event()
        self._left = asyncio.Event()
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in headers],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
            "state": {"abort": self.abort},
        }
        self._task = asyncio.ensure_future(self._run(app, scope))

    async def begun(self) -> None:
        """Wait for the status and the headers. Raises httpx2's errors."""
        await self._begun.wait()
        if not self.status:
            raise self._problem or httpx2.RemoteProtocolError(
                "Server disconnected without sending a response."
            )

    async def part(self) -> bytes | None:
        """The next part of the body; None at its end. Raises httpx2's errors."""
        part = await self._parts.get()
        if isinstance(part, Exception):
            raise part
        return part

    def hang_up(self) -> None:
        """The client leaves."""
        self._left.set()

    # what uvicorn's connection has

    @property
    def transport(self) -> Self:
        return self

    def is_closing(self) -> bool:
        return self.disconnected

    def close(self) -> None:
        self._end(httpx2.RemoteProtocolError(_CUT))

    def abort(self) -> None:
        self._end(httpx2.ReadError("[Errno 104] Connection reset by peer"))

    def write(self, _: bytes) -> None:
        self._end(httpx2.RemoteProtocolError(_NO_HTTP))

    def get_extra_info(self, _: str) -> Self:
        return self

    def setsockopt(self, *_: Any) -> None:
        """A reset is an abort."""

    # ASGI

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:  # noqa: BLE001 - a server reports it, and answers the next request
            traceback.print_exc()
            if not self._begun.is_set():
                await self._send({"type": "http.response.start", "status": 500})
                await self._send({"type": "http.response.body", "body": b"Internal Server Error"})
        finally:
            self.close()  # nothing where the answer was whole

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if self.disconnected or self._left.is_set():
            return
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
            return
        self._begun.set()
        if part := message.get("body"):
            self._parts.put_nowait(bytes(part))
        if not message.get("more_body"):
            self._end(None)

    _problem: Exception | None = None

    def _end(self, problem: Exception | None) -> None:
        if not self.disconnected:
            self.disconnected, self._problem = True, problem
            self._parts.put_nowait(problem)
            self._begun.set()
            self._left.set()


class AsgiTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Requests of a plain or an asynchronous client to `app`. The timeouts of a request hold for
    its head and for each of its parts."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = Exchange(
            self._app,
            request.method,
            request.url.raw_path.decode(),
            request.headers.raw,
            await request.aread(),
        )
        read_s = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(read_s):
                await exchange.begun()
        except BaseException as problem:
            exchange.hang_up()
            if isinstance(problem, TimeoutError):
                raise httpx2.ReadTimeout("The read operation timed out") from problem
            raise
        return httpx2.Response(
            exchange.status, headers=exchange.headers, stream=_Parts(exchange, read_s)
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        return wait_for(self.handle_async_request(request))


class _Parts(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, exchange: Exchange, read_s: float | None) -> None:
        self._exchange = exchange
        self._read_s = read_s

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(self._read_s):
                return await self._exchange.part()
        except TimeoutError as problem:
            raise httpx2.ReadTimeout("The read operation timed out") from problem

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._next()) is not None:
            yield part

    def __iter__(self) -> Iterator[bytes]:
        while (part := wait_for(self._next())) is not None:
            yield part

    async def aclose(self) -> None:
        self._exchange.hang_up()

    def close(self) -> None:
        wait_for(self.aclose())
