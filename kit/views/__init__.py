"""Everything that draws: the only place that imports plotly, ipywidgets and anywidget.

    ledger, ledgers   a rank's memory, stacked, against its GPU; machines side by side
    matrix            GPU × precision × count: fits, tight, no, and why
    parts, growth     a model's parameters as squares; what one request keeps in memory
    concurrency       how many requests of a length run at once
    family, claims    the eight sizes; what was published, and where it is tested
    on_card           what a GPU of your own can serve
    sliders           turn the knobs of a profile and watch the ledger
    builder           choose a launch command; each flag says why
    startup           a server as it comes up, phase by phase
    diagnose_log      a field for a server's log: what went wrong, what to change
    tips              the cookbook's tips, and what became of them
    StreamView        an answer as it streams; `compare` puts modes side by side, `versus` servers
    upload            a field for pictures, the price of each before it is sent; `image_costs`
    trace             a model at work with tools: thinking → call → result → answer
    timeline          how long a reader waits for the first word
    accept_lengths, experts, draft_steps, speedup   speculation: what it gives, costs and gains
    acceptance, abilities    the pocket model: what its drafts gave and cost, what it gets right
    live_bench        a benchmark that is watched while it runs, and can be stopped
    run_figure        a run afterwards: tokens/s and requests over time, TTFT and ITL
    sweep, little     throughput against latency, with its knee; a long TTFT shown to be a queue
    compare_reports   reports side by side; `explained`: every row of one, and what it means
    progress          a bar for what takes longer

Names load on first use, so that `import kit.views` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "StreamView": "widgets.stream",
    "abilities": "figures.abilities",
    "accept_lengths": "figures.accept_lengths",
    "acceptance": "figures.acceptance",
    "builder": "widgets.builder",
    "claims": "figures.tables",
    "compare": "widgets.stream",
    "compare_reports": "figures.compare_reports",
    "concurrency": "figures.context_curves",
    "diagnose_log": "widgets.diagnose",
    "draft_steps": "figures.speculation",
    "experts": "figures.speculation",
    "explained": "figures.metric_glossary",
    "family": "figures.tables",
    "growth": "figures.context_curves",
    "image_costs": "figures.image_costs",
    "ledger": "figures.ledger",
    "ledgers": "figures.ledger",
    "little": "figures.bench_queue",
    "live_bench": "widgets.live_bench",
    "matrix": "figures.fit_matrix",
    "on_card": "figures.tables",
    "parts": "figures.parameters",
    "progress": "live",
    "run_figure": "figures.bench_run",
    "sliders": "widgets.sliders",
    "speedup": "figures.speculation",
    "startup": "widgets.startup",
    "sweep": "figures.bench_sweep",
    "timeline": "figures.timeline",
    "tips": "figures.tables",
    "trace": "widgets.trace",
    "upload": "widgets.upload",
    "versus": "widgets.stream",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kit.views' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kit.views.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
