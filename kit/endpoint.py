"""Which server am I talking to, and what are its numbers worth?

    >>> endpoint = kit.connect()
    twin · SGLang 0.5.23 simulated on h200x8 · http://127.0.0.1:41233, because no URL was given …

`connect` takes the first of: the URL given, KIT_BASE_URL, a server on localhost:30000 or :8000,
the twin. A server that was named and cannot be reached is an error; the twin never takes its
place. A key goes only to a server that was named, never to whatever listens on a local port.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, suppress
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from kit import hardware, page
from kit.error_body import cap_error_body, cap_error_body_async
from kit.errors import EndpointError
from kit.http import LOOPBACK, TIMEOUT_S, checked_key, get, is_plain, masked, shown, transport
from kit.provenance import Provenance, measured, simulated
from kit.server_identity import REFUSED, identify, simulation
from kit.twin.process import TwinProcess
from kit.twin.shared import held, let_go, measure_on

if TYPE_CHECKING:
    import openai

Closing = AsyncGenerator[None, None]

TWIN = "twin"  # as a URL: the twin, whatever else there is
_LOCAL_PORTS = (30000, 8000)
_LOCAL_TIMEOUT_S = 0.5
_LOOK_AGAIN_S = 0.2  # for a twin on which another notebook measures
_ENDINGS = ("/chat/completions", "/models", "/v1")


@dataclass(frozen=True)
class Endpoint:
    """A server that answers. `base_url` has no /v1.

    `profile` is what a twin simulates and `speed` its clock, 1 for real time; `sglang` is the
    version where it is known, `why` the reason for the choice, `provenance` what every figure
    from it carries.
    """

    base_url: str
    model: str
    key: str | None = field(repr=False)
    kind: Literal["live", "twin"]
    profile: str | None
    speed: float
    sglang: str | None
    provenance: Provenance
    why: str = ""
    _kept: _Kept = field(default_factory=lambda: _Kept(), repr=False, compare=False)

    def client(self) -> openai.OpenAI:
        """A plain `openai.OpenAI` for this server; the same one each time."""
        import openai

        if self._kept.client is None:
            http = openai.DefaultHttpxClient(
                trust_env=not self._is_local,
                event_hooks={"response": [cap_error_body]},
                **transport(self.base_url),
            )
            self._kept.client = openai.OpenAI(
                base_url=f"{self.base_url}/v1", api_key=self._sent_key, http_client=http
            )
        return self._kept.client

    def async_client(self) -> openai.AsyncOpenAI:
        """A plain `openai.AsyncOpenAI`; the same one for as long as the event loop is, which
        closes it at its end."""
        import openai

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        kept = self._kept.async_clients
        if loop is not None and loop in kept:
            return kept[loop][0]
        http = openai.DefaultAsyncHttpxClient(
            trust_env=not self._is_local,
            event_hooks={"response": [cap_error_body_async]},
            **transport(self.base_url),
        )
        client = openai.AsyncOpenAI(
            base_url=f"{self.base_url}/v1", api_key=self._sent_key, http_client=http
        )
        if loop is not None:
            for ended in [one for one in list(kept) if one.is_closed()]:
                kept.pop(ended, None)
            closing = _close_with_loop(client, kept, loop)
            kept[loop] = client, closing
            with suppress(StopIteration):  # up to its yield: from here on the loop knows of it
                closing.asend(None).send(None)
        return client

    def server_info(self) -> dict[str, Any]:
        """What SGLang says of its settings and state, but for its keys. Raises EndpointError."""
        for path in ("/server_info", "/get_server_info"):
            reply = get(self.base_url + path, self.key)
            if reply.status == 200 and isinstance(reply.json, dict):
                found: dict[str, Any] = masked(reply.json, self.key)
                return found
        raise EndpointError(
            f"{self.base_url} has no /server_info: it is not an SGLang server",
            "ask SGLang, or the twin: kit.connect('twin')",
        )

    def close(self) -> None:
        """Close the connections, and let go of the twin: it ends where nobody else holds it."""
        if self._kept.client is not None:
            self._kept.client.close()
            self._kept.client = None
        let_go(self.base_url)

    async def measuring(self) -> AbstractContextManager[Any]:
        """For the time of a benchmark: waits, with a word, for another notebook that measures on
        the same twin, and keeps others waiting until it is closed."""
        lock = measure_on(self.base_url)
        if lock is None:
            print("another notebook measures on this twin: waiting until it is done", flush=True)
        while lock is None:
            await asyncio.sleep(_LOOK_AGAIN_S)
            lock = measure_on(self.base_url)
        return lock

    @property
    def _sent_key(self) -> str:
        """What the openai client is given; it insists on a key."""
        return checked_key(self.key) if self.key else "none"

    @property
    def _is_local(self) -> bool:
        """Whether a proxy could only be in the way."""
        return urlsplit(self.base_url).hostname in LOOPBACK

    def __str__(self) -> str:
        if self.kind == "twin":
            what = simulation(f"{self.profile}", self.speed, f"{self.sglang} simulated")
        else:
            version = f"SGLang {self.sglang}" if self.sglang else "OpenAI-compatible"
            what = f"{self.model} · {version}"
        return f"{self.kind} · {what} · {self.base_url}"


@dataclass
class _Kept:
    """What an endpoint keeps open."""

    client: openai.OpenAI | None = None
    async_clients: dict[asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, Closing]] = field(
        default_factory=dict
    )


async def _close_with_loop(
    client: openai.AsyncOpenAI,
    kept: dict[asyncio.AbstractEventLoop, tuple[openai.AsyncOpenAI, Closing]],
    loop: asyncio.AbstractEventLoop,
) -> Closing:
    """Closes the client when the loop ends: `asyncio.run` ends the generators that began in it."""
    try:
        yield
    finally:
        kept.pop(loop, None)
        await client.close()


def connect(
    url: str | None = None,
    key: str | None = None,
    model: str | None = None,
    *,
    profile: str | None = None,
    speed: float | None = None,
    sglang: str | None = None,
    quiet: bool = False,
) -> Endpoint:
    """Find a server, and say in one line which and why.

    `url` may end in /v1 or not; "twin" is the twin. `model` is needed only where a server has
    several. `key` is KIT_API_KEY where none is given; it goes to the server that is named, by
    `url` or KIT_BASE_URL, and to no other. `profile` ("h200x8"), `speed` (1) and `sglang` (the
    kit's) are what the twin simulates, and how fast; they mean nothing to another server. A twin
    on a local port that simulates something else is left alone.
    Raises EndpointError for a server that cannot be reached, refuses the key or is no
    OpenAI-compatible server; UnknownName for a model or profile; LaunchError for a twin that
    does not start.
    """
    page.excuse_shells()
    key = key or os.environ.get("KIT_API_KEY")
    model = model or os.environ.get("KIT_MODEL") or None
    named = url or os.environ.get("KIT_BASE_URL")
    asked = _Asked(profile, speed, sglang)
    if named == TWIN:
        endpoint = _twin(asked, model, "because the twin was asked for")
    elif named:
        why = "because its URL was given" if url else "because KIT_BASE_URL names it"
        endpoint = open_endpoint(base_url(named), checked_key(key) if key else None, model, why)
    else:
        found = _local(model, asked)
        endpoint = _twin(asked, model, found) if isinstance(found, str) else found
    if not quiet:
        end = "\n  " if len(endpoint.why) > 40 else " "  # a long line is broken within a word
        print(f"{endpoint},{end}{endpoint.why}")
    return endpoint


def base_url(url: str) -> str:
    """The address of a server without /v1 and what may follow it.

    Raises EndpointError, for one that holds a user's name, a password or a query as well: an
    address is printed and saved, and these may be keys.
    """
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    text = text.rstrip("/")
    for ending in _ENDINGS:
        text = text.removesuffix(ending).rstrip("/")
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if fine and set("@?#") & set(text):
        raise EndpointError(
            f"{shown(url)!r} holds a name, a password or a query: an address is shown and saved",
            'give the address alone, and the key apart: kit.connect(url, key="…"), or KIT_API_KEY',
        )
    if not fine or any(c.isspace() or not is_plain(c) for c in text):
        raise EndpointError(f"{shown(url)!r} is no URL", "give one like http://localhost:30000")
    return text


@dataclass(frozen=True)
class _Asked:
    """What a twin shall simulate; None is any."""

    profile: str | None
    speed: float | None
    sglang: str | None

    @property
    def settings(self) -> tuple[str, float, str]:
        name = hardware.profile(self.profile or "h200x8").name
        speed = 1.0 if self.speed is None else float(self.speed)
        return name, speed, self.sglang or hardware.SGLANG

    def differs(self, found: Endpoint) -> str:
        """How a twin differs from what is asked for; empty where it does not, or is no twin."""
        given, theirs = astuple(self), (found.profile, found.speed, found.sglang)
        same = (g is None or w == t for g, w, t in zip(given, self.settings, theirs, strict=True))
        if found.kind != "twin" or all(same):
            return ""
        return f"{simulation(*theirs)}, not {simulation(*self.settings)}"


def _local(model: str | None, asked: _Asked) -> Endpoint | str:
    """A server on a port where they usually are, or why there is none to take. Nobody named it, so
    it is asked without a key."""
    if page.HERE:
        return "because no URL was given, and this is a browser's page: it runs here"
    locked = other = ""
    for port in _LOCAL_PORTS:
        try:
            why, url = f"because it answers on localhost:{port}", f"http://127.0.0.1:{port}"
            found = open_endpoint(url, None, model, why, _LOCAL_TIMEOUT_S)
        except EndpointError as problem:
            locked = locked or (f"localhost:{port}" if REFUSED in problem.what else "")
            continue
        if not (difference := asked.differs(found)):
            return found
        other = other or f"the server on localhost:{port} is a twin of {difference}"
    if other:
        return f"because {other}"
    if locked:
        return f"because no URL was given, and {locked} wants a key: name it, and it gets yours"
    return "because no URL was given, and nothing answers on localhost:30000 or :8000"


def open_endpoint(
    url: str, key: str | None, model: str | None, why: str, timeout_s: float = TIMEOUT_S
) -> Endpoint:
    """The server at `url`, asked within `timeout_s` in all; `connect` for a reader says which.

    Raises as `connect` does.
    """
    found = identify(url, key, model, timeout_s)
    if found.twin is None:
        version = f", SGLang {found.sglang}" if found.sglang else ""
        worth = measured(f"{found.model} at {url}{version}")
        return Endpoint(url, found.model, key, "live", None, 1.0, found.sglang, worth, why)
    behind = ", behind a router, by this computer's clock" if found.behind_router else ""
    profile, speed, sglang = found.twin
    worth = simulated(f"twin of {simulation(*found.twin)}{behind}")
    return Endpoint(url, found.model, key, "twin", profile, speed, sglang, worth, why)


def _twin(asked: _Asked, model: str | None, why: str) -> Endpoint:
    """The twin that simulates this, shared with this user's other processes."""
    running = held(*asked.settings)
    if isinstance(running, TwinProcess):
        why += "; no other notebook shares it: there is no private folder (KIT_TWIN_FOLDER)"
    return open_endpoint(running.url, None, model, why)
