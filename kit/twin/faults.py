"""Faults of a server, on purpose: what a client must be ready for.

    refuse     every request is refused for its key (401)
    rate429    every generation is over the rate limit (429)
    error500   every generation is an internal error (500)
    stall      an answer stops, and its connection stays open
    cut        an answer stops, and its connection is dropped
    broken     an answer ends in an error object

The last three happen after a number of steps: `cut:12` after twelve, `cut` after five. An answer
that is not streamed fails before its first byte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kit.errors import InvalidValue, UnknownName
from kit.twin.errors import Refused, error
from kit.twin.sse import DONE, ResponseWriter

AT_ONCE = ("refuse", "rate429", "error500")
MIDWAY = ("stall", "cut", "broken")


@dataclass(frozen=True)
class Fault:
    """Which fault, and after how many steps of an answer."""

    name: str
    after: int = 5

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `cut` or `cut:12`. Raises UnknownName, or InvalidValue where that is no number."""
        name, colon, after = text.partition(":")
        if name not in AT_ONCE + MIDWAY:
            raise UnknownName("fault", name, AT_ONCE + MIDWAY)
        if not colon:
            return cls(name)
        if name in AT_ONCE or not after.isdigit():
            raise InvalidValue(f"{text!r} is no fault", "write it like cut:12, or refuse")
        return cls(name, int(after))

    def __str__(self) -> str:
        return self.name if self.name in AT_ONCE else f"{self.name}:{self.after}"


def refusal(fault: Fault | None, generates: bool) -> Refused | None:
    """The error that a request gets before it is read; None where it is served. `generates` is
    whether it asks for tokens, and not only about the server."""
    if fault is None:
        return None
    if fault.name == "refuse":
        return Refused(401, {"error": "Unauthorized"})
    if fault.name == "rate429" and generates:
        return Refused(429, error("Too many requests", kind="RateLimitError", code=429))
    if fault.name == "error500" and generates:
        died = "The scheduler died: CUDA out of memory"
        return Refused(500, error(died, kind="InternalServerError", code=500))
    return None


def response_writer(fault: Fault | None, stream: bool) -> ResponseWriter:
    """The writer for an answer; with a fault, one that fails."""
    if fault is None or fault.name not in MIDWAY:
        return ResponseWriter()
    return _FailingWriter(fault, fault.after if stream else 0)


class _FailingWriter(ResponseWriter):
    """Passes on some parts, then fails; later parts are lost."""

    def __init__(self, fault: Fault, parts: int) -> None:
        super().__init__()
        self._fault = fault
        self._left = parts
        self._failed = False

    def put(self, part: bytes, due_s: float | None = None) -> None:
        if self._failed:
            return
        if self._left > 0:
            self._left -= 1
            super().put(part, due_s)
            return
        self._failed = True
        if self._fault.name == "cut":
            self.drop()
        elif self._fault.name == "broken":
            problem = error("Generation aborted.", kind="INTERNAL_SERVER_ERROR", code=500)
            super().put(b"data: " + json.dumps({"error": problem}).encode() + b"\n\n" + DONE)
            super().close()

    def close(self) -> None:
        if not self._failed or self.broken:
            super().close()
