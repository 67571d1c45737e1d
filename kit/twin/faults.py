"""Faults of a server, on purpose: what a client must be ready for.

`kit/data/twin/faults.toml` is the table; `kit twin --fault list` prints it. A fault is written

    cut              after five events of an answer, where it is one that breaks an answer off
    cut:12           after twelve
    stall@/v1/models on this path and those under it; otherwise where text is generated

and holds for all requests of a twin, or for one that names it in the header `x-kit-fault`. An
answer that is not streamed fails before its first byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from starlette.types import ASGIApp, Receive, Scope, Send

from kit import load_data
from kit.errors import InvalidValue, KitError, UnknownName
from kit.twin import event_forms
from kit.twin import faulty_response as response
from kit.twin.errors import error
from kit.twin.faulty_response import Answer, Wire
from kit.twin.sse import dumps

HEADER = b"x-kit-fault"
GENERATES = ("/v1/chat/completions", "/v1/completions", "/generate")
_TABLE = "twin/faults.toml"


@dataclass(frozen=True)
class FaultKind:
    """A row of the table: its sentence, and what is done."""

    name: str
    says: str
    status: int = 0
    media: str = "application/json"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    event: str = ""
    wire: str = ""
    path: str = ""

    @property
    def midway(self) -> bool:
        """Whether it comes after some events of an answer, so that their number can be given."""
        return bool(self.event) or self.wire in response.MIDWAY


@cache
def kinds() -> Mapping[str, FaultKind]:
    """All faults, by name. Raises TypeError for a key of the table that no reader knows."""
    return {name: FaultKind(name, **row) for name, row in load_data.toml(_TABLE).items()}


def listing() -> str:
    """The table, a fault per line; those that take a number of events have `:N`."""
    names = [f"{kind.name}{':N' if kind.midway else ''}" for kind in kinds().values()]
    width = max(map(len, names))
    return "\n".join(
        f"{name:<{width}}  {kind.says}" for name, kind in zip(names, kinds().values(), strict=True)
    )


@dataclass(frozen=True)
class Fault:
    """Which fault, after how many events of an answer, and on which path (its own where empty)."""

    name: str
    after: int = 5
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `cut`, `cut:12` or `cut@/v1/models`. Raises UnknownName, or InvalidValue where a
        number or a path is none."""
        named, at, path = text.strip().partition("@")
        name, colon, after = named.partition(":")
        if name not in kinds():
            raise UnknownName("fault", name, kinds(), more="(all of them: kit twin --fault list)")
        if at and not path.startswith("/"):
            raise InvalidValue(f"{text!r}: no path", f"write it like {name}@/v1/models")
        if not colon:
            return cls(name, path=path)
        if not kinds()[name].midway or not re.fullmatch("[0-9]{1,6}", after):
            raise InvalidValue(f"{text!r} is no fault", "write it like cut:12, or refuse")
        return cls(name, int(after), path)

    @property
    def kind(self) -> FaultKind:
        return kinds()[self.name]

    def holds(self, path: str) -> bool:
        """Whether it happens on this path."""
        under = self.path or self.kind.path
        return path.startswith(under) if under else path in GENERATES

    def __str__(self) -> str:
        after = f":{self.after}" if self.kind.midway else ""
        return f"{self.name}{after}" + (f"@{self.path}" if self.path else "")


class WithFaults:
    """An ASGI application that fails as it is told to: always, or where a request says so."""

    def __init__(self, app: ASGIApp, fault: Fault | None, label: str) -> None:
        self._app = app
        self._fault = fault
        self._label = label

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        asked = next((value for name, value in scope["headers"] if name == HEADER), None)
        try:
            fault = self._fault if asked is None else Fault.parse(asked.decode("latin-1"))
        except KitError as problem:
            body = dumps(error(" ".join(str(problem).split())))
            return await Wire(send, {"x-kit-twin": self._label}).reply(400, body)
        if fault is None or not (fault.holds(scope["path"]) or (asked and not fault.path)):
            return await self._app(scope, receive, send)
        return await self._fail(fault, scope, receive, send)

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        kind, wire = fault.kind, Wire(send, {"x-kit-twin": self._label, **fault.kind.headers})
        if kind.status:
            return await wire.reply(kind.status, kind.body.encode(), kind.media)
        if kind.wire in response.INSTEAD:
            return await response.INSTEAD[kind.wire](wire)
        answer = Answer(self._app, scope, receive, fault.after)
        try:
            await answer.begin(wire)
            if kind.wire in response.MIDWAY:
                await response.midway(response.MIDWAY[kind.wire], wire, answer)
            elif kind.event:
                await response.one_more(b"data: %s\n\n" % kind.event.encode(), wire, answer)
            else:
                await response.other_form(
                    event_forms.FORMS.get(kind.wire, event_forms.as_it_is), wire, answer
                )
        finally:
            await answer.end()
