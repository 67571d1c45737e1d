"""The scheduler against the clock: a step takes as long as it says, divided by the speed.

    submit → step (the scheduler decides) → prepare its tokens → wait for its end → deliver

The tokens of a step are known when it starts. So their bytes are made while it runs, and delivered
at its end. Ends are counted from the clock's origin and not from the last wake-up: a late wake-up
delays one chunk, and no later one. The clock waits in two cases only: where this machine cannot
keep up at all, at a speed too high for its load, and where a client has announced a request that
belongs before the next step and has not come (kit.twin.runs).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import selectors
import traceback
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple, Protocol

from kit.errors import InvalidValue
from kit.scheduler import Request, Scheduler, Step
from kit.twin.counters import RequestCounters, RequestTimes
from kit.twin.runs import RunRequest, Runs

_BEHIND_S = 0.1  # a longer delay is not made up for
_AWAKE_S = 0.0004  # how long waking up takes on a machine that has gone to sleep
_PATIENCE_S = 5.0  # for a request that was announced
_GLANCE_S = 0.5  # of that, at one go: while this process itself is frozen, nobody can come


class Generation(Protocol):
    """Receives the tokens of the steps: one choice of one response."""

    rid: str

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        """Make the bytes of these tokens. They are due at `due_s` of the monotonic clock."""

    def deliver(self, due_s: float) -> None:
        """Pass on what was prepared; it is `due_s` now."""

    def abort(self) -> None:
        """End here; no more tokens will come."""

    def drop(self) -> None:
        """Drop the connection: the response cannot be written."""


@dataclass
class Clock:
    """The scheduler's seconds: real ones times `speed`, since the twin started."""

    speed: float
    origin_s: float = field(default_factory=monotonic)

    def at_s(self, real_s: float) -> float:
        """The scheduler's time at `real_s` of the monotonic clock."""
        return (real_s - self.origin_s) * self.speed

    def real_s(self, at_s: float) -> float:
        """The inverse: the monotonic clock at `at_s`."""
        return self.origin_s + at_s / self.speed

    def keep_up(self, at_s: float, behind_s: float = _BEHIND_S) -> None:
        """Wait where `at_s` should be now, and has been past for more than `behind_s`."""
        late_s = monotonic() - self.real_s(at_s)
        if late_s > behind_s:
            self.origin_s += late_s


class _Active(NamedTuple):
    """A generation under way."""

    generation: Generation
    times: RequestTimes
    of_run: RunRequest | None


