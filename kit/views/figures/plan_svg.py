"""A plan as a small SVG, quick enough to be redrawn while a slider moves.

One rank as a bar against its GPU, and below it what is wanted of the two pools: of
requests that may run at once, and of KV tokens.
"""

from __future__ import annotations

from html import escape

from kit.sizing import MemoryPlan
from kit.views import theme
from kit.views.figures.ledger import (
    OVER,
    excess_gib,
    fullest,
    part_style,
    parts_under_limit,
    verdict,
)

WIDTH, HEIGHT = 960, 432
_LEFT, _RIGHT = 24, 936
_HATCH = (
    '<pattern id="kit-hatch" width="8" height="8" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="3" height="8" fill="#fff" opacity=".7"/></pattern>'
)


def draw(plan: MemoryPlan, requests: int, tokens: int) -> str:
    """The drawing of `plan`, and of the wish for `requests` at once of `tokens` each."""
    rank = fullest(plan)
    title = f"{plan.profile} {verdict(plan)}"
    body = [
        _text(_LEFT, 32, verdict(plan), 20, weight=600),
        _text(_LEFT, 58, str(plan.profile), 16, theme.QUIET),
        *_bar(plan),
        *_gauge(310, "requests at once", requests, plan.max_running_requests),
        *_gauge(354, "KV tokens", requests * tokens, plan.kv_tokens),
        _text(_LEFT, HEIGHT - 14, str(plan.provenance), 13, theme.QUIET),
    ]
    label = f"{title}. One rank holds {rank.total_gib:.1f} of {rank.limit_gib:.1f} GiB."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}" style="width:100%;max-width:{WIDTH}px" '
        f'font-family="{theme.FONT}"><defs>{_HATCH}</defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{theme.PAPER}"/>{"".join(body)}</svg>'
    )


def enough(plan: MemoryPlan, requests: int, tokens: int) -> str:
    """Whether `plan` holds `requests` of `tokens` each, and which pool runs out first."""
    if not plan.starts:
        return f"It {verdict(plan)}."
    wanted = requests * tokens
    if requests > plan.max_running_requests:
        return (
            f"{requests:,} requests are wanted and {plan.max_running_requests:,} run at once: "
            "the others wait in the queue, however short they are."
        )
    if wanted > plan.kv_tokens:
        return (
            f"{requests:,} × {tokens:,} = {wanted:,} tokens are wanted and the KV cache holds "
            f"{plan.kv_tokens:,}: some wait, or are put back when it runs full."
        )
    return (
        f"{requests:,} requests of {tokens:,} tokens run at once: {wanted:,} of "
        f"{plan.kv_tokens:,} tokens of KV cache."
    )


def _bar(plan: MemoryPlan) -> list[str]:
    """One rank, lying: parts from the left, the GPU's end as a line."""
    rank = fullest(plan)
    scale = (_RIGHT - _LEFT) / max(rank.total_gib, rank.limit_gib)
    parts = [(label, under) for label, _, under in parts_under_limit(rank)]
    parts.append((OVER, excess_gib(rank)))
    top, high = 98, 56
    drawn = []
    x = float(_LEFT)
    for label, gib in parts:
        if gib * scale >= 0.3:
            drawn += [_rect(x, top, gib * scale, high, fill) for fill in _fills(label)]
            x += gib * scale
    edge = _LEFT + rank.limit_gib * scale
    drawn.append(
        f'<path d="M{edge:.1f} {top - 10}v{high + 20}" stroke="{theme.INK}" stroke-width="3"/>'
    )
    drawn.append(_text(edge - 6, top - 6, f"the GPU: {rank.limit_gib:.1f} GiB", 15, anchor="end"))
    return [*drawn, *_legend(parts, top + high + 30)]


def _legend(parts: list[tuple[str, float]], top: int) -> list[str]:
    """Names and GiB of the parts, three to a row."""
    drawn = []
    for i, (label, gib) in enumerate(p for p in parts if p[1] >= 0.05):
        x, y = _LEFT + i % 3 * 308, top + i // 3 * 27
        drawn += [_rect(x, y - 13, 16, 16, fill, theme.QUIET) for fill in _fills(label)]
        drawn.append(_text(x + 24, y, f"{label} {gib:.1f} GiB", 14))
    return drawn


def _fills(label: str) -> tuple[str, ...]:
    """What a part is filled with: its colour, and its hatch over it."""
    colour, hatch = part_style(label)
    return (colour, "url(#kit-hatch)") if hatch else (colour,)


def _gauge(top: int, name: str, wanted: int, held: int) -> list[str]:
    """What is wanted of a pool: full width is the larger of wanted and held."""
    x, high = 470, 22
    scale = (_RIGHT - x) / max(wanted, held, 1)
    got, missing = min(wanted, held), max(wanted - held, 0)
    text = f"{'✗' if missing else '✓'} {name}: {wanted:,} wanted, {held:,} held"
    drawn = [
        _text(_LEFT, top + 17, text, 16, theme.DEEP_RED if missing else theme.INK, 600),
        _rect(x, top, scale * held, high, theme.PALE, theme.QUIET),
        _rect(x, top, scale * got, high, theme.GREEN),
    ]
    if missing:
        end = x + scale * got
        drawn += [_rect(end, top, scale * missing, high, fill) for fill in _fills(OVER)]
    return drawn


def _rect(x: float, y: float, wide: float, high: float, fill: str, stroke: str = "") -> str:
    edge = f' stroke="{stroke}"' if stroke else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" '
        f'fill="{fill}"{edge}/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    size: int,
    fill: str = theme.INK,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}" text-anchor="{anchor}">{escape(text)}</text>'
    )
