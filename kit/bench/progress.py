"""Ends answers that do not come on: bytes are not progress, tokens are.

A stream may be kept alive by comments, empty chunks or the same count again and again. And one
that never ends, whatever was asked for, is no answer either.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from time import perf_counter

from kit.bench.transport import Connection, Part, Pool, Response

HAS_TOKENS = re.compile(  # a part with text, thinking or a tool call; not only a role or a usage
    rb'"(?:content|reasoning_content|reasoning)":\s*"[^"]|"tool_calls":\s*\[\s*\{'
)
_COUNT = b'"completion_tokens":'  # inside a text these quotes would be escaped
_NUMBER = re.compile(rb"\s*(\d{1,15})[^\d]")
_LONGEST = 64  # bytes of a count, or of the beginning of a text, with its name
_LARGE = 2048  # bytes per token asked for: a larger answer is looked at closely
_SMALL = 1 << 20  # bytes that need no look in any case
_MANY = 8  # times the tokens that were asked for: no server gives so many, but a wrong count does
_SOME = 4096  # tokens that are allowed in any case


def most_tokens(asked: int) -> int:
    """More tokens than this are no answer to a request for `asked`."""
    return _MANY * asked + _SOME


async def close_stalled(pool: Pool, stall_s: float, asked: int) -> None:
    """Close the connections of `pool` that have had no token for `stall_s`, or far more than
    `asked`; until it is cancelled."""
    watched: dict[Connection, Progress] = {}
    while True:
        await asyncio.sleep(min(1.0, stall_s / 4))
        watched = {one: _of(one, watched) for one in pool.busy}
        now_s = perf_counter()
        for connection, progress in watched.items():
            if problem := progress.problem(now_s, connection.last, stall_s, asked):
                connection.close(problem)


@dataclass
class Progress:
    """How far one answer is: `token_s` is when its newest token came, or it was asked for."""

    response: Response
    token_s: float
    tokens: int = 0
    _looked: int = 0  # parts
    _counted: int = 0  # parts
    _chunks: int = 0

    def problem(self, now_s: float, byte_s: float, stall_s: float, asked: int) -> str:
        """Why it should be ended; empty where it comes on. `byte_s` is when its last byte came.

        A look is taken only when it may matter: it costs time that the measured streams share.
        """
        if self.response.size > _SMALL + _LARGE * asked and self._endless(most_tokens(asked)):
            return "endless: far more tokens than were asked for"
        if now_s - self.token_s < stall_s / 2:
            return ""
        self._look()
        if now_s - self.token_s < stall_s:
            return ""
        silent = byte_s - self.token_s < stall_s / 2
        return f"stalled: no {'byte' if silent else 'token, only bytes,'} for {stall_s:g} s"

    def _look(self) -> None:
        """Find the newest part with a token, the newest parts first."""
        parts = self.response.parts
        first, self._looked = self._looked, len(parts)
        for index in range(len(parts) - 1, first - 1, -1):
            count = count_in(parts, index)
            if (count or 0) > self.tokens or HAS_TOKENS.search(_with_tail(parts, index)):
                self.token_s, self.tokens = parts[index][0], max(count or 0, self.tokens)
                return

    def _endless(self, most: int) -> bool:
        parts = self.response.parts
        for _, part in parts[self._counted :]:
            self._chunks += len(HAS_TOKENS.findall(part))
        self._counted = len(parts)
        return max(self._chunks, count_in(parts, len(parts) - 1) or 0) > most


def count_in(parts: list[tuple[float, Part]], index: int) -> int | None:
    """The last count of tokens that a part completes; None where there is none.

    A read may end inside the count: then it belongs to the part after.
    """
    text = _with_tail(parts, index)
    at = text.rfind(_COUNT)
    found = _NUMBER.match(text, at + len(_COUNT)) if at >= 0 else None
    return int(found[1]) if found and found.end() > len(text) - len(parts[index][1]) else None


def _with_tail(parts: list[tuple[float, Part]], index: int) -> bytes:
    """A part, behind the end of the one before."""
    return bytes(parts[index - 1][1][-_LONGEST:] if index else b"") + parts[index][1]


def _of(connection: Connection, watched: dict[Connection, Progress]) -> Progress:
    known = watched.get(connection)
    if known is not None and known.response is connection.response:
        return known
    return Progress(connection.response, connection.response.sent)
