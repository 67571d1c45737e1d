"""What the pocket model gets right, kind of question by kind.

abilities(kit.pocket.card())
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kit.pocket import CLAIM, Ability, ModelCard
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, vertical

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
