"""The one GET: servers that may not be there, and pictures on the web.

    reply = get("http://localhost:30000/v1/models", key)
    reply.status, reply.json

A reply is a reply whatever its status. `fetch` raises `NoReply` where none came; `get` turns
that into two lines for whoever gave the URL of a server.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from threading import Thread
from typing import Any, Literal
from urllib.parse import urlsplit

from kit import page
from kit.errors import UNSHOWABLE, EndpointError

TIMEOUT_S = 10.0
MAX_BYTES = 64 * 2**20  # SGLang's own limit for a file that it fetches
MAX_JSON_BYTES = 16 * 2**20  # what a server says of itself is a few hundred KB at most
MAX_NAME = 512  # characters of a model's name
LOOPBACK = ("localhost", "127.0.0.1", "::1")  # where a proxy could only be in the way
URL_HINT = "check the URL: kit.connect wants the address that /v1/models answers under"
HIDDEN = "…"  # stands where a key would be
_SECRETS = ("api_key", "admin_api_key")  # fields of SGLang's /server_info
_TOLD = re.compile(r"(--(?:admin-)?api-key[= ])('[^']*'|\"[^\"]*\"|\S+)")
_KEY = re.compile("[!-~]+")  # a bearer token is visible ASCII, RFC 6750
_MAX_REDIRECTS = 10

Reason = Literal[
    "too late", "refused", "unknown host", "unreachable", "too large", "broken", "kept from page"
]
_CORS = (
    "SGLang allows every origin, and so does its router without --cors-allowed-origins; vLLM those "
    "of --allowed-origins; before others put a proxy that adds Access-Control-Allow-Origin"
)


@dataclass(frozen=True)
class HttpReply:
    """A whole HTTP reply. Header names are in lower case."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    @cached_property
    def json(self) -> Any:
        """The content as JSON; None where it is none, or nested thousands deep."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "no content type").partition(";")[0][:80]

    @property
    def summary(self) -> str:
        """What came instead of the JSON that was wanted, in a word."""
        if self.status != 200:
            return f"{self.status}"
        return self.media_type if self.json is None else "JSON of another kind"


class NoReply(Exception):
    """No whole reply came. `detail` is what the system or the protocol says about it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Key(str):
    """An API key. Its repr does not show it, so that no notebook keeps it by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


def checked_key(key: str) -> Key:
    """The key, if it can be sent. Raises EndpointError, which does not show it."""
    if not _KEY.fullmatch(key):
        raise EndpointError(
            "the API key holds a line break, a blank, or a letter beyond ASCII: no header takes it",
            "copy the key alone, without the end of its line, into KIT_API_KEY",
        )
    return Key(key)


def hidden(text: str, key: str | None) -> str:
    """What a server says, without the key, should it repeat it."""
    return text.replace(key, HIDDEN) if key and len(key) > 3 else text


def shown(url: str) -> str:
    """An address as it may be shown: without a user's name, a password or a query, any of which
    may hold a key."""
    scheme, mark, rest = url.rpartition("://")
    if "@" in url:
        rest = f"{HIDDEN}@{url.rpartition('@')[2]}"
    address = re.split("[?#]", rest, maxsplit=1)[0]
    return f"{scheme}{mark}{address}" + (f"?{HIDDEN}" if address != rest else "")


def masked(found: Any, key: str | None = None) -> Any:
    """JSON without keys: SGLang's /server_info tells them in fields of their own, and again in
    the command that it was started by."""
    if isinstance(found, dict):
        return {k: HIDDEN if k in _SECRETS and v else masked(v, key) for k, v in found.items()}
    if isinstance(found, list):
        return [masked(one, key) for one in found]
    return _TOLD.sub(rf"\1{HIDDEN}", hidden(found, key)) if isinstance(found, str) else found


def fetch(
    url: str,
    key: str | None = None,
    *,
    accept: str = "application/json",
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_BYTES,
) -> HttpReply:
    """One GET, redirects followed, with the key as a bearer token.

    Only http and https are spoken, and a redirect to another server does not take the key
    along. Raises NoReply, for a reply that takes longer than `timeout_s` in all or is larger
    than `max_bytes` as well; EndpointError for a key that cannot be sent.
    """
    headers = {"accept": accept, "accept-encoding": "identity", "user-agent": "qwen35-serving-kit"}
    if key:
        headers["authorization"] = f"Bearer {checked_key(key)}"
    if page.HERE or _app(url) is not None:
        return page.wait_for(_fetch_in_page(url, headers, timeout_s, max_bytes))
    _certificates()  # loads the library too, which is not the server's time
    call = _Call(url, headers, timeout_s, max_bytes)
    Thread(target=call.run, name="kit.http", daemon=True).start()
    try:
        return call.result.result(timeout_s)
    except TimeoutError:
        raise NoReply("too late", f"{call.state} {timeout_s:g} s") from None
    finally:
        call.give_up()


def _app(url: str) -> page.App | None:
    """The server of this process at an address, if it is one."""
    parts = urlsplit(url)
    return page.apps.get(f"{parts.scheme}://{parts.netloc}")


async def _fetch_in_page(
    url: str, headers: dict[str, str], timeout_s: float, max_bytes: int
) -> HttpReply:
    """`fetch` without threads and sockets: by the browser, or from a server of this process."""
    import httpx2

    content = bytearray()
    options: dict[str, Any] = {"headers": headers, "follow_redirects": True, "timeout": timeout_s}
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx2.AsyncClient(**transport(url), **options) as client,
            client.stream("GET", url) as reply,
        ):
            async for piece in reply.aiter_bytes():
                content += piece
                if len(content) > max_bytes:
                    raise NoReply("too large", f"more than {max_bytes / 2**20:.0f} MiB")
            head = {name.lower(): value for name, value in reply.headers.items()}
            return HttpReply(reply.status_code, reply.reason_phrase, head, bytes(content))
    except (TimeoutError, httpx2.TimeoutException):
        raise NoReply("too late", f"gave no whole answer within {timeout_s:g} s") from None
    except httpx2.ConnectError as problem:  # a browser does not say why
        raise NoReply("kept from page", " ".join(str(problem).split())) from problem
    except httpx2.HTTPError as problem:
        raise NoReply("broken", " ".join(str(problem).split())) from problem


def transport(url: str) -> dict[str, Any]:
    """How httpx2's clients, plain or asynchronous, reach a URL in a page: arguments for them."""
    import httpx2

    if (app := _app(url)) is not None:
        from kit.asgi_client import AsgiTransport

        return {"transport": AsgiTransport(app)}
    if page.HERE:  # the browser has limits of its own, and httpx2 warns of any other
        return {"limits": httpx2.Limits(max_connections=100, max_keepalive_connections=20)}
    return {}


