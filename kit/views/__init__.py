"""Everything that draws: the only place that imports plotly, ipywidgets and anywidget.

    ledger, ledgers   a rank's memory, stacked, against the card; machines side by side
    matrix            GPU × precision × count: fits, tight, no, and why
    parts, growth     a model's parameters as squares; what one request keeps in memory
    concurrency       how many requests of a length run at once
    family, claims    the eight sizes; what was published, and where it is tested
    on_card           what a GPU of one's own can serve
    sliders           turn the knobs of a profile and watch the ledger
    builder           choose a launch command; each flag says why
    startup           a server as it comes up, phase by phase; what_to_start: which one here
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
    beside            reports side by side; `explained`: every row of one, and what it means
    progress          a bar for what takes longer

Names load on first use, so that `import kit.views` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "StreamView": "stream",
    "abilities": "_abilities",
    "accept_lengths": "_speculation",
    "acceptance": "_acceptance",
    "beside": "beside",
    "builder": "_builder",
    "claims": "_tables",
    "compare": "stream",
    "concurrency": "_curves",
    "draft_steps": "_speculation",
    "experts": "_speculation",
    "explained": "_rows",
    "family": "_tables",
    "growth": "_curves",
    "image_costs": "_images",
    "ledger": "_ledger",
    "ledgers": "_ledger",
    "little": "_bench_queue",
    "live_bench": "_bench_live",
    "matrix": "_matrix",
    "on_card": "_tables",
    "parts": "_anatomy",
    "progress": "_progress",
    "run_figure": "_bench_figure",
    "sliders": "_sliders",
    "speedup": "_speculation",
    "startup": "_startup",
    "sweep": "_bench_sweep",
    "timeline": "_timeline",
    "tips": "_tips",
    "trace": "_trace",
    "upload": "_images",
    "versus": "_versus",
    "what_to_start": "_startup",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kit.views' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kit.views.{_HOME[name]}"), name)
    globals()[name] = value  # a module of the same name would hide it from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
