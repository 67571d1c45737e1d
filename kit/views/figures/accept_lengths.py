"""Published accept lengths of Qwen3.5, a dot each.

accept_lengths()
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from kit import load_data
from kit.bench import published_runs
from kit.hardware import Mtp
from kit.provenance import published
from kit.speed.speculation import published_lengths
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis


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
