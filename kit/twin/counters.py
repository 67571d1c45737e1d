"""Counts and times of the requests so far, for /metrics.

They are kept here, and turned into prometheus_client's metrics only when the page is asked for: a
step of a thousand streams has no time for its locks. Times are by the real clock: at speed 20 they
are a twentieth of those of the simulated machine.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
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
    """Counts by upper bound, in the unit of the bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * len(bounds)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Each bound as Prometheus writes it, and how many values were not above it."""
        names = ("+Inf" if bound == float("inf") else str(bound) for bound in self.bounds)
        return zip(names, accumulate(self.counts), strict=True)


@dataclass
class RequestTimes:
    """When the tokens of one running request came, on the monotonic clock."""

    streaming: bool
    arrived_s: float
    first_s: float = 0.0
    last_s: float = 0.0
    tokens: int = 0


class RequestCounters:
    """Totals and histograms, each by whether the request streams."""

    def __init__(self) -> None:
        self.totals: Counter[tuple[str, bool]] = Counter()
        self.histograms: dict[tuple[str, bool], Histogram] = {}
        for name, family in families().items():
            if family["kind"] == "histogram":
                both = [Histogram(tuple(family["bounds"])) for _ in range(2)]
                if family["per"] == "engine":
                    both = both[:1] * 2
                self.histograms |= {(name, False): both[0], (name, True): both[1]}

    def begin(self, streaming: bool, prompt_tokens: int, arrived_s: float) -> RequestTimes:
        """A request has been scheduled."""
        self.totals["prompt_tokens_total", streaming] += prompt_tokens
        return RequestTimes(streaming, arrived_s)

    def add_tokens(self, request: RequestTimes, tokens: int, at_s: float) -> None:
        """`tokens` were sent at `at_s` of the monotonic clock."""
        self.totals["generation_tokens_total", request.streaming] += tokens
        if request.tokens == 0:
            request.first_s = at_s
            self.histograms[TTFT, request.streaming].add(at_s - request.arrived_s)
        else:
            gap_s = (at_s - request.last_s) / tokens
            self.histograms[ITL, request.streaming].add(gap_s, tokens)
        request.tokens += tokens
        request.last_s = at_s

    def end(self, request: RequestTimes) -> None:
        """A request has come to its end. One that was aborted does not count."""
        self.totals["num_requests_total", request.streaming] += 1
        self.histograms[E2E, request.streaming].add(request.last_s - request.arrived_s)
        if request.tokens > 1:
            tpot_s = (request.last_s - request.first_s) / (request.tokens - 1)
            self.histograms[TPOT, request.streaming].add(tpot_s)
