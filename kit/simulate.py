"""SGLang's scheduler in virtual time: what runs in which step, and what each step gives out.

One object, two users: `kit.bench` runs it flat out, the twin runs it against the clock.

    submit → (request overhead) → queue, first come first served
           → prefill, in chunks, before any decode      → first token
           → decode, or verify under MTP, all together  → 1 + accepted tokens a step
           → finished, the slot goes to the head of the queue

A request is admitted when a running slot is free and its whole length fits in the KV tokens that
are not spoken for; so nothing is ever retracted. The caps come from the memory plan, which knows
SGLang's version: 48 running under speculation, or fewer where the state slots run out.

No clock is read in here, and random draws belong to the request (by order of submission), not to
the step: the same requests give the same tokens however fast the clock runs.
"""

from __future__ import annotations

import functools
import heapq
import random
import tomllib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.sizing import MemoryPlan, plan
from kit.speed import SpeedModel

StepKind = Literal["prefill", "decode", "verify"]


class Request(NamedTuple):
    """What a client asks for. `arrival_s` is when its bytes reach the server."""

    rid: str
    input_tokens: int
    output_tokens: int
    arrival_s: float = 0.0


class Emission(NamedTuple):
    """Tokens that one step gives to one request."""

    rid: str
    tokens: int
    finished: bool


class Step(NamedTuple):
    """One pass of the server. Its emissions take effect at its end, `duration_s` later."""

    kind: StepKind
    duration_s: float
    emissions: tuple[Emission, ...]
    running: int  # requests in this step
    queued: int  # requests that wait for a slot


@dataclass(frozen=True)
class Acceptance:
    """How many draft tokens a verify step accepts, drawn position by position.

    `survival[i]` is the chance that draft token i is accepted, and every one before it. The
    published shape is bent (each chance to one power) until the mean accept length is the given.
    """

    survival: tuple[float, ...]

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, accept_length: float, draft_tokens: int, mode: str = "thinking") -> Acceptance:
        """`draft_tokens` are the drafts alone: SGLang's num_draft_tokens − 1, no bonus token.

        Raises InvalidValue when no acceptance has that mean: 1 is none, draft_tokens + 1 is all.
        """
        if not 1 <= accept_length <= draft_tokens + 1:
            raise InvalidValue(
                f"an accept length of {accept_length:g} with {draft_tokens} draft tokens",
                f"give one between 1 (nothing accepted) and {draft_tokens + 1} (everything)",
            )
        curve = _data("acceptance")[mode][:draft_tokens]
        shape = [length - before for before, length in zip([1.0, *curve], curve, strict=False)]
        if len(shape) < draft_tokens:
            raise InvalidValue(
                f"{draft_tokens} draft tokens", f"published for {len(shape)} at most"
            )
        shape = [min(shape[: i + 1]) for i in range(draft_tokens)]
        low, high = 0.0, 500.0  # the power: 0 accepts all, 500 none
        for _ in range(80):
            power = (low + high) / 2
            if 1 + sum(p**power for p in shape) > accept_length:
                low = power
            else:
                high = power
        return cls(tuple(p**low for p in shape))

    @property
    def accept_length(self) -> float:
        """Mean tokens of a verify step, the bonus token included."""
        return 1 + sum(self.survival)

    @functools.cached_property
    def _thresholds(self) -> tuple[float, ...]:
        return tuple(1 - p for p in self.survival)

    def tokens(self, draw: float) -> int:
        """Accepted drafts + 1, for a uniform draw in [0, 1)."""
        return 1 + bisect_right(self._thresholds, draw)


class _Live:
    """A request inside the scheduler."""

    __slots__ = ("draw", "left", "prefilled", "request", "rid")

    def __init__(self, request: Request, draw: Callable[[], float]) -> None:
        self.rid = request.rid
        self.request = request
        self.draw = draw
        self.prefilled = 0
        self.left = request.output_tokens


