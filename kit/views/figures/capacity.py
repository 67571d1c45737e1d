"""What a promise costs: GPUs (or a month's cost) against latency, one point per profile.

pareto(capacity_plan(Target(users=200, input_len=2000, output_len=500, tpot_ms=40, ttft_ms=1000)))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import plotly.graph_objects as go

from kit.capacity.candidates import options
from kit.capacity.judge import VERDICTS, Option, Point
from kit.capacity.plan import CapacityPlan
from kit.capacity.prices import HOURS_PER_MONTH
from kit.capacity.report import amount
from kit.errors import UnknownName
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, duration, note, vertical

Latency = Literal["ttft", "tpot"]
_LOOKS = {  # colour, symbol
    "holds": (theme.BLUE, "circle"),
    "marginal": (theme.ORANGE, "diamond-open"),
    "does not hold": (theme.RED, "x"),
}
_PLOT_PX = (880, 296)  # the plot on a usual page, across and up
_LETTER_PX, _LINE_PX = 8.0, 18.0  # of a name beside its point
_OFFSETS = tuple(  # where a name may stand, from its point, in px; the nearest first
    (across, down) for far in (20, 44, 68) for down in (far, -far) for across in (10, -10)
)
_TITLES = {"ttft": "TTFT (ms, log scale)", "tpot": "TPOT (ms, log scale)"}


def pareto(plan: CapacityPlan, against: Latency | None = None) -> Figure:
    """GPUs in all against TTFT or TPOT at the target's percentile, by default the bounded one
    that is nearest to its bound; a month's cost in place of GPUs where every point has a price.

    A profile stands there with the replicas that it takes, with one fewer (which is too few), and
    with twice as many. Bars are P10–P90 of the prediction. The stepped line joins what holds and
    is not beaten on both axes. Raises UnknownName for another latency, or one without a value.
    """
    metric = against or plan.best.point.tightest
    if metric not in plan.best.point.bounds_ms:
        raise UnknownName("bounded latency", metric, plan.best.point.bounds_ms)
    points = [
        _Point.of(plan, option, point, metric)
        for option in plan.options
        for point in (option.point, *option.tried)
        if point.outcome.whole and metric in point.bounds_ms
    ]
    money = all(point.cost is not None for point in points)
    front = _front([point for point in points if point.point.verdict == "holds"])
    bound_ms = plan.target.bounds_ms[metric]
    up = "cost of a month, at the prices given" if money else "GPUs in all, replicas times ranks"
    across, upwards = _across(points, bound_ms), _range([point.up for point in points])
    traces: list[Any] = [_steps(front)] if len(front) > 1 else []
    traces += [_trace(verdict, points, plan) for verdict in VERDICTS]
    said = _said(plan, front)
    layout = theme.layout(
        "What a promise costs",
        said,
        plan.provenance,
        height=540,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        margin={"l": 84, "r": 40, "t": 124, "b": 120},
        xaxis=axis(f"P{plan.target.percentile:g} {_TITLES[metric]}", type="log", range=across),
        yaxis=axis(up, type="log", tickformat=",", dtick="D2", range=upwards),
        shapes=[vertical(bound_ms, colour=theme.INK, width=2, dash="dash")],
        annotations=[
            note(
                _promised(plan, metric),
                _log(bound_ms),
                1.0,
                yref="paper",
                xanchor="right",
                yanchor="top",
                xshift=-6,
                align="right",
            ),
            *_names(front, points, across, upwards),
        ],
    )
    table = FigureTable(f"{said[:1].upper()}{said[1:]}.", *_rows(plan, points), plan.provenance)
    return Figure(traces, layout, table)


@dataclass(frozen=True)
class _Point:
    """An option at its place: latency in ms across, GPUs or cost up."""

    option: Option
    point: Point
    ms: float
    low: float
    high: float
    cost: float | None

    @classmethod
    def of(cls, plan: CapacityPlan, option: Option, point: Point, metric: str) -> _Point:
        ms, band = point.outcome.ms(metric) or 0.0, point.bands[metric]
        hour = plan.prices.of(option.profile.gpu.key)
        gpus = point.share.replicas * option.candidate.gpus
        cost = None if hour is None else hour * gpus * HOURS_PER_MONTH
        return cls(option, point, ms, ms * band.p10, ms * band.p90, cost)

    @property
    def replicas(self) -> int:
        return self.point.share.replicas

    @property
    def up(self) -> float:
        return self.cost if self.cost is not None else self.replicas * self.option.candidate.gpus

    @property
    def name(self) -> str:
        return f"{self.option.profile.title}, {options(self.option.profile)}"


def _front(holding: Sequence[_Point]) -> list[_Point]:
    """What holds, and nothing is both cheaper and faster: from the cheapest on."""
    found: list[_Point] = []
    for point in sorted(holding, key=lambda p: (p.up, p.ms)):
        if not found or point.ms < found[-1].ms:
            found.append(point)
    return found


def _steps(front: Sequence[_Point]) -> go.Scatter:
    return go.Scatter(
        x=[point.ms for point in front],
        y=[point.up for point in front],
        mode="lines",
        line={"color": theme.INK, "width": 2.5, "shape": "hv"},
        name="not beaten on both axes",
        hoverinfo="skip",
    )


def _trace(verdict: str, points: Sequence[_Point], plan: CapacityPlan) -> go.Scatter:
    colour, symbol = _LOOKS[verdict]
    of = [point for point in points if point.point.verdict == verdict]
    return go.Scatter(
        x=[round(p.ms, 2) for p in of],
        y=[p.up for p in of],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [p.high - p.ms for p in of],
            "arrayminus": [p.ms - p.low for p in of],
            "color": colour,
            "thickness": 1.2,
            "width": 4,
        },
        mode="markers",
        name=f"{verdict} ({len(of)})",
        marker={"size": 13, "color": colour, "symbol": symbol, "line": {"width": 2}},
        customdata=[
            (p.name, duration(p.low), duration(p.high), p.replicas, plan.limit(p.option).resource)
            for p in of
        ],
        hovertemplate="%{customdata[0]}<br>%{y:,.0f}, %{x:,.0f} ms (%{customdata[1]}–"
        "%{customdata[2]})<br>replicas: %{customdata[3]}; first out of: %{customdata[4]}"
        "<extra></extra>",
    )


def _across(points: Sequence[_Point], bound_ms: float) -> list[float]:
    """From the lowest end of a bar to the highest, with a margin."""
    low = _log(min(point.low for point in points))
    high = _log(max([bound_ms, *(point.high for point in points)]))
    margin = 0.05 * (high - low)
    return [low - margin, high + margin]


def _range(values: Sequence[float]) -> list[float]:
    """From below the lowest to well above the highest, where the promise is named."""
    return [_log(min(values)) - 0.12, _log(max(values)) + 0.28]


def _promised(plan: CapacityPlan, metric: str) -> str:
    """What the dashed line is; and why a cross may stand before it."""
    others = [name.upper() for name in plan.target.bounds_ms if name != metric]
    here = f"promised: {plan.target.bounds_ms[metric]:,g} ms"
    return f"{here}<br>a cross before it breaks the promised {others[0]}" if others else here


def _names(
    front: Sequence[_Point],
    points: Sequence[_Point],
    across: Sequence[float],
    upwards: Sequence[float],
) -> Iterator[dict[str, Any]]:
    """The first points of the front by name, each where it covers no point, line or other name."""

    def place(ms: float, up: float) -> tuple[float, float]:
        """Where a point is drawn, in px from the plot's upper left."""
        x = (_log(ms) - across[0]) / (across[1] - across[0])
        y = (upwards[1] - _log(up)) / (upwards[1] - upwards[0])
        return x * _PLOT_PX[0], y * _PLOT_PX[1]

    taken = [place(point.ms, point.up) for point in points]
    for one, after in pairwise(front):
        taken += _line(place(one.ms, one.up), place(after.ms, one.up))
        taken += _line(place(after.ms, one.up), place(after.ms, after.up))
    for point in front[:4]:
        text = f"{point.replicas} × {point.option.profile.title}"
        x, y = place(point.ms, point.up)
        boxes = {offset: _box(x, y, text, offset) for offset in _OFFSETS}
        offset = min(boxes, key=lambda offset: boxes[offset].covers(taken))
        taken += boxes[offset].filled()
        yield _name(text, point, offset)


