"""A benchmark that is watched while it runs.

    report = await live_bench(endpoint, Workload(1000, 1000, 100, max_concurrency=32))

While the cell waits, a chart moves and Stop stops; at the end a static figure takes its place,
and the results stand below as a table: that is what a saved notebook keeps, and all that a
headless run shows.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.bench import client
from kit.bench.report import Report
from kit.bench.workload import Workload
from kit.errors import KitError
from kit.views.figures.bench_run import bundle, results, run_figure
from kit.views.frontend import has_page, request_metadata
from kit.views.widgets.bench_feed import Feed
from kit.views.widgets.stream import _keep_waking

if TYPE_CHECKING:
    import anywidget

    from kit.bench.sampler import Sample

STATIC = Path(__file__).parents[1] / "static"


async def live_bench(endpoint: client.Target, workload: Workload, **options: Any) -> Report:
    """Run `workload` against `endpoint` under a live chart; return the report.

    Output tokens/s and the server's running and queued requests over time, TTFT and ITL as
    distributions, progress, and a Stop button. Stop, or interrupting the kernel, ends the run: the
    report is then of what had come, and its `missing` says what is not in it. `options` are those
    of `kit.bench.measure`. Times are the endpoint's own: a twin at speed 10 shows ten seconds
    in one.

    Raises EndpointError when the warm-up request fails, KitError when stopped before it was
    answered.
    """
    stage = _Stage(endpoint, workload)
    if await has_page():
        stage.open()
    waking = asyncio.create_task(_keep_waking())
    stage.running = asyncio.create_task(
        client.run(endpoint, workload, on_sample=stage.take, **options)
    )
    try:
        report = await stage.running
    except asyncio.CancelledError:
        raise KitError(
            "stopped before there was anything to report", "run the cell again"
        ) from None
    finally:
        waking.cancel()
        if not stage.measured:
            stage.close_empty()
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        task.uncancel()  # the interrupt has been answered: by a report of what there is
    stage.close(report)
    return report


class _Stage:
    """The cell's output: the live panel where there is a page, then what stays."""

    def __init__(self, endpoint: client.Target, workload: Workload) -> None:
        self.running: asyncio.Task[Report] | None = None
        self._deck = _deck(endpoint, workload)
        self._panel: anywidget.AnyWidget | None = None
        self._feed: Feed | None = None
        self._id = uuid.uuid4().hex

    def open(self) -> None:
        """Show the panel."""
        panel = _panel(self._deck, self._heard)
        self._panel, self._feed = panel, Feed(panel.send)
        _display(panel, self._id)

    def take(self, sample: Sample) -> None:
        """From the client, in the loop that measures."""
        if self._feed is not None:
            self._feed.add(sample)

    def close(self, report: Report) -> None:
        """Put the figure in the panel's place, and the table below."""
        table = results(report)
        if any(record.ok for record in report.records):
            self._replace(bundle(run_figure(report)))
            _display(table)
        else:
            self._replace({"text/html": table._repr_html_(), "text/plain": str(table)})

    @property
    def measured(self) -> bool:
        """Whether the run came to a report."""
        run = self.running
        return bool(run and run.done() and not run.cancelled() and run.exception() is None)

    def close_empty(self) -> None:
        """Take the panel away: an error follows."""
        if self._panel is not None:
            self._replace({"text/plain": "Nothing was measured."})

    def _replace(self, shown: dict[str, Any]) -> None:
        _display(shown, self._id, update=self._panel is not None)
        if self._panel is not None:
            self._panel.close()
            self._panel = self._feed = None

    def _heard(self, content: dict[str, Any]) -> None:
        match content:
            case {"kind": "ready"} if self._panel and self._feed:
                if history := self._feed.history():
                    self._panel.send(history)
            case {"kind": "stop"} if self.running:
                self.running.cancel()


def _deck(endpoint: client.Target, workload: Workload) -> dict[str, Any]:
    """What the panel is told once."""
    label = endpoint.provenance
    clock = f" of the twin's clock, ×{endpoint.speed:g}" if endpoint.speed != 1 else ""
    return {
        "total": workload.num_prompts,
        "kind": str(label.kind),
        "source": label.source,
        "clock": clock,
    }


def _panel(deck: dict[str, Any], heard: Callable[[dict[str, Any]], None]) -> anywidget.AnyWidget:
    """The widget. What the page says is heard in this cell's loop: JupyterLab's messages come in
    a thread of its own, from which no task can be cancelled."""
    import anywidget
    import traitlets

    loop = asyncio.get_running_loop()

    class Panel(anywidget.AnyWidget):
        _esm = STATIC / "bench.js"
        _css = STATIC / "bench.css"
        deck = traitlets.Dict().tag(sync=True)

        def __repr__(self) -> str:
            return "A benchmark is running; its figure comes at the end."

    panel = Panel(deck=deck)
    panel.on_msg(lambda _, content, __: loop.call_soon_threadsafe(heard, content))
    return panel


def _display(what: Any, display_id: str | None = None, update: bool = False) -> None:
    """An output of the cell: a widget, words, or a MIME bundle. In a script, nothing."""
    from IPython.display import display

    if request_metadata() is None:
        return
    if display_id is None:
        display(what)
    else:
        display(what, raw=isinstance(what, dict), display_id=display_id, update=update)
