"""Throughput against latency: one point per run, labelled by its concurrency; the knee marked.

sweep([bench.simulate(machine, Workload(1000, 1000, 8 * n, max_concurrency=n)) for n in sizes])
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from kit.bench.report import BANDS, Report
from kit.errors import InvalidValue, UnknownName
from kit.provenance import Provenance
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, duration, duration_axis, note

KNEE = 0.9  # of the best throughput
_NEAR = (0.03, 0.06)  # shares of the plot, across and up: nearer points share a label
_SIDES = ("bottom right", "top left")  # sides of a point where its label may stand
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")
_AXES = {
    "tpot": "mean TPOT (ms): how long one more token takes",
    "ttft": "mean TTFT (log scale): how long until the first token",
}


def sweep(
    points: Iterable[Report] | Mapping[str, Iterable[Report]],
    against: Literal["tpot", "ttft"] = "tpot",
) -> Figure:
    """A concurrency sweep: output tokens/s against mean TPOT or TTFT, labelled by concurrency.

    `points` are reports of closed-loop runs, one for each `max_concurrency`, in any order; those
    of another provenance become a line of their own. `{"with MTP": […], "without": […]}` names the
    lines. The knee is the smallest concurrency that gives 90 % of its line's best throughput:
    beyond it there are hardly more tokens, only longer waits. A line that ends there has not
    shown its knee, and says so.
    Raises InvalidValue for fewer than two points, or a report without concurrency or times,
    UnknownName for another latency.
    """
    if against not in _AXES:
        raise UnknownName("latency of a sweep", against, _AXES)
    lines = _lines(points)
    said = "; ".join(_said(name, line) for name, line in lines.items())
    provenance = _joined(lines)
    traces: list[Any] = []
    notes: list[dict[str, Any]] = []
    area = _PlotArea.of([report for line in lines.values() for report in line], against)
    for number, (name, line) in enumerate(lines.items()):
        traces.append(_trace(name, line, area, number))
        if (at := knee(line)) is not None:
            traces.append(_ring(line[at], against))
            notes.append(_flag(line[at], area))
    layout = theme.layout(
        "More at once: more tokens, longer waits",
        said,
        provenance,
        height=520,
        showlegend=len(lines) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        margin={"l": 84, "r": 40, "t": 120, "b": 116},
        xaxis=axis(_AXES[against], **area.axis),
        yaxis=axis("output tokens/s, all requests", range=[0, area.top], tickformat=","),
        annotations=notes,
    )
    if any(report.bands for line in lines.values() for report in line):
        said += f". In the table, in brackets: {BANDS}"
    head = ("at once", "line", "output tokens/s", "tokens/s per request", "TPOT", "TTFT")
    rows = tuple(row for name, line in lines.items() for row in _rows(name, line))
    table = FigureTable(f"{said[:1].upper()}{said[1:]}.", head, rows, provenance)
    return Figure(traces, layout, table)


def knee(line: Sequence[Report]) -> int | None:
    """Index of the smallest concurrency with KNEE of the best throughput; None where that is the
    last: throughput was still rising."""
    best = max(_rate(report) for report in line)
    at = next(i for i, report in enumerate(line) if _rate(report) >= KNEE * best)
    return at if at + 1 < len(line) else None


def _lines(points: Iterable[Report] | Mapping[str, Iterable[Report]]) -> dict[str, list[Report]]:
    """Reports by the name of their line, in order of their concurrency."""
    if isinstance(points, Mapping):
        lines = {name: sorted(line, key=concurrency) for name, line in points.items()}
    else:
        found: dict[Provenance, list[Report]] = {}
        for report in sorted(points, key=concurrency):
            found.setdefault(report.provenance, []).append(report)
        kinds = [label.kind for label in found]
        lines = {
            str(label.kind) if kinds.count(label.kind) == 1 else str(label): line
            for label, line in found.items()
        }
    if not lines or min(map(len, lines.values())) < 2:
        raise InvalidValue(
            "a sweep of fewer than two runs", "give reports of the same source at several sizes"
        )
    return lines


def concurrency(report: Report) -> int:
    """How many requests a closed-loop run keeps out. Raises InvalidValue where it has no limit."""
    asked = report.workload.max_concurrency if report.workload else None
    asked = asked or report.arguments.get("max_concurrency")
    if not asked or report.tpot.mean is None or report.ttft.mean is None:
        raise InvalidValue(
            "a run without a concurrency or without times is no point of a sweep",
            "give reports of Workload(…, max_concurrency=n)",
        )
    return int(asked)


def _rate(report: Report) -> float:
    return report.output_throughput or 0.0


def _latency_ms(report: Report, against: str) -> float:
    mean: float = (report.tpot if against == "tpot" else report.ttft).mean or 0.0
    return mean


@dataclass(frozen=True)
class _PlotArea:
    """The plot's extent: latency across (TTFT by its logarithm), tokens/s up."""

    against: str
    low: float
    high: float
    top: float

    @classmethod
    def of(cls, reports: Sequence[Report], against: str) -> _PlotArea:
        every = [_latency_ms(report, against) for report in reports]
        ends = (min(every) / 1.35, max(every) * 1.35) if against == "ttft" else (0, max(every))
        return cls(against, ends[0], ends[1] * 1.08, 1.25 * max(map(_rate, reports)))

    @property
    def axis(self) -> dict[str, Any]:
        if self.against == "ttft":
            return duration_axis(self.low, self.high, room=10)
        return {"range": [self.low, self.high]}

    def across(self, ms: float) -> float:
        """A latency as plotly wants it in a note: its logarithm on a logarithmic axis."""
        return math.log10(ms) if self.against == "ttft" else ms

    def place(self, report: Report) -> tuple[float, float]:
        """Shares of the plot's width and height."""
        low, high = self.across(self.low), self.across(self.high)
        ms = self.across(_latency_ms(report, self.against))
        return (ms - low) / (high - low), _rate(report) / self.top

    def labels(self, line: Sequence[Report]) -> list[str]:
        """The concurrency beside each point; one label, "48 … 96", where points fall together."""
        labels = [str(concurrency(report)) for report in line]
        anchor = 0
        for i, report in enumerate(line[1:], 1):
            apart = zip(self.place(report), self.place(line[anchor]), _NEAR, strict=True)
            if all(abs(a - b) < near for a, b, near in apart):
                labels[anchor] = f"{concurrency(line[anchor])} … {labels[i]}"
                labels[i] = ""
            else:
                anchor = i
        if (at := knee(line)) is not None and labels[at] == str(concurrency(line[at])):
            labels[at] = ""  # its flag says it
        return labels

    def sides(self, line: Sequence[Report], usual: str) -> list[str]:
        """Where each label stands: `usual`, or opposite where the line itself goes that way."""
        places, found = [self.place(report) for report in line], []
        for i, (x, y) in enumerate(places):
            near = places[max(i - 1, 0) : i] + places[i + 1 : i + 2]
            taken = {"top left" for a, b in near if a < x and b > y}
            taken |= {"bottom right" for a, b in near if a > x and b < y}
            free = [side for side in (usual, *_SIDES) if side not in taken]
            found.append((free or [usual])[0])
        return found