class Engine:
    """Runs one scheduler against one clock, for all requests of a twin."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self.scheduler = scheduler
        self.clock = clock
        self.counters = RequestCounters()
        self._now_s = 0.0  # the end of the running step, or of the last one
        self._standing = False  # in a step whose end may be late, or where the clock waits
        self._active: dict[str, _Active] = {}
        self._woken = asyncio.Event()
        self.runs = Runs(self._woken.set)
        self._recent: deque[tuple[float, int]] = deque(maxlen=4096)  # (end of step, tokens)

    def submit(
        self,
        generation: Generation,
        input_tokens: int,
        output_tokens: int,
        streaming: bool,
        arrived_s: float,
        image_tokens: int = 0,
        images: int = 0,
        of_run: RunRequest | None = None,
    ) -> float:
        """Schedule a generation whose request came at `arrived_s` of the monotonic clock; returns
        when that was on the scheduler's, or when it was due in its run.

        `image_tokens` of the input belong to `images` images. Raises InvalidValue where it can
        never run, and for an id that is running.
        """
        if generation.rid in self._active:
            raise InvalidValue(
                f"Duplicate request ID detected: {generation.rid}", "give each request its own"
            )
        rid, arrival_s = generation.rid, self.clock.at_s(arrived_s)
        if self._standing:
            arrival_s = min(arrival_s, self._now_s)
        if of_run is not None:
            arrival_s = of_run.come(arrival_s)
        draws = of_run.draws if of_run else None
        asked = Request(rid, input_tokens, output_tokens, arrival_s, image_tokens, draws=draws)
        self.scheduler.submit(asked._replace(images=max(images, 1)))
        times = self.counters.begin(streaming, input_tokens, arrived_s)
        self._active[rid] = _Active(generation, times, of_run)
        self._woken.set()
        return arrival_s

    def abort(self, rid: str) -> bool:
        """End a generation before its time; False when it is not running."""
        if rid not in self._active:
            return False
        generation, _, of_run = self._active.pop(rid)
        self.scheduler.abort(rid)
        if of_run is not None:
            of_run.hang_up(self._now_s)
        try:
            generation.abort()
        except Exception as problem:  # noqa: BLE001 - others are to be aborted too
            _drop(generation, problem)
        return True

    def dismiss(self, of_run: RunRequest) -> None:
        """The exchange of a request is over; it may have been answered without a generation."""
        now_s = self._now_s if self._standing else self.clock.at_s(monotonic())
        of_run.come(now_s)
        of_run.end(now_s)

    def abort_all(self) -> None:
        for rid in list(self._active):
            self.abort(rid)

    @property
    def busy(self) -> bool:
        return bool(self._active)

    def throughput(self) -> float:
        """Tokens delivered in the last second of the real clock."""
        now_s = monotonic()
        while self._recent and self._recent[0][0] < now_s - 1:
            self._recent.popleft()
        return float(sum(tokens for _, tokens in self._recent))

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            if self.runs:
                await self._wait_for_announced()
            step = self.scheduler.step(self._now_s)
            self._standing = step is not None
            if step is None:
                await self._idle()
                continue
            self._now_s += step.duration_s
            due_s = self.clock.real_s(self._now_s)
            self._prepare(step, due_s)
            await _until(due_s)
            self._deliver(step, due_s)
            self.clock.keep_up(self._now_s)
            await asyncio.sleep(0)  # the chunks are sent before the next step's are made

    async def _idle(self) -> None:
        """Wait until a request can be scheduled, or one that was announced is due."""
        while True:
            self._woken.clear()
            wake_s = self.scheduler.wake_s()
            next_s = min(math.inf if wake_s is None else wake_s, self._announced_s)
            if next_s == math.inf:
                await self._woken.wait()
            elif await _until_or_woken(self.clock.real_s(next_s), self._woken):
                self._now_s = max(self._now_s, next_s)
                return

    @property
    def _announced_s(self) -> float:
        """From when on a step should have a request that was announced and has not come."""
        return self.runs.expected_s + self.scheduler.speed.request_overhead_s

    async def _wait_for_announced(self) -> None:
        """The clock stands still while a request belongs before the next step and has not come."""
        if self._announced_s > self._now_s:
            return
        self._standing = True
        waited_s = 0.0
        while self._announced_s <= self._now_s:
            if waited_s >= _PATIENCE_S:
                self.runs.give_up(self._now_s)
                break
            began_s = monotonic()
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GLANCE_S):
                    await self._woken.wait()
            waited_s += min(monotonic() - began_s, _GLANCE_S)
        self.clock.keep_up(self._now_s, 0.0)

    def _prepare(self, step: Step, due_s: float) -> None:
        for rid, tokens, finished in step.emissions:
            if rid in self._active:
                generation = self._active[rid].generation
                try:
                    generation.prepare(tokens, finished, due_s)
                except Exception as problem:  # noqa: BLE001 - it ends this response, no other
                    self._lose(rid, problem)

    def _deliver(self, step: Step, due_s: float) -> None:
        alive = [e for e in step.emissions if e.rid in self._active]  # not aborted meanwhile
        for emission in alive:
            try:
                self._active[emission.rid].generation.deliver(due_s)
            except Exception as problem:  # noqa: BLE001 - it ends this response, no other
                self._lose(emission.rid, problem)
        for rid, tokens, finished in alive:  # counted after all have been sent
            if rid not in self._active:
                continue
            _, request, of_run = self._active[rid]
            self.counters.add_tokens(request, tokens, due_s)
            if finished:
                del self._active[rid]
                self.counters.end(request)
                if of_run is not None:
                    of_run.end(self._now_s)
        self._recent.append((due_s, sum(emission.tokens for emission in step.emissions)))

    def _lose(self, rid: str, problem: Exception) -> None:
        generation, _, of_run = self._active.pop(rid)
        self.scheduler.abort(rid)
        if of_run is not None:
            of_run.end(self._now_s)
        _drop(generation, problem)


def _drop(generation: Generation, problem: Exception) -> None:
    """End a response that cannot be written, and report why in the twin's log."""
    traceback.print_exception(problem)
    generation.drop()


async def _until(due_s: float) -> None:
    """Wait for `due_s` of the monotonic clock: asleep, but awake for the last moment."""
    delay_s = due_s - monotonic() - _AWAKE_S
    if delay_s > 0:
        await asyncio.sleep(delay_s)
    while monotonic() < due_s:
        await asyncio.sleep(0)


async def _until_or_woken(due_s: float, woken: asyncio.Event) -> bool:
    """`_until`, unless `woken` is set before; whether `due_s` was reached."""
    delay_s = due_s - monotonic() - _AWAKE_S
    if delay_s > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await woken.wait()
        if woken.is_set():
            return False
    await asyncio.sleep(0)  # an idle twin lets others run, whenever it is due
    await _until(due_s)
    return True


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A selector loop with timers to some 0.1 ms, where the system has epoll; else its own.

    epoll counts in whole milliseconds, and asyncio rounds up: a step of 8.2 ms would end at 9.
    select counts in microseconds, but knows only 1024 connections. An epoll object can itself be
    waited for, so one `select` on it has both.
    """
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.new_event_loop()

    class PreciseSelector(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

    return asyncio.SelectorEventLoop(PreciseSelector())
