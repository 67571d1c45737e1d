"""Speculation drawn: what is accepted, what a verify step touches, how many tokens to draft, and
when it pays.

accept_lengths()
experts(profile("h200x8"))
draft_steps(profile("h200x8"))
speedup(profile("h200x8"))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from kit import load_data
from kit.bench import published_runs
from kit.hardware import SGLANG, Mtp, Profile
from kit.provenance import Provenance, computed, published, simulated
from kit.scheduler import default_accept_length
from kit.sizing import plan
from kit.speed.speculation import (
    CONTEXT_TOKENS,
    crossings,
    experts_touched,
    published_lengths,
    step_cost,
)
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import (
    Curve,
    axis,
    band,
    curve_table,
    curves,
    horizontal,
    log_axis,
    note,
    vertical,
)

REQUESTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_TICKS = tuple(n for n in REQUESTS if n & (n - 1) == 0)  # powers of two
_TABLED = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)  # accept lengths that the table has
_SPEEDUP = "tokens per second, times plain"


def accept_lengths() -> Figure:
    """Published accept lengths with three draft tokens, one dot each, longest first."""
    found = sorted(_published(), key=itemgetter(0))
    values, texts, sources = zip(*found, strict=True)
    provenance = published("; ".join(dict.fromkeys(reversed(sources))))
    most = Mtp().num_draft_tokens
    layout = theme.layout(
        "What a verify step gives depends on the text",
        "Qwen3.5, three draft tokens; 1 is no gain, 4 is everything accepted",
        provenance,
        foot_px=78,
        height=170 + 38 * len(found),
        margin={"l": 330, "r": 40, "t": 92, "b": 150},
        showlegend=False,
        xaxis=axis("accept length (tokens per verify step)", range=[0.9, most]),
        yaxis={"showgrid": False},
    )
    dots = {
        "type": "scatter",
        "mode": "markers+text",
        "x": values,
        "y": texts,
        "text": [f"{value:.2f}" for value in values],
        "textposition": "middle left",
        "marker": {"size": 15, "color": theme.BLUE},
        "customdata": sources,
        "hovertemplate": "%{y}: %{x:.2f}<br>%{customdata}<extra></extra>",
        "cliponaxis": False,
    }
    rows = tuple((text, f"{value:.2f}", source) for value, text, source in reversed(found))
    sentence = (
        f"Published accept lengths go from {values[0]:.2f} ({texts[0]}) to "
        f"{values[-1]:.2f} ({texts[-1]}), of {most} at most."
    )
    head = ("text", "accept length", "from")
    return Figure([dots], layout, FigureTable(sentence, head, rows, provenance))


def experts(profile: Profile) -> Figure:
    """Experts of a layer that a step touches, plain and under MTP, by requests at once.

    Raises InvalidValue for a model without experts.
    """
    spec, drafted = profile.model, (profile.mtp or Mtp()).num_draft_tokens
    verify = [experts_touched(spec, n * drafted) for n in REQUESTS]
    plain = [experts_touched(spec, n) for n in REQUESTS]
    words = f"verify ({drafted} tokens per request)"
    drawn = [(words, verify), ("plain (1 token per request)", plain)]
    provenance = computed(
        f"{spec.num_experts}·(1 − (1 − {spec.num_experts_per_tok}/{spec.num_experts})^tokens): "
        "each token chooses for itself"
    )
    layout = _layout(
        "How many experts a step reads",
        f"{spec.name.upper()}, of {spec.num_experts} in a layer",
        provenance,
        axis("experts read in a layer", range=[0, spec.num_experts * 1.05]),
    )
    widest = max(range(len(REQUESTS)), key=lambda i: verify[i] - plain[i])
    sentence = (
        f"One request: {plain[0]:.0f} experts plain, {verify[0]:.0f} with drafts. "
        f"The drafts bring in most at {REQUESTS[widest]} requests, {verify[widest]:.0f} against "
        f"{plain[widest]:.0f}; at {REQUESTS[-1]} both touch nearly all."
    )
    table = _table(sentence, drawn, provenance, "{:.0f}")
    return Figure(curves(drawn, REQUESTS, "%{x}: %{y:.0f} experts"), layout, table)


def draft_steps(
    profile: Profile,
    requests: Sequence[int] = (1, 16, 128),
    mode: str = "thinking",
    context_tokens: int = CONTEXT_TOKENS,
) -> Figure:
    """Speed-up by the number of draft tokens, at the published accept length of each number.

    Raises UnknownName for a mode without published lengths.
    """
    lengths = published_lengths(mode)
    steps = range(1, len(lengths.values) + 1)

    def speedup_at(n: int, k: int) -> float:
        machine = replace(profile, mtp=Mtp(num_steps=k, num_draft_tokens=k + 1))
        return step_cost(machine, n, context_tokens).speedup(lengths.values[k - 1])

    drawn = [(f"{n} at once", [speedup_at(n, k) for k in steps]) for n in requests]
    costs = step_cost(profile, 1).provenance.source
    provenance = simulated(f"{costs}; accept lengths: {lengths.provenance.source}")
    layout = theme.layout(
        "How many tokens to draft",
        f"{profile.name}, {mode}, requests of {context_tokens:,} tokens",
        provenance,
        foot_px=78,
        height=500,
        margin={"l": 84, "r": 30, "t": 92, "b": 150},
        legend={"x": 0.98, "xanchor": "right", "y": 0.02, "yanchor": "bottom"},
        xaxis=axis("draft tokens per step", dtick=1),
        yaxis=axis(_SPEEDUP, rangemode="tozero"),
        shapes=[horizontal(1, dash="dot")],
    )
    each = "; ".join(
        f"{label}: best with {steps[values.index(max(values))]}, ×{max(values):.2f}"
        for label, values in drawn
    )
    rows = [("accept length (published)", lengths.values), *drawn]
    table = curve_table(
        f"{each}.",
        rows,
        steps,
        steps,
        provenance,
        corner="times plain, by draft tokens",
        form="{:.2f}",
    )
    return Figure(curves(drawn, steps, "%{x}: ×%{y:.2f}"), layout, table)


def speedup(
    profile: Profile,
    accept_length: float | None = None,
    context_tokens: int = CONTEXT_TOKENS,
    sglang: str = SGLANG,
) -> Figure:
    """How many times faster MTP decodes, by requests at once. The slider under the figure moves
    the accept length; it works in a saved page too.

    Raises InvalidValue for an accept length that the profile's drafts cannot have.
    """
    costs = [step_cost(profile, n, context_tokens, sglang) for n in REQUESTS]
    given = default_accept_length(profile.model) if accept_length is None else accept_length
    length = round(given, 1)
    costs[0].speedup(length)  # refuses what no slider can stand at
    most = (profile.mtp or Mtp()).num_draft_tokens
    lengths = [round(1 + i / 10, 1) for i in range(10 * most - 9)]
    speedups = {at: [round(cost.speedup(at), 3) for cost in costs] for at in lengths}
    cap = plan(profile, sglang).max_running_requests
    runs = f"{profile.name} runs {cap} at once"
    verdicts = {at: _verdict(profile, context_tokens, at, speedups[at], sglang) for at in lengths}
    provenance = costs[0].provenance
    layout = _layout(
        "When speculating pays",
        verdicts[length],
        provenance,
        axis(_SPEEDUP, range=[0, 3.3]),
        height=600,
        margin={"l": 84, "r": 30, "t": 92, "b": 230},
        foot_px=190,
        shapes=[
            band(0, 1),
            horizontal(1, dash="dot"),
            vertical(cap, colour=theme.QUIET, dash="dash"),
        ],
        annotations=[
            note("slower than without", 0.99, 0.12, xref="x domain", xanchor="right"),
            note(runs, math.log10(cap), 0.98, yref="y domain", xanchor="left", xshift=6),
        ],
        sliders=[_slider(length, speedups, verdicts)],
    )
    drawn = [(f"accept length {at:g}", speedups[at]) for at in _TABLED if at <= most]
    sentence = f"At an accept length of {length:g}: {verdicts[length]}"
    table = _table(sentence, drawn, provenance, "{:.2f}")
    shown = curves([("with MTP", speedups[length])], REQUESTS, "%{x}: ×%{y:.2f}")
    return Figure(shown, layout, table)


def _verdict(
    profile: Profile, context_tokens: int, at: float, values: Sequence[float], sglang: str
) -> str:
    found = crossings(profile, context_tokens, at, REQUESTS[-1], sglang)
    alone = f"×{values[0]:.2f} for one request, ×{min(values):.2f} at worst"
    if found:
        return f"{alone}; crosses 1 at {' and '.join(map(str, found))} requests"
    return f"{alone}; {'never faster' if values[0] < 1 else 'never slower'} up to {REQUESTS[-1]}"


def _slider(
    length: float, speedups: dict[float, list[float]], verdicts: dict[float, str]
) -> dict[str, Any]:
    return {
        "active": list(speedups).index(length),
        "currentvalue": {"prefix": "accept length: ", "font": {"size": 18, "color": theme.INK}},
        "pad": {"t": 66},
        "font": {"size": 13},
        "steps": [
            {
                "method": "update",
                "label": f"{at:g}",
                "args": [{"y": [values]}, {"title.subtitle.text": verdicts[at]}],
            }
            for at, values in speedups.items()
        ],
    }


def _layout(
    title: str, subtitle: str, provenance: Provenance, yaxis: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Requests at once along a logarithmic axis."""
    usual = {
        "height": 500,
        "margin": {"l": 84, "r": 30, "t": 92, "b": 110},
        "legend": {"x": 0.02, "y": 0.98, "yanchor": "top", "bgcolor": theme.VEIL},
        "xaxis": log_axis("requests at once", _TICKS),
    }
    return theme.layout(title, subtitle, provenance, **{**usual, "yaxis": yaxis, **more})


def _table(sentence: str, drawn: Sequence[Curve], provenance: Provenance, form: str) -> FigureTable:
    corner = "requests at once"
    return curve_table(sentence, drawn, REQUESTS, _TICKS, provenance, corner=corner, form=form)


def _published() -> Iterator[tuple[float, str, str]]:
    """(length, text, source): those of runs and curves that the kit carries, and those in
    data/accept_lengths.toml."""
    for run in published_runs():
        if run.accept_length is not None:
            text = f"random text, {run.workload.max_concurrency} at once"
            yield run.accept_length, text, run.source
    for mode in ("thinking", "instruct"):
        curve = published_lengths(mode)
        length = curve.values[Mtp().num_draft_tokens - 2]
        yield length, f"SPEED-Bench: code, {mode}", curve.provenance.source
    for row in load_data.toml("accept_lengths.toml")["length"]:
        of = f", {row['model']}" if "model" in row else ""
        yield row["value"], row["text"] + of, row["source"]
