"""Speculation drawn: what is accepted, what a verify step touches, and when it pays.

accept_lengths()
experts(profile("h200x8"))
draft_steps(profile("h200x8"))
speedup(profile("h200x8"))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit import load_data
from kit.bench import published_runs
from kit.hardware import SGLANG, Mtp, Profile
from kit.provenance import computed, simulated
from kit.provenance import published as as_published
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

REQUESTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_TICKS = REQUESTS[:1] + REQUESTS[1:2] + REQUESTS[3:4] + REQUESTS[5::2]  # powers of two
_TOLD = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)  # which of them the table has
_DASHES = ("solid", "dash", "dot")
_MARKERS = ("circle", "square", "diamond")


@dataclass(frozen=True)
class _Published:
    value: float
    text: str
    source: str


def accept_lengths() -> Figure:
    """Published accept lengths with three draft tokens, one dot each, longest first."""
    found = sorted(_published(), key=lambda p: p.value)
    provenance = as_published("; ".join(dict.fromkeys(p.source for p in reversed(found))))
    most = Mtp().num_draft_tokens
    layout = theme.layout(
        "What a verify step gives depends on the text",
        "Qwen3.5, three draft tokens; 1 is no gain, 4 is everything accepted",
        provenance,
        foot_px=78,
        height=170 + 38 * len(found),
        margin={"l": 330, "r": 40, "t": 92, "b": 150},
        showlegend=False,
        xaxis={"title": {"text": "accept length (tokens a verify step)"}, "range": [0.9, most]},
        yaxis={"showgrid": False},
    )
    dots = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [p.value for p in found],
        "y": [p.text for p in found],
        "text": [f"{p.value:.2f}" for p in found],
        "textposition": "middle left",
        "marker": {"size": 15, "color": theme.BLUE},
        "customdata": [p.source for p in found],
        "hovertemplate": "%{y}: %{x:.2f}<br>%{customdata}<extra></extra>",
        "cliponaxis": False,
    }
    rows = tuple((p.text, f"{p.value:.2f}", p.source) for p in reversed(found))
    told = (
        f"Published accept lengths go from {found[0].value:.2f} ({found[0].text}) to "
        f"{found[-1].value:.2f} ({found[-1].text}), of {most} at most."
    )
    return Figure(
        [dots], layout, FigureTable(told, ("text", "accept length", "from"), rows, provenance)
    )


def _published() -> list[_Published]:
    """Those of runs and curves that the kit carries, and those in data/accept_lengths.toml."""
    drafts = Mtp().num_draft_tokens - 1
    out = [
        _Published(
            run.accept_length, f"random text, {run.workload.max_concurrency} at once", run.source
        )
        for run in published_runs()
        if run.accept_length is not None
    ]
    for mode in ("thinking", "instruct"):
        curve = published_lengths(mode)
        out.append(
            _Published(
                curve.values[drafts - 1], f"SPEED-Bench: code, {mode}", curve.provenance.source
            )
        )
    for row in load_data.toml("accept_lengths.toml")["length"]:
        of = f", {row['model']}" if "model" in row else ""
        out.append(_Published(row["value"], row["text"] + of, row["source"]))
    return out


def experts(profile: Profile) -> Figure:
    """Experts of a layer that a step touches, plain and under MTP, by requests at once.

    Raises InvalidValue for a model without experts.
    """
    spec, drafted = profile.model, (profile.mtp or Mtp()).num_draft_tokens
    lines = [
        (
            f"{label} ({tokens} token{'s' * (tokens > 1)} a request)",
            colour,
            dash,
            [experts_touched(spec, n * tokens) for n in REQUESTS],
        )
        for label, tokens, colour, dash in (
            ("verify", drafted, theme.BLUE, "solid"),
            ("plain", 1, theme.ORANGE, "dash"),
        )
    ]
    provenance = computed(
        f"{spec.num_experts}·(1 − (1 − {spec.num_experts_per_tok}/{spec.num_experts})^tokens): "
        "each token chooses for itself"
    )
    layout = _layout(
        "How many experts a step reads",
        f"{spec.name.upper()}, of {spec.num_experts} in a layer",
        provenance,
        "experts read in a layer",
        yaxis={"range": [0, spec.num_experts * 1.05]},
    )
    verify, plain = lines[0][3], lines[1][3]
    widest = max(range(len(REQUESTS)), key=lambda i: verify[i] - plain[i])
    told = (
        f"One request: {plain[0]:.0f} experts plain, {verify[0]:.0f} with drafts. "
        f"The drafts bring in most at {REQUESTS[widest]} requests, {verify[widest]:.0f} against "
        f"{plain[widest]:.0f}; at {REQUESTS[-1]} both touch nearly all."
    )
    return Figure(
        _lines(lines, "%{y:.0f} experts"), layout, _words(told, "{:.0f}", lines, provenance)
    )


def draft_steps(
    profile: Profile,
    requests: Sequence[int] = (1, 16, 128),
    mode: str = "thinking",
    context_tokens: int = CONTEXT_TOKENS,
) -> Figure:
    """Speed-up by the number of draft tokens, at the published accept length of each number."""
    curve = published_lengths(mode)
    steps = range(1, len(curve.values) + 1)
    machines = [replace(profile, mtp=Mtp(num_steps=k, num_draft_tokens=k + 1)) for k in steps]
    lines = [
        (
            f"{n} at once",
            theme.COLOURS[i % len(theme.COLOURS)],
            _DASHES[i % 3],
            [
                step_cost(machine, n, context_tokens).speedup(length)
                for machine, length in zip(machines, curve.values, strict=True)
            ],
        )
        for i, n in enumerate(requests)
    ]
    provenance = simulated(f"{_model_source(profile)}; accept lengths: {curve.provenance.source}")
    layout = theme.layout(
        "How many tokens to draft",
        f"{profile.name}, {mode}, requests of {context_tokens:,} tokens",
        provenance,
        foot_px=78,
        height=500,
        margin={"l": 84, "r": 30, "t": 92, "b": 150},
        legend={"x": 0.98, "xanchor": "right", "y": 0.02, "yanchor": "bottom"},
        xaxis={"title": {"text": "draft tokens per step"}, "dtick": 1},
        yaxis={"title": {"text": "tokens per second, times plain"}, "rangemode": "tozero"},
        shapes=[_one()],
    )
    best = [max(steps, key=lambda k: values[k - 1]) for _, _, _, values in lines]
    told = "; ".join(
        f"{label}: best with {k}, ×{values[k - 1]:.2f}"
        for (label, _, _, values), k in zip(lines, best, strict=True)
    )
    words = FigureTable(
        f"{told}.",
        ("times plain, by draft tokens", *map(str, steps)),
        (
            ("accept length (published)", *(f"{v:.2f}" for v in curve.values)),
            *((label, *(f"{v:.2f}" for v in values)) for label, _, _, values in lines),
        ),
        provenance,
    )
    return Figure(_lines(lines, "×%{y:.2f}", list(steps)), layout, words)


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
    length = round(default_accept_length() if accept_length is None else accept_length, 1)
    costs[0].speedup(length)  # refuses what no slider can stand at
    most = (profile.mtp or Mtp()).num_draft_tokens
    lengths = [round(1 + i / 10, 1) for i in range(10 * most - 9)]
    curves = {at: [round(cost.speedup(at), 3) for cost in costs] for at in lengths}
    cap = plan(profile, sglang).max_running_requests
    says = {at: _verdict(profile, context_tokens, at, curves[at], sglang) for at in lengths}
    layout = _layout(
        "When speculating pays",
        says[length],
        costs[0].provenance,
        "tokens per second, times plain",
        height=600,
        margin={"l": 84, "r": 30, "t": 92, "b": 230},
        foot_px=190,
        yaxis={"range": [0, 3.3]},
        shapes=[_slower(), _one(), _cap(cap)],
        annotations=[
            _note("slower than without", 0.99, 0.12, "x domain", "y"),
            _note(f"{profile.name} runs {cap} at once", cap, 0.98, "x", "y domain"),
        ],
        sliders=[_slider(length, curves, says)],
    )
    lines = [("with MTP", theme.BLUE, "solid", curves[length])]
    rows = [(f"accept length {at:g}", theme.BLUE, "", curves[at]) for at in _TOLD if at <= most]
    told = f"At an accept length of {length:g}: {says[length]}"
    return Figure(
        _lines(lines, "×%{y:.2f}"), layout, _words(told, "{:.2f}", rows, costs[0].provenance)
    )


def _verdict(
    profile: Profile, context_tokens: int, at: float, values: Sequence[float], sglang: str
) -> str:
    found = crossings(profile, context_tokens, at, REQUESTS[-1], sglang)
    alone = f"×{values[0]:.2f} for one request, ×{min(values):.2f} at worst"
    if found:
        return f"{alone}; crosses 1 at {' and '.join(map(str, found))} requests"
    return f"{alone}; {'never faster' if values[0] < 1 else 'never slower'} up to {REQUESTS[-1]}"


def _slider(
    length: float, curves: dict[float, list[float]], says: dict[float, str]
) -> dict[str, Any]:
    return {
        "active": list(curves).index(length),
        "currentvalue": {"prefix": "accept length: ", "font": {"size": 18, "color": theme.INK}},
        "pad": {"t": 66},
        "font": {"size": 13},
        "steps": [
            {
                "method": "update",
                "label": f"{at:g}",
                "args": [{"y": [values]}, {"title.subtitle.text": says[at]}],
            }
            for at, values in curves.items()
        ],
    }


def _model_source(profile: Profile) -> str:
    return step_cost(profile, 1).provenance.source


def _lines(
    lines: Sequence[tuple[str, str, str, Sequence[float]]],
    hover: str,
    x: Sequence[int] = REQUESTS,
) -> list[dict[str, Any]]:
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": list(x),
            "y": [round(value, 3) for value in values],
            "line": {"width": 3.5, "color": colour, "dash": dash},
            "marker": {"size": 9, "symbol": _MARKERS[i % 3]},
            "hovertemplate": f"%{{x}}: {hover}<extra>{name}</extra>",
        }
        for i, (name, colour, dash, values) in enumerate(lines)
    ]


def _layout(title: str, subtitle: str, provenance: Any, y: str, **more: Any) -> dict[str, Any]:
    """Requests at once along a logarithmic axis, something in `y`."""
    given = {
        "height": 500,
        "margin": {"l": 84, "r": 30, "t": 92, "b": 110},
        "legend": {"x": 0.02, "y": 0.98, "yanchor": "top", "bgcolor": "rgba(255,255,255,.85)"},
        **more,
    }
    axis = {
        "title": {"text": "requests at once"},
        "type": "log",
        "tickmode": "array",
        "tickvals": list(_TICKS),
        "ticktext": [str(n) for n in _TICKS],
    }
    given["yaxis"] = {"title": {"text": y}, **given.get("yaxis", {})}
    return theme.layout(title, subtitle, provenance, xaxis=axis, **given)


def _one() -> dict[str, Any]:
    line = {"color": theme.INK, "width": 2, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": line}


def _slower() -> dict[str, Any]:
    box = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 1}
    return {**box, "fillcolor": theme.PALE, "line": {"width": 0}, "layer": "below"}


def _cap(requests: int) -> dict[str, Any]:
    line = {"color": theme.QUIET, "width": 2, "dash": "dash"}
    ends = {"x0": requests, "x1": requests, "yref": "paper", "y0": 0, "y1": 1}
    return {"type": "line", **ends, "line": line}


def _note(text: str, x: float, y: float, xref: str, yref: str) -> dict[str, Any]:
    return {
        "text": text,
        "showarrow": False,
        "x": math.log10(x) if xref == "x" else x,
        "y": y,
        "xref": xref,
        "yref": yref,
        "xanchor": "right" if xref != "x" else "left",
        "xshift": 0 if xref != "x" else 6,
        "font": {"size": 15, "color": theme.QUIET},
    }


def _words(
    sentence: str,
    form: str,
    lines: Sequence[tuple[str, str, str, Sequence[float]]],
    provenance: Any,
) -> FigureTable:
    """A table of every second column: the powers of two."""
    columns = [REQUESTS.index(n) for n in _TICKS]
    head = ("requests at once", *(str(n) for n in _TICKS))
    rows = tuple((name, *(form.format(values[i]) for i in columns)) for name, _, _, values in lines)
    return FigureTable(sentence, head, rows, provenance)
