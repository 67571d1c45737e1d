"""Holds, marginal, does not hold: a profile against the target, with as many replicas as it takes.

    holds           at the pessimistic end of the prediction's band, every bound is kept
    marginal        the prediction keeps them, its pessimistic end does not
    does not hold   the prediction itself does not

The bands are those of published cells for means and medians (`kit.speed.bands`); here they are
taken for a percentile too. A full server has a narrow band for TTFT, because it is its queue; a
server that keeps a bound on TTFT has no queue, so the widest band up to the load counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from kit.capacity.candidates import Candidate, widest
from kit.capacity.replica import Outcome, Share, serve
from kit.capacity.target import Target
from kit.hardware import Profile
from kit.provenance import Provenance
from kit.speed.bands import Band

Verdict = Literal["holds", "marginal", "does not hold"]
VERDICTS: tuple[Verdict, ...] = ("holds", "marginal", "does not hold")
_FINE = 0.04  # of the users of a replica: finer than that nobody knows


@dataclass(frozen=True)
class Point:
    """A replica under a share of the load, against the bounds."""

    share: Share
    outcome: Outcome
    bounds_ms: dict[str, float]
    bands: dict[str, Band]  # by metric; that of no band is 1

    @classmethod
    def of(cls, candidate: Candidate, share: Share, sglang: str, whole: bool = True) -> Point:
        """Simulated; unless `whole`, only until a bound is surely broken.

        Raises InvalidValue where a request never fits.
        """
        around_s = 2 * candidate.alone_s
        outcome = serve(candidate.profile, share, sglang, around_s=around_s, whole=whole)
        bounds = {
            metric: ms
            for metric, ms in share.target.bounds_ms.items()
            if outcome.ms(metric) is not None
        }
        bands = {metric: widest(metric, candidate.speed, outcome.in_flight) for metric in bounds}
        return cls(share, outcome, bounds, bands)

    def ratio(self, metric: str) -> float:
        """The prediction over its bound."""
        return (self.outcome.ms(metric) or 0.0) / self.bounds_ms[metric]

    @property
    def expected(self) -> float:
        """The worst prediction over its bound: at most 1 where the prediction keeps all."""
        return max(self.ratio(metric) for metric in self.bounds_ms)

    @property
    def pessimistic(self) -> float:
        """The same at the pessimistic end of the bands."""
        return max(self.ratio(metric) * self.bands[metric].p90 for metric in self.bounds_ms)

    @property
    def tightest(self) -> str:
        """The metric nearest to its bound, or farthest beyond it, at the pessimistic end."""
        return max(self.bounds_ms, key=lambda m: self.ratio(m) * self.bands[m].p90)

    @property
    def verdict(self) -> Verdict:
        return next((v for v in VERDICTS[:2] if self.keeps(v)), VERDICTS[-1])

    def keeps(self, verdict: Verdict) -> bool:
        """Whether it is at least this."""
        return (self.pessimistic if verdict == "holds" else self.expected) <= 1


@dataclass(frozen=True)
class Option:
    """A profile with the replicas that it takes, and what each of them then gives.

    `point` is a replica under its even share of the load, `most` the heaviest load that one was
    seen to hold at this verdict, `beyond` the lightest that was seen to be too much: None where
    the target does not ask for so much. `tried` are other numbers of replicas, each its even share.
    `predicted` is the even share of the fewest replicas that the prediction alone asks for, where
    these are fewer.
    """

    candidate: Candidate
    target: Target
    verdict: Verdict
    replicas: int
    point: Point
    beyond: Point | None
    most: Point | None = None
    tried: tuple[Point, ...] = ()
    predicted: Point | None = None

    @property
    def profile(self) -> Profile:
        return self.candidate.profile

    @property
    def gpus(self) -> int:
        return self.replicas * self.candidate.gpus

    @property
    def capacity(self) -> float:
        """What one replica holds: users, requests per second, or the share of a trace; 0 where
        it holds nothing."""
        return 0.0 if self.verdict == "does not hold" else (self.most or self.point).share.amount

    @property
    def one_fewer_is_marginal(self) -> bool:
        """Whether the prediction alone, without its band, would do with a replica less."""
        fewer = [p for p in self.tried if p.share.is_even and p.share.replicas == self.replicas - 1]
        return self.verdict == "holds" and any(point.keeps("marginal") for point in fewer)

    @property
    def predicted_replicas(self) -> int | None:
        """The fewest that keep the bounds by the prediction, without its band; None where none
        do, and before `refined` has looked for it."""
        if self.predicted is not None:
            return self.predicted.share.replicas
        known = self.verdict == "marginal" or self.replicas == 1 or self.most is not None
        return self.replicas if known and self.verdict != "does not hold" else None

    @property
    def predicted_gpus(self) -> int | None:
        replicas = self.predicted_replicas
        return None if replicas is None else replicas * self.candidate.gpus

    @property
    def output_per_s(self) -> float:
        """Output tokens a second of all replicas."""
        return self.point.outcome.output_per_s * self.replicas

    @property
    def tokens_per_s(self) -> float:
        """Tokens in and out a second of all replicas."""
        return self.output_per_s + self.point.outcome.input_per_s * self.replicas

    @property
    def provenance(self) -> Provenance:
        return self.point.outcome.provenance


def judge(
    candidate: Candidate, target: Target, sglang: str, most_gpus: int | None = None
) -> Option:
    """The fewest replicas of a candidate that hold `target`; else those for which it is marginal;
    else how far it is off. With `most_gpus`, on no more than these."""
    most = target.most_replicas
    if most_gpus is not None:
        most = min(most, max(1, most_gpus // candidate.gpus))
    search = _Search(candidate, target, sglang, most)
    start = min(most, candidate.replicas)
    for verdict in VERDICTS[:2]:
        replicas = _fewest(search.keeping(verdict), start, most)
        if replicas is not None:
            return search.option(replicas, verdict)
    return search.option(most, VERDICTS[-1])


def _fewest(holds: Callable[[int], bool], start: int, most: int) -> int | None:
    """The smallest number from 1 to `most` that holds, looked for from `start` in growing steps;
    None where `most` does not."""
    low, high, step = 0, most + 1, 1  # low does not hold; high does, where it is not beyond most
    number = start
    while high - low > 1:
        if holds(number):
            high = number
            number = max(low + 1, high - step) if low == 0 else (low + high) // 2
        else:
            low = number
            number = min(most, low + step) if high > most else (low + high) // 2
        step *= 2
    return high if high <= most else None


class _Search:
    """Points of a candidate, each simulated once."""

    def __init__(
        self, candidate: Candidate, target: Target, sglang: str, most: int | None = None
    ) -> None:
        self._candidate = candidate
        self._most = most
        self._target = target
        self._sglang = sglang
        self._points: dict[float, Point] = {}

    def keeping(self, verdict: Verdict) -> Callable[[int], bool]:
        return lambda replicas: self.at(replicas).keeps(verdict)

    def at(self, replicas: int) -> Point:
        return self.point(Share(self._target, replicas), whole=replicas == self._most)

    def point(self, share: Share, whole: bool = False) -> Point:
        if share.amount not in self._points:
            self._points[share.amount] = Point.of(self._candidate, share, self._sglang, whole)
        return self._points[share.amount]

    def option(self, replicas: int, verdict: Verdict) -> Option:
        point = self.at(replicas)
        more = [p for p in self._points.values() if p.share.amount > point.share.amount]
        beyond = min(more, key=lambda p: p.share.amount, default=None)
        even = [p for p in self._points.values() if p is not point]
        return Option(
            self._candidate, self._target, verdict, replicas, point, beyond, tried=tuple(even)
        )


def _predicted(search: _Search, option: Option) -> Point | None:
    """The fewest replicas that the prediction alone asks for, where these are fewer."""
    if option.verdict != "holds":
        return None
    start = min(option.candidate.least_replicas, option.replicas)
    fewest = _fewest(search.keeping("marginal"), start, option.replicas)
    if fewest is None or fewest == option.replicas:
        return None
    return search.point(Share(option.target, fewest), whole=True)


def refined(option: Option, sglang: str) -> Option:
    """The same with how much a replica holds, between its share and that of one fewer; what one
    replica fewer and twice as many would give; and the fewest that the prediction alone asks for.
    """
    t, low, high = option.target, option.point, option.beyond
    if high is None or option.most is not None:  # nothing beyond it, or found already
        return option
    if option.verdict == "does not hold" or t.kind == "trace":
        return option
    search = _Search(option.candidate, t, sglang)
    others = {option.replicas - 1, min(2 * option.replicas, t.most_replicas)} - {option.replicas}
    tried = [search.point(Share(t, k), whole=True) for k in sorted(others) if k]
    predicted = _predicted(search, option)
    tried += [] if predicted is None or predicted in tried else [predicted]
    while True:
        few, many = low.share.amount, high.share.amount
        if many - few <= max(_FINE * few, float(t.kind == "users")):
            return replace(option, most=low, beyond=high, tried=tuple(tried), predicted=predicted)
        middle = search.point(low.share.of((few + many) / 2))
        low, high = (middle, high) if middle.keeps(option.verdict) else (low, middle)
