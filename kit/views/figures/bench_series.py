"""Records and samples of a run as the few hundred numbers that figures draw.

Pure: seconds and counts in, arrays out.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from kit.bench.record import Record
from kit.bench.without_numpy import evenly, gaps, weighted_histogram

POINTS = 50  # of a line over time, at least; at most two and a half times as many
BARS = 24  # of a distribution, at most

_LOW_MS = 0.01
_FOLD = 30  # durations under a thirtieth of the median came together, and are drawn as one
_PER_DECADE = 40  # fine bins: 6 % wide, so a percentile read from them is within 3 %
_DECADES = 9


@dataclass(frozen=True)
class Bars:
    """A distribution on a logarithmic axis. `edges_ms` has one more than `counts`."""

    edges_ms: tuple[float, ...]
    counts: tuple[int, ...]


class DurationHistogram:
    """Durations counted as they come, in fine logarithmic bins; what it costs never grows."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._counts = [0] * (_PER_DECADE * _DECADES)
        self._sum_s = 0.0
        self.add(seconds)

    def add(self, seconds: Iterable[float]) -> None:
        low = math.log10(_LOW_MS)
        for value, count in Counter(seconds).items():  # the tokens of a chunk share their gap
            place = int(_PER_DECADE * (math.log10(max(value * 1e3, _LOW_MS)) - low))
            self._counts[min(place, len(self._counts) - 1)] += count
            self._sum_s += value * count

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def mean_ms(self) -> float:
        return self._sum_s * 1e3 / self.count

    @property
    def p99_ms(self) -> float:
        """Within 3 %: the middle of the fine bin that holds it."""
        return _edge_ms(self._place(0.99) + 0.5)

    def bars(self) -> Bars:
        """What is occupied, half a decade wide at least, in BARS bars at most.

        The outermost two hold what lies beyond: far below the median, or in the last thousandth.
        """
        if not self.count:
            return Bars((), ())
        lowest = self._place(0.5) - int(_PER_DECADE * math.log10(_FOLD))
        first = max(next(at for at, count in enumerate(self._counts) if count), lowest)
        last = self._place(0.999) + 1
        room = max(0, _PER_DECADE // 2 - (last - first))
        first = max(0, first - room // 2)
        last = min(len(self._counts), max(last, first + _PER_DECADE // 2))
        step = math.ceil((last - first) / BARS)
        starts = range(first, last, step)
        counts = [sum(self._counts[at : at + step]) for at in starts]
        counts[0] += sum(self._counts[:first])
        counts[-1] += sum(self._counts[starts[-1] + step :])
        return Bars(tuple(_edge_ms(at) for at in (*starts, starts[-1] + step)), tuple(counts))

    def _place(self, share: float) -> int:
        """The fine bin up to which `share` of all lie."""
        return bisect_left(list(accumulate(self._counts)), share * self.count)


@dataclass(frozen=True)
class RunSeries:
    """Means over equal bins of time; `time_s` are the bins' middles.

    `waiting`: sent, no token yet. `receiving`: from its first token to its last.
    """

    time_s: Sequence[float]
    tokens_per_s: Sequence[float]
    waiting: Sequence[float]
    receiving: Sequence[float]

    @classmethod
    def of(cls, records: Sequence[Record], duration_s: float) -> RunSeries:
        edges = time_edges(duration_s)
        sent = sorted(r.sent_s for r in records)
        ended = sorted(r.ended_s for r in records)
        first = sorted(r.times_s[0] if len(r.times_s) else r.ended_s for r in records)
        given = weighted_histogram(*_tokens(records), edges)
        return cls(
            [(begin + end) / 2 for begin, end in pairwise(edges)],
            [tokens / width for tokens, width in zip(given, gaps(edges), strict=True)],
            _held(sent, first, edges),
            _held(first, ended, edges),
        )


def time_edges(duration_s: float) -> list[float]:
    """Bins of a round width; the last ends with the run.

    POINTS of them or some more, fewer where they would be shorter than half a second.
    """
    most_s = max(duration_s / POINTS, min(0.5, duration_s / 10), 1e-4)
    power = 10.0 ** math.floor(math.log10(most_s))
    width_s = next(power * n for n in (5, 2, 1) if power * n <= most_s * 1.001)
    whole = max(1, round(duration_s / width_s))
    return [*(number * width_s for number in range(whole)), max(duration_s, 1e-3)]


def cumulative(times_s: Iterable[float], points: int = 2 * POINTS) -> tuple[list[float], list[int]]:
    """(time, how many by then), thinned evenly to `points`."""
    at = sorted(times_s)
    keep = evenly(len(at), points)
    return [at[place] for place in keep], [place + 1 for place in keep]


def gaps_s(records: Sequence[Record]) -> list[float]:
    """Gaps between chunks; where their tokens are counted, divided by them and repeated."""
    done = [r for r in records if r.ok and len(r.times_s) > 1]
    between = [gap for r in done for gap in gaps(r.times_s)]
    if not all(r.tokens for r in records if r.ok):
        return between
    tokens = chain.from_iterable(r.tokens[1:] for r in done)
    each = ([gap / n] * n if n else [] for gap, n in zip(between, tokens, strict=True))
    return list(chain.from_iterable(each))


def _tokens(records: Sequence[Record]) -> tuple[list[float], list[float]]:
    """When tokens came, and how many: of each chunk, or on average where they are not counted."""
    times: list[float] = []
    tokens: list[float] = []
    for r in records:
        if r.ok and (chunks := len(r.times_s)):
            times += r.times_s
            tokens += r.tokens if len(r.tokens) == chunks else [r.output_tokens / chunks] * chunks
    return times, tokens


def _held(begin_s: list[float], end_s: list[float], edges: list[float]) -> list[float]:
    """How many intervals are open, on average over each bin. Begins and ends are sorted."""
    areas = [b - e for b, e in zip(_area(begin_s, edges), _area(end_s, edges), strict=True)]
    return [area / width for area, width in zip(gaps(areas), gaps(edges), strict=True)]


def _area(ordered: list[float], edges: list[float]) -> list[float]:
    """Σ max(0, t − begin) at each edge t."""
    sums = [0.0, *accumulate(ordered)]
    return [(before := bisect_left(ordered, edge)) * edge - sums[before] for edge in edges]


def _edge_ms(place: float) -> float:
    return float(_LOW_MS * 10 ** (place / _PER_DECADE))
