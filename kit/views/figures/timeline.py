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
from kit.views.reply import STOPPED, TRUSTED_SPEED, Reply

_PARTS = (
    ("before the first token", theme.PALE),
    ("thinking", theme.PURPLE),
    ("answer", theme.GREEN),
)


def timeline(replies: Sequence[Reply]) -> Figure:
    """Replies as stacked bars, one under the other. Raises InvalidValue where none has times."""
    timed = [
        ("thinking" if reply.thinking else "instruct", spans_s, reply)
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
            y=[name for name, *_ in timed],
            x=[spans_s[i] for _, spans_s, _ in timed],
            orientation="h",
            marker={"color": colour, "line": {"color": theme.QUIET, "width": 1}},
            hovertemplate="%{y}, " + part + ": %{x:.2f} s<extra></extra>",
        )
        for i, (part, colour) in enumerate(_PARTS)
    ]
    provenance = timed[0][2].provenance
    first_words = [f"{name}: {_first_word(reply, spans_s)}" for name, spans_s, reply in timed]
    layout = theme.layout(
        "How long until the first word of the answer",
        "; ".join(first_words),
        provenance,
        barmode="stack",
        height=190 + 70 * len(timed),
        margin={"l": 110, "r": 30, "t": 120, "b": 110},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        xaxis=axis("seconds since the question"),
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    head = ("seconds", *(part for part, _ in _PARTS), "in all")
    rows = tuple((name, *(f"{s:.2f}" for s in (*spans, sum(spans)))) for name, spans, _ in timed)
    said = f"First word of the answer: {'; '.join(first_words)}."
    return Figure(bars, layout, FigureTable(said, head, rows, provenance))


def _first_word(reply: Reply, spans_s: tuple[float, float, float]) -> str:
    """When the answer began; for one that ended before that, when and why it ended."""
    if reply.answer.strip():
        return f"{spans_s[0] + spans_s[1]:.1f} s"
    ended = {STOPPED: "stopped by you", "length": "the limit of tokens reached"}
    why = ended.get(reply.finish_reason or "", "ended")
    return f"none, {why} after {sum(spans_s):.1f} s"


def _spans_s(reply: Reply) -> tuple[float, float, float] | None:
    """Seconds of one answer: the wait for its first token, its thinking, its answer.

    None where the reply's times are not known, or it was not finished.
    """
    if reply.ttft_ms is None or not reply.tokens_per_s:
        return None
    thinking, answer = reply.thinking_tokens or 0, reply.answer_tokens or 0
    return reply.ttft_ms / 1000, thinking / reply.tokens_per_s, answer / reply.tokens_per_s
