"""The pocket model: what its drafts gave and cost on a CPU, and which questions it gets right.

acceptance(kit.pocket.sweep())
acceptance(kit.pocket.sweep(), {"thinking": 3.2, "answer": 2.9}, drafts=3)   # a server of yours too
abilities(kit.pocket.card())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kit.errors import UnknownName
from kit.pocket import CLAIM, PARTS, Ability, ModelCard, Part, Sweep
from kit.provenance import Provenance
from kit.speed.speculation import published_lengths
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, band, curve, heading, horizontal, note, vertical

_LOOK = {"thinking": (theme.BLUE, "circle"), "answer": (theme.RED, "square")}
_MODE = {"thinking": "thinking", "answer": "instruct"}  # what the published curves call them
_DASH = {"thinking": "solid", "answer": "dash"}
_THIN = {"thinking": "dot", "answer": "dashdot"}
_PLAIN = {  # the evaluation's names, in plain words
    "percent": "an easy percentage",
    "15 percent": "15 %: add two results",
    "follow-up": "a second question about it",
    "sum": "sum or difference, two digits",
    "lesson, as the course asks it (trained on)": "the course's questions (trained on)",
    "lesson, in other words": "the same in other words",
    "beyond": "says that it was not made for it",
    "call, one tool: the right tool": "calls the only tool",
    "call, one tool: exact": "and with the right arguments: one tool",
    "call, 2 to 4 tools, usual names: the right tool": "chooses among 2 to 4 tools",
    "call, 2 to 4 tools, usual names: exact": "and with the right arguments: 2 to 4",
    "call, 2 to 4 tools, other names: the right tool": "chooses among oddly named tools",
    "call, 2 to 4 tools, other names: exact": "and with the right arguments: odd names",
    "action call, one tool": "an odd tool, the only one",
    "action call, 2 to 4 tools": "an odd tool among 2 to 4",
    "two calls, one tool": "two calls at once, one tool",
    "two calls, 2 to 4 tools": "two calls at once, 2 to 4 tools",
    "no tool fits, one tool": "says that the only tool does not fit",
    "no tool fits, 2 to 4 tools": "says that none of 2 to 4 tools fits",
    "beyond, with tools": "says so when no tool could answer",
    "result": "reports a tool's result",
    "two results": "reports two results",
    "repeat": "repeats words exactly",
}


def acceptance(
    sweep: Sweep, here: Mapping[Part, float | None] | None = None, drafts: int | None = None
) -> Figure:
    """Left, tokens per verify step by draft tokens: measured, by theory, and Qwen3.5-397B's as
    published. Right, the speed that resulted, in times of the same server without drafts.

    `here` are accept lengths just measured on a server with `drafts` draft tokens: stars.
    Raises UnknownName for a part that is neither thinking nor answer.
    """
    for part in here or {}:
        if part not in PARTS:
            raise UnknownName("part of an answer", part, PARTS)
    steps = list(sweep.steps)
    provenance = _provenance(sweep)
    right: dict[str, Any] = {"xref": "x2 domain", "yref": "y2"}
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
        legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
        xaxis=_drafts_axis(steps, 0.8, (0, 0.52), "y"),
        xaxis2=_drafts_axis(steps, -0.25, (0.64, 1), "y2"),
        yaxis=axis("accept length (tokens per step)", range=[1, steps[-1] + 1.05]),
        yaxis2=axis(
            "tokens per second, times plain", range=[0, max(1.25, fastest * 1.1)], anchor="x2"
        ),
        shapes=[band(0, 1, **right), horizontal(1, dash="dot", **right)],
        annotations=[
            heading("what a step gives", 0.0, yshift=8),
            heading("what it comes to", 0.64, yshift=8),
            note("slower than without drafts", 0.98, 0.06, xanchor="right", **right),
        ],
    )
    data = [line for part in PARTS for line in _left(sweep, part, steps)]
    place = {"xaxis": "x2", "yaxis": "y2", "showlegend": False}
    data += [_measured(part, [0, *steps], sweep.times_plain, **place) for part in PARTS]
    data += [
        _star(part, value, drafts or steps[-1]) for part, value in (here or {}).items() if value
    ]
    rows = tuple(
        (name, *(f"{value(k):.2f}" for k in steps))
        for part in PARTS
        for name, value in _figures(sweep, part).items()
    )
    head = ("by draft tokens", *map(str, steps))
    table = FigureTable(_sentence(sweep, steps[-1]), head, rows, provenance)
    return Figure(data, layout, table)


def abilities(card: ModelCard) -> Figure:
    """The share of right answers of each kind, best first, with its 95 % interval.

    Filled: the model card claims it. Hollow: it does not.
    """
    found = sorted(card.abilities, key=lambda row: row.share)
    names = [_name(row) for row in found]
    layout = theme.layout(
        "What the pocket model can do, and what it cannot",
        f"filled: claimed, for at least {CLAIM:.0%} were right; hollow: not claimed",
        card.provenance,
        foot_px=84,
        height=230 + 36 * len(found),
        margin={"l": 310, "r": 30, "t": 92, "b": 130},
        showlegend=False,
        xaxis=axis("right answers (%), with 95 % intervals", range=[-2, 104]),
        yaxis={"showgrid": False, "categoryorder": "array", "categoryarray": names},
        shapes=[vertical(100 * CLAIM, dash="dot") | {"layer": "below"}],
    )
    claimed = [row for row in found if row.claimed]
    others = [row for row in found if not row.claimed]
    data = [_dots(claimed, theme.BLUE, "circle"), _dots(others, theme.RED, "circle-open")]
    sentence = (
        f"The model card claims {len(claimed)} of {len(found)} kinds of questions. "
        f"Best: {names[-1]} ({found[-1].share:.0%}); worst: {names[0]} ({found[0].share:.0%})."
    )
    head = ("kind of question", "right", "of", "share", "95 % interval", "claimed")
    rows = tuple(_row(row) for row in reversed(found))
    return Figure(data, layout, FigureTable(sentence, head, rows, card.provenance))


def _drafts_axis(
    steps: list[int], first: float, domain: tuple[float, float], anchor: str
) -> dict[str, Any]:
    ends = [first, steps[-1] + 0.25]
    return axis("draft tokens per step", dtick=1, domain=domain, range=ends, anchor=anchor)


def _provenance(sweep: Sweep) -> Provenance:
    curve = published_lengths("thinking").provenance
    theory = "thin: computed, each guess as good as the first"
    source = f"{sweep.provenance.source}; {theory}; grey: {curve.kind}, {curve.source}"
    return Provenance(sweep.provenance.kind, source)


def _left(sweep: Sweep, part: Part, steps: list[int]) -> list[dict[str, Any]]:
    """What was measured, what theory says, what was published of the 397B."""
    colour, mark = _LOOK[part]
    name, theory = f"397B, {_MODE[part]} (published)", f"{part}, by theory (computed)"
    known = [published_lengths(_MODE[part]).values[k - 1] for k in steps]
    expected = [sweep.expected(part, k) for k in steps]
    return [
        curve(name, steps, known, theme.GREY, _DASH[part], f"{mark}-open", width=2.5),
        curve(theory, steps, expected, colour, _THIN[part], width=2),
        _measured(part, steps, sweep.length),
    ]


def _measured(
    part: Part, steps: list[int], value: Callable[[Part, int], float], **more: Any
) -> dict[str, Any]:
    name, (colour, mark) = f"{part} (measured)", _LOOK[part]
    values = [value(part, k) for k in steps]
    return curve(name, steps, values, colour, _DASH[part], mark, width=4, size=13, **more)


def _star(part: Part, value: float, drafts: int) -> dict[str, Any]:
    colour, name = _LOOK[part][0], f"{part}, now (measured)"
    edge = {"color": theme.INK, "width": 1.5}
    marker = {"symbol": "star", "size": 20, "color": colour, "line": edge}
    return curve(name, [drafts], [value], colour, mode="markers") | {"marker": marker}


def _sentence(sweep: Sweep, drafts: int) -> str:
    times = [sweep.times_plain(part, drafts) for part in PARTS]
    lengths = " and ".join(f"{sweep.length(part, drafts):.2f} in {part}" for part in PARTS)
    steps = " and ".join(f"{sweep.ratio(part, drafts):.1f}" for part in PARTS)
    return (
        f"With {drafts} draft tokens the pocket model's steps gave {lengths}, and cost {steps} "
        f"plain steps: in all, ×{min(times):.2f} to ×{max(times):.2f} of the speed without."
    )


def _figures(sweep: Sweep, part: Part) -> dict[str, Callable[[int], float]]:
    """The table's rows: what each is, by the number of draft tokens."""
    known = published_lengths(_MODE[part]).values
    return {
        f"accept length, {part}": partial(sweep.length, part),
        f"by theory, {part}": partial(sweep.expected, part),
        f"397B, {_MODE[part]} (published)": lambda k: known[k - 1],
        f"a step in plain steps, {part}": partial(sweep.ratio, part),
        f"speed, times plain, {part}": partial(sweep.times_plain, part),
    }


def _name(row: Ability) -> str:
    return _PLAIN.get(row.name, row.name)


def _dots(rows: Sequence[Ability], colour: str, mark: str) -> dict[str, Any]:
    edge = {"width": 3, "color": colour}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(100 * row.share, 1) for row in rows],
        "y": [_name(row) for row in rows],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (row.interval[1] - row.share) for row in rows],
            "arrayminus": [100 * (row.share - row.interval[0]) for row in rows],
            "thickness": 2.5,
            "color": colour,
        },
        "marker": {"size": 16, "symbol": mark, "color": colour, "line": edge},
        "hovertemplate": "%{y}: %{x:.0f} %<extra></extra>",
    }


def _row(row: Ability) -> tuple[str, ...]:
    share, between = f"{row.share:.0%}", "{:.0%} to {:.0%}".format(*row.interval)
    claimed = "yes" if row.claimed else "no"
    return _name(row), str(row.right), str(row.asked), share, between, claimed