@dataclass(frozen=True)
class _Box:
    """What the words of a name cover, in px."""

    left: float
    right: float
    middle: float

    def covers(self, taken: Sequence[tuple[float, float]]) -> int:
        """How many of `taken` it would cover or touch; many more where it leaves the plot."""
        if self.left < 0 or self.right > _PLOT_PX[0] or not 0 < self.middle < _PLOT_PX[1]:
            return 1000
        wide, high = 8, _LINE_PX / 2 + 8
        return sum(
            self.left - wide < x < self.right + wide and abs(y - self.middle) < high
            for x, y in taken
        )

    def filled(self) -> list[tuple[float, float]]:
        return _line((self.left, self.middle), (self.right, self.middle))


def _box(x: float, y: float, text: str, offset: tuple[int, int]) -> _Box:
    edge, wide = x + offset[0], _LETTER_PX * len(text)
    left = edge if offset[0] > 0 else edge - wide
    return _Box(left, left + wide, y + offset[1])


def _line(one: tuple[float, float], other: tuple[float, float]) -> list[tuple[float, float]]:
    """Points along a line, some px apart."""
    steps = max(1, round(math.dist(one, other) / 6))
    along = [i / steps for i in range(steps + 1)]
    return [(one[0] + s * (other[0] - one[0]), one[1] + s * (other[1] - one[1])) for s in along]


