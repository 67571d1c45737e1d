"""Memory against context: what one request takes, and how many requests a plan holds.

growth(model("397b"), model("235b"))
concurrency([plan(profile("h200x8"))])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kit.errors import InvalidValue
from kit.models import ModelSpec
from kit.provenance import Provenance, computed
from kit.sizing import MemoryPlan
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import Curve, axis, curve_table, curves, log_axis

GIB = 2**30
LENGTHS = tuple(2**n * 1024 for n in range(11))  # tokens: 1k … 1M
REQUEST_LENGTHS = tuple(2**n for n in range(7, 21))  # 128 … 1M


def growth(spec: ModelSpec, *others: ModelSpec) -> Figure:
    """Memory that one request takes by its length, cache and state together, in GiB.

    Beside `spec` as it is stands `spec` as it would be if every layer kept a KV cache;
    `others` follow as they are.
    """
    drawn = [
        (one.title, _gib(one.state_bytes_per_request(), one.kv_bytes_per_token(mtp=False)))
        for one in (spec, *others)
    ]
    if spec.gdn_layers:
        every = spec.kv_bytes_per_token(mtp=False) // spec.full_layers * spec.num_hidden_layers
        drawn.insert(1, (f"{spec.title} with full attention in every layer", _gib(0, every)))
    provenance = computed("config.json: KV of the full-attention layers, and GDN state; no MTP")
    layout = _layout(
        "What one request keeps in memory",
        "the whole model, over its length; both axes are logarithmic",
        provenance,
        "length of the request (tokens)",
        "memory (GiB)",
        legend_y=0.85,
    )
    each = "; ".join(f"{label} {values[-3]:.1f} GiB" for label, values in drawn)
    sentence = f"At {LENGTHS[-3]:,} tokens: {each}."
    table = _table(sentence, drawn, provenance, LENGTHS, corner="GiB at tokens", form="{:.2f}")
    return Figure(curves(drawn, LENGTHS, "%{y:.2f} GiB at %{x:,} tokens"), layout, table)


def concurrency(plans: Iterable[MemoryPlan], names: Sequence[str] | None = None) -> Figure:
    """How many requests run at once, by their length: the state's cap, then the cache's slope.

    `names` are the lines' labels; else the profiles'. Raises InvalidValue for no plans, and for
    fewer or more names than plans.
    """
    plans = tuple(plans)
    if not plans:
        raise InvalidValue("no plans to draw", "give at least one: concurrency([plan(profile)])")
    labels = tuple(names) if names is not None else tuple(plan.profile.name for plan in plans)
    if len(labels) != len(plans):
        raise InvalidValue(f"{len(labels)} names for {len(plans)} plans", "give a name per plan")
    drawn = [
        (label, [float(at_once(plan, n)) or None for n in REQUEST_LENGTHS])
        for label, plan in zip(labels, plans, strict=True)
    ]
    layout = _layout(
        "How many requests run at once",
        "flat: capped by state slots or by the server; falling: capped by KV cache",
        plans[0].provenance,
        "length of each request (tokens)",
        "requests at once",
        legend_y=0.2,
        lengths=REQUEST_LENGTHS,
    )
    sentence = "; ".join(
        f"{label}: {plan.max_running_requests:,} at most, as long as each is under "
        f"{plan.kv_tokens // max(plan.max_running_requests, 1):,} tokens"
        for label, plan in zip(labels, plans, strict=True)
    )
    table = _table(
        f"{sentence}.",
        drawn,
        plans[0].provenance,
        REQUEST_LENGTHS,
        corner="requests of tokens",
        form="{:,.0f}",
    )
    return Figure(curves(drawn, REQUEST_LENGTHS, "%{y} at %{x:,} tokens"), layout, table)


def at_once(plan: MemoryPlan, tokens: int) -> int:
    """Requests of `tokens` each that `plan` holds at once; none beyond its context length."""
    return plan.requests_at(tokens) if tokens <= plan.profile.context_tokens else 0


def _layout(
    title: str,
    subtitle: str,
    provenance: Provenance,
    x: str,
    y: str,
    *,
    legend_y: float,
    lengths: Sequence[int] = LENGTHS,
) -> dict[str, Any]:
    return theme.layout(
        title,
        subtitle,
        provenance,
        height=500,
        margin={"l": 84, "r": 30, "t": 92, "b": 100},
        legend={"x": 0.02, "y": legend_y, "yanchor": "middle", "bgcolor": theme.VEIL},
        xaxis=log_axis(x, lengths[::2], _short),
        yaxis=axis(y, type="log", dtick=1),
    )


def _table(
    sentence: str,
    drawn: Sequence[Curve],
    provenance: Provenance,
    lengths: Sequence[int],
    **form: str,
) -> FigureTable:
    return curve_table(sentence, drawn, lengths, lengths[::2], provenance, label=_short, **form)


def _gib(fixed: float, per_token: float) -> list[float | None]:
    """Memory of a request of each length."""
    return [(fixed + per_token * n) / GIB for n in LENGTHS]


def _short(tokens: int) -> str:
    if tokens < 1024:
        return str(tokens)
    return f"{tokens // 1024}k" if tokens < 2**20 else f"{tokens // 2**20}M"
