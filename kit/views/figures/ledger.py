"""What fills each rank's memory, stacked, against the line of its GPU.

ledger(plan(profile("h200x8")))            one bar per rank
ledgers([plan(p) for p in profiles()])     one bar per machine: its fullest rank
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import Any

from kit.errors import InvalidValue
from kit.hardware import Profile
from kit.hardware.validate import obstacle
from kit.models.precision import precision
from kit.sizing import MemoryPlan, RankLedger
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, horizontal, note

FREE = "free"
OVER = "over the GPU"

# the start of a ledger's label → colour, hatch
_STYLE = {
    "weights copied": (theme.BLUE, "/"),
    "weights": (theme.BLUE, ""),
    "context": (theme.GREY, ""),
    "CUDA graphs": (theme.GREY, "\\"),
    "multimodal": (theme.SKY, ""),
    "GDN": (theme.ORANGE, ""),
    "MTP's KV": (theme.GREEN, "/"),
    "MTP": (theme.PURPLE, "/"),
    "KV": (theme.GREEN, ""),
    "activations": (theme.PALE, "."),
    FREE: (theme.PALE, ""),
    OVER: (theme.RED, "x"),
}


def ledger(plan: MemoryPlan) -> Figure:
    """One stacked bar per rank (GiB), the GPU's limit, and a label per part.

    What does not fit stands hatched over the line, and is named.
    """
    ranks = plan.ranks
    top = 1.1 * max(_height(rank) for rank in ranks)
    notes = [
        *_labels(fullest(plan), top),
        _limit_note(ranks[0], 0.004, "paper", "left", "the GPU: {} GiB"),
        *_excess_note(0.5, fullest(plan), "paper"),
    ]
    layout = theme.layout(
        f"{plan.profile.name} {verdict(plan).split(',')[0]}",
        f"{plan.profile} · SGLang {plan.sglang}",
        plan.provenance,
        barmode="stack",
        bargap=0.18,
        showlegend=False,
        height=520,
        margin={"l": 76, "r": 304, "t": 92, "b": 100},
        xaxis=axis("rank (one GPU each)", type="category", showgrid=False),
        yaxis=axis("memory (GiB)", range=[0, top]),
        shapes=[horizontal(ranks[0].limit_gib, width=3)],
        annotations=notes,
    )
    return Figure(_traces(ranks, [str(rank.rank) for rank in ranks]), layout, plan_table(plan))


def ledgers(plans: Iterable[MemoryPlan]) -> Figure:
    """Machines side by side: of each its fullest rank, against its own GPU.

    Raises InvalidValue for no plans at all.
    """
    plans = tuple(plans)
    if not plans:
        raise InvalidValue("no plans to draw", "give at least one: ledgers([plan(profile)])")
    ranks = [fullest(plan) for plan in plans]
    outcomes: dict[str, list[str]] = {}
    for plan in sorted(plans, key=lambda plan: not plan.fits):
        outcomes.setdefault("fits" if plan.fits else "does not", []).append(machine(plan.profile))
    outcome = "; ".join(f"{how}: {', '.join(which)}" for how, which in outcomes.items())
    layout = theme.layout(
        outcome[0].upper() + outcome[1:],
        f"the fullest rank of each machine · SGLang {plans[0].sglang}",
        plans[0].provenance,
        foot_px=96,
        barmode="stack",
        bargap=0.4,
        height=560,
        margin={"l": 76, "r": 40, "t": 92, "b": 122},
        legend={"traceorder": "reversed", "x": 1.02, "y": 1},
        xaxis={
            "tickmode": "array",
            "tickvals": list(range(len(plans))),
            "ticktext": [_tick(plan) for plan in plans],
            "showgrid": False,
        },
        yaxis=axis(
            "memory of one rank (GiB)", range=[0, 1.14 * max(_height(rank) for rank in ranks)]
        ),
        shapes=[
            horizontal(rank.limit_gib, "x", x=(i - 0.36, i + 0.36), width=3)
            for i, rank in enumerate(ranks)
        ],
        annotations=[
            note
            for i, rank in enumerate(ranks)
            for note in (_limit_note(rank, i, "x", "center", "GPU {}"), *_excess_note(i, rank, "x"))
        ],
    )
    return Figure(_traces(ranks, list(range(len(plans))), True), layout, plans_table(plans))


def machine(profile: Profile) -> str:
    """ "8× H200", "16× H100 on 2 nodes"."""
    nodes = f" on {profile.nodes} nodes" if profile.nodes > 1 else ""
    return f"{profile.tp_size}× {profile.gpu.name}{nodes}"


def fullest(plan: MemoryPlan) -> RankLedger:
    """The rank that holds most."""
    return max(plan.ranks, key=lambda rank: rank.total_gib)


def excess_gib(rank: RankLedger) -> float:
    """What stands over the GPU's limit, in GiB."""
    return max(rank.total_gib - rank.limit_gib, 0.0)


