"""The events of an answer in another form: split, joined, with other line ends, one more or less.

Pure: events in, bytes out. What a fault does below that is in `faulty_response`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

from kit.twin.sse import DONE, event

Events = AsyncIterator[bytes]


def counts(one: bytes) -> bool:
    """Whether an event is one of those that `cut:12` counts: with text or part of a call."""
    if one == DONE or b'"choices":[]' in one or b'"role":"assistant"' in one:
        return False
    return not (b"chat.completion.chunk" in one and b'"finish_reason":"' in one)


async def as_it_is(events: Events) -> Events:
    async for one in events:
        yield one


async def _drip(events: Events) -> Events:
    async for one in events:
        for byte in one:
            yield bytes([byte])


async def _split(events: Events) -> Events:
    rest = b""
    async for one in events:
        rest += one
        while len(rest) >= 7:
            yield rest[:7]
            rest = rest[7:]
    yield rest


async def _joined(events: Events) -> Events:
    yield b"".join([one async for one in events])


def _replaced(pattern: bytes, by: bytes) -> Callable[[Events], Events]:
    """A form that replaces what each event holds; one that is nothing then is left out."""

    async def form(events: Events) -> Events:
        async for one in events:
            if changed := re.sub(pattern, by, one):
                yield changed

    return form


async def _no_usage(events: Events) -> Events:
    async for one in events:
        if b'"choices":[]' not in one:
            yield one


async def _late(events: Events) -> Events:
    """The last text and its finish once more, after the finish."""
    text = finish = b""
    async for one in events:
        if one == DONE and finish:
            for again in (text, finish):
                yield again
        if counts(one):
            text = one
        elif b'"finish_reason":"' in one:
            finish = one
        yield one


def _with_event(made: Callable[[], bytes]) -> Callable[[Events], Events]:
    """A form that has one event more, before the first that counts."""

    async def form(events: Events) -> Events:
        done = False
        async for one in events:
            if not done and counts(one):
                done = True
                yield made()
            yield one

    return form


def _huge() -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": "x" * 10_000_000}}]})


_NOT_UTF8 = b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n'
_FINISH = rb'"finish_reason":(?:"\w+"|\{[^}]*\})'
FORMS: dict[str, Callable[[Events], Events]] = {
    "drip": _drip,
    "split": _split,
    "joined": _joined,
    "crlf": _replaced(rb"\n", b"\r\n"),
    "cr": _replaced(rb"\n", b"\r"),
    "no_done": _replaced(re.escape(DONE), b""),
    "no_finish": _replaced(_FINISH, b'"finish_reason":null'),
    "no_usage": _no_usage,
    "late": _late,
    "huge_event": _with_event(_huge),
    "bad_utf8": _with_event(lambda: _NOT_UTF8),
    "deep_json": _with_event(lambda: b"data: " + b"[" * 100_000 + b"\n\n"),
}
