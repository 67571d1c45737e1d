"""A run as a static figure and a table: throughput, requests, TTFT and ITL.

run_figure(report)      # of any report with records: measured or simulated
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from kit.bench.report import Report, Stats
from kit.errors import InvalidValue
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.bench_series import Flow, Spread, gaps_s

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
    traces: list[Any] = [*_over_time(report)]
    shapes, titles = [_mean_rate(report)], ["TTFT", f"ITL per {report.itl_basis}"]
    axes: dict[str, Any] = _axes(report)
    for i, (seconds, stats) in enumerate(_distributions(report)):
        spread = Spread(seconds)
        if not spread.count or stats.mean is None or stats.p99 is None:
            continue
        traces.append(_bars(spread, axis=3 + i))
        axes[f"xaxis{3 + i}"] |= log_axis(spread.bars().edges_ms)
        shapes += [_mark(3 + i, stats.mean, "solid"), _mark(3 + i, stats.p99, "dash")]
        titles[i] += _marks(stats)
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
        annotations=_titles(report, titles),
        **axes,
    )  # fmt: skip
    return Figure(traces, layout, results(report, folded=True))


def results(report: Report, folded: bool = False) -> FigureTable:
    """The figures of a run in a sentence and a table; what is missing stands in the sentence."""
    head = ("milliseconds", "mean", "median", "P90", "P99")
    known = [(name, s) for name, s in _latencies(report) if s.mean is not None]
    rows = tuple(
        (name, *(_ms(value) for value in (s.mean, s.median, s.p90, s.p99)))
        for name, s in known or _latencies(report)
    )
    parts = [f"{_summary(report)}."]
    parts += [f"{count:,} failed: {error}." for error, count in report.errors.items()]
    parts += [f"Missing: {what}." for what in report.missing]
    return FigureTable(" ".join(parts), head, rows, report.provenance, folded)


def bundle(figure: Figure) -> dict[str, Any]:
    """The figure as an output that can take another's place."""
    plotly = {**json.loads(figure.to_json()), "config": theme.CONFIG}
    return {"application/vnd.plotly.v1+json": plotly, "text/plain": str(figure.words)}


