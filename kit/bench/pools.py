"""The connections of a measurement, and those of a page, which has no sockets: there requests go
through the browser, or to a server of this process.

    with closing(open_pool(origin)) as pool: ...

In a page bytes are stamped when its one thread comes to them. The twin's own clock is not touched
by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

import httpx2

from kit import page
from kit.bench.transport import CUT, MOST_BYTES, Connection, Origin, Pool, Response
from kit.http import transport

Shorten = Callable[[bytes], bytes] | None


def open_pool(origin: Origin, shortener: Callable[[], Shorten] = lambda: None) -> Pool:
    """A pool of connections to `origin`; each reduces its parts by a shortener of its own."""
    scheme = "https" if origin.tls else "http"
    server = f"{scheme}://{dict(origin.headers)['host']}"
    if page.HERE or server in page.apps:
        return _PagePool(origin, lambda: _PageConnection(server, shortener()))
    return Pool(origin, lambda: Connection(shortener()))


class _PagePool(Pool):
    async def _connect(self) -> Connection:
        return self._make()


class _PageConnection(Connection):
    def __init__(self, url: str, shorten: Shorten) -> None:
        self.open = True
        self.reusable = True
        self.used = False
        self.last = perf_counter()
        self.response = Response()
        self._url = url
        self._shorten = shorten
        self._client = httpx2.AsyncClient(**transport(url), timeout=None)
        self._task: asyncio.Task[None] | None = None

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Send the bytes of a request; the task is done when its response has ended or failed."""
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        for name in ("host", "content-length", "accept-encoding"):  # the browser's own
            headers.pop(name, None)
        self.used = True
        self.response = Response()
        self.response.sent = self.last = perf_counter()
        self._task = asyncio.ensure_future(self._ask(method, path, headers, body))
        return self._task

    def close(self, error: str = "") -> None:
        """Close; a response under way ends with `error`."""
        self.open = False
        if self._task is not None and not self._task.done():
            self.response.error = error
            self._task.cancel()

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        response = self.response
        try:
            async with self._client.stream(
                method, self._url + path, headers=headers, content=body
            ) as reply:
                response.status = reply.status_code
                async for part in reply.aiter_raw():
                    self.last = perf_counter()
                    response.add(self.last, self._shorten(part) if self._shorten else part)
                    if response.size > MOST_BYTES:
                        response.error = f"an answer of more than {MOST_BYTES >> 20} MiB"
                        self.open = False
                        return
        except asyncio.CancelledError:
            if self.open:  # not by `close`: whoever waits is cancelled too
                raise
        except httpx2.ConnectError as problem:
            response.error = f"no connection: {problem}"
        except httpx2.HTTPError:
            response.error = CUT