def verdict(plan: MemoryPlan) -> str:
    """How it ends: "fits: 39 requests at once, 591,182 tokens of KV cache"."""
    if plan.starts:
        most = plan.max_running_requests
        does = {"tight": "fits tightly", "short": "starts, short of what is asked"}
        return (
            f"{does.get(plan.verdict, 'fits')}: {most:,} request{'s' if most > 1 else ''} at once, "
            f"{plan.kv_tokens:,} tokens of KV cache"
        )
    if refusal := obstacle(plan.profile):
        return f"does not run: {refusal}"
    if over := excess_gib(fullest(plan)):
        return f"does not fit: {over:.1f} GiB too much per rank"
    if plan.rest_gib <= 0:
        return (
            f"does not fit: mem_fraction_static {plan.mem_fraction_static:.3g} "
            f"is {-plan.rest_gib:.1f} GiB short of the weights"
        )
    return f"does not fit: room for {plan.kv_tokens:,} tokens of KV cache, which is too few"


def plan_table(plan: MemoryPlan) -> FigureTable:
    """The ledger as a sentence and a table: a column for the ranks that hold the same."""
    groups = [list(g) for _, g in groupby(plan.ranks, key=lambda r: (r.entries, r.limit_gib))]
    rows = _rows([group[0] for group in groups], "{:.2f}")
    rank = fullest(plan)
    sentence = (
        f"{plan.profile}: weights take {rank.weights_gib:.1f} of the "
        f"{rank.limit_gib:.1f} GiB of each rank. It {verdict(plan)}."
    )
    return FigureTable(sentence, ("GiB", *map(_named, groups)), rows, plan.provenance)


def plans_table(plans: Sequence[MemoryPlan]) -> FigureTable:
    """Machines side by side: the fullest rank of each."""
    rows = _rows([fullest(plan) for plan in plans], "{:.1f}")
    verdicts = ("verdict", *(plan.verdict for plan in plans))
    names = [f"{machine(p.profile)} {precision(p.profile.precision).title}" for p in plans]
    ends = "; ".join(f"{name} {verdict(plan)}" for name, plan in zip(names, plans, strict=True))
    head = ("GiB per rank", *names)
    return FigureTable(f"{ends}.", head, (*rows, verdicts), plans[0].provenance)


def _rows(ranks: Sequence[RankLedger], form: str) -> tuple[tuple[str, ...], ...]:
    """A row for each label that is more than nothing on some rank, their sum, and the GPU."""
    held = [{**dict(r.entries), "together": r.total_gib, "the GPU": r.limit_gib} for r in ranks]
    labels = dict.fromkeys(label for r in ranks for label, gib in r.entries if gib > 0.004)
    return tuple(
        (label, *(form.format(column.get(label, 0.0)) for column in held))
        for label in (*labels, "together", "the GPU")
    )


def _named(group: Sequence[RankLedger]) -> str:
    first, last = group[0].rank, group[-1].rank
    return f"rank {first}" if first == last else f"ranks {first}–{last}"


def part_style(label: str) -> tuple[str, str]:
    """The colour and the hatch of a part; yellow for an unknown part."""
    return next((s for start, s in _STYLE.items() if label.startswith(start)), (theme.YELLOW, ""))


def parts_under_limit(rank: RankLedger) -> list[tuple[str, float, float]]:
    """The entries and what is left, each as (label, its GiB, those of them under the limit)."""
    parts = []
    height = 0.0
    for label, gib in rank.entries:
        parts.append((label, gib, max(min(gib, rank.limit_gib - height), 0.0)))
        height += gib
    left = max(rank.limit_gib - height, 0.0)
    return [*parts, (FREE, left, left)]


def _height(rank: RankLedger) -> float:
    return max(rank.total_gib, rank.limit_gib)