def _summary(report: Report) -> str:
    asked = report.workload.num_prompts if report.workload else None
    done = f"{report.completed:,}" + (f" of {asked:,}" if asked else "")
    return (
        f"{done} requests in {report.duration_s:,.1f} s: {report.output_throughput:,.0f} output "
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
    flow = Flow.of(report.records, report.duration_s)
    time_s = _rounded(flow.time_s, 2)
    rate = go.Scatter(
        x=time_s,
        y=_rounded(flow.tokens_per_s, 1),
        name="output tokens/s",
        showlegend=False,
        line={"color": theme.BLUE, "width": 2.5},
        fill="tozeroy",
        fillcolor=theme.FAINT,
        hovertemplate="%{y:,.0f} tokens/s at %{x:.1f} s<extra></extra>",
    )
    lower = ("receiving tokens", _rounded(flow.receiving, 1))
    upper = ("waiting for the first", _rounded(flow.waiting, 1))
    return [rate, *stacked(time_s, lower, upper, axes=("x2", "y2"))]


def stacked(
    time_s: Any, lower: tuple[str, Any], upper: tuple[str, Any], axes: tuple[str, str] = ("x", "y")
) -> list[go.Scatter]:
    """Two areas over time, one on the other; the upper is hatched."""
    styles: list[tuple[str, dict[str, Any]]] = [
        (theme.BLUE, {"fillcolor": "rgba(0,114,178,0.75)"}),
        (theme.ORANGE, {"fillpattern": {"shape": "/", "size": 9, "solidity": 0.45,
                                        "bgcolor": theme.CARD, "fgcolor": theme.ORANGE}}),
    ]  # fmt: skip
    return [
        go.Scatter(
            x=time_s,
            y=counts,
            name=name,
            xaxis=axes[0],
            yaxis=axes[1],
            stackgroup="requests",
            line={"color": colour, "width": 1.5},
            hovertemplate="%{y:.0f} " + name + " at %{x:.1f} s<extra></extra>",
            **style,
        )
        for (name, counts), (colour, style) in zip((lower, upper), styles, strict=True)
    ]


def _distributions(report: Report) -> list[tuple[Any, Stats]]:
    """(durations in seconds, their figures) of the two at the right."""
    ttft = [r.ttft_s for r in report.records if r.ok and len(r.times_s)]
    return [(ttft, report.ttft), (gaps_s(report.records), report.itl)]


def _bars(spread: Spread, axis: int) -> go.Bar:
    bars = spread.bars()
    lows, highs = bars.edges_ms[:-1], bars.edges_ms[1:]
    return go.Bar(
        x=[float(f"{low:.5g}") for low in lows],
        y=[round(100 * count / max(spread.count, 1), 3) for count in bars.counts],
        width=[float(f"{high - low:.5g}") for low, high in zip(lows, highs, strict=True)],
        offset=0,
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        showlegend=False,
        marker={"color": theme.GREEN, "line": {"color": theme.CARD, "width": 1}},
        hovertemplate="%{y:.1f} % from %{x:.3g} ms<extra></extra>",
    )


def _mark(axis: int, value_ms: float, dash: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": f"x{axis}", "yref": f"y{axis} domain",
        "x0": value_ms, "x1": value_ms, "y0": 0, "y1": 1,
        "line": {"color": theme.INK, "width": 2, "dash": dash},
    }  # fmt: skip


def _marks(stats: Stats) -> str:
    """What the two lines are, for the title above them."""
    assert stats.mean is not None
    assert stats.p99 is not None
    return (
        f"</b><br><span style='font-size:14px'>― mean {duration(stats.mean)}"
        f" &#160; ┄ P99 {duration(stats.p99)}</span><b>"
    )


def _mean_rate(report: Report) -> dict[str, Any]:
    mean = report.output_throughput
    return {
        "type": "line", "xref": "x domain", "yref": "y", "x0": 0, "x1": 1, "y0": mean, "y1": mean,
        "line": {"color": theme.INK, "width": 2, "dash": "dash"},
    }  # fmt: skip


def _titles(report: Report, right: Sequence[str]) -> list[dict[str, Any]]:
    """A name over each of the four."""
    names = [
        (
            _LEFT[0],
            _UPPER[1],
            f"Output tokens/s</b> &#160; ┄ mean {report.output_throughput:,.0f}<b>",
        ),
        (_LEFT[0], _LOWER[1], "Requests"),
        (_RIGHT[0], _UPPER[1], right[0]),
        (_RIGHT[0], _LOWER[1], right[1]),
    ]
    return [
        {
            "text": f"<b>{name}</b>", "showarrow": False, "xref": "paper", "yref": "paper",
            "x": x, "y": y, "xanchor": "left", "yanchor": "bottom", "yshift": 4,
            "align": "left", "font": {"size": 16},
        }
        for x, y, name in names
    ]  # fmt: skip


def _axes(report: Report) -> dict[str, Any]:
    time = {"range": [0, report.duration_s], "domain": _LEFT}
    counts = {"rangemode": "tozero", "nticks": 5, "tickformat": ","}
    share = {"rangemode": "tozero", "nticks": 5, "ticksuffix": " %"}
    spread = {"domain": _RIGHT, "showgrid": False}
    return {
        "xaxis": {**time, "anchor": "y", "showticklabels": False},
        "yaxis": {**counts, "domain": _UPPER, "anchor": "x", "title": {"text": "tokens/s"}},
        "xaxis2": {**time, "anchor": "y2", "title": {"text": "seconds since the start"}},
        "yaxis2": {**counts, "domain": _LOWER, "anchor": "x2", "title": {"text": "requests"}},
        "xaxis3": {**spread, "anchor": "y3"},
        "yaxis3": {**share, "domain": _UPPER, "anchor": "x3", "title": {"text": "of requests"}},
        "xaxis4": {**spread, "anchor": "y4", "title": {"text": "time, log scale"}},
        "yaxis4": {**share, "domain": _LOWER, "anchor": "x4", "title": {"text": "of gaps"}},
    }


def log_axis(edges_ms: Sequence[float], room: int = 4) -> dict[str, Any]:
    """A logarithmic axis over these: at most `room` ticks, in the unit that one would say."""
    low, high = math.log10(edges_ms[0]), math.log10(edges_ms[-1])
    margin = 0.1 * (high - low)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [n * 10.0**power for power in range(-2, 8) for n in steps]
        ticks = [tick for tick in ticks if low + margin <= math.log10(tick) <= high - margin / 5]
        if len(ticks) <= room:
            break
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": [duration(tick) for tick in ticks],
        "tickangle": 0,
    }


def duration(ms: float) -> str:
    """Three digits at most, in the unit that one would say."""
    return f"{float(f'{ms:.3g}'):g} ms" if ms < 1000 else f"{float(f'{ms / 1000:.3g}'):,g} s"


def _rounded(values: Any, decimals: int) -> list[float]:
    return [round(float(value), decimals) for value in values]


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
