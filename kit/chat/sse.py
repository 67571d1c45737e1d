"""Server-sent events → the JSON that they carry. Pure: bytes in, values out.

More is taken than the standard wants, because servers and the gateways before them send more:
comments in a `data` field, events without data, a body of plain JSON where the stream should be,
an error glued to a chunk that broke off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
_KEEP_ALIVE = re.compile(r":.*|(?:ping|heartbeat|keep-?alive)?", re.IGNORECASE | re.DOTALL)
_DONE = "[DONE]"


class EventDecoder:
    """Decodes one stream. `done` once its `[DONE]` has come: what follows is not read."""

    def __init__(self) -> None:
        self.done = False
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._bare: list[str] = []  # lines that are no field: a body without events

    def feed(self, received: bytes) -> Iterator[Any]:
        """The values of the events that are whole. Raises ValueError for data that is no JSON."""
        *lines, self._rest = _LINE_END.split(self._rest + received)
        for line in lines:
            if not self.done:
                yield from self._line(line.decode("utf-8", "replace").removeprefix("\ufeff"))

    def flush(self) -> Iterator[Any]:
        """What the end of the stream makes whole."""
        if self.done:
            return
        yield from self.feed(b"\n\n")
        if self._bare:
            yield _json("\n".join(self._bare))

    def _line(self, line: str) -> Iterator[Any]:
        field, colon, value = line.partition(":")
        match field:
            case "":
                if not colon:
                    yield from self._dispatch()
            case "data":
                self._data.append(value.removeprefix(" "))
            case "event":
                self._event = value.strip()
            case "id" | "retry":
                pass
            case _:
                yield from self._bare_line(line)

    def _bare_line(self, line: str) -> Iterator[Any]:
        """A line outside of any field: an object on a line of its own, or a part of one."""
        try:
            value = json.loads(line) if line.startswith("{") else None
        except ValueError:
            value = None
        if value is None:
            self._bare.append(line)
        else:
            yield value

    def _dispatch(self) -> Iterator[Any]:
        event, self._event = self._event, ""
        lines, self._data = self._data, []
        text = "\n".join(lines).strip()
        if text.startswith(_DONE):
            self.done = True
        elif _KEEP_ALIVE.fullmatch(text):
            return
        elif event == "error" and not text.startswith("{"):
            yield {"error": text}
        else:
            yield from _values(text, lines)


def _values(text: str, lines: list[str]) -> Iterator[Any]:
    """The value of one event; the error in it, where that follows a chunk that broke off."""
    try:
        yield json.loads(text)
    except ValueError:
        if len(lines) < 2:
            raise ValueError(f"no JSON: {text[:60]!r}") from None
        yield _json(lines[-1])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"no JSON: {' '.join(text.split())[:60]!r}") from None
