"""A benchmark that is watched while it runs.

    report = await live_bench(endpoint, Workload(1000, 1000, 100, max_concurrency=32))

While the cell waits, a chart moves and Stop stops; at the end a static figure takes its place,
and the results stand below as a table: that is what a saved notebook keeps, and all that a
headless run shows.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from kit.bench import client
from kit.bench.report import Report
from kit.bench.workload import Workload
from kit.endpoint import Endpoint
from kit.errors import KitError
from kit.views.figure import under_figure
from kit.views.figures.bench_run import bundle, results, run_figure
from kit.views.figures.bench_series import DurationHistogram
from kit.views.live import LiveOutput, Output

if TYPE_CHECKING:
    from kit.bench.sampler import Sample
    from kit.views.widgets.page_widgets import BenchWidget

EVERY_S = 0.2
EARLY_S = 0.05  # a sample that comes this much before its time is not made to wait for the next
WINDOW = 5  # samples that a rate is taken over: about a second
HISTORY = 240  # points kept for a page that opens late

Point = list[float | None]


async def live_bench(endpoint: Endpoint, workload: Workload, **options: Any) -> Report:
    """Run `workload` against `endpoint` under a live chart; return the report.

    Output tokens/s and the server's running and queued requests over time, TTFT and ITL as
    distributions, progress, and a Stop button. Stop, or interrupting the kernel, ends the run: the
    report is then of what had come, and its `missing` says what is not in it. `options` are those
    of `kit.bench.measure`. Times are the endpoint's own: a twin at speed 10 shows ten seconds
    in one, and on a computer that cannot keep up it shows fewer.

    Raises EndpointError when the warm-up request fails, KitError when stopped before it was
    answered.
    """
    live, chart = LiveOutput(), _LiveChart(endpoint, workload)
    if widget := await live.open(chart.new_widget):
        chart.feed = Feed(widget.send)
    chart.run = asyncio.create_task(client.run(endpoint, workload, on_sample=chart.add, **options))
    stopped = KitError("stopped before there was anything to report", "run the cell again")
    report: Report | None = None
    try:
        report = await live.wait(chart.run, stopped)
    except asyncio.CancelledError:
        raise stopped from None
    finally:
        if report is None and widget is not None:
            live.replace({"text/plain": "Nothing was measured."})
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        task.uncancel()  # the interrupt has been answered: by a report of what there is
    _show_results(live, report)
    return report


class _LiveChart:
    """The widget of a run: what it is sent, and what its buttons do."""

    def __init__(self, endpoint: Endpoint, workload: Workload) -> None:
        self.run: asyncio.Task[Report] | None = None
        self.feed: Feed | None = None  # only where a page draws it
        label = endpoint.provenance
        self._config = {
            "total": workload.num_prompts,
            "kind": str(label.kind),
            "source": label.source,
            "clock": _clock(endpoint),
        }

    def new_widget(self) -> BenchWidget:
        from kit.views.widgets.page_widgets import BenchWidget

        return BenchWidget(self._on_message, config=self._config)

    def add(self, sample: Sample) -> None:
        """From the client, in the loop that measures."""
        if self.feed is not None:
            self.feed.add(sample)

    def _on_message(self, content: dict[str, Any]) -> None:
        match content:
            case {"kind": "ready"} if self.feed:
                self.feed.send_history()
            case {"kind": "stop"} if self.run:
                self.run.cancel()


def _clock(endpoint: Endpoint) -> str:
    """Whose seconds they are, behind their number."""
    speed = f", ×{endpoint.speed:g}" if endpoint.speed != 1 else ""
    return f" of the twin's clock{speed}" if endpoint.kind == "twin" else ""


class Feed:
    """Takes samples, gives messages to `send`: at most five per second, under 2 kB each.

    A message is a dict: `t` elapsed (s), `n` [sent, finished, failed], `counted` whether tokens
    are (else chunks), `p` one point of the lines [time, tokens/s, running or in flight, queued],
    the last two None where unknown, `ttft` and `itl` a distribution each [edges (ms), counts,
    mean (ms), P99 (ms)], left out when nothing was added to it. `history` is all of it once more.
    """

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


def _show_results(live: LiveOutput, report: Report) -> None:
    """The figure in the widget's place, and the table below."""
    table = results(report)
    if any(record.ok for record in report.records):
        live.replace(bundle(run_figure(report)))
        Output().show(under_figure(table))
    else:
        live.replace(table._repr_mimebundle_())