class Scheduler:
    """The scheduler of one server. `of` builds it; see the module for what it does."""

    def __init__(
        self,
        memory: MemoryPlan,
        speed: SpeedModel,
        acceptance: Acceptance | None,
        seed: int = 0,
        chunk_tokens: int | None = None,
    ) -> None:
        """`acceptance` is needed under MTP, ignored without; `chunk_tokens` bounds a prefill."""
        self.memory = memory
        self.speed = speed
        self.acceptance = acceptance if memory.profile.mtp else None
        self.verify_steps = 0
        self.generated_tokens = 0
        self.kv_tokens_used = 0
        self._verified_tokens = 0
        self._seed = seed
        self._chunk = chunk_tokens or default_chunk_tokens(memory.profile)
        self._batch = max(self._chunk, _data("scheduler")["max_prefill_tokens"])
        self._ordinal = 0
        self._reserved = 0
        self._by_rid: dict[str, _Live] = {}
        self._pending: list[tuple[float, int, _Live]] = []
        self._waiting: deque[_Live] = deque()
        self._chunked: _Live | None = None
        self._running: list[_Live] = []

    @classmethod
    def of(
        cls,
        profile: Profile,
        sglang: str = SGLANG,
        accept_length: float | None = None,
        seed: int = 0,
        max_running_requests: int | None = None,
        speed: SpeedModel | None = None,
    ) -> Scheduler:
        """The scheduler that SGLang `sglang` would run on `profile`.

        `accept_length` (1 … num_draft_tokens) is the mean to draw; by default what the published
        runs had. `max_running_requests` is the flag: the state slots may still cap it. `speed` is
        for other constants than the fitted.
        Raises InvalidValue when the profile does not fit, or the accept length cannot be.
        """
        if max_running_requests is not None:
            profile = replace(profile, max_running_requests=max_running_requests)
        memory = plan(profile, sglang)
        if memory.max_running_requests < 1:
            raise InvalidValue(
                f"{profile.name} does not run: {'; '.join(memory.reasons)}",
                "choose more or larger GPUs, or a smaller precision",
            )
        acceptance = None
        if profile.mtp is not None:
            mean = accept_length if accept_length is not None else default_accept_length()
            acceptance = Acceptance.of(mean, profile.mtp.num_draft_tokens - 1)
        return cls(memory, speed or SpeedModel.of(profile, sglang), acceptance, seed)

    @property
    def running(self) -> int:
        """Requests that hold a slot: decoding, or in the middle of their prefill."""
        return len(self._running) + (self._chunked is not None)

    @property
    def queued(self) -> int:
        """Requests that have arrived and wait for a slot."""
        return len(self._waiting)

    @property
    def accept_length(self) -> float | None:
        """Mean tokens of a verify step a request, so far; None before the first."""
        return self._verified_tokens / self.verify_steps if self.verify_steps else None

    def submit(self, request: Request) -> None:
        """Take a request. It can be scheduled from `arrival_s` + the request overhead on.

        Raises InvalidValue for lengths below one, lengths that can never fit, or a rid in use.
        """
        rid, tokens_in, tokens_out, arrival_s = request
        if tokens_in < 1 or tokens_out < 1:
            raise InvalidValue(
                f"request {rid}: {tokens_in} tokens in, {tokens_out} out", "each must be 1 or more"
            )
        if tokens_in + tokens_out > self.memory.kv_tokens:
            raise InvalidValue(
                f"request {rid}: {tokens_in} + {tokens_out} tokens; the KV cache holds "
                f"{self.memory.kv_tokens}",
                "ask for less, or take a profile with more memory",
            )
        if rid in self._by_rid:
            raise InvalidValue(f"request {rid} is in flight already", "give each its own rid")
        draws = random.Random(self._seed * 1_000_003 + self._ordinal)
        live = self._by_rid[rid] = _Live(request, draws.random)
        ready_s = arrival_s + self.speed.request_overhead_s
        heapq.heappush(self._pending, (ready_s, self._ordinal, live))
        self._ordinal += 1

    def abort(self, rid: str) -> bool:
        """Drop a request wherever it is. False when it is not here (finished, or never came).

        What a step has given out already stays given.
        """
        live = self._by_rid.pop(rid, None)
        if live is None:
            return False
        if live is self._chunked:
            self._chunked = None
            self._release(live)
        elif live in self._running:
            self._running.remove(live)
            self._release(live)
        elif live in self._waiting:
            self._waiting.remove(live)
        else:
            self._pending = [entry for entry in self._pending if entry[2] is not live]
            heapq.heapify(self._pending)
        return True

    def wake_s(self) -> float | None:
        """When the next request that is still on its way becomes schedulable; None without one."""
        return self._pending[0][0] if self._pending else None

    def step(self, now_s: float) -> Step | None:
        """Run one step that starts at `now_s`; None when there is nothing to run."""
        while self._pending and self._pending[0][0] <= now_s:
            self._waiting.append(heapq.heappop(self._pending)[2])
        batch = self._next_prefill()
        if batch:
            return self._prefill(batch)
        if self._running:
            return self._decode()
        return None

    def _next_prefill(self) -> list[tuple[_Live, int]]:
        """The next prefill batch: requests, and how many prompt tokens of each."""
        batch: list[tuple[_Live, int]] = []
        chunk_left, batch_left = self._chunk, self._batch
        if self._chunked is not None:
            tokens = min(self._chunked.request.input_tokens - self._chunked.prefilled, chunk_left)
            batch.append((self._chunked, tokens))
            chunk_left -= tokens
            batch_left -= tokens
        while self._waiting and chunk_left > 0 and batch_left > 0:
            live = self._waiting[0]
            wanted, whole = live.request.input_tokens, _length(live)
            if len(self._running) + len(batch) >= self.memory.max_running_requests:
                break
            if self._reserved + whole > self.memory.kv_tokens or (batch and wanted > batch_left):
                break
            self._waiting.popleft()
            self._reserved += whole
            tokens = min(wanted, chunk_left)
            batch.append((live, tokens))
            chunk_left -= tokens
            batch_left -= tokens
        return batch

    def _prefill(self, batch: list[tuple[_Live, int]]) -> Step:
        self._chunked = None
        context = sum(live.prefilled for live, _ in batch)
        new_tokens = sum(tokens for _, tokens in batch)
        duration_s = self.speed.prefill_s(new_tokens, len(batch), context)
        self.kv_tokens_used += new_tokens
        whole = []
        for live, tokens in batch:
            live.prefilled += tokens
            if live.prefilled < live.request.input_tokens:
                self._chunked = live
            else:
                whole.append(live)
        emissions, unfinished = self._give(whole, None)
        self._running += unfinished
        return Step("prefill", duration_s, emissions, len(batch), len(self._waiting))

    def _decode(self) -> Step:
        live_now, before = self._running, self.generated_tokens
        duration_s = self.speed.step_s(len(live_now), self.kv_tokens_used)
        emissions, self._running = self._give(live_now, self.acceptance)
        kind: StepKind = "decode"
        if self.acceptance is not None:
            kind = "verify"
            self.verify_steps += len(live_now)
            self._verified_tokens += self.generated_tokens - before
        return Step(kind, duration_s, emissions, len(live_now), len(self._waiting))

    def _give(
        self, lives: list[_Live], acceptance: Acceptance | None
    ) -> tuple[tuple[Emission, ...], list[_Live]]:
        """One step's tokens: a token each, or as many as are accepted. And who goes on."""
        emissions, unfinished, given = [], [], 0
        for live in lives:
            tokens = acceptance.tokens(live.draw()) if acceptance else 1
            if tokens < live.left:
                live.left -= tokens
                unfinished.append(live)
                emissions.append(Emission(live.rid, tokens, False))
            else:
                tokens = live.left
                emissions.append(Emission(live.rid, tokens, True))
                self._finish(live)
            given += tokens
        self.generated_tokens += given
        self.kv_tokens_used += given
        return tuple(emissions), unfinished

    def _finish(self, live: _Live) -> None:
        del self._by_rid[live.rid]
        live.left = 0
        self._release(live)

    def _release(self, live: _Live) -> None:
        self._reserved -= _length(live)
        self.kv_tokens_used -= live.prefilled + live.request.output_tokens - live.left


def default_accept_length() -> float:
    """The accept length to draw where nobody gives one (`data/acceptance.toml`)."""
    return float(_data("acceptance")["default_accept_length"])


def default_chunk_tokens(profile: Profile) -> int:
    """SGLang's chunked_prefill_size for the profile's GPU (`data/scheduler.toml`)."""
    rows = _data("scheduler")["chunked_prefill"]
    return next(int(row["tokens"]) for row in rows if profile.gpu.memory_gib < row["below_gib"])


def _length(live: _Live) -> int:
    return live.request.input_tokens + live.request.output_tokens


@functools.cache
def _data(name: str) -> dict[str, Any]:
    return tomllib.loads((files("kit") / "data" / f"{name}.toml").read_text())
