"""HTTP/1.1 for measuring: bytes and the time they came, on connections opened beforehand.

A measuring client must not be slow where the server is fast. So nothing here interprets a
response: `data_received` reads the clock first, removes the HTTP framing (with httptools, unless
the read is just one chunk), and keeps the body as it came, on Linux in a thread of its own
(`kit.bench.epoll_reader`). `kit.bench.answer_reader` interprets it after the run.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

from kit.bench import epoll_reader
from kit.errors import EndpointError
from kit.http import checked_key

CONNECT_TIMEOUT_S = 10.0
MOST_BYTES = 256 << 20  # of one answer, as it is kept
CUT = "cut: the server closed the connection before the end of the answer"
_MOST_HEAD = 1 << 20
Part = bytes | bytearray
_ENDS = (b"\n", b"\r")


@dataclass(frozen=True)
class Origin:
    """Where requests go. `prefix` stands before every path, for servers behind a gateway."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    prefix: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # the key is among them

    @classmethod
    def of(cls, base_url: str, key: str | None = None) -> Origin:
        """From a URL such as `http://localhost:30000`. Raises EndpointError for anything else."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EndpointError(f"{base_url!r} is no URL", "give one like http://localhost:30000")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        headers = [("host", host if port in (80, 443) else f"{host}:{port}")]
        if key:
            headers.append(("authorization", f"Bearer {checked_key(key)}"))
        tls = ssl.create_default_context() if secure else None
        return cls(parts.hostname, port, tls, parts.path.rstrip("/"), tuple(headers))

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """The bytes of a whole request."""
        fields = [*self.headers, *headers, ("accept-encoding", "identity")]
        if body:
            fields += [("content-type", "application/json"), ("content-length", str(len(body)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"{method} {self.prefix}{path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


class Response:
    """What came back, as it came. `parts` are (seconds on `perf_counter`, bytes of the body).

    Reads that end inside a line are put together: an event in a million pieces is one part. None
    of them completes an event, so none of their times counts.
    """

    __slots__ = ("error", "parts", "sent", "size", "status")

    def __init__(self) -> None:
        self.sent = 0.0
        self.status = 0
        self.parts: list[tuple[float, Part]] = []
        self.size = 0  # bytes of them
        self.error = ""

    @property
    def body(self) -> bytes:
        return b"".join(part for _, part in self.parts)

    def add(self, time_s: float, part: bytes) -> None:
        """Keep what came then."""
        self.size += len(part)
        parts = self.parts
        if parts and b"\n" not in part and b"\r" not in part and parts[-1][1][-1:] not in _ENDS:
            began_s, before = parts[-1]
            if isinstance(before, bytearray):
                before += part
            else:
                parts[-1] = (began_s, bytearray(before + part))
            return
        parts.append((time_s, part))


class Connection(asyncio.Protocol):
    """One connection, one request at a time. `shorten` reduces a part to what has to be kept."""

    def __init__(self, shorten: Callable[[bytes], bytes] | None = None) -> None:
        import httptools  # not installed in a browser, where only workloads and figures are used

        self._loop = asyncio.get_running_loop()
        self._new_parser = httptools.HttpResponseParser
        self._no_http = httptools.HttpParserError
        self.open = True
        self.reusable = True
        self.used = False
        self.last = perf_counter()
        self._shorten = shorten
        self._transport: asyncio.Transport | None = None
        self.response = Response()
        self._done: asyncio.Future[None] | None = None
        self._parser: Any = self._new_parser(self)
        self._framed = False  # the response says where it ends; else its end is the connection's
        self._between_chunks = False
        self._now = 0.0
        self._head = 0  # bytes before the body

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Write `request`; the future is done when its response has ended or failed."""
        assert self._transport is not None
        self.used = True
        self.response = Response()
        self._parser = self._new_parser(self)
        self._framed = self._between_chunks = False
        self._head = 0
        self._done = self._loop.create_future()
        self.response.sent = self.last = perf_counter()
        self._transport.write(request)
        return self._done

    def close(self, error: str = "") -> None:
        """Close; a response under way ends with `error`."""
        self._end(error)
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._now = self.last = perf_counter()
        if self._between_chunks and (body := _one_chunk(data)) is not None:
            self.on_body(body)
            return
        if not self.response.status:
            self._head += len(data)
            if self._head > _MOST_HEAD and len(data) < self._head:
                self.close(f"no HTTP: a head of more than {_MOST_HEAD >> 20} MiB")
                return
        try:
            self._parser.feed_data(data)
            self._between_chunks = self._between_chunks and data.endswith(b"\r\n")
        except self._no_http as error:
            self.close(f"no HTTP: {error}")

    def eof_received(self) -> None:
        self.open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        ended = self.response.status and not self._framed and exc is None
        self._end("" if ended else CUT)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        self.response.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        response = self.response
        part = self._shorten(body) if self._shorten else body
        if part.endswith(b"\n"):  # nearly every read ends an event
            response.size += len(part)
            response.parts.append((self._now, part))
        else:
            response.add(self._now, part)
        if response.size > MOST_BYTES:
            self.close(f"an answer of more than {MOST_BYTES >> 20} MiB")

    def on_chunk_header(self) -> None:
        self._between_chunks = False

    def on_chunk_complete(self) -> None:
        self._between_chunks = True

    def on_message_complete(self) -> None:
        self._between_chunks = False
        self.reusable = self._parser.should_keep_alive()
        self._end("")

    def _end(self, error: str) -> None:
        if self._done is not None:  # this may be the reader's thread; the future is the loop's
            self._loop.call_soon_threadsafe(_settle, self._done, self.response, error)


