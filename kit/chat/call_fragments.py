"""Fragments of tool calls → calls.

The standard: one `index` a call, its id and name in the first fragment alone. What is also sent:
every call under index 0; no index, no id, or an index as text; the id or the name again in each
fragment, or another id in each; arguments as an object; the whole call once more at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.chat.content import characters
from kit.chat.events import ToolCall
from kit.errors import EndpointError

MOST_CALLS = 1000  # of one answer
MOST_ARGUMENTS = 512 * 2**10  # characters of one call: each event has all of them so far


@dataclass(frozen=True)
class Fragment:
    """What one delta says of one call. Empty text where it says nothing; `index` None likewise."""

    index: int | None
    id: str
    name: str
    arguments: str


def fragment(sent: Mapping[str, Any]) -> Fragment:
    """An entry of `tool_calls`, or the `function_call` that these replaced."""
    function = sent.get("function")
    if isinstance(function, str):
        function = {"name": function}
    inner = function if isinstance(function, Mapping) else sent
    arguments = inner.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    index = sent.get("index")
    if isinstance(index, str):
        index = int(index) if index.isdecimal() and len(index) < 20 else None
    return Fragment(
        index if isinstance(index, int) else None,
        _str(sent.get("id")),
        _str(inner.get("name")),
        characters(arguments),
    )


class Calls:
    """The calls of one answer so far, each under an index of its own."""

    def __init__(self) -> None:
        self._calls: dict[int, ToolCall] = {}
        self._at: dict[int | None, int] = {}  # the server's index → ours, of its latest call

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, part: Fragment) -> list[ToolCall]:
        """The call that the fragment belongs to as it stands now, after those that it ends. Raises
        EndpointError where that is too much for one answer."""
        before = self._found(part)
        if before is None or _begins_another(before, part):
            before = self._begin(part)
        call = ToolCall(
            before.index,
            before.id or part.id,
            before.name or part.name,
            _joined(before.arguments, part),
        )
        ended = [self._close(c) for c in self._open() if c.index < call.index]
        self._calls[call.index] = call
        return [*ended, call]

    def close(self) -> list[ToolCall]:
        """Those that were open: nothing can follow."""
        return [self._close(call) for call in self._open()]

    def _found(self, part: Fragment) -> ToolCall | None:
        """The call that the server means, if it has sent anything of it."""
        if part.index is None and part.id:
            same = (call for call in self._calls.values() if call.id == part.id)
            return next(same, None)
        at = self._at.get(part.index)
        return None if at is None else self._calls[at]

    def _begin(self, part: Fragment) -> ToolCall:
        if len(self._calls) == MOST_CALLS:
            raise _too_much(f"more than {MOST_CALLS:,} tool calls")
        free = max(self._calls, default=-1) + 1
        taken = part.index is None or part.index in self._calls
        index = free if taken or part.index is None else part.index
        self._at[part.index] = index
        self._calls[index] = ToolCall(index, "", "", "")
        return self._calls[index]

    def _open(self) -> list[ToolCall]:
        return [call for call in self._calls.values() if not call.done]

    def _close(self, call: ToolCall) -> ToolCall:
        done = ToolCall(call.index, call.id, call.name, call.arguments, done=True)
        self._calls[call.index] = done
        return done


def _begins_another(call: ToolCall, part: Fragment) -> bool:
    """Whether a fragment under a known index is the first of another call."""
    whole = _is_object(call.arguments)
    if part.id and call.id and part.id != call.id:
        return bool(part.name) or whole  # else a server that gives each fragment another id
    if part.name and call.name and part.name != call.name:
        return whole or not part.id
    again = part.name and not part.id and part.arguments.lstrip().startswith("{")
    return bool(again and whole)


def _joined(arguments: str, part: Fragment) -> str:
    """The arguments so far and those of the fragment, which may repeat or replace them."""
    if arguments.strip() and _is_object(arguments):
        if part.arguments == arguments:
            return arguments  # the whole call, once more
        if arguments.strip() == "{}" and part.arguments.lstrip().startswith("{"):
            return part.arguments  # a placeholder stood there
    if len(arguments) > MOST_ARGUMENTS:
        raise _too_much(f"a tool call of more than {MOST_ARGUMENTS // 2**10} KiB")
    return arguments + part.arguments


def _too_much(what: str) -> EndpointError:
    return EndpointError(f"the server sends {what} in one answer", "ask again with max_tokens")


def _is_object(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _str(value: Any) -> str:
    return characters(value) if isinstance(value, str) else "" if value is None else str(value)
