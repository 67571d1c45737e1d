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
Place = tuple[float, float]
_LOOKS = {  # colour, symbol
    "holds": (theme.BLUE, "circle"),
    "marginal": (theme.ORANGE, "diamond-open"),
    "does not hold": (theme.RED, "x"),
}
_PAGES = ((880, 296, 8.0), (330, 296, 5.8))  # a usual and a narrow plot, and a letter, in px
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

    def place(ms: float, up: float) -> Place:
        """Shares of the plot's width and height, from its upper left."""
        x = (_log(ms) - across[0]) / (across[1] - across[0])
        return x, (upwards[1] - _log(up)) / (upwards[1] - upwards[0])

    taken = [place(point.ms, point.up) for point in points]
    for before, after in pairwise(front):
        corner = place(after.ms, before.up)
        taken += _line(place(before.ms, before.up), corner)
        taken += _line(corner, place(after.ms, after.up))
    plots = [_Plot(wide, high, letter, [*taken]) for wide, high, letter in _PAGES]
    for point in front[:4]:
        text = f"{point.replicas} × {point.option.profile.title}"
        spot = place(point.ms, point.up)
        offset = min(_OFFSETS, key=lambda o: sum(plot.covered(text, spot, o) for plot in plots))
        for plot in plots:
            plot.write(text, spot, offset)
        yield _name(text, point, offset)


@dataclass(frozen=True)
class _Plot:
    """A plot in px, and the shares of it at which something stands."""

    wide: float
    high: float
    letter: float
    taken: list[Place]

    def _ends(self, text: str, spot: Place, offset: tuple[int, int]) -> tuple[Place, Place]:
        """Where a name begins and ends, in px."""
        x, y = spot[0] * self.wide + offset[0], spot[1] * self.high + offset[1]
        long = self.letter * len(text)
        return ((x, y), (x + long, y)) if offset[0] > 0 else ((x - long, y), (x, y))

    def covered(self, text: str, spot: Place, offset: tuple[int, int]) -> int:
        """How much a name there would cover; far more where it leaves the plot."""
        (left, y), (right, _) = self._ends(text, spot, offset)
        if left < 0 or right > self.wide or not 0 < y < self.high:
            return 100
        return sum(
            left - 8 < share * self.wide < right + 8 and abs(down * self.high - y) < 17
            for share, down in self.taken
        )

    def write(self, text: str, spot: Place, offset: tuple[int, int]) -> None:
        """Take a name's place."""
        ends = self._ends(text, spot, offset)
        (one, other) = ((x / self.wide, y / self.high) for x, y in ends)
        self.taken.extend(_line(one, other))


def _line(one: Place, other: Place) -> list[Place]:
    """Points along a line."""
    along = [i / 24 for i in range(25)]
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
