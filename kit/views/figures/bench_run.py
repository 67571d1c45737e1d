"""A run as a static figure and a table: throughput, requests, TTFT and ITL.

run_figure(report)      # of any report with records: measured or simulated
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise, product
from typing import Any

import plotly.graph_objects as go

from kit.bench.report import BANDS, Report, Stats
from kit.errors import InvalidValue
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.bench_series import Bars, DurationHistogram, RunSeries, gaps_s
from kit.views.figures.elements import axis, duration, duration_axis, heading, horizontal, vertical

_LEFT, _RIGHT = (0.0, 0.56), (0.67, 1.0)
_UPPER, _LOWER = (0.6, 1.0), (0.0, 0.4)


def run_figure(report: Report) -> Figure:
    """Output tokens/s and requests over time; TTFT and ITL as distributions, mean and P99 marked.

    Requests are as the client saw them, to the byte: waiting for the first token, and receiving.
    Raises InvalidValue where the report has no records of answered requests.
    """
    if not any(record.ok for record in report.records) or not report.duration_s:
        raise InvalidValue(
            "this report has no answered requests to draw",
            "take one of bench.measure or bench.simulate; a table alone has no times",
        )
    traces = _over_time(report)
    shapes = [horizontal(report.output_throughput or 0.0, "x domain", dash="dash")]
    titles = [
        f"Output tokens/s</b> &#160; ┄ mean {report.output_throughput:,.0f}<b>",
        "Requests",
        "TTFT",
        f"ITL per {report.itl_basis}",
    ]
    axes = _axes(report)
    ttft = [record.ttft_s for record in report.records if record.ok and len(record.times_s)]
    distributions: tuple[tuple[Any, Stats], ...] = (
        (ttft, report.ttft),
        (gaps_s(report.records), report.itl),
    )
    for i, (seconds, stats) in enumerate(distributions, 3):
        histogram = DurationHistogram(seconds)
        if not histogram.count or stats.mean is None or stats.p99 is None:
            continue
        bars = histogram.bars()
        traces.append(_bars(bars, axis=i))
        axes[f"xaxis{i}"] |= duration_axis(bars.edges_ms[0], bars.edges_ms[-1])
        place: dict[str, Any] = {"xref": f"x{i}", "yref": f"y{i} domain"}
        shapes += [vertical(stats.mean, **place), vertical(stats.p99, dash="dash", **place)]
        titles[i - 1] += (
            f"</b><br><span style='font-size:14px'>― mean {duration(stats.mean)}"
            f" &#160; ┄ P99 {duration(stats.p99)}</span><b>"
        )
    corners = product((_LEFT[0], _RIGHT[0]), (_UPPER[1], _LOWER[1]))
    layout = theme.layout(
        "What the run gave",
        _summary(report),
        report.provenance,
        height=680,
        bargap=0,
        showlegend=True,
        margin={"l": 84, "r": 30, "t": 150, "b": 116},
        legend={"orientation": "h", "x": _LEFT[1], "xanchor": "right", "y": _LOWER[1] + 0.01,
                "yanchor": "bottom", "traceorder": "normal"},
        shapes=shapes,
        annotations=[
            heading(title, x, y, size=16, yshift=4, align="left")
            for title, (x, y) in zip(titles, corners, strict=True)
        ],
        **axes,
    )  # fmt: skip
    return Figure(traces, layout, results(report, folded=True))


def results(report: Report, folded: bool = False) -> FigureTable:
    """The figures of a run in a sentence and a table; what is missing stands in the sentence."""
    head = ("milliseconds", "mean", "median", "P90", "P99")
    latencies = _latencies(report)
    rows = tuple(
        (
            name,
            _ms(s.mean, report, f"mean_{name.lower()}_ms"),
            _ms(s.median, report, f"median_{name.lower()}_ms"),
            _ms(s.p90),
            _ms(s.p99),
        )
        for name, s in [row for row in latencies if row[1].mean is not None] or latencies
    )
    parts = [f"{_summary(report)}."]
    parts += [f"{count:,} failed: {error}." for error, count in report.errors.items()]
    parts += [f"Missing: {what}." for what in report.missing]
    parts += [f"In brackets: {BANDS}."] if report.bands else []
    parts += [report.lateness] if report.lateness else []
    return FigureTable(" ".join(parts), head, rows, report.provenance, folded)


def bundle(figure: Figure) -> dict[str, Any]:
    """The figure as an output that can take another's place."""
    figure.label_foot()
    plotly = {**json.loads(figure.to_json()), "config": theme.CONFIG}
    return {"application/vnd.plotly.v1+json": plotly, "text/plain": str(figure.table)}