def _traces(ranks: Sequence[RankLedger], x: list[Any], inside: bool = False) -> list[Any]:
    """A bar trace per label up to the limit, and one for what stands over it; no empty ones."""
    size: dict[str, list[float]] = {}
    drawn: dict[str, list[float]] = {}
    for i, rank in enumerate(ranks):
        for label, gib, under in parts_under_limit(rank):
            size.setdefault(label, [0.0] * len(ranks))[i] = round(gib, 2)
            drawn.setdefault(label, [0.0] * len(ranks))[i] = round(under, 2)
    least = 0.06 * max(_height(rank) for rank in ranks)
    traces = []
    for label in size:
        trace = _bars(label, x, drawn[label], size[label])
        if inside:
            trace |= _numbers(drawn[label], size[label], least, trace["marker"])
        traces.append(trace)
    over = [round(excess_gib(rank), 2) for rank in ranks]
    traces.append(_bars(OVER, x, over, over))
    return [trace for trace in traces if any(trace["y"])]


def _bars(name: str, x: list[Any], drawn: list[float], size: list[float]) -> dict[str, Any]:
    colour, hatch = part_style(name)
    marker: dict[str, Any] = {"color": colour, "line": {"color": theme.PAPER, "width": 1.5}}
    if hatch:
        ink = {"bgcolor": colour, "fgcolor": theme.PAPER}
        marker["pattern"] = {"shape": hatch, "size": 8, "solidity": 0.25, **ink}
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": drawn,
        "customdata": size,
        "marker": marker,
        "hovertemplate": f"{name}: %{{customdata:.1f}} GiB<extra></extra>",
    }


def _numbers(
    drawn: list[float], size: list[float], least: float, marker: dict[str, Any]
) -> dict[str, Any]:
    """The numbers written into bars that are high enough to hold them."""
    if "pattern" in marker:
        return {}
    dark = marker["color"] in (theme.BLUE, theme.GREEN)
    return {
        "text": [f"{s:.1f}" if d >= least else "" for d, s in zip(drawn, size, strict=True)],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"size": 17, "color": theme.PAPER if dark else theme.INK},
    }


def _limit_note(rank: RankLedger, x: float, xref: str, xanchor: str, text: str) -> dict[str, Any]:
    """The GPU's size at its line: above it, or below on white where bars go through it."""
    through = bool(excess_gib(rank))
    return note(
        f"<b>{text.format(f'{rank.limit_gib:.1f}')}</b>",
        x,
        rank.limit_gib,
        size=16,
        colour=theme.INK,
        xref=xref,
        xanchor=xanchor,
        yanchor="top" if through else "bottom",
        yshift=-6 if through else 0,
        bgcolor=theme.PAPER if through else None,
    )


def _excess_note(x: float, rank: RankLedger, xref: str) -> list[dict[str, Any]]:
    over = excess_gib(rank)
    if not over:
        return []
    text, top = f"<b>{over:.1f} GiB too much</b>", _height(rank)
    return [note(text, x, top, size=18, colour=theme.DEEP_RED, xref=xref, yanchor="bottom")]


def _labels(rank: RankLedger, top: float) -> list[dict[str, Any]]:
    """The parts' names and sizes at the right of the bars, pushed apart where they crowd."""
    parts = [(label, gib) for label, gib, _ in parts_under_limit(rank) if gib >= 0.05]
    ends = accumulate(gib for _, gib in parts)
    middles = [end - gib / 2 for end, (_, gib) in zip(ends, parts, strict=True)]
    places = _apart(middles, 0.073 * top)
    return [
        note(
            f"{label} <b>{gib:.1f}</b>",
            1.0,
            middle,
            size=16,
            colour=theme.INK,
            xref="paper",
            xanchor="left",
            ax=26,
            ay=place,
            ayref="y",
            arrowhead=0,
            arrowwidth=1.5,
            arrowcolor=theme.QUIET,
            showarrow=True,
        )
        for (label, gib), middle, place in zip(parts, middles, places, strict=True)
    ]


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Rising places, `gap` apart at least; the highest stays where it is if it can."""
    spread = list(places)
    for i in range(1, len(spread)):
        spread[i] = max(spread[i], spread[i - 1] + gap)
    roof = max(places[-1], gap * (len(spread) - 0.5)) if spread else 0.0
    for i in reversed(range(len(spread))):
        spread[i] = min(spread[i], roof)
        roof = spread[i] - gap
    return spread


def _tick(plan: MemoryPlan) -> str:
    mark = "✓ fits" if plan.fits else "✗ does not fit"
    count, _, nodes = machine(plan.profile).partition(" on ")
    where = f"{precision(plan.profile.precision).title}{', ' + nodes if nodes else ''}"
    return f"<b>{count}</b><br>{where}<br>{mark}"
