"""Clients that say when their requests are due, and a clock that waits for them.

A benchmark is described in the twin's time, so a slow client must not show in it. Each request of
a run has the header

    x-kit-run: ID INDEX DUE_S NEXT_DUE_S AT_ONCE SEED

DUE_S is when it may be sent, in the twin's seconds since the run began, NEXT_DUE_S the same of the
next one, or "-"; AT_ONCE is how many may be out. So request k arrives when it is due and one of
AT_ONCE places is free, as in `kit.bench.simulate`. While one that belongs before the next step has
not come, the twin's clock stands still. SEED and INDEX choose its random draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

RUN = b"x-kit-run"
_MOST_LEFT = 16  # runs that are kept though their client has left


@dataclass(frozen=True)
class Announced:
    """The header of one request."""

    run: str
    index: int
    due_s: float
    next_s: float | None
    at_once: int
    seed: int

    @classmethod
    def parse(cls, header: str) -> Announced | None:
        """None for what is no such header: the request is then one like any other."""
        try:
            run, index, due, following, at_once, seed = header.split()
            next_s = None if following == "-" else float(following)
            made = cls(run, int(index), float(due), next_s, int(at_once), int(seed))
        except ValueError:
            return None
        times = (made.due_s, made.next_s or 0.0)
        fine = all(0 <= time_s < math.inf for time_s in times)
        return made if fine and made.index >= 0 and made.at_once > 0 <= made.seed else None


@dataclass
class Run:
    """The requests of one run: which have come, which is the next, which places became free.

    Requests may overtake each other on their way. So all below `highest` have been sent; `first`
    is the first of those that has not come.
    """

    origin_s: float
    at_once: int
    first: int = 0
    highest: int = -1
    next_s: float | None = None  # when the one after the highest is due; None after the last
    came: int = 0
    freed_s: list[float] = field(default_factory=list)
    left: bool = False  # its client hung up, or was silent for too long: it is not waited for
    _early: set[int] = field(default_factory=set)  # that have come, above the first

    @property
    def over(self) -> bool:
        complete = self.left or (self.first > self.highest and self.next_s is None)
        return complete and len(self.freed_s) == self.came

    @property
    def expected_s(self) -> float:
        """The earliest arrival of a request that has not come; infinite where none can."""
        if self.left:
            return math.inf
        if self.first <= self.highest:
            return self.arrival_s(self.first, 0.0)
        return math.inf if self.next_s is None else self.arrival_s(self.first, self.next_s)

    def arrival_s(self, index: int, due_s: float) -> float:
        """When request `index` arrives; infinite while all places are taken."""
        due_s += self.origin_s
        if index < self.at_once:
            return due_s
        place = index - self.at_once
        return max(due_s, self.freed_s[place]) if place < len(self.freed_s) else math.inf

    def come(self, one: Announced, now_s: float) -> float:
        """Take a request that has come at `now_s`; returns when it arrives for the scheduler."""
        arrival_s = self.arrival_s(one.index, one.due_s)
        self.came += 1
        self._early.add(one.index)
        while self.first in self._early:
            self._early.remove(self.first)
            self.first += 1
        if one.index > self.highest:
            self.highest, self.next_s = one.index, one.next_s
        return now_s if self.left or arrival_s == math.inf else arrival_s


@dataclass(eq=False)
class RunRequest:
    """One request of a run, from its head to the end of its answer."""

    runs: Runs
    announced: Announced
    run: Run | None = None
    arrival_s: float = 0.0
    ended: bool = False

    @property
    def draws(self) -> tuple[int, int]:
        """The seed and the number of its random draws."""
        return self.announced.seed, self.announced.index

    def come(self, now_s: float) -> float:
        """It is scheduled now; returns its arrival. The same again for a second choice."""
        if self.run is None:
            self.run, self.arrival_s = self.runs.take(self.announced, now_s)
        return self.arrival_s

    def end(self, now_s: float) -> None:
        """Its answer is complete, or there is none: its place is free."""
        if not self.ended and self.run is not None:
            self.ended = True
            self.run.freed_s.append(now_s)
            self.runs.tidy()

    def hang_up(self, now_s: float) -> None:
        """Its client has left."""
        if self.run is not None:
            self.run.left = True
        self.end(now_s)


class Runs:
    """The runs under way. `changed` is called when one of them may have become shorter."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._runs: dict[str, Run] = {}

    def __bool__(self) -> bool:
        return bool(self._runs)

    def request(self, header: bytes) -> RunRequest | None:
        announced = Announced.parse(header.decode("latin-1"))
        return RunRequest(self, announced) if announced else None

    @property
    def expected_s(self) -> float:
        """The earliest arrival of a request that was announced and has not come."""
        return min((run.expected_s for run in self._runs.values()), default=math.inf)

    def take(self, one: Announced, now_s: float) -> tuple[Run, float]:
        """The run of a request that has come, and when it arrives. The first one of a run says
        where its time begins."""
        run = self._runs.setdefault(one.run, Run(now_s - one.due_s, one.at_once))
        arrival_s = run.come(one, now_s)
        self._changed()
        return run, arrival_s

    def give_up(self, until_s: float) -> None:
        """Wait no longer for those whose requests should have come by `until_s`."""
        for run in self._runs.values():
            if run.expected_s <= until_s:
                run.left = True
        self.tidy()

    def tidy(self) -> None:
        """Forget runs that are complete, and the oldest of those whose client left: it may come
        back."""
        for name in [name for name, run in self._runs.items() if run.over and not run.left]:
            del self._runs[name]
        for name in [name for name, run in self._runs.items() if run.over][:-_MOST_LEFT]:
            del self._runs[name]
        self._changed()
