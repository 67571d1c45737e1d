"""Records and samples of a run as the few hundred numbers that figures draw.

Pure: seconds and counts in, arrays out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kit.bench.record import Record

Array = npt.NDArray[np.float64]

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
        self._counts = np.zeros(_PER_DECADE * _DECADES, dtype=np.int64)
        self._sum_s = 0.0
        self.add(seconds)

    def add(self, seconds: Iterable[float]) -> None:
        values = np.asarray(
            seconds if isinstance(seconds, np.ndarray) else list(seconds), dtype=np.float64
        )
        if values.size == 0:
            return
        place = _PER_DECADE * (np.log10(np.maximum(values * 1e3, _LOW_MS)) - math.log10(_LOW_MS))
        place = np.minimum(place.astype(np.int64), self._counts.size - 1)
        self._counts += np.bincount(place, minlength=self._counts.size)
        self._sum_s += float(values.sum())

    @property
    def count(self) -> int:
        return int(self._counts.sum())

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
        first = max(int(np.flatnonzero(self._counts)[0]), lowest)
        last = self._place(0.999) + 1
        room = max(0, _PER_DECADE // 2 - (last - first))
        first = max(0, first - room // 2)
        last = min(self._counts.size, max(last, first + _PER_DECADE // 2))
        step = math.ceil((last - first) / BARS)
        starts = range(first, last, step)
        counts = [int(self._counts[at : at + step].sum()) for at in starts]
        counts[0] += int(self._counts[:first].sum())
        counts[-1] += int(self._counts[starts[-1] + step :].sum())
        return Bars(tuple(_edge_ms(at) for at in (*starts, starts[-1] + step)), tuple(counts))

    def _place(self, share: float) -> int:
        """The fine bin up to which `share` of all lie."""
        return int(np.searchsorted(np.cumsum(self._counts), share * self.count))


@dataclass(frozen=True)
class RunSeries:
    """Means over equal bins of time; `time_s` are the bins' middles.

    `waiting`: sent, no token yet. `receiving`: from its first token to its last.
    """

    time_s: Array
    tokens_per_s: Array
    waiting: Array
    receiving: Array

    @classmethod
    def of(cls, records: Sequence[Record], duration_s: float) -> RunSeries:
        edges = time_edges(duration_s)
        sent = np.array([r.sent_s for r in records])
        ended = np.array([r.ended_s for r in records])
        first = np.array([r.times_s[0] if len(r.times_s) else r.ended_s for r in records])
        times, tokens = _tokens(records)
        given, _ = np.histogram(times, edges, weights=tokens)
        return cls(
            (edges[:-1] + edges[1:]) / 2,
            given / np.diff(edges),
            _held(sent, first, edges),
            _held(first, ended, edges),
        )


def time_edges(duration_s: float) -> Array:
    """Bins of a round width; the last ends with the run.

    POINTS of them or some more, fewer where they would be shorter than half a second.
    """
    most_s = max(duration_s / POINTS, min(0.5, duration_s / 10), 1e-4)
    power = 10.0 ** math.floor(math.log10(most_s))
    width_s = next(power * n for n in (5, 2, 1) if power * n <= most_s * 1.001)
    whole = max(1, round(duration_s / width_s))
    edges = np.arange(whole + 1, dtype=np.float64) * width_s
    edges[-1] = max(duration_s, 1e-3)
    return edges


def cumulative(times_s: Iterable[float], points: int = 2 * POINTS) -> tuple[Array, Array]:
    """(time, how many by then), thinned evenly to `points`."""
    at = np.sort(np.fromiter(times_s, dtype=np.float64))
    keep = np.unique(np.linspace(0, at.size - 1, min(points, at.size)).astype(np.int64))
    return at[keep], (keep + 1).astype(np.float64)


def gaps_s(records: Sequence[Record]) -> Array:
    """Gaps between chunks; where their tokens are counted, divided by them and repeated."""
    done = [r for r in records if r.ok and len(r.times_s) > 1]
    if not done:
        return np.zeros(0)
    gaps = np.concatenate([np.diff(r.times_s) for r in done])
    if not all(r.tokens for r in records if r.ok):
        return gaps
    tokens = np.concatenate([np.asarray(r.tokens[1:]) for r in done])
    return np.repeat(gaps / tokens, tokens)


def _tokens(records: Sequence[Record]) -> tuple[Array, Array]:
    """When tokens came, and how many: of each chunk, or on average where they are not counted."""
    times, tokens = [np.zeros(0)], [np.zeros(0)]
    for r in records:
        if r.ok and len(r.times_s):
            times.append(np.asarray(r.times_s))
            chunks = len(r.times_s)
            counted = len(r.tokens) == chunks
            tokens.append(
                np.asarray(r.tokens) if counted else np.full(chunks, r.output_tokens / chunks)
            )
    return np.concatenate(times), np.concatenate(tokens).astype(np.float64)


def _held(begin_s: Array, end_s: Array, edges: Array) -> Array:
    """How many intervals are open, on average over each bin."""
    return np.diff(_area(begin_s, edges) - _area(end_s, edges)) / np.diff(edges)


def _area(begin_s: Array, edges: Array) -> Array:
    """Σ max(0, t − begin) at each edge t."""
    ordered = np.sort(begin_s)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    before = np.searchsorted(ordered, edges)
    area: Array = before * edges - sums[before]
    return area


def _edge_ms(place: float) -> float:
    return float(_LOW_MS * 10 ** (place / _PER_DECADE))