def _trace(name: str, line: Sequence[Report], area: _PlotArea, number: int) -> go.Scatter:
    colour = theme.COLOURS[number % len(theme.COLOURS)]
    usual = "top left" if number % 2 == 0 else "bottom right"
    return go.Scatter(
        x=[round(_latency_ms(report, area.against), 2) for report in line],
        y=[round(_rate(report), 1) for report in line],
        text=area.labels(line),
        customdata=[
            (concurrency(report), _band(report, "output_throughput"), _band(report, area.against))
            for report in line
        ],
        name=name,
        mode="lines+markers+text",
        textposition=area.sides(line, usual),
        textfont={"size": 15, "color": theme.INK},
        line={"color": colour, "width": 2.5},
        marker={"size": 11, "color": colour, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
        cliponaxis=False,
        hovertemplate=(
            f"%{{customdata[0]}} at once: %{{y:,.0f}}%{{customdata[1]}} tokens/s, "
            f"{area.against.upper()} %{{x:,.1f}} ms%{{customdata[2]}}<extra></extra>"
        ),
    )


def _ring(report: Report, against: str) -> go.Scatter:
    return go.Scatter(
        x=[_latency_ms(report, against)],
        y=[_rate(report)],
        mode="markers",
        marker={"size": 26, "symbol": "circle-open", "color": theme.RED, "line": {"width": 3}},
        showlegend=False,
        hoverinfo="skip",
    )


def _flag(report: Report, area: _PlotArea) -> dict[str, Any]:
    """Above its point, where no line of less throughput can be."""
    across, _ = area.place(report)
    return note(
        f"<b>knee: {concurrency(report)} at once</b>",
        area.across(_latency_ms(report, area.against)),
        _rate(report),
        size=16,
        colour=theme.DEEP_RED,
        yshift=32,  # above its label, where several share one
        yanchor="bottom",
        xanchor="right" if across > 0.8 else "left" if across < 0.2 else "center",
    )


def _said(name: str, line: Sequence[Report]) -> str:
    if (at := knee(line)) is None:
        return f"{name}: still rising at {concurrency(line[-1])} at once, no knee yet"
    share = 100 * _rate(line[at]) / max(map(_rate, line))
    return f"{name}: {concurrency(line[at])} at once give {share:.0f} % of the best throughput"


def _rows(name: str, line: Sequence[Report]) -> list[tuple[str, ...]]:
    """A line in the table, run by run."""
    return [
        (
            f"{concurrency(report)}{' (knee)' if i == knee(line) else ''}",
            name,
            f"{_rate(report):,.0f}{_band(report, 'output_throughput')}",
            f"{1e3 / _latency_ms(report, 'tpot'):,.1f}",
            f"{duration(_latency_ms(report, 'tpot'))}{_band(report, 'tpot')}",
            f"{duration(_latency_ms(report, 'ttft'))}{_band(report, 'ttft')}",
        )
        for i, report in enumerate(line)
    ]


def _band(report: Report, figure: str) -> str:
    """P10–P90 of a predicted rate, or of a mean latency in its own unit; "" where none is known."""
    if figure == "output_throughput":
        return f" {report.band(figure, 0)}".rstrip()
    if (width := report.bands.get(f"mean_{figure}_ms")) is None:
        return ""
    return f" ({duration(width[0])}–{duration(width[1])})"


def _joined(lines: Mapping[str, Sequence[Report]]) -> Provenance:
    """One label for all of it: the first, and what stands beside it."""
    first, *others = dict.fromkeys(r.provenance for line in lines.values() for r in line)
    return Provenance(first.kind, "; ".join([first.source, *map(str, others)]))
