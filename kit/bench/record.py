"""One request of a benchmark as its client saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """Times in seconds since the start of the run.

    `tokens[i]` came in the chunk at `times_s[i]`. Where a server does not say how many tokens a
    chunk carries, `tokens` is empty and `output_tokens` is the server's count at the end;
    `assumed` when it gave none at all, and what was asked for is taken. `verify_steps` and
    `correct_drafts` are those of speculation, `image_tokens` those of the prompt; 0 where the
    answer does not say.
    """

    sent_s: float
    input_tokens: int
    times_s: Sequence[float] = ()
    tokens: Sequence[int] = ()
    output_tokens: int = 0
    ended_s: float = 0.0
    error: str = ""
    assumed: bool = False
    verify_steps: int = 0
    correct_drafts: int = 0
    image_tokens: int = 0

    @property
    def ok(self) -> bool:
        return not self.error

    @property
    def ttft_s(self) -> float:
        return self.times_s[0] - self.sent_s

    @property
    def latency_s(self) -> float:
        return self.ended_s - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """None for an answer of one token: there is no second to wait for."""
        if self.output_tokens < 2:
            return None
        return (self.latency_s - self.ttft_s) / (self.output_tokens - 1)
