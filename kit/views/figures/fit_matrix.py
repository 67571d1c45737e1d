"""Where does it fit? GPU × precision × count, at one look.

matrix("397b", gpus=("h100", "h200", "b200"))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Gpu, Profile
from kit.hardware import gpu as find_gpu
from kit.hardware import gpus as every_gpu
from kit.hardware.validate import obstacle
from kit.models import model
from kit.models.precision import precision
from kit.models.precision import precisions as every_precision
from kit.provenance import Provenance, computed
from kit.sizing import TIGHT_REQUESTS, plan
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, heading
from kit.views.figures.ledger import excess_gib, fullest

COUNTS = (1, 2, 4, 8, 16)

# a plan's verdict, or "none" for what is not to be had → mark, level of the colour scale
_MARK = {"fits": "✓", "tight": "~", "short": "✗", "no": "✗", "none": ""}
_LEVEL = {"none": 0, "no": 1, "short": 1, "tight": 2, "fits": 3}
_COLOURS = (theme.PAPER, theme.PALE, theme.YELLOW, theme.GREEN)
_HOLDS = ("fits", "tight")


@dataclass(frozen=True)
class FitCell:
    """How one machine ends, and `why`.

    `verdict` is the plan's: "fits", "tight", "short", "no"; or "none", where no server would start.
    """

    verdict: str
    why: str


Cells = Mapping[tuple[Gpu, str, int], FitCell]
"""GPU, precision and count → how it ends."""


def _cell(
    gpu: Gpu, kind: str, count: int, name: str, sglang: str, options: dict[str, Any]
) -> FitCell:
    try:
        profile = Profile.of(name, kind, gpu.key, count, **options)
        refusal = obstacle(profile) or _unpublished(profile)
    except InvalidValue as error:
        refusal = error.what
    if refusal:
        return FitCell("none", refusal.partition("; ")[0])
    held = plan(profile, sglang)
    if excess_gib(fullest(held)) or held.rest_gib <= 0:
        why = f"weights {held.ranks[0].weights_gib:.1f} GiB per rank"
    else:
        why = f"{held.max_running_requests} requests, {held.kv_tokens // 1000}k tokens"
    return FitCell(held.verdict, why)


def _unpublished(profile: Profile) -> str:
    recipe = precision(profile.precision)
    known = profile.model.name in recipe.sizes
    return "" if known else f"no {recipe.title} checkpoint of this size is published"


def matrix(
    model_name: str = "397b",
    gpus: Iterable[str] | None = None,
    precisions: Iterable[str] | None = None,
    counts: Sequence[int] = COUNTS,
    sglang: str = SGLANG,
    **options: Any,
) -> Figure:
    """The fit matrix of a model: a row per GPU, a block of columns per precision.

    `gpus` and `precisions` default to those on which it fits at all; `options` go to
    `Profile.of`. Raises UnknownName.
    """
    spec = model(model_name)
    shown = dict.fromkeys(every_gpu() if gpus is None else map(find_gpu, gpus))
    kinds = dict.fromkeys(every_precision() if precisions is None else precisions)
    found = {
        (gpu, kind, count): _cell(gpu, kind, count, model_name, sglang, options)
        for gpu in shown
        for kind in kinds
        for count in counts
    }
    holds = [key for key, cell in found.items() if cell.verdict in _HOLDS]
    if gpus is None:
        shown = dict.fromkeys(gpu for gpu, _, _ in holds)
    if precisions is None:
        fitting = {kind for _, kind, _ in holds}
        kinds = dict.fromkeys(kind for kind in kinds if kind in fitting)
    provenance = computed(
        f"formulas of SGLang {sglang}; tight: under {TIGHT_REQUESTS} requests at once, "
        f"or under one whole context of {spec.max_position_embeddings:,} tokens"
    )
    return _draw(spec.title, found, list(shown), list(kinds), counts, provenance)


def _draw(
    name: str,
    found: Cells,
    gpus: Sequence[Gpu],
    kinds: Sequence[str],
    counts: Sequence[int],
    provenance: Provenance,
) -> Figure:
    names = [precision(kind).title for kind in kinds]
    step = len(counts) + 0.5
    labels = [f"{gpu.name}  <b>{gpu.memory_gib:.0f}</b>" for gpu in gpus]
    traces = []
    for block, kind in enumerate(kinds):
        grid = [[found[gpu, kind, count] for count in counts] for gpu in gpus]
        traces.append(
            {
                "type": "heatmap",
                "x": [block * step + i for i in range(len(counts))],
                "y": labels,
                "z": [[_LEVEL[cell.verdict] for cell in row] for row in grid],
                "text": [[_MARK[cell.verdict] for cell in row] for row in grid],
                "customdata": [[cell.why for cell in row] for row in grid],
                "texttemplate": "%{text}",
                "textfont": {"size": 18, "color": theme.INK},
                "name": names[block],
                "hovertemplate": "%{y}, %{fullData.name}<br>%{text} %{customdata}<extra></extra>",
                "coloraxis": "coloraxis",
                "xgap": 2,
                "ygap": 2,
            }
        )
    centred: dict[str, Any] = {"xref": "x", "xanchor": "center"}
    ticks = [block * step + i for block in range(len(kinds)) for i in range(len(counts))]
    layout = theme.layout(
        f"Where {name} fits",
        "✓ fits   ~ tight   ✗ does not fit   (blank: no such checkpoint, or no kernel for it)",
        provenance,
        foot_px=66,
        height=232 + 34 * len(gpus),
        margin={"l": 206, "r": 30, "t": 124, "b": 100},
        coloraxis={"colorscale": theme.flat(_COLOURS), "cmin": 0, "cmax": 3, "showscale": False},
        xaxis=axis(
            "number of GPUs",
            tickmode="array",
            tickvals=ticks,
            ticktext=[str(count) for _ in kinds for count in counts],
            showgrid=False,
            tickangle=0,
        ),
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
        annotations=[
            heading("GPU, memory (GiB)", -0.01, xanchor="right"),
            *(
                heading(title, block * step + (len(counts) - 1) / 2, **centred)
                for block, title in enumerate(names)
            ),
        ],
    )
    rows = tuple((gpu.name, *(_least(found, gpu, kind) for kind in kinds)) for gpu in gpus)
    where = []
    for i, title in enumerate(names, 1):
        fits = [f"{row[0]} from {row[i]}" for row in rows if row[i] != "–"]
        where.append(f"{title}: {', '.join(fits) or 'nowhere'}")
    sentence = f"{name} fits. {'; '.join(where)}."
    return Figure(traces, layout, FigureTable(sentence, ("fewest GPUs", *names), rows, provenance))


def _least(found: Cells, gpu: Gpu, kind: str) -> str:
    """The smallest count of a GPU at a precision; "~" where that is tight."""
    for (other, precision_name, count), cell in found.items():
        if (other, precision_name) == (gpu, kind) and cell.verdict in _HOLDS:
            return f"{'~' if cell.verdict == 'tight' else ''}{count}"
    return "–"
