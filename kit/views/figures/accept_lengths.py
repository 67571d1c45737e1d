"""Published accept lengths of Qwen3.5, a dot each.

accept_lengths()
"""

from __future__ import annotations

from dataclasses import dataclass

from kit import load_data
from kit.bench import published_runs
from kit.hardware import Mtp
from kit.provenance import published
from kit.speed.speculation import published_lengths
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis


@dataclass(frozen=True)
class _Published:
    value: float
    text: str
    source: str


def accept_lengths() -> Figure:
    """Published accept lengths with three draft tokens, one dot each, longest first."""
    found = sorted(_published(), key=lambda p: p.value)
    provenance = published("; ".join(dict.fromkeys(p.source for p in reversed(found))))
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
    sentence = (
        f"Published accept lengths go from {found[0].value:.2f} ({found[0].text}) to "
        f"{found[-1].value:.2f} ({found[-1].text}), of {most} at most."
    )
    head = ("text", "accept length", "from")
    return Figure([dots], layout, FigureTable(sentence, head, rows, provenance))


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