def _name(text: str, point: _Point, offset: tuple[int, int]) -> dict[str, Any]:
    """A name, with a thin line to its point."""
    return note(
        text,
        _log(point.ms),
        _log(point.up),
        size=14,
        colour=theme.INK,
        showarrow=True,
        arrowhead=0,
        arrowwidth=1,
        arrowcolor=theme.QUIET,
        standoff=8,
        ax=offset[0],
        ay=offset[1],
        xanchor="left" if offset[0] > 0 else "right",
        yanchor="middle",
        bgcolor=theme.VEIL,
    )


def _log(value: float) -> float:
    """Where a value stands on a logarithmic axis, as plotly wants it in a note."""
    return math.log10(value)


def _said(plan: CapacityPlan, front: Sequence[_Point]) -> str:
    if not front:
        return f"of {len(plan.options)} profiles none holds {plan.target.promise}"
    first = plan.best
    return (
        f"{len(plan.holding)} of {len(plan.options)} profiles hold it with enough replicas; "
        f"first: {first.replicas} × {first.profile.title}, {first.gpus} GPUs"
        + (f" ({first.predicted_gpus} by the prediction alone)" if first.predicted else "")
    )


def _rows(
    plan: CapacityPlan, points: Sequence[_Point]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    head = (
        "profile", "options", "verdict", "GPUs", "replicas", "each has", "ms", "ms, P10–P90",
        "first out of",
    )  # fmt: skip
    rows = tuple(
        (
            p.option.profile.title,
            options(p.option.profile),
            p.point.verdict,
            str(p.replicas * p.option.candidate.gpus),
            str(p.replicas),
            amount(plan.target, p.point.share.amount),
            f"{p.ms:,.0f}",
            f"{p.low:,.0f}–{p.high:,.0f}",
            plan.limit(p.option).resource,
        )
        for p in points
    )
    return head, rows
