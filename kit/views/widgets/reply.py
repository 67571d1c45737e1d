"""Events of one answer → what a reader wants to see of it: the text, the counts, the times.

Pure: the clock is handed in. Live counts come from the server where it counts along, and are
an estimate (a chunk, a token) where it does not; the final usage replaces them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kit.chat import Answer, Event, Finish, Thinking, ToolCall, Usage, WasThinking
from kit.provenance import Author, Provenance

_TRUSTED_SPEED = 10.0
"""A faster twin answers sooner than this process can stamp: its times would be our own."""
_SHORTEST_S = 0.05
"""A rate over less is the network's, not the model's."""


@dataclass(frozen=True)
class Reply:
    """One answer, whole. Times are the server's clock in ms: a twin's are scaled by its speed.

    `finish_reason` is the server's word, or "stopped" where the reader stopped it, or None where
    the stream broke off. `ttft_ms` and `tokens_per_s` are None where they cannot be known.
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

    def __str__(self) -> str:
        return self.answer.strip()

    def __repr__(self) -> str:
        tokens = f"{self.thinking_tokens or 0} + {self.answer_tokens or 0}"
        about = "" if self.exact else "≈ "
        return (
            f"Reply({about}{tokens} tokens of thinking + answer, "
            f"finish_reason={self.finish_reason!r}; {self.provenance})"
        )


@dataclass
class Tally:
    """Adds up the events of one answer. Feed it with `add`; `asked_s` is when the request went."""

    prompt: str
    provenance: Provenance
    speed: float = 1.0
    now_s: Callable[[], float] = time.perf_counter
    author: Author | None = None
    asked_s: float | None = None
    tool_calls: dict[int, ToolCall] = field(default_factory=dict)
    usage: Usage | None = None
    finish_reason: str | None = None
    _thinking: list[str] = field(default_factory=list)
    _answer: list[str] = field(default_factory=list)
    _thinking_chunks: int = 0
    _answer_chunks: int = 0
    _first_tokens: int = 0
    _first_s: float | None = None
    _last_s: float | None = None

    @property
    def thinking(self) -> str:
        return "".join(self._thinking)

    @property
    def answer(self) -> str:
        return "".join(self._answer)

    def add(self, event: Event) -> None:
        match event:
            case Thinking(text):
                self._thinking.append(text)
                self._thinking_chunks += 1
                self._stamp()
            case Answer(text):
                self._answer.append(text)
                self._answer_chunks += 1
                self._stamp()
            case ToolCall():
                self.tool_calls[event.index] = event
                self._stamp()
            case WasThinking():
                self._thinking += self._answer
                self._answer.clear()
                self._thinking_chunks += self._answer_chunks
                self._answer_chunks = 0
            case Usage():
                self.usage = event
                if self._last_s == self._first_s:
                    self._first_tokens = event.completion_tokens
            case Finish(reason):
                self.finish_reason = reason

    def _stamp(self) -> None:
        self._last_s = self.now_s()
        if self._first_s is None:
            self._first_s = self._last_s

    @property
    def exact(self) -> bool:
        """Whether the counts are the server's own, thinking and answer apart."""
        return self.usage is not None and (
            self.usage.reasoning_tokens is not None or not self._thinking_chunks
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """(thinking, answer): the server's count, or one per chunk."""
        if self.usage is None:
            return self._thinking_chunks, self._answer_chunks
        total = self.usage.completion_tokens
        thinking = self.usage.reasoning_tokens
        if thinking is None:
            chunks = self._thinking_chunks + self._answer_chunks
            thinking = round(total * self._thinking_chunks / chunks) if chunks else 0
        return thinking, total - thinking

    @property
    def ttft_ms(self) -> float | None:
        if self._first_s is None or self.asked_s is None or self.speed > _TRUSTED_SPEED:
            return None
        return (self._first_s - self.asked_s) * self.speed * 1000

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens after the first chunk over the time since it."""
        if self._first_s is None or self._last_s is None or self.speed > _TRUSTED_SPEED:
            return None
        elapsed = (self._last_s - self._first_s) * self.speed
        more = sum(self.tokens) - max(self._first_tokens, 1)
        return more / elapsed if more > 0 and elapsed >= _SHORTEST_S else None

    def reply(self) -> Reply:
        thinking, answer = self.tokens
        return Reply(
            prompt=self.prompt,
            thinking=self.thinking,
            answer=self.answer,
            tool_calls=tuple(call for _, call in sorted(self.tool_calls.items())),
            usage=self.usage,
            finish_reason=self.finish_reason,
            ttft_ms=self.ttft_ms,
            tokens_per_s=self.tokens_per_s,
            thinking_tokens=thinking,
            answer_tokens=answer,
            exact=self.exact,
            author=self.author,
            provenance=self.provenance,
        )
