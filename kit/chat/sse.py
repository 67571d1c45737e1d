"""Server-sent events → the JSON that they carry. Pure: bytes in, values out.

More is taken than the standard wants, because servers and the gateways before them send more:
comments in a `data` field, events without data, a body of plain JSON where the stream should be,
an error glued to a chunk that broke off. Time and memory are linear in what arrives, and one event
has a limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
_KEEP_ALIVE = re.compile(r":.*|(?:ping|heartbeat|keep-?alive)?", re.IGNORECASE | re.DOTALL)
_DONE = "[DONE]"
# A twin's comment: its own time at the end of a step, that of the request's arrival, and the
# monotonic clock's at which the bytes were due. No data can hold a line that ends so.
TWIN_TIMES = re.compile(rb": twin at (-?\d+\.\d+) of (-?\d+\.\d+) due (\d+\.\d+)(?:\r\n|\n|\r)")
_TWIN = " twin at "
MAX_EVENT = 32 * 2**20  # bytes of one event: an answer of a million tokens is a sixth of that


class EventDecoder:
    """Decodes one stream. `done` once its `[DONE]` has come: what follows is not read.

    `mangled` once something was no UTF-8: it stands as U+FFFD. `within` while an event has begun.
    `twin_s` is when the newest event was due by a twin's own clock, in seconds since the request
    arrived; None where the stream does not say.
    """

    def __init__(self) -> None:
        self.done = False
        self.mangled = False
        self.twin_s: float | None = None
        self._rest: list[bytes] = []  # pieces of a line whose end has not come
        self._held = 0  # bytes of the event so far
        self._event = ""
        self._data: list[str] = []
        self._bare: list[str] = []  # lines that are no field: a body without events

    def feed(self, received: bytes) -> Iterator[Any]:
        """The values of the events that are whole. Raises ValueError for data that is no JSON, and
        for an event of more than MAX_EVENT bytes."""
        self._rest.append(received)
        self._held += len(received)
        if b"\n" in received or b"\r" in received or self._ends_in_cr():
            *lines, rest = _LINE_END.split(b"".join(self._rest))
            self._rest = [rest]
            for line in lines:
                if not self.done:
                    yield from self._line(self._text(line).removeprefix("\ufeff"))
        if self._held > MAX_EVENT:
            raise ValueError(f"one event of more than {MAX_EVENT // 2**20} MiB")

    def flush(self) -> Iterator[Any]:
        """What the end of the stream makes whole."""
        if self.done:
            return
        yield from self.feed(b"\n\n")
        if self._bare:
            yield _json("\n".join(self._bare))

    @property
    def within(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._data or any(self._rest))

    def _ends_in_cr(self) -> bool:
        return len(self._rest) > 1 and self._rest[-2].endswith(b"\r")

    def _text(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.mangled = True
            return line.decode("utf-8", "replace")

    def _line(self, line: str) -> Iterator[Any]:
        field, colon, value = line.partition(":")
        match field:
            case "":
                if not colon:
                    yield from self._dispatch()
                elif value.startswith(_TWIN) and (
                    found := TWIN_TIMES.match(f":{value}\n".encode())
                ):
                    self.twin_s = float(found[1]) - float(found[2])
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
            value = _loads(line) if line.startswith("{") else None
        except ValueError:
            value = None
        if value is None:
            self._bare.append(line)
        else:
            yield value

    def _dispatch(self) -> Iterator[Any]:
        event, self._event = self._event, ""
        lines, self._data = self._data, []
        if not self._bare:
            self._held = sum(map(len, self._rest))
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
        yield _loads(text)
    except ValueError:
        if len(lines) < 2:
            raise ValueError(f"no JSON: {text[:60]!r}") from None
        yield _json(lines[-1])


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json(text: str) -> Any:
    try:
        return _loads(text)
    except ValueError:
        raise ValueError(f"no JSON: {' '.join(text.split())[:60]!r}") from None
