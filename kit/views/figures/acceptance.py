"""The pocket model's own speculation: what it gets accepted, and what that costs on a CPU.

acceptance(kit.pocket.sweep())
acceptance(kit.pocket.sweep(), {"thinking": 3.2, "answer": 2.9}, drafts=3)   # a server of yours too
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit.errors import UnknownName
from kit.pocket import PARTS, Part, Sweep
from kit.provenance import Provenance
from kit.speed.speculation import published_lengths
from kit.views import theme
from kit.views.figure import Figure, FigureTable

_LOOK = {"thinking": (theme.BLUE, "circle"), "answer": (theme.RED, "square")}
_MODE = {"thinking": "thinking", "answer": "instruct"}  # what the published curves call them
_DASH = {"thinking": "solid", "answer": "dash"}
_THIN = {"thinking": "dot", "answer": "dashdot"}


def acceptance(
    sweep: Sweep, here: Mapping[Part, float | None] | None = None, drafts: int | None = None
) -> Figure:
    """Left, tokens a verify step by draft tokens: measured, by theory, and Qwen3.5-397B's as
    published. Right, the speed it came to, in times of the same server without drafts.

    `here` are accept lengths just measured on a server with `drafts` draft tokens: stars.
    Raises UnknownName for a part that is neither thinking nor answer.
    """
    for part in here or {}:
        if part not in PARTS:
            raise UnknownName("part of an answer", part, PARTS)
    steps = list(sweep.steps)
    provenance = _provenance(sweep)
    fastest = max(sweep.times_plain(part, k) for part in PARTS for k in steps)
    layout = theme.layout(
        "Drafts are accepted, and a CPU is no faster for it"
        if fastest < 1
        else "What is accepted, and what it is worth on a CPU",
        "Qwen3.5's architecture in miniature, on the real SGLang, one request at a time",
        provenance,
        foot_px=140,
        height=590,
        margin={"l": 78, "r": 24, "t": 132, "b": 204},
        legend={"orientation": "h", "x": 0, "y": -0.155, "yanchor": "top"},
        xaxis={"title": {"text": "draft tokens per step"}, "dtick": 1, "domain": [0, 0.52]}
        | {"range": [0.8, steps[-1] + 0.25]},
        xaxis2={"title": {"text": "draft tokens per step"}, "dtick": 1, "domain": [0.64, 1]}
        | {"range": [-0.25, steps[-1] + 0.25], "anchor": "y2"},
        yaxis={
            "title": {"text": "accept length (tokens per step)"},
            "range": [1, steps[-1] + 1.05],
        },
        yaxis2={"title": {"text": "tokens per second, times plain"}, "anchor": "x2"}
        | {"range": [0, max(1.25, fastest * 1.1)]},
        shapes=[_slower(), _one()],
        annotations=[
            _heading("what a step gives", 0.0),
            _heading("what it comes to", 0.64),
            _note("slower than without drafts", 0.98, 0.06)
            | {"xref": "x2 domain", "yref": "y2", "xanchor": "right"},
        ],
    )
    data = [line for part in PARTS for line in _left(sweep, part, steps)]
    data += [_right(sweep, part) for part in PARTS]
    data += [
        _star(part, value, drafts or steps[-1]) for part, value in (here or {}).items() if value
    ]
    words = FigureTable(_sentence(sweep, steps[-1]), *_table(sweep, steps), provenance)
    return Figure(data, layout, words)


def _provenance(sweep: Sweep) -> Provenance:
    curve = published_lengths("thinking").provenance
    theory = "thin: computed, each guess as good as the first"
    source = f"{sweep.provenance.source}; {theory}; grey: {curve.kind}, {curve.source}"
    return Provenance(sweep.provenance.kind, source)


def _left(sweep: Sweep, part: Part, steps: list[int]) -> list[dict[str, Any]]:
    """What was measured, what theory says, what was published of the 397B."""
    colour, mark = _LOOK[part]
    known = published_lengths(_MODE[part]).values
    return [
        _line(
            f"397B, {_MODE[part]} (published)",
            steps,
            [known[k - 1] for k in steps],
            {"color": theme.GREY, "width": 2.5, "dash": _DASH[part]},
            {"symbol": f"{mark}-open", "size": 9},
        ),
        _line(
            f"{part}, by theory (computed)",
            steps,
            [sweep.expected(part, k) for k in steps],
            {"color": colour, "width": 2, "dash": _THIN[part]},
        ),
        _line(
            f"{part} (measured)",
            steps,
            [sweep.length(part, k) for k in steps],
            {"color": colour, "width": 4, "dash": _DASH[part]},
            {"symbol": mark, "size": 13},
        ),
    ]


def _right(sweep: Sweep, part: Part) -> dict[str, Any]:
    colour, mark = _LOOK[part]
    steps = [0, *sweep.steps]
    line = _line(
        f"{part} (measured)",
        steps,
        [sweep.times_plain(part, k) for k in steps],
        {"color": colour, "width": 4, "dash": _DASH[part]},
        {"symbol": mark, "size": 13},
    )
    return line | {"xaxis": "x2", "yaxis": "y2", "showlegend": False}


def _line(
    name: str,
    x: list[int],
    y: list[float],
    line: dict[str, Any],
    marker: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if marker else "lines",
        "name": name,
        "x": x,
        "y": [round(value, 3) for value in y],
        "line": line,
        "marker": marker or {},
        "hovertemplate": "%{x}: %{y:.2f}<extra>" + name + "</extra>",
    }


def _star(part: Part, value: float, drafts: int) -> dict[str, Any]:
    name = f"{part}, now (measured)"
    marker = {"symbol": "star", "size": 20, "color": _LOOK[part][0]}
    marker["line"] = {"color": theme.INK, "width": 1.5}
    return _line(name, [drafts], [value], {}) | {"mode": "markers", "marker": marker}


def _slower() -> dict[str, Any]:
    box = {"type": "rect", "xref": "x2 domain", "x0": 0, "x1": 1, "yref": "y2", "y0": 0, "y1": 1}
    return {**box, "fillcolor": theme.PALE, "line": {"width": 0}, "layer": "below"}


def _one() -> dict[str, Any]:
    line = {"color": theme.INK, "width": 2, "dash": "dot"}
    ends = {"xref": "x2 domain", "x0": 0, "x1": 1, "yref": "y2", "y0": 1, "y1": 1}
    return {"type": "line", **ends, "line": line}


def _heading(text: str, x: float) -> dict[str, Any]:
    where = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 8}
    return _note(f"<b>{text}</b>", x, 1.0) | where | {"font": {"size": 17, "color": theme.INK}}


def _note(text: str, x: float, y: float) -> dict[str, Any]:
    font = {"size": 15, "color": theme.QUIET}
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": font}


def _sentence(sweep: Sweep, drafts: int) -> str:
    times = [sweep.times_plain(part, drafts) for part in PARTS]
    lengths = " and ".join(f"{sweep.length(part, drafts):.2f} in {part}" for part in PARTS)
    steps = " and ".join(f"{sweep.ratio(part, drafts):.1f}" for part in PARTS)
    return (
        f"With {drafts} draft tokens the pocket model's steps gave {lengths}, and cost {steps} "
        f"plain steps: in all, ×{min(times):.2f} to ×{max(times):.2f} of the speed without."
    )


def _table(sweep: Sweep, steps: list[int]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    head = ("by draft tokens", *map(str, steps))
    rows = []
    for part in PARTS:
        known = published_lengths(_MODE[part]).values
        rows += [
            (f"accept length, {part}", *(f"{sweep.length(part, k):.2f}" for k in steps)),
            (f"by theory, {part}", *(f"{sweep.expected(part, k):.2f}" for k in steps)),
            (f"397B, {_MODE[part]} (published)", *(f"{known[k - 1]:.2f}" for k in steps)),
            (f"a step in plain steps, {part}", *(f"{sweep.ratio(part, k):.2f}" for k in steps)),
            (f"speed, times plain, {part}", *(f"{sweep.times_plain(part, k):.2f}" for k in steps)),
        ]
    return head, tuple(rows)
