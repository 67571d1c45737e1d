"""What figures are put together from: curves, lines, bands, notes, axes, and a curve's table.

All are plotly's JSON; None is plotly's default. `more` goes into it as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from kit.provenance import Provenance
from kit.views import theme
from kit.views.figure import FigureTable

Json = dict[str, Any]
Curve = tuple[str, Sequence[float | None]]
"""Its name, and a value for each x; None where there is none."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x")


def curves(drawn: Sequence[Curve], x: Sequence[int], hover: str) -> list[Json]:
    """Curves over the same x. Colour, dash and marker all tell them apart."""
    return [
        curve(name, x, values, theme.COLOURS[i % 8], DASHES[i % 5], MARKERS[i % 5], hover=hover)
        for i, (name, values) in enumerate(drawn)
    ]


def curve(
    name: str,
    x: Sequence[float],
    y: Sequence[float | None],
    colour: str,
    dash: str = "solid",
    marker: str | None = None,
    *,
    width: float = 3.5,
    size: float = 9,
    hover: str = "%{x}: %{y:.2f}",
    **more: Any,
) -> Json:
    """One curve, with its points marked where `marker` is given."""
    return {
        "type": "scatter",
        "mode": "lines+markers" if marker else "lines",
        "name": name,
        "x": list(x),
        "y": [None if value is None else round(value, 3) for value in y],
        "line": {"width": width, "color": colour, "dash": dash},
        "marker": {"size": size, "symbol": marker} if marker else {},
        "hovertemplate": f"{hover}<extra>{name}</extra>",
        **more,
    }


def curve_table(
    sentence: str,
    drawn: Sequence[Curve],
    x: Sequence[int],
    columns: Sequence[int],
    provenance: Provenance,
    *,
    corner: str,
    form: str,
    label: Callable[[int], str] = str,
) -> FigureTable:
    """A row per curve, a column for each of those x that are in `columns`."""
    at = [x.index(column) for column in columns]
    rows = tuple((name, *(form.format(values[i] or 0) for i in at)) for name, values in drawn)
    return FigureTable(sentence, (corner, *map(label, columns)), rows, provenance)


def horizontal(
    y: float, xref: str = "paper", yref: str = "y", x: tuple[float, float] = (0, 1), **look: Any
) -> Json:
    """A line at `y`, from side to side unless `x` says otherwise; `look` is `stroke`'s."""
    ends = {"x0": x[0], "x1": x[1], "y0": y, "y1": y}
    return {"type": "line", "xref": xref, "yref": yref, **ends, "line": stroke(**look)}


def vertical(
    x: float, xref: str = "x", yref: str = "paper", y: tuple[float, float] = (0, 1), **look: Any
) -> Json:
    """A line at `x`, from bottom to top unless `y` says otherwise; `look` is `stroke`'s."""
    ends = {"x0": x, "x1": x, "y0": y[0], "y1": y[1]}
    return {"type": "line", "xref": xref, "yref": yref, **ends, "line": stroke(**look)}


def stroke(colour: str = theme.INK, width: float = 2, dash: str | None = None) -> Json:
    """How a line is drawn."""
    return {"color": colour, "width": width, "dash": dash}


def band(y0: float, y1: float, xref: str = "paper", yref: str = "y") -> Json:
    """A pale stripe from side to side, behind everything."""
    box = {"xref": xref, "x0": 0, "x1": 1, "yref": yref, "y0": y0, "y1": y1}
    return {
        "type": "rect", **box, "fillcolor": theme.PALE, "line": {"width": 0}, "layer": "below"
    }  # fmt: skip


def note(
    text: str, x: float, y: float, *, size: int = 15, colour: str = theme.QUIET, **more: Any
) -> Json:
    """Words at a point of the plot, without an arrow."""
    font = {"size": size, "color": colour}
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": font, **more}


def heading(text: str, x: float, y: float = 1.0, *, size: int = 17, **more: Any) -> Json:
    """Bold words above a part of the figure, which begins at `x` of its width."""
    place = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return note(f"<b>{text}</b>", x, y, size=size, colour=theme.INK, **{**place, **more})


def axis(title: str | None = None, **more: Any) -> Json:
    """An axis with its title: what is along it, and in which unit."""
    return {"title": {"text": title}, **more}


def log_axis(title: str, ticks: Sequence[int], label: Callable[[int], str] = str) -> Json:
    """A logarithmic axis with these ticks."""
    texts = [label(tick) for tick in ticks]
    return axis(title, type="log", tickmode="array", tickvals=list(ticks), ticktext=texts)


def duration_axis(least_ms: float, most_ms: float, room: int = 4) -> Json:
    """A logarithmic axis from one time to another: at most `room` ticks, each in its usual unit."""
    low, high = math.log10(least_ms), math.log10(most_ms)
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
    """A time of three digits at most, in its usual unit: 12 ms, 1.5 s."""
    return f"{float(f'{ms:.3g}'):g} ms" if ms < 1000 else f"{float(f'{ms / 1000:.3g}'):,g} s"
