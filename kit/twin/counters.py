"""What passed through the twin: requests, tokens and times, for /metrics.

Times are by the real clock: at 20 times speed they are 20 times shorter than on the machine that
is played.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data

TTFT = "time_to_first_token_seconds"
ITL = "inter_token_latency_seconds"
E2E = "e2e_request_latency_seconds"
TPOT = "request_time_per_output_token_seconds"


@cache
def families() -> Mapping[str, Mapping[str, Any]]:
    """The families of `data/twin/metrics.toml`: kind, labels, help, histogram bounds."""
    return load_data.toml("twin/metrics.toml")


class Histogram:
    """Counts by upper bound, as Prometheus has them."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * len(bounds)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def plus(self, other: Histogram) -> Histogram:
        both = Histogram(self.bounds)
        both.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        both.sum = self.sum + other.sum
        return both


@dataclass
class Flow:
    """A request in flight."""

    streaming: bool
    arrived_s: float
    first_s: float = 0.0
    last_s: float = 0.0
    tokens: int = 0


class Meter:
    """Counters and histograms, each by whether the request streams."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, bool], int] = {}
        self.histograms = {
            (name, streaming): Histogram(tuple(family["bounds"]))
            for name, family in families().items()
            if family["kind"] == "histogram"
            for streaming in (False, True)
        }

    def begin(self, streaming: bool, prompt_tokens: int, arrived_s: float) -> Flow:
        self._count("prompt_tokens_total", streaming, prompt_tokens)
        return Flow(streaming, arrived_s)

    def give(self, flow: Flow, tokens: int, at_s: float) -> None:
        """`tokens` went out at `at_s` of the monotonic clock."""
        self._count("generation_tokens_total", flow.streaming, tokens)
        if flow.tokens == 0:
            flow.first_s = at_s
            self.histograms[TTFT, flow.streaming].add(at_s - flow.arrived_s)
        else:
            gap_s = (at_s - flow.last_s) / tokens
            self.histograms[ITL, flow.streaming].add(gap_s, tokens)
        flow.tokens += tokens
        flow.last_s = at_s

    def end(self, flow: Flow) -> None:
        """A request has come to its end. One that was aborted does not count."""
        self._count("num_requests_total", flow.streaming, 1)
        self.histograms[E2E, flow.streaming].add(flow.last_s - flow.arrived_s)
        if flow.tokens > 1:
            tpot_s = (flow.last_s - flow.first_s) / (flow.tokens - 1)
            self.histograms[TPOT, flow.streaming].add(tpot_s)

    def _count(self, name: str, streaming: bool, more: int) -> None:
        self.counters[name, streaming] = self.counters.get((name, streaming), 0) + more
