"""A run's samples as small messages for the page: at most five per second, under 2 kB each.

A message is a dict: `t` elapsed (s), `n` [sent, finished, failed], `counted` whether tokens are
(else chunks), `p` one point of the lines [time, tokens/s, running or in flight, queued], the last
two None where unknown, `ttft` and `itl` a distribution each [edges (ms), counts, mean (ms),
P99 (ms)], left out when nothing was added to it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from kit.views.figures.bench_series import DurationHistogram

if TYPE_CHECKING:
    from kit.bench.sampler import Sample

EVERY_S = 0.2
EARLY_S = 0.05  # a sample that comes this much before its time is not made to wait for the next
WINDOW = 5  # samples that a rate is taken over: about a second
HISTORY = 240  # points kept for a page that opens late

Point = list[float | None]


class Feed:
    """Takes samples, gives messages to `send`. `history` is all of it once more."""

    def __init__(
        self, send: Callable[[dict[str, Any]], None], now_s: Callable[[], float] = time.perf_counter
    ) -> None:
        self._send = send
        self._now_s = now_s
        self._due_s = -1e9
        self._window: deque[tuple[float, int]] = deque(maxlen=WINDOW + 1)
        self._points: list[Point] = []
        self._sent = 0
        self._stride = 1
        self._histograms = {"ttft": DurationHistogram(), "itl": DurationHistogram()}
        self._added: set[str] = set()
        self._last: Sample | None = None
        self._waits = False

    def add(self, sample: Sample) -> None:
        """Count the sample; send, when a message is due."""
        self._last, self._waits = sample, True
        self._window.append((sample.t_s, sample.output_tokens))
        for name, seconds in (("ttft", sample.ttft_s), ("itl", sample.itl_s)):
            if seconds:
                self._histograms[name].add(seconds)
                self._added.add(name)
        if self._now_s() >= self._due_s - EARLY_S:
            self.flush()

    def flush(self) -> None:
        """Send the last sample, where it has not been."""
        if self._last is None or not self._waits:
            return
        self._waits = False
        self._due_s = max(self._due_s + EVERY_S, self._now_s() + EVERY_S - EARLY_S)
        point = _point(self._last, self._rate())
        self._keep(point)
        added, self._added = self._added, set()
        self._send(self._message(self._last, added, p=point))

    def history(self) -> dict[str, Any] | None:
        """One message with every point, for a page that has just opened; None before any."""
        if self._last is None:
            return None
        return self._message(self._last, self._histograms, all=self._points)

    def send_history(self) -> None:
        """Bring a page that has just opened up to date."""
        if history := self.history():
            self._send(history)

    def _keep(self, point: Point) -> None:
        """Every point, then every second, every fourth …: evenly over the run, however long."""
        if self._sent % self._stride == 0:
            self._points.append(point)
        self._sent += 1
        if len(self._points) > HISTORY:
            self._points, self._stride = self._points[::2], 2 * self._stride

    def _rate(self) -> float:
        """Output tokens per second over the window."""
        (first_s, before), (last_s, after) = self._window[0], self._window[-1]
        return (after - before) / (last_s - first_s) if last_s > first_s else 0.0

    def _message(self, last: Sample, names: Container[str], **points: Any) -> dict[str, Any]:
        """The counts so far, these points, and the distributions of these names."""
        bars = {name: _bars(held) for name, held in self._histograms.items() if name in names}
        counts = [last.sent, last.finished, last.failed]
        return {"t": round(last.t_s, 2), "n": counts, "counted": last.counted, **points, **bars}


def _point(sample: Sample, rate: float) -> Point:
    """Where the server gives no queue, requests in flight stand for those that run."""
    running: int | None = sample.running
    queued = sample.queued
    if running is None:
        running, queued = sample.in_flight, None
    elif not (running or queued) and sample.in_flight:  # it was asked before they came
        running, queued = None, None
    return [round(sample.t_s, 2), round(rate, 1), running, queued]


def _bars(histogram: DurationHistogram) -> list[Any]:
    if not histogram.count:
        return [[], [], None, None]
    bars = histogram.bars()
    edges = [float(f"{edge:.4g}") for edge in bars.edges_ms]
    return [edges, list(bars.counts), _short(histogram.mean_ms), _short(histogram.p99_ms)]


def _short(ms: float) -> float:
    return float(f"{ms:.3g}")