class _Call:
    """One GET in a thread of its own: only so can it be given up wherever it stands, while a name
    is looked up or a header comes in byte by byte."""

    def __init__(self, url: str, headers: dict[str, str], timeout_s: float, max_bytes: int) -> None:
        self._url, self._headers = url, headers
        self._timeout_s, self._max_bytes = timeout_s, max_bytes
        self._sockets: list[socket.socket] = []
        self._given_up = False
        self.state = "gave no connection within"
        self.result: Future[HttpReply] = Future()

    def run(self) -> None:
        import httpx2

        try:
            reply = self._ask()
        except NoReply as problem:
            self.result.set_exception(problem)
        except httpx2.TimeoutException:
            self.result.set_exception(NoReply("too late", f"{self.state} {self._timeout_s:g} s"))
        except httpx2.InvalidURL:  # its words quote the address, with a key that may be in it
            self.result.set_exception(NoReply("broken", "this is no address that HTTP takes"))
        except (httpx2.HTTPError, OSError, ValueError, ImportError) as problem:
            # ImportError: a SOCKS proxy in the environment, and no package for it
            failed = _no_reply(problem, isinstance(problem, httpx2.ConnectError))
            failed.__cause__ = problem
            self.result.set_exception(failed)
        except Exception as problem:  # noqa: BLE001, raised again where the result is awaited
            self.result.set_exception(problem)
        else:
            self.result.set_result(reply)

    def give_up(self) -> None:
        """End the call, if it has not ended: whoever reads from its connection gets an end."""
        self._given_up = True
        if not self.result.done():
            for one in self._sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> HttpReply:
        import httpx2

        client = httpx2.Client(
            verify=_certificates(),
            trust_env=urlsplit(self._url).hostname not in LOOPBACK,
            timeout=self._timeout_s,
            follow_redirects=True,
            max_redirects=_MAX_REDIRECTS,
        )
        content = bytearray()
        with (
            client,
            client.stream(
                "GET", self._url, headers=self._headers, extensions={"trace": self._trace}
            ) as reply,
        ):
            self.state = "gave no whole answer within"
            for piece in reply.iter_bytes():
                content += piece
                if len(content) > self._max_bytes:
                    raise NoReply("too large", f"more than {self._max_bytes / 2**20:.0f} MiB")
            head = {name.lower(): value for name, value in reply.headers.items()}
            return HttpReply(reply.status_code, reply.reason_phrase, head, bytes(content))

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpcore2 at each step; a step that connects gives a stream."""
        if self._given_up:
            raise NoReply("too late", "given up")
        found = getattr(info.get("return_value"), "get_extra_info", None)
        if found is not None and (connection := found("socket")) is not None:
            self._sockets.append(connection)
            self.state = "took the connection and said nothing for"


def get(url: str, key: str | None = None, timeout_s: float = TIMEOUT_S) -> HttpReply:
    """`fetch`, with an error for whoever named the server: EndpointError where no reply comes."""
    try:
        return fetch(url, key, timeout_s=timeout_s, max_bytes=MAX_JSON_BYTES)
    except NoReply as problem:
        raise _unreachable(url.removesuffix("/v1/models"), problem) from problem


def get_json(url: str, path: str, key: str | None = None, timeout_s: float = TIMEOUT_S / 2) -> Any:
    """The JSON at `path`; None where nothing answers 200 with JSON."""
    try:
        reply = get(url.rstrip("/") + path, key, timeout_s)
    except EndpointError:
        return None
    return reply.json if reply.status == 200 else None


def healthy(url: str) -> bool:
    """Whether a server can serve: SGLang's /health answers 503 until then, and 200 after."""
    try:
        return get(url.rstrip("/") + "/health", timeout_s=2.0).status == 200
    except EndpointError:
        return False


