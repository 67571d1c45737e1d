"""Everything that draws: the only place that imports plotly, ipywidgets and anywidget.

    ledger, ledgers   a rank's memory, stacked, against its GPU; machines side by side
    matrix            GPU × precision × count: fits, tight, no, and why
    parts, growth     a model's parameters as squares; what one request keeps in memory
    concurrency       how many requests of a length run at once
    family, claims    the eight sizes; what was published, and where it is tested
    on_card           what a GPU of your own can serve
    sliders           turn the knobs of a profile and watch the ledger
    builder           choose a launch command; each flag says why
    startup           a server as it comes up, phase by phase; `startup_phases`, of its log
    diagnose_log      a field for a server's log: what went wrong, what to change
    tips              the cookbook's tips, and what became of them
    StreamView        an answer as it streams; `compare` puts modes side by side, `versus` servers
    upload            a field for pictures, the price of each before it is sent; `image_costs`
    trace             a model at work with tools: thinking → call → result → answer
    timeline          how long a reader waits for the first word
    accept_lengths, experts, draft_steps, speedup   speculation: what it gives, costs and gains
    acceptance, abilities    the pocket model: what its drafts gave and cost, what it gets right
    published_scores, group_scores, score_scatter   an accuracy, and how sure it is
    live_bench        a benchmark that is watched while it runs, and can be stopped
    run_figure        a run afterwards: tokens/s and requests over time, TTFT and ITL
    sweep, little     throughput against latency, with its knee; a long TTFT shown to be a queue
    prefix_reuse      what a chat's turns wait for, with the prefix cache and without
    pareto            what a promise costs: GPUs or money against latency, by profile
    compare_reports   reports side by side; `explained`: every row of one, and what it means
    progress          a bar for what takes longer

Names load on first use, so that `import kit.views` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "figures.accuracy": "group_scores published_scores score_scatter",
    "figures.bench_queue": "little",
    "figures.bench_run": "run_figure",
    "figures.bench_sweep": "sweep",
    "figures.compare_reports": "compare_reports explained",
    "figures.capacity": "pareto",
    "figures.context_curves": "concurrency growth",
    "figures.fit_matrix": "matrix",
    "figures.ledger": "ledger ledgers",
    "figures.parameters": "parts",
    "figures.pocket": "abilities acceptance",
    "figures.speculation": "accept_lengths draft_steps experts speedup",
    "figures.prefix_reuse": "prefix_reuse",
    "figures.tables": "claims family image_costs on_card tips",
    "figures.timeline": "timeline",
    "live": "progress",
    "widgets.builder": "builder",
    "widgets.diagnose": "diagnose_log",
    "widgets.live_bench": "live_bench",
    "widgets.sliders": "sliders",
    "widgets.startup": "startup startup_phases",
    "widgets.stream": "StreamView compare versus",
    "widgets.trace": "trace",
    "widgets.upload": "upload",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kit.views' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kit.views.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
