"""What a chat's turns wait for: TTFT with the prefix cache, and without it.

prefix_reuse(*(simulate_chats(replace(machine, radix_cache=on), chats) for on in (True, False)))
"""

from __future__ import annotations

from kit.bench.prefix_reuse import ChatRun
from kit.provenance import Provenance
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, curve


def prefix_reuse(with_cache: ChatRun, without: ChatRun) -> Figure:
    """Mean TTFT by turn of the same chats, with the prefix cache and without; the table has the
    tokens of the prompts too, and how many of them were cached."""
    chats, turns = with_cache.chats, with_cache.turns
    x = [int(turn.turn) for turn in turns]
    last, slow = turns[-1], without.turns[-1]
    said = (
        f"Turn {x[-1]}: {last.ttft_ms:,.0f} ms with the cache, {slow.ttft_ms:,.0f} ms without; "
        f"{with_cache.cached_share:.0%} of all prompt tokens were cached"
    )
    provenance = Provenance(
        with_cache.provenance.kind,
        f"{with_cache.provenance.source}; {chats.users} users, {chats.answer_tokens} tokens out",
    )
    lines = [
        curve(name, x, [turn.ttft_ms for turn in run.turns], colour, dash, marker, hover=_HOVER)
        for name, run, colour, dash, marker in (
            ("without prefix cache", without, theme.RED, "dash", "square"),
            ("with prefix cache", with_cache, theme.BLUE, "solid", "circle"),
        )
    ]
    layout = theme.layout(
        "Each turn reads the whole chat again, unless it is cached",
        said,
        provenance,
        height=420,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        margin={"l": 84, "r": 40, "t": 120, "b": 116},
        xaxis=axis("turn of the chat", dtick=1),
        yaxis=axis("mean TTFT (ms)", rangemode="tozero", tickformat=","),
    )
    head = ("turn", "prompt tokens", "cached", "TTFT with (ms)", "TTFT without (ms)")
    rows = tuple(
        (
            str(int(turn.turn)),
            f"{turn.prompt_tokens:,.0f}",
            f"{turn.cached_tokens:,.0f}",
            f"{turn.ttft_ms:,.0f}",
            f"{other.ttft_ms:,.0f}",
        )
        for turn, other in zip(turns, without.turns, strict=True)
    )
    return Figure(lines, layout, FigureTable(f"{said}.", head, rows, provenance))


_HOVER = "turn %{x}: %{y:,.0f} ms"