def served_model(url: str, key: str | None = None) -> str | None:
    """The name of the first model that an OpenAI-compatible server offers; None without one."""
    names = model_names(get_json(url, "/v1/models", key))
    return names[0] if names else None


def model_names(found: Any) -> list[str] | None:
    """The names in a server's list of models that can be shown; None where it is no such list."""
    entries = found.get("data") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return None
    names = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return [n for n in names if isinstance(n, str) and 0 < len(n) <= MAX_NAME and is_plain(n)]


def is_plain(name: str) -> bool:
    """Whether a name is what it looks like: nothing in it acts on a terminal."""
    return not UNSHOWABLE.search(name)


@cache
def _certificates() -> ssl.SSLContext:
    """The certificates that this machine trusts, loaded once: it takes 40 ms."""
    import httpx2

    return httpx2.create_ssl_context()


def _no_reply(problem: BaseException, connecting: bool) -> NoReply:
    """The reason out of what lies beneath httpx2's error."""
    reason: Reason = "unreachable" if connecting else "broken"
    detail = " ".join(str(problem).split()) or type(problem).__name__
    for cause in _causes(problem):
        if isinstance(cause, OSError) and cause.strerror:
            detail = cause.strerror
        if isinstance(cause, ConnectionRefusedError):
            reason = "refused"
        if isinstance(cause, socket.gaierror):
            reason = "unknown host"
    return NoReply(reason, detail)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made of: httpcore2 keeps the system's error as an argument."""
    while problem is not None:
        yield problem
        within = (problem.__cause__, *problem.args)
        problem = next((one for one in within if isinstance(one, BaseException)), None)


def _unreachable(url: str, problem: NoReply) -> EndpointError:
    """Why no reply came, in two lines."""
    url = shown(url)
    if problem.reason == "too late":
        return EndpointError(
            f"{url} {problem.detail}",
            "it may still be loading its weights: wait, then connect again",
        )
    if problem.reason == "too large":
        return EndpointError(f"{url} answers with {problem.detail}", URL_HINT)
    if problem.reason == "refused":
        return EndpointError(
            f"nothing listens at {url}",
            "start a server there, or take the twin: kit.connect('twin')",
        )
    if problem.reason == "kept from page":
        if page.origin().startswith("https:") and url.startswith("http:"):
            return EndpointError(
                f"{url} did not answer this page: one that came by https may ask https alone, "
                "and this computer",
                "give the server a certificate, or a proxy that has one; or run the course there",
            )
        return EndpointError(
            f"{url} did not answer this page: nothing listens there, or it keeps its answers "
            "from pages of other origins (CORS)",
            _CORS,
        )
    if problem.reason == "unknown host":
        host = urlsplit(url).hostname
        return EndpointError(f"no machine is called {host!r} ({url})", "check the URL's spelling")
    return EndpointError(f"{url} does not answer in HTTP: {problem.detail}", URL_HINT)
