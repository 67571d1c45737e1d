"""What SGLang reserves before a request may run: its PrefillAdder, in token counts.

A request runs only when its prompt and its output to come fit into the KV tokens that are neither
held nor promised. SGLang must guess how much output that is:

    an end that is known (`ignore_eos`)  all that is left of it, at most `clip_max_new_tokens`
    any other, running already           the same, times a ratio that falls from 0.7 to 0.1
    known ends, no radix cache           the ends are simulated in their order

Too low a guess means a retraction later, too high a guess an empty slot.
Source: sglang 0.5.23, managers/schedule_policy.py (PrefillAdder), mem_cache/prefill_budget.py.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from kit.scheduler.config import Rules
from kit.scheduler.requests import Live


class Budget:
    """What one prefill batch may still take. `full` once a request did not fit into memory."""

    def __init__(
        self, rules: Rules, free_tokens: int, running: Sequence[Live], ratio: float
    ) -> None:
        """`free_tokens` of the KV cache are held by no request; `ratio` is the present guess."""
        self.full = False
        self._rules = rules
        self._ratio = ratio
        self._running = running
        self._admitted: list[Live] = []
        self._chunk_left = rules.chunk_tokens
        self._batch_left = rules.prefill_tokens
        self._now = free_tokens  # free once the prompts of this batch are in
        self._later = free_tokens - sum(map(self._promised, running))  # and all outputs to come
        self._ends: list[tuple[float, int]] | None = None

    @property
    def open(self) -> bool:
        """Whether another request may be considered."""
        return self._chunk_left > 0 and self._batch_left > 0 and not self.full

    def resume(self, live: Live) -> int:
        """Tokens of the next chunk of a prompt that is in the middle of its prefill."""
        rest = live.context - live.prefilled
        available = min(self._chunk_left, int(self._later))
        tokens = min(rest, available if available > 0 else self._chunk_left)
        self._take(live, tokens, tokens == rest)
        return tokens

    def admit(self, live: Live, cached: int, pinned: int) -> int:
        """Tokens of its prompt that this batch reads; 0 where it has to wait.

        `cached` tokens of it are in the radix cache, `pinned` of them held by no request now.
        """
        extend = live.context - cached
        self._now -= pinned
        self._later -= pinned
        if not self._fits(live, extend):
            self.full = True
            return 0
        whole = self._rules.paged(extend) <= self._chunk_left
        page = self._rules.page_size
        tokens = extend if whole else self._chunk_left // page * page
        if tokens > 0:
            self._take(live, tokens, whole)
        return tokens

    def _fits(self, live: Live, extend: int) -> bool:
        request, rules = live.request, self._rules
        if request.ignore_eos and not rules.radix_cache:
            return self._ends_fit(live, rules.paged(extend) + rules.page_size)
        output = min(live.limit - live.generated, rules.clip_max_new_tokens)
        return extend + output + rules.page_size < self._later

    def _ends_fit(self, live: Live, prompt: int) -> bool:
        """Whether memory lasts at the end of every request, each leaving what it holds."""
        if prompt > min(self._now, self._later):
            return False
        if self._ends is None:
            known = (self._end(other) for other in (*self._running, *self._admitted))
            self._ends = sorted(end for end in known if end[0] > 0)
        insort(self._ends, self._end(live))
        free, spare = self._now - prompt, self._rules.ignore_eos_reserve_tokens
        for count, (left, held) in zip(range(len(self._ends), 0, -1), self._ends, strict=True):
            if free - left * count <= spare * count:
                return False
            free += held
        return True

    def _end(self, live: Live) -> tuple[float, int]:
        """(tokens until it ends, tokens that it leaves then)."""
        request = live.request
        ratio = 1.0 if request.ignore_eos else self._ratio
        return live.limit * ratio - live.generated, request.input_tokens + live.generated

    def _promised(self, live: Live) -> float:
        request, rules = live.request, self._rules
        output = min(live.limit - live.generated, rules.clip_max_new_tokens)
        return output if request.ignore_eos and rules.fixed_in_full else output * self._ratio

    def _take(self, live: Live, tokens: int, whole: bool) -> None:
        rules = self._rules
        paged = rules.paged(tokens)
        self._admitted.append(live)
        self._now -= paged + rules.page_size
        self._later -= paged + rules.page_size
        if whole:
            self._later -= min(live.limit, rules.clip_max_new_tokens)
        self._chunk_left -= paged
        self._batch_left -= paged
        self.full = self._now <= 0 or self._later <= 0
