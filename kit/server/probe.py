"""One GET at a server that may not be there, and two lines for why no answer came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kit.errors import EndpointError

if TYPE_CHECKING:
    from email.message import Message

TIMEOUT_S = 10.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")  # where a proxy could only be in the way
URL_HINT = "check the URL: kit.connect wants the address that /v1/models answers under"


@dataclass(frozen=True)
class HttpReply:
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any  # what JSON it was; None where it was none
    media: str

    @property
    def what(self) -> str:
        """In a word, what came instead of what was wanted."""
        if self.status != 200:
            return f"{self.status}"
        return self.media if self.body is None else "JSON of another kind"


def get(url: str, key: str | None, timeout_s: float = TIMEOUT_S) -> HttpReply:
    """One GET, with the key as a bearer token. Raises EndpointError where no answer comes."""
    import http.client
    import urllib.error
    import urllib.request

    host = urlsplit(url).hostname
    local = urllib.request.ProxyHandler({}) if host in LOOPBACK else urllib.request.ProxyHandler()
    opener = urllib.request.build_opener(local)
    request = urllib.request.Request(url, headers={"accept": "application/json"})
    if key:
        request.add_unredirected_header("authorization", f"Bearer {key}")
    where = url.removesuffix("/v1/models")
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return _reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return _reply(refused.code, refused.headers, refused.read())
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise _unreachable(where, problem, timeout_s) from problem


def _reply(status: int, headers: Message, raw: bytes) -> HttpReply:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    media = (headers.get("content-type") or "no content type").partition(";")[0]
    lowered = {name.lower(): value for name, value in headers.items()}
    return HttpReply(status, lowered, body, media)


def _unreachable(url: str, problem: Exception, timeout_s: float) -> EndpointError:
    """Why no answer came, in two lines."""
    import socket

    reason = getattr(problem, "reason", problem)
    if isinstance(reason, TimeoutError):
        return EndpointError(
            f"{url} took the connection and said nothing for {timeout_s:g} s",
            "it may still be loading its weights: wait, then connect again",
        )
    if isinstance(reason, ConnectionRefusedError):
        return EndpointError(
            f"nothing listens at {url}",
            "start a server there, or take the twin: kit.connect('twin')",
        )
    if isinstance(reason, socket.gaierror):
        host = urlsplit(url).hostname
        return EndpointError(f"no machine is called {host!r} ({url})", "check the URL's spelling")
    said = " ".join(str(reason).split()) or type(reason).__name__
    return EndpointError(f"{url} does not answer in HTTP: {said}", URL_HINT)
