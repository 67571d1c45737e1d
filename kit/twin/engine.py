"""The scheduler against the clock: a step takes as long as it says, divided by the speed.

    submit → step (the scheduler decides) → prepare its tokens → wait for its end → deliver

The tokens of a step are known when it starts. So their bytes are made while it runs, and delivered
at its end. Ends are counted from the clock's origin and not from the last wake-up: a late wake-up
delays one chunk, and no later one. Only where this machine cannot keep up at all, at a speed too
high for its load, does the clock wait for it.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import traceback
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from kit.errors import InvalidValue
from kit.scheduler import Request, Scheduler, Step
from kit.twin.counters import RequestCounters, RequestTimes

_BEHIND_S = 0.1  # a longer delay is not made up for
_AWAKE_S = 0.0004  # how long waking up takes on a machine that has gone to sleep


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

    def keep_up(self, at_s: float) -> None:
        """Wait where `at_s` should be now, and is long past."""
        late_s = monotonic() - self.real_s(at_s)
        if late_s > _BEHIND_S:
            self.origin_s += late_s


class Engine:
    """Runs one scheduler against one clock, for all requests of a twin."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self.scheduler = scheduler
        self.clock = clock
        self.counters = RequestCounters()
        self._now_s = 0.0  # the end of the running step, or of the last one
        self._stepping = False
        self._active: dict[str, tuple[Generation, RequestTimes]] = {}
        self._woken = asyncio.Event()
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
    ) -> None:
        """Schedule a generation whose request came at `arrived_s` of the monotonic clock.

        `image_tokens` of the input belong to `images` images. Raises InvalidValue where it can
        never run, and for an id that is running.
        """
        if generation.rid in self._active:
            raise InvalidValue(
                f"Duplicate request ID detected: {generation.rid}", "give each request its own"
            )
        rid, arrival_s = generation.rid, self.clock.at_s(arrived_s)
        if self._stepping:  # a step whose end is late is not over yet
            arrival_s = min(arrival_s, self._now_s)
        asked = Request(rid, input_tokens, output_tokens, arrival_s, image_tokens)
        self.scheduler.submit(asked._replace(images=max(images, 1)))
        self._active[rid] = generation, self.counters.begin(streaming, input_tokens, arrived_s)
        self._woken.set()

    def abort(self, rid: str) -> bool:
        """End a generation before its time; False when it is not running."""
        if rid not in self._active:
            return False
        generation, _ = self._active.pop(rid)
        self.scheduler.abort(rid)
        try:
            generation.abort()
        except Exception as problem:  # noqa: BLE001 - others are to be aborted too
            _drop(generation, problem)
        return True

    def abort_all(self) -> None:
        for rid in list(self._active):
            self.abort(rid)

    @property
    def busy(self) -> bool:
        return bool(self._active)

    def throughput(self, window_s: float = 1.0) -> float:
        """Tokens delivered per second of the real clock, over the last `window_s` seconds."""
        now_s = monotonic()
        while self._recent and self._recent[0][0] < now_s - window_s:
            self._recent.popleft()
        return sum(tokens for _, tokens in self._recent) / window_s

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            step = self.scheduler.step(self._now_s)
            self._stepping = step is not None
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
        """Wait until a request can be scheduled."""
        while (wake_s := self.scheduler.wake_s()) is None:
            self._woken.clear()
            await self._woken.wait()
        await _until(self.clock.real_s(wake_s))
        self._now_s = max(self._now_s, wake_s)

    def _prepare(self, step: Step, due_s: float) -> None:
        for rid, tokens, finished in step.emissions:
            if rid in self._active:
                generation = self._active[rid][0]
                try:
                    generation.prepare(tokens, finished, due_s)
                except Exception as problem:  # noqa: BLE001 - it ends this response, no other
                    self._lose(rid, problem)

    def _deliver(self, step: Step, due_s: float) -> None:
        alive = [e for e in step.emissions if e.rid in self._active]  # not aborted meanwhile
        for emission in alive:
            try:
                self._active[emission.rid][0].deliver(due_s)
            except Exception as problem:  # noqa: BLE001 - it ends this response, no other
                self._lose(emission.rid, problem)
        for rid, tokens, finished in alive:  # counted after all have been sent
            if rid not in self._active:
                continue
            _, request = self._active[rid]
            self.counters.add_tokens(request, tokens, due_s)
            if finished:
                del self._active[rid]
                self.counters.end(request)
        self._recent.append((due_s, sum(emission.tokens for emission in step.emissions)))

    def _lose(self, rid: str, problem: Exception) -> None:
        generation, _ = self._active.pop(rid)
        self.scheduler.abort(rid)
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
