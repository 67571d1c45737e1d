"""A twin's own times, read from what it sends: a run on it is described by its clock alone.

The twin precedes the events of a step by an SSE comment with the time that its own clock showed
(kit.chat.sse). And each request of a run says when it is due by that clock, which waits for it. So
a client that is late, in its sending or its reading, is late by the wall clock and changes no
figure. How late it was is kept apart.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from urllib.parse import urlsplit
from uuid import uuid4

from kit.bench.report import Report
from kit.bench.transport import Part, Response
from kit.bench.without_numpy import percentile
from kit.bench.workload import Workload
from kit.chat.sse import TWIN_TIMES
from kit.endpoint import Endpoint
from kit.http import LOOPBACK
from kit.provenance import simulated

OWN_TIME = "in the twin's own time"
_TICK_MS = 50.0  # the monotonic clock of some systems is as coarse
_ANOTHER_CLOCK_MS = 600e3  # nobody is so late: that computer counts from another zero


def run_headers(workload: Workload) -> list[tuple[str, str]]:
    """The header of each request of a run: when it is due, and when the next."""
    run, at_once = uuid4().hex[:12], workload.max_concurrency or workload.num_prompts
    due = [repr(float(at_s)) for at_s in workload.send_s]
    return [
        ("x-kit-run", f"{run} {index} {at_s} {next_s} {at_once} {workload.seed}")
        for index, (at_s, next_s) in enumerate(zip(due, [*due[1:], "-"], strict=True))
    ]


@dataclass(frozen=True)
class TwinTimes:
    """A response with the times of the twin's clock, in seconds since the start of its run."""

    response: Response
    late_s: tuple[float, ...]  # of each step's bytes: when they came, after they were due

    @classmethod
    def of(cls, came: Response) -> TwinTimes | None:
        """None for a response without such times: another server's, or of a twin behind a router,
        which does not pass on that they are asked for."""
        body = came.body
        stamps = list(TWIN_TIMES.finditer(body))
        if not stamps:
            return None
        starts = [*(stamp.start() for stamp in stamps[1:]), len(body)]
        made = Response()
        made.sent, made.status, made.error = float(stamps[0][2]), came.status, came.error
        made.size = came.size
        made.parts = [
            (float(stamp[1]), body[stamp.end() : start])
            for stamp, start in zip(stamps, starts, strict=True)
        ]
        return cls(made, tuple(_late_s(came, stamps)))

    @property
    def newest_s(self) -> float:
        return self.response.parts[-1][0]


def _late_s(came: Response, stamps: Sequence[re.Match[bytes]]) -> Iterator[float]:
    """How late each stamp was read; the twin's monotonic clock is this computer's."""
    between_clocks_s = time.perf_counter() - time.monotonic()
    ends = accumulate(len(part) for _, part in came.parts)
    reads = zip(ends, (read_s for read_s, _ in came.parts), strict=True)
    end, read_s = next(reads)
    for stamp in stamps:
        while end < stamp.end():
            end, read_s = next(reads)
        yield read_s - between_clocks_s - float(stamp[3])


def in_own_time(report: Report, times: Iterable[TwinTimes], endpoint: Endpoint) -> Report:
    """The report of a run whose times are the twin's own: it says so, and how late this computer
    was, where the twin runs on it."""
    source = f"{report.provenance.source}, {OWN_TIME}"
    late_ms: tuple[float, float] | None = None
    if urlsplit(endpoint.base_url).hostname in LOOPBACK:
        ordered = sorted(late for one in times for late in one.late_s)
        median_ms, p99_ms = percentile(ordered, 50) * 1e3, percentile(ordered, 99) * 1e3
        if median_ms > -_TICK_MS and p99_ms < _ANOTHER_CLOCK_MS:
            late_ms = max(median_ms, 0.0), max(p99_ms, 0.0)
    return replace(report, provenance=simulated(source), late_ms=late_ms)


def newest(parts: Sequence[tuple[float, Part]], index: int) -> tuple[float, float] | None:
    """(when a part was due, when its request arrived) by the twin's clock, up to part `index`."""
    for number in range(index, -1, -1):
        text = parts[number][1]
        at = text.rfind(b": twin at ")
        if at >= 0 and (found := TWIN_TIMES.match(text, at)):
            return float(found[1]), float(found[2])
    return None