def _settle(done: asyncio.Future[None], response: Response, error: str) -> None:
    if not done.done():
        response.error = error
        done.set_result(None)


def _one_chunk(data: bytes) -> bytes | None:
    """The body, if a read is one HTTP chunk and nothing else, as nearly every read is."""
    start = data.find(b"\r\n", 0, 10) + 2
    try:
        size = int(data[: start - 2], 16)
    except ValueError:
        return None
    if not size or len(data) != start + size + 2 or not data.endswith(b"\r\n"):
        return None
    return data[start:-2]


class Pool:
    """Connections to one origin, opened before they are needed and reused."""

    def __init__(self, origin: Origin, make: Callable[[], Connection] = Connection) -> None:
        self.origin = origin
        self._make = make
        self._idle: list[Connection] = []
        self._reader: epoll_reader.EpollReader | None = None
        self.busy: set[Connection] = set()

    async def warm(self, count: int) -> None:
        """Open `count` connections. One that cannot be opened fails when it is needed."""
        found = await asyncio.gather(
            *(self._connect() for _ in range(count)), return_exceptions=True
        )
        self._idle += [c for c in found if isinstance(c, Connection)]

    async def ask(self, request: bytes) -> Response:
        """Send a request, wait for the end of its response. Failures are in `Response.error`."""
        while True:
            connection, error = await self._take()
            if connection is None:
                failed = Response()
                failed.sent, failed.error = perf_counter(), error
                return failed
            reused = connection.used
            self.busy.add(connection)
            try:
                await connection.send(request)
            except asyncio.CancelledError:
                connection.close()
                raise
            finally:
                self.busy.discard(connection)
            response = connection.response
            if response.error == CUT and reused and not response.status:
                continue  # the server had closed this reused connection: ask on a new one
            if connection.open and connection.reusable and not response.error:
                self._idle.append(connection)
            else:
                connection.close()
            return response

    def close(self) -> None:
        for connection in (*self._idle, *self.busy):
            connection.close()
        self._idle.clear()
        if self._reader is not None:
            self._reader.close()

    async def _take(self) -> tuple[Connection | None, str]:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection, ""
        try:
            return await self._connect(), ""
        except TimeoutError:
            return None, f"no connection within {CONNECT_TIMEOUT_S:g} s"
        except OSError as error:
            return None, f"no connection: {error.strerror or error}"

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        o = self.origin
        if o.tls is None and epoll_reader.AVAILABLE:
            self._reader = self._reader or epoll_reader.EpollReader()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._reader.connect(self._make, o.host, o.port)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(
                self._make, o.host, o.port, ssl=o.tls, server_hostname=o.host if o.tls else None
            )
        return connection
