"""How long a reader waits: each answer as a bar of seconds, from the moment it was asked.

both = await compare(endpoint, "What is 15 % of 240?")
timeline(both)
"""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from kit.errors import InvalidValue
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis
from kit.views.reply import TRUSTED_SPEED, Reply

_PARTS = (
    ("before the first token", theme.PALE),
    ("thinking", theme.PURPLE),
    ("answer", theme.GREEN),
)


def timeline(replies: Sequence[Reply]) -> Figure:
    """Replies as stacked bars, one under the other. Raises InvalidValue where none has times."""
    timed = [
        ("thinking" if reply.thinking else "instruct", spans_s)
        for reply in replies
        if (spans_s := _spans_s(reply))
    ]
    if not timed:
        raise InvalidValue(
            "none of these answers has times",
            f"ask again and let it finish, of a twin at speed {TRUSTED_SPEED:g} at most",
        )
    bars = [
        go.Bar(
            name=part,
            y=[name for name, _ in timed],
            x=[spans_s[i] for _, spans_s in timed],
            orientation="h",
            marker={"color": colour, "line": {"color": theme.QUIET, "width": 1}},
            hovertemplate="%{y}, " + part + ": %{x:.2f} s<extra></extra>",
        )
        for i, (part, colour) in enumerate(_PARTS)
    ]
    provenance = next(reply.provenance for reply in replies if _spans_s(reply))
    first_words = [(name, f"{spans_s[0] + spans_s[1]:.1f} s") for name, spans_s in timed]
    layout = theme.layout(
        "How long until the first word of the answer",
        "; ".join(f"{name}: {after}" for name, after in first_words),
        provenance,
        barmode="stack",
        height=190 + 70 * len(timed),
        margin={"l": 110, "r": 30, "t": 120, "b": 110},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        xaxis=axis("seconds since the question"),
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    sentence = "; ".join(f"{name}: first word after {after}" for name, after in first_words)
    head = ("seconds", *(part for part, _ in _PARTS), "in all")
    rows = tuple((name, *(f"{s:.2f}" for s in (*spans, sum(spans)))) for name, spans in timed)
    return Figure(bars, layout, FigureTable(f"{sentence}.", head, rows, provenance))


def _spans_s(reply: Reply) -> tuple[float, float, float] | None:
    """Seconds of one answer: the wait for its first token, its thinking, its answer.

    None where the reply's times are not known, or it was not finished.
    """
    if reply.ttft_ms is None or not reply.tokens_per_s:
        return None
    thinking, answer = reply.thinking_tokens or 0, reply.answer_tokens or 0
    return reply.ttft_ms / 1000, thinking / reply.tokens_per_s, answer / reply.tokens_per_s
