"""A benchmark that is watched while it runs.

    report = await live_bench(endpoint, Workload(1000, 1000, 100, max_concurrency=32))

While the cell waits, a chart moves and Stop stops; at the end a static figure takes its place,
and the results stand below as a table: that is what a saved notebook keeps, and all that a
headless run shows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kit.bench import client
from kit.bench.report import Report
from kit.bench.workload import Workload
from kit.endpoint import Endpoint
from kit.errors import KitError
from kit.views.figures.bench_run import bundle, results, run_figure
from kit.views.live import LiveOutput, Output
from kit.views.widgets.bench_feed import Feed

if TYPE_CHECKING:
    from kit.bench.sampler import Sample
    from kit.views.widgets.page_widgets import BenchWidget


async def live_bench(endpoint: Endpoint, workload: Workload, **options: Any) -> Report:
    """Run `workload` against `endpoint` under a live chart; return the report.

    Output tokens/s and the server's running and queued requests over time, TTFT and ITL as
    distributions, progress, and a Stop button. Stop, or interrupting the kernel, ends the run: the
    report is then of what had come, and its `missing` says what is not in it. `options` are those
    of `kit.bench.measure`. Times are the endpoint's own: a twin at speed 10 shows ten seconds
    in one.

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
            "clock": f" of the twin's clock, ×{endpoint.speed:g}" if endpoint.speed != 1 else "",
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


def _show_results(live: LiveOutput, report: Report) -> None:
    """The figure in the widget's place, and the table below."""
    table = results(report)
    if any(record.ok for record in report.records):
        live.replace(bundle(run_figure(report)))
        Output().show(table)
    else:
        live.replace({"text/html": table._repr_html_(), "text/plain": str(table)})
