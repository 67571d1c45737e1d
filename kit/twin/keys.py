"""A key per learner, for a twin that many share: who may ask, how much at once, and who used what.

    anna  Yf3…                     a line per learner: a name and its key; # begins a comment

The file is read again when it has changed, so a hub can add to it while the twin runs. As with
SGLang's --api-key, /health and /metrics need no key.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from kit.errors import InvalidValue, KitError
from kit.text_file import append_line, read_text
from kit.twin.errors import Refused, error

MOST_AT_ONCE = 16  # requests of one key, by default: what the lessons' own runs need but for one
_LINE = re.compile(r"([\w.@+-]{1,100})\s+([!-~]{16,200})")
_HINT = "write a line per learner: a name, a space, a key of 16 characters or more"
_ANSWERS = ("/v1/chat/completions", "/v1/completions", "/generate")


@dataclass
class Usage:
    """What one key has used so far."""

    learner: str
    running: int = 0
    requests: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0


class Counted(Protocol):
    """A generation that knows how many tokens it has."""

    given: int


Started = list[tuple[int, Sequence[Counted]]]  # tokens of a prompt, and what answers it

STARTED: ContextVar[Started | None] = ContextVar("started", default=None)  # by this request


class Keys:
    """The keys of a file, which may have none yet; each may have `most_at_once` requests running.

    Raises KitError for a file that cannot be read, InvalidValue for a line that is none, and for a
    name or a key that is there twice.
    """

    def __init__(self, file: Path, most_at_once: int = MOST_AT_ONCE) -> None:
        if most_at_once < 1:
            raise InvalidValue(f"{most_at_once} requests at once", "give 1 or more")
        self.most_at_once = most_at_once
        self._file = file
        self._stamp = _stamp(file)
        self._names = self._read()
        self._usage: dict[str, Usage] = {}

    def usage(self) -> list[Usage]:
        """Of every learner, by name."""
        return [self._of(name) for name in sorted({*self._names.values(), *self._usage})]

    def learner(self, headers: Iterable[tuple[bytes, bytes]]) -> Usage | None:
        """Whose key a request brings; None where it brings none that is known."""
        sent = next((value for name, value in headers if name == b"authorization"), b"")
        kind, _, key = sent.partition(b" ")
        if kind.lower() != b"bearer":
            return None
        if (name := self._names.get(_digest(key.strip()))) is None:
            self._read_again()
            name = self._names.get(_digest(key.strip()))
        return self._of(name) if name else None

    def _read(self) -> dict[bytes, str]:
        return {_digest(key.encode()): name for key, name in read_keys(self._file).items()}

    def _read_again(self) -> None:
        """Where the file has changed. A file that has become wrong leaves the keys as they were."""
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._names = self._read()
        except KitError as problem:
            print(problem, file=sys.stderr, flush=True)

    def _of(self, name: str) -> Usage:
        return self._usage.setdefault(name, Usage(name))


def _digest(key: bytes) -> bytes:
    """What keys are looked up by: how long that takes says nothing of a key."""
    return hashlib.sha256(key).digest()


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


class WithKeys:
    """Lets through requests with a known key, a number of each at once, and counts them."""

    def __init__(self, app: ASGIApp, keys: Keys, refusal: Callable[[Refused], ASGIApp]) -> None:
        self.app = app
        self.keys = keys
        self.refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(("/health", "/metrics")):
            return await self.app(scope, receive, send)
        try:
            usage = self._admitted(scope, path)
        except Refused as problem:
            return await self.refusal(problem)(scope, receive, send)
        if path not in _ANSWERS:
            return await self.app(scope, receive, send)
        return await self._count(usage, scope, receive, send)

    def _admitted(self, scope: Scope, path: str) -> Usage:
        usage = self.keys.learner(scope["headers"])
        if usage is None:
            raise Refused(401, error("This server wants a key that it knows.", "Unauthorized", 401))
        if path in _ANSWERS and usage.running >= self.keys.most_at_once:
            usage.refused += 1
            what = (
                f"{usage.learner} has {usage.running} requests running, and one key may have "
                f"{self.keys.most_at_once} at once here, so that all get their share"
            )
            raise Refused(429, error(what, "RateLimitError", 429))
        return usage

    async def _count(self, usage: Usage, scope: Scope, receive: Receive, send: Send) -> None:
        started: Started = []
        usage.running += 1
        usage.requests += 1
        token = STARTED.set(started)
        try:
            await self.app(scope, receive, send)
        finally:
            STARTED.reset(token)
            usage.running -= 1
            for prompt_tokens, generations in started:
                usage.prompt_tokens += prompt_tokens
                usage.generation_tokens += sum(one.given for one in generations)


def read_keys(file: Path) -> dict[str, str]:
    """Key → name."""
    text = read_text(file, _HINT) if file.exists() and file.stat().st_size else ""
    names: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (line := line.partition("#")[0].strip()):
            continue
        found = _LINE.fullmatch(line)
        if found is None:  # the line itself is not shown: it may hold a key
            raise InvalidValue(f"{file}, line {number}: not a name and a key", _HINT)
        name, key = found.groups()
        if key in names or name in names.values():
            raise InvalidValue(f"{file}, line {number}: {name} or its key is there twice", _HINT)
        names[key] = name
    return names


def add_key(file: Path, learner: str) -> str:
    """The learner's key; a new one is added to the file, which only its owner can read.

    Raises KitError where the file cannot be read or written, InvalidValue for a name that cannot
    stand in it.
    """
    if not re.fullmatch(_LINE.pattern, f"{learner} {'k' * 16}"):
        raise InvalidValue(f"{learner!r} cannot stand in a file of keys", _HINT)
    known = {name: key for key, name in read_keys(file).items()}
    if learner not in known:
        try:
            file.touch(mode=0o600)
        except OSError as problem:
            raise KitError(
                f"{file}: {problem.strerror}", "name a file in a folder of yours"
            ) from problem
        known[learner] = secrets.token_urlsafe(24)
        append_line(file, f"{learner} {known[learner]}")
    return known[learner]
