"""One replica under its share of the load, by the one scheduler, in virtual time.

The first requests are not counted: users begin at random, within the time that a request takes, so
that a run does not begin with all of them at the door. Then so many are counted as the
percentile needs, and the load goes on until the last of them is answered.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from kit.bench.without_numpy import percentile
from kit.capacity.target import Target
from kit.capacity.trace import Row
from kit.hardware import SGLANG, Profile
from kit.provenance import Provenance, simulated
from kit.scheduler import Request, Scheduler, Step

BEYOND = 20  # counted requests that lie beyond the percentile
MOST_COUNTED = 2000
_SURELY = 1.5  # times as many broken as may be: no luck of a sample
_ROUNDS = 2  # requests of each user that are counted, at least


@dataclass(frozen=True)
class Share:
    """What one of `replicas` gets of the target's load."""

    target: Target
    replicas: int
    users: int | None = None  # where it is not the even share
    rate: float | None = None

    @property
    def is_even(self) -> bool:
        """Whether all replicas get the same."""
        return self.users is None and self.rate is None

    @property
    def amount(self) -> float:
        """Users, requests per second, or the share of a trace."""
        t = self.target
        if t.users is not None:
            return self.users or -(-t.users // self.replicas)
        if t.rate is not None:
            return self.rate or t.rate / self.replicas
        return 1 / self.replicas

    def of(self, amount: float) -> Share:
        """The same for a replica that gets so much."""
        if self.target.users is not None:
            return replace(self, users=round(amount))
        return replace(self, rate=amount)

    @property
    def counted(self) -> int:
        """Requests whose times are counted."""
        t = self.target
        needed = math.ceil(BEYOND / (1 - t.percentile / 100))
        if t.kind == "users":
            needed = max(needed, _ROUNDS * int(self.amount))
        elif t.kind == "rate":
            needed *= 2  # arrivals bunch
        else:
            return len(t.rows[:: self.replicas])
        return min(needed, MOST_COUNTED)


@dataclass(frozen=True)
class Outcome:
    """What a replica gave: times in ms at the target's percentile and in the middle, rates over
    the counted time, and what its steps were like on average.

    `prefill_share` is that of prefills in the time in which steps ran.
    """

    ttft_ms: float
    tpot_ms: float | None
    median_ttft_ms: float
    median_tpot_ms: float | None
    requests_per_s: float
    input_per_s: float
    output_per_s: float
    in_flight: float
    prefill_share: float
    running: float  # of a decode step
    most_running: int
    queued: float  # of a decode step
    kv_tokens: float  # of a decode step
    prefill_tokens: float  # of a prefill
    prefill_requests: float
    retractions: int
    counted: int
    whole: bool  # not ended early, once a bound was surely broken
    provenance: Provenance

    def ms(self, metric: str) -> float | None:
        """ "ttft" or "tpot" at the percentile; None where no answer has a second token."""
        return self.ttft_ms if metric == "ttft" else self.tpot_ms


def serve(
    profile: Profile,
    share: Share,
    sglang: str = SGLANG,
    around_s: float = 1.0,
    accept_length: float | None = None,
    whole: bool = True,
) -> Outcome:
    """Run `share` on one replica. `around_s` is about what a request takes, over which the users
    begin. Unless `whole`, it ends once far more requests have broken a bound than may.
    Raises InvalidValue where a request never fits."""
    scheduler = Scheduler.of(profile, sglang, accept_length, share.target.seed)
    sending = _Sending(share, around_s)
    seen = _Seen(scheduler, sending, share)
    now = 0.0
    while seen.left and (whole or not seen.broken):
        for rid, row, due_s in sending.until(now):
            seen.submit(rid, row, due_s)
        step = scheduler.step(now)
        if step is None:
            times = (scheduler.wake_s(), sending.next_s)
            now = min(at_s for at_s in times if at_s is not None)
            continue
        now += step.duration_s
        for rid, row, due_s in sending.until(now):
            seen.submit(rid, row, due_s)
        seen.receive(step, now)
    return seen.outcome()


class _Sending:
    """Who sends what when: users that come back, a Poisson process, or a trace."""

    def __init__(self, share: Share, around_s: float) -> None:
        target = share.target
        self.warm_up = 0
        self._rows = target.rows if target.kind != "trace" else target.rows[:: share.replicas]
        self._think_s = target.think_s
        self._random = random.Random(target.seed)
        self._number = count()
        self._due: list[float] = []
        self._later: Callable[[float], float | None] = lambda now: None  # the next arrival
        self._closed = target.kind == "users"
        if target.kind == "users":
            users = self.warm_up = int(share.amount)
            for _ in range(users):
                self._push(self._random.random() * (around_s + target.think_s))
        elif target.kind == "rate":
            rate = share.amount
            self.warm_up = min(int(rate * around_s) + 1, share.counted)
            self._later = lambda now: now + self._random.expovariate(rate)
            self._push(0.0)
        else:
            for row in self._rows:
                self._push(row.arrival_s)

    @property
    def next_s(self) -> float | None:
        return self._due[0] if self._due else None

    def until(self, now: float) -> Iterator[tuple[int, Row, float]]:
        """The requests that are due: number, lengths, and when each was sent."""
        while self._due and self._due[0] <= now:
            due_s, number = heapq.heappop(self._due), next(self._number)
            if (after := self._later(due_s)) is not None:
                self._push(after)
            yield number, self._rows[number % len(self._rows)], due_s

    def answered(self, now: float) -> None:
        """A user has the whole answer, and comes back."""
        if self._closed:
            pause = self._random.expovariate(1 / self._think_s) if self._think_s else 0.0
            self._push(now + pause)

    def _push(self, at_s: float) -> None:
        heapq.heappush(self._due, at_s)


@dataclass(slots=True)
class _Steps:
    """Sums over the steps of the counted time."""

    decodes: int = 0
    decode_s: float = 0.0
    running: int = 0
    queued: int = 0
    kv_tokens: int = 0
    prefills: int = 0
    prefill_s: float = 0.0
    prefill_requests: int = 0
    most_running: int = 0


class _Seen:
    """What came back of the requests that are counted, and what the steps were like meanwhile."""

    def __init__(self, scheduler: Scheduler, sending: _Sending, share: Share) -> None:
        self._scheduler = scheduler
        self._sending = sending
        self._percentile = share.target.percentile
        self._bounds_s = {m: ms / 1e3 for m, ms in share.target.bounds_ms.items()}
        self._broken = dict.fromkeys(self._bounds_s, 0)
        self._may_break = _SURELY * share.counted * (1 - share.target.percentile / 100) + 1
        self._first = sending.warm_up
        self._end = sending.warm_up + share.counted
        self.left = share.counted
        self._done = 0
        self._sent: dict[str, tuple[int, Row, float]] = {}
        self._first_s: dict[str, float] = {}
        self._ttft_s: list[float] = []
        self._tpot_s: list[float] = []
        self._latency_s = 0.0
        self._steps = _Steps()
        self._window = [0.0, 0.0]  # seconds, from the first counted send to the last
        self._tokens = [0, 0]  # generated at both ends
        self._input_tokens = 0

    @property
    def broken(self) -> bool:
        """Whether more have broken a bound than may, whatever comes."""
        return max(self._broken.values()) > self._may_break

    def submit(self, number: int, row: Row, due_s: float) -> None:
        rid = str(number)
        self._sent[rid] = number, row, due_s
        self._scheduler.submit(
            Request(
                rid, row.input_tokens, row.output_tokens, due_s, row.image_tokens, shared=row.shared
            )
        )
        if self._first <= number < self._end:
            if number == self._first:
                self._window[0], self._tokens[0] = due_s, self._scheduler.generated_tokens
                self._steps = _Steps()
            self._window[1], self._tokens[1] = due_s, self._scheduler.generated_tokens
            self._input_tokens += row.input_tokens

    def receive(self, step: Step, now: float) -> None:
        if step.kind == "prefill":
            self._prefill(step, now)
        else:
            steps = self._steps
            steps.decodes += 1
            steps.decode_s += step.duration_s
            steps.running += step.running
            steps.queued += step.queued
            steps.kv_tokens += self._scheduler.kv_tokens_used
            steps.most_running = max(steps.most_running, step.running)
        for rid, _, finished in step.emissions:
            if finished:
                self._finish(rid, now)

    def _prefill(self, step: Step, now: float) -> None:
        steps = self._steps
        steps.prefills += 1
        steps.prefill_s += step.duration_s
        steps.prefill_requests += step.running
        for rid, _, _ in step.emissions:
            if rid not in self._first_s:
                self._first_s[rid] = now
                number, _, sent_s = self._sent[rid]
                if self._first <= number < self._end:
                    self._note("ttft", self._ttft_s, now - sent_s)

    def _note(self, metric: str, times_s: list[float], took_s: float) -> None:
        times_s.append(took_s)
        self._broken[metric] = self._broken.get(metric, 0) + (
            took_s > self._bounds_s.get(metric, math.inf)
        )

    def _finish(self, rid: str, now: float) -> None:
        number, row, sent_s = self._sent.pop(rid)
        first_s = self._first_s.pop(rid)
        self._sending.answered(now)
        if self._first <= number < self._end:
            self.left -= 1
            self._done += 1
            self._latency_s += now - sent_s
            if row.output_tokens > 1:
                self._note("tpot", self._tpot_s, (now - first_s) / (row.output_tokens - 1))

    def outcome(self) -> Outcome:
        scheduler, steps = self._scheduler, self._steps
        done = max(self._done, 1)
        window_s = max(self._window[1] - self._window[0], 1e-9)
        if done < _FEW:  # too short a time for a rate: one after the other
            window_s = max(self._latency_s, 1e-9)
            self._tokens = [0, sum(self._tokens)]
        decodes, prefills = max(steps.decodes, 1), max(steps.prefills, 1)
        ran_s = steps.decode_s + steps.prefill_s
        rate = done / window_s
        tpot = [_percentile(self._tpot_s, p) for p in (self._percentile, 50)]
        return Outcome(
            ttft_ms=_percentile(self._ttft_s, self._percentile) or 0.0,
            tpot_ms=tpot[0],
            median_ttft_ms=_percentile(self._ttft_s, 50) or 0.0,
            median_tpot_ms=tpot[1],
            requests_per_s=rate,
            input_per_s=self._input_tokens / window_s,
            output_per_s=(self._tokens[1] - self._tokens[0]) / window_s,
            in_flight=self._latency_s / done * rate,
            prefill_share=steps.prefill_s / ran_s if ran_s else 0.0,
            running=steps.running / decodes,
            most_running=steps.most_running,
            queued=steps.queued / decodes,
            kv_tokens=steps.kv_tokens / decodes,
            prefill_tokens=self._input_tokens / done * steps.prefill_requests / prefills,
            prefill_requests=steps.prefill_requests / prefills,
            retractions=scheduler.retractions,
            counted=done,
            whole=not self.left,
            provenance=simulated(
                f"{scheduler.speed.provenance.source}; scheduler of SGLang "
                f"{scheduler.memory.sglang}"
            ),
        )


_FEW = 3  # counted requests


def _percentile(seconds: list[float], percent: float) -> float | None:
    """In ms; None of nothing."""
    return percentile(sorted(seconds), percent) * 1e3 if seconds else None