def _summary(report: Report) -> str:
    asked = report.workload.num_prompts if report.workload else None
    done = f"{report.completed:,}" + (f" of {asked:,}" if asked else "")
    rate = f"{report.output_throughput:,.0f} {report.band('output_throughput', 0)}".rstrip()
    return (
        f"{done} requests in {report.duration_s:,.1f} s: {rate} output "
        f"tokens/s, {report.request_throughput:,.2f} requests/s, "
        f"{report.concurrency:,.1f} in flight on average"
    )


def _latencies(report: Report) -> list[tuple[str, Stats]]:
    rows = [("TTFT", report.ttft), ("TPOT", report.tpot)]
    if report.itl_basis == "token":
        rows.append(("ITL per token", report.itl))
    return [*rows, ("ITL per chunk", report.itl_per_chunk), ("E2E latency", report.e2e_latency)]


def _over_time(report: Report) -> list[go.Scatter]:
    assert report.duration_s is not None
    series = RunSeries.of(report.records, report.duration_s)
    rate = go.Scatter(
        x=rounded(series.time_s, 2),
        y=rounded(series.tokens_per_s, 1),
        name="output tokens/s",
        showlegend=False,
        line={"color": theme.BLUE, "width": 2.5},
        fill="tozeroy",
        fillcolor=theme.FAINT,
        hovertemplate="%{y:,.0f} tokens/s at %{x:.1f} s<extra></extra>",
    )
    return [rate, *stacked(series, "receiving tokens", "waiting for the first", axes="2")]


def stacked(series: RunSeries, receiving: str, waiting: str, axes: str = "") -> list[go.Scatter]:
    """Requests over time under these two names: on those that receive, hatched, those that wait."""
    hatch = {"shape": "/", "size": 9, "solidity": 0.45, "bgcolor": theme.PAPER}
    hatched = {"fillpattern": {**hatch, "fgcolor": theme.ORANGE}}
    areas = (
        (receiving, series.receiving, theme.BLUE, {"fillcolor": "rgba(0,114,178,0.75)"}),
        (waiting, series.waiting, theme.ORANGE, hatched),
    )
    return [
        go.Scatter(
            x=rounded(series.time_s, 2),
            y=rounded(counts, 1),
            name=name,
            xaxis=f"x{axes}",
            yaxis=f"y{axes}",
            stackgroup="requests",
            line={"color": colour, "width": 1.5},
            hovertemplate="%{y:.0f} " + name + " at %{x:.1f} s<extra></extra>",
            **fill,
        )
        for name, counts, colour, fill in areas
    ]


def _bars(bars: Bars, axis: int) -> go.Bar:
    """Shares of all, over the bars' own widths."""
    lows, whole = bars.edges_ms[:-1], sum(bars.counts)
    return go.Bar(
        x=[float(f"{low:.5g}") for low in lows],
        y=[round(100 * count / whole, 3) for count in bars.counts],
        width=[float(f"{high - low:.5g}") for low, high in pairwise(bars.edges_ms)],
        offset=0,
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        showlegend=False,
        marker={"color": theme.GREEN, "line": {"color": theme.PAPER, "width": 1}},
        hovertemplate="%{y:.1f} % from %{x:.3g} ms<extra></extra>",
    )


def _axes(report: Report) -> dict[str, Any]:
    time = {"range": [0, report.duration_s], "domain": _LEFT}
    counts = {"rangemode": "tozero", "nticks": 5, "tickformat": ","}
    share = {"rangemode": "tozero", "nticks": 5, "ticksuffix": " %"}
    right = {"domain": _RIGHT, "showgrid": False}
    return {
        "xaxis": {**time, "anchor": "y", "showticklabels": False},
        "yaxis": axis("tokens/s", **counts, domain=_UPPER, anchor="x"),
        "xaxis2": axis("seconds since the start", **time, anchor="y2"),
        "yaxis2": axis("requests", **counts, domain=_LOWER, anchor="x2"),
        "xaxis3": {**right, "anchor": "y3"},
        "yaxis3": axis("of requests", **share, domain=_UPPER, anchor="x3"),
        "xaxis4": axis("time, log scale", **right, anchor="y4"),
        "yaxis4": axis("of gaps", **share, domain=_LOWER, anchor="x4"),
    }


def rounded(values: Iterable[float], decimals: int) -> list[float]:
    """As plain floats, for plotly."""
    return [round(float(value), decimals) for value in values]


def _ms(value: float | None, report: Report | None = None, key: str = "") -> str:
    """Milliseconds; with the band of `key`, where it is predicted."""
    if value is None:
        return "–"
    decimals = 0 if value >= 100 else 2
    band = report.band(key, decimals) if report else ""
    return f"{value:,.{decimals}f} {band}".rstrip()
