"""The one GET: servers that may not be there, and pictures on the web.

    reply = get("http://localhost:30000/v1/models", key)
    reply.status, reply.json

A reply is a reply whatever its status. `fetch` raises `NoReply` where none came; `get` turns
that into two lines for whoever gave the URL of a server.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

from kit.errors import EndpointError

TIMEOUT_S = 10.0
MAX_BYTES = 64 * 2**20  # SGLang's own limit for a file that it fetches
LOOPBACK = ("localhost", "127.0.0.1", "::1")  # where a proxy could only be in the way
URL_HINT = "check the URL: kit.connect wants the address that /v1/models answers under"
_MAX_REDIRECTS = 10

Reason = Literal["too late", "refused", "unknown host", "unreachable", "too large", "broken"]


@dataclass(frozen=True)
class HttpReply:
    """A whole HTTP reply. Header names are in lower case."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    @cached_property
    def json(self) -> Any:
        """The content as JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "no content type").partition(";")[0]

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
    along. Raises NoReply, for a reply that takes longer than `timeout_s` or is larger than
    `max_bytes` as well.
    """
    import httpx2

    headers = {"accept": accept, "accept-encoding": "identity", "user-agent": "qwen35-serving-kit"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    until_s = time.monotonic() + timeout_s
    content = bytearray()
    try:
        client = httpx2.Client(
            verify=_certificates(),
            trust_env=urlsplit(url).hostname not in LOOPBACK,
            timeout=timeout_s,
            follow_redirects=True,
            max_redirects=_MAX_REDIRECTS,
        )
        with client, client.stream("GET", url, headers=headers) as reply:
            for piece in reply.iter_bytes():
                content += piece
                if len(content) > max_bytes:
                    raise NoReply("too large", f"more than {max_bytes / 2**20:.0f} MiB")
                if time.monotonic() > until_s:
                    raise NoReply("too late", f"more than {timeout_s:g} s")
            head = {name.lower(): value for name, value in reply.headers.items()}
            return HttpReply(reply.status_code, reply.reason_phrase, head, bytes(content))
    except httpx2.TimeoutException as problem:
        raise NoReply("too late", f"nothing for {timeout_s:g} s") from problem
    # ImportError: a SOCKS proxy in the environment, and no package for it
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, ImportError) as problem:
        raise _no_reply(problem, isinstance(problem, httpx2.ConnectError)) from problem


def get(url: str, key: str | None = None, timeout_s: float = TIMEOUT_S) -> HttpReply:
    """`fetch`, with an error for whoever named the server: EndpointError where no reply comes."""
    try:
        return fetch(url, key, timeout_s=timeout_s)
    except NoReply as problem:
        raise _unreachable(url.removesuffix("/v1/models"), problem, timeout_s) from problem


def get_json(url: str, path: str, key: str | None = None, timeout_s: float = TIMEOUT_S / 2) -> Any:
    """The JSON at `path`; None where nothing answers 200 with JSON."""
    try:
        reply = get(url.rstrip("/") + path, key, timeout_s)
    except EndpointError:
        return None
    return reply.json if reply.status == 200 else None


def healthy(url: str, timeout_s: float = 2.0) -> bool:
    """Whether a server can serve: SGLang's /health answers 503 until then, and 200 after."""
    try:
        return get(url.rstrip("/") + "/health", timeout_s=timeout_s).status == 200
    except EndpointError:
        return False


def served_model(url: str, key: str | None = None) -> str | None:
    """The name of the first model that an OpenAI-compatible server offers; None without one."""
    try:
        return str(get_json(url, "/v1/models", key)["data"][0]["id"])
    except (TypeError, KeyError, IndexError):
        return None


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


def _unreachable(url: str, problem: NoReply, timeout_s: float) -> EndpointError:
    """Why no reply came, in two lines."""
    if problem.reason == "too late":
        return EndpointError(
            f"{url} took the connection and said nothing for {timeout_s:g} s",
            "it may still be loading its weights: wait, then connect again",
        )
    if problem.reason == "refused":
        return EndpointError(
            f"nothing listens at {url}",
            "start a server there, or take the twin: kit.connect('twin')",
        )
    if problem.reason == "unknown host":
        host = urlsplit(url).hostname
        return EndpointError(f"no machine is called {host!r} ({url})", "check the URL's spelling")
    return EndpointError(f"{url} does not answer in HTTP: {problem.detail}", URL_HINT)
