"""A streamed answer, whole: its text, its counts, its times; and the tally that finds them.

Live counts come from the server where it counts along, and are an estimate (one token per chunk)
where it does not; the final usage replaces them. Times are a twin's own where it says them; else
the clock is handed in.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from kit.chat import Answer, Event, Stream, Thinking, ToolCall, Usage, WasThinking
from kit.provenance import Author, Provenance

STOPPED = "stopped"
TRUSTED_SPEED = 10.0
"""A faster twin that does not say its times (behind a router) answers sooner than this process can
stamp: they would be our own."""
_SHORTEST_S = 0.05
"""A rate over less is the network's, not the model's."""


@dataclass(frozen=True)
class Reply:
    """One answer, whole. Times are in the server's ms: a twin's are by its own clock.

    `finish_reason` is the server's word, or "stopped" where the reader stopped it, or None where
    the stream broke off. `remark` says why the answer is missing or not whole. `ttft_ms` and
    `tokens_per_s` are None where they cannot be known.
    """

    prompt: str
    thinking: str
    answer: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage | None
    finish_reason: str | None
    ttft_ms: float | None
    tokens_per_s: float | None
    thinking_tokens: int | None
    answer_tokens: int | None
    exact: bool
    author: Author | None
    provenance: Provenance
    remark: str = ""

    def __str__(self) -> str:
        return self.answer.strip()

    def __repr__(self) -> str:
        tokens = f"{self.thinking_tokens or 0} + {self.answer_tokens or 0}"
        about = "" if self.exact else "≈ "
        return (
            f"Reply({about}{tokens} tokens of thinking + answer, "
            f"finish_reason={self.finish_reason!r}; {self.provenance})"
        )


class Tally:
    """Counts and times of one answer, found while its stream is read through `events`.

    What was said, and the usage, are the stream's own.
    """

    def __init__(
        self, prompt: str, stream: Stream, now_s: Callable[[], float] = time.perf_counter
    ) -> None:
        self.prompt = prompt
        self.stream = stream
        self.stopped = False  # by the reader
        self._speed = stream.endpoint.speed
        self._now_s = now_s
        self._by_twin = False  # it says when each event was due
        self._thinking_chunks = 0
        self._answer_chunks = 0
        self._first_tokens = 0
        self._first_s: float | None = None
        self._last_s: float | None = None

    def __iter__(self) -> Iterator[Event]:
        """`events`, for a stream that is read with `for`."""
        for event in self.stream:
            self._count(event)
            yield event

    async def events(self) -> AsyncIterator[Event]:
        """The stream's events, each counted before it is given on. Raises as the stream does."""
        async for event in self.stream:
            self._count(event)
            yield event

    def _count(self, event: Event) -> None:
        match event:
            case Thinking():
                self._thinking_chunks += 1
                self._stamp()
            case Answer():
                self._answer_chunks += 1
                self._stamp()
            case ToolCall():
                self._stamp()
            case WasThinking():
                self._thinking_chunks += self._answer_chunks
                self._answer_chunks = 0
            case Usage():
                if self._last_s == self._first_s:
                    self._first_tokens = event.completion_tokens

    def _stamp(self) -> None:
        twin_s = self.stream.twin_s
        self._by_twin = twin_s is not None
        self._last_s = self._now_s() if twin_s is None else twin_s
        if self._first_s is None:
            self._first_s = self._last_s

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """In the order of their index."""
        return tuple(call for _, call in sorted(self.stream.tool_calls.items()))

    @property
    def finish_reason(self) -> str | None:
        """The server's word, or "stopped" where the reader stopped it."""
        return STOPPED if self.stopped else self.stream.finish_reason

    @property
    def exact(self) -> bool:
        """Whether the counts are the server's own, thinking and answer apart."""
        usage = self.stream.usage
        return usage is not None and (
            usage.reasoning_tokens is not None or not self._thinking_chunks
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """(thinking, answer): the server's count, or one per chunk."""
        usage = self.stream.usage
        if usage is None:
            return self._thinking_chunks, self._answer_chunks
        thinking = usage.reasoning_tokens
        if thinking is None:
            chunks = self._thinking_chunks + self._answer_chunks
            share = self._thinking_chunks / chunks if chunks else 0
            thinking = round(usage.completion_tokens * share)
        return thinking, usage.completion_tokens - thinking

    @property
    def ttft_ms(self) -> float | None:
        """From the request to the first token, on the server's clock."""
        if self._first_s is None or not self._timed:
            return None
        if self._by_twin:
            return self._first_s * 1000
        asked_s = self.stream.asked_s
        return None if asked_s is None else (self._first_s - asked_s) * self._speed * 1000

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens after the first chunk over the time since it."""
        if self._first_s is None or self._last_s is None or not self._timed:
            return None
        elapsed = (self._last_s - self._first_s) * (1.0 if self._by_twin else self._speed)
        more = sum(self.tokens) - max(self._first_tokens, 1)
        least_s = 0.0 if self._by_twin else _SHORTEST_S
        return more / elapsed if more > 0 and elapsed > least_s else None

    @property
    def _timed(self) -> bool:
        """Whether the times are the server's, and not this process's own."""
        return self._by_twin or self._speed <= TRUSTED_SPEED

    def reply(self) -> Reply:
        """The answer as it stands."""
        thinking, answer = self.tokens
        return Reply(
            prompt=self.prompt,
            thinking=self.stream.thinking,
            answer=self.stream.answer,
            tool_calls=self.tool_calls,
            usage=self.stream.usage,
            finish_reason=self.finish_reason,
            ttft_ms=self.ttft_ms,
            tokens_per_s=self.tokens_per_s,
            thinking_tokens=thinking,
            answer_tokens=answer,
            exact=self.exact,
            author=self.stream.author,
            provenance=self.stream.provenance,
            remark="" if self.stopped or not self.stream.finish_reason else self.stream.remark,
        )
