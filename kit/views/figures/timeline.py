"""How long a reader waits: each answer as a bar of seconds, from the moment it was asked.

both = await compare(endpoint, "What is 15 % of 240?")
timeline(both)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class ReplyTimes:
    """Seconds of one answer: the wait for its first token, its thinking, its answer."""

    wait_s: float
    thinking_s: float
    answer_s: float

    @classmethod
    def of(cls, reply: Reply) -> ReplyTimes | None:
        """None where the reply's times are not known, or it was not finished."""
        if reply.ttft_ms is None or not reply.tokens_per_s:
            return None
        thinking, answer = reply.thinking_tokens or 0, reply.answer_tokens or 0
        return cls(reply.ttft_ms / 1000, thinking / reply.tokens_per_s, answer / reply.tokens_per_s)

    @property
    def parts(self) -> tuple[float, float, float]:
        return self.wait_s, self.thinking_s, self.answer_s

    @property
    def first_word_s(self) -> float:
        """Until the reader sees something of the answer."""
        return self.wait_s + self.thinking_s


def timeline(replies: Sequence[Reply]) -> Figure:
    """Replies as stacked bars, one under the other. Raises InvalidValue where none has times."""
    timed = [(reply, spans) for reply in replies if (spans := ReplyTimes.of(reply)) is not None]
    if not timed:
        raise InvalidValue(
            "none of these answers has times",
            f"ask again and let it finish, of a twin at speed {TRUSTED_SPEED:g} at most",
        )
    names = [_name(reply) for reply, _ in timed]
    bars = [
        go.Bar(
            name=part,
            y=names,
            x=[spans.parts[i] for _, spans in timed],
            orientation="h",
            marker={"color": colour, "line": {"color": theme.QUIET, "width": 1}},
            hovertemplate="%{y}, " + part + ": %{x:.2f} s<extra></extra>",
        )
        for i, (part, colour) in enumerate(_PARTS)
    ]
    provenance = timed[0][0].provenance
    layout = theme.layout(
        "How long until the first word of the answer",
        "; ".join(
            f"{name}: {s.first_word_s:.1f} s" for name, (_, s) in zip(names, timed, strict=True)
        ),
        provenance,
        barmode="stack",
        height=190 + 70 * len(timed),
        margin={"l": 110, "r": 30, "t": 120, "b": 110},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        xaxis=axis("seconds since the question"),
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    return Figure(bars, layout, _table(timed, names))


def _name(reply: Reply) -> str:
    return "thinking" if reply.thinking else "instruct"


def _table(timed: list[tuple[Reply, ReplyTimes]], names: list[str]) -> FigureTable:
    each = [
        f"{n}: first word after {s.first_word_s:.1f} s"
        for n, (_, s) in zip(names, timed, strict=True)
    ]
    rows = tuple(
        (name, *(f"{seconds:.2f}" for seconds in spans.parts), f"{sum(spans.parts):.2f}")
        for name, (_, spans) in zip(names, timed, strict=True)
    )
    head = ("seconds", *(part for part, _ in _PARTS), "in all")
    return FigureTable("; ".join(each) + ".", head, rows, timed[0][0].provenance)
