"""Where does it fit? GPU × precision × count, at one look.

matrix("397b", gpus=("h100", "h200", "b200"))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from kit.views.figures.plan_text import excess_gib, fullest
from kit.views.figures.plan_text import title as shown

COUNTS = (1, 2, 4, 8, 16)


# a plan's verdict, or "none" for what is not to be had → mark, level of the colour scale
_MARK = {"fits": "✓", "tight": "~", "short": "✗", "no": "✗", "none": ""}
_LEVEL = {"none": 0, "no": 1, "short": 1, "tight": 2, "fits": 3}
_COLOURS = (theme.PAPER, theme.PALE, theme.YELLOW, theme.GREEN)
_HOLDS = ("fits", "tight")


@dataclass(frozen=True)
class FitCell:
    """One machine: `count` of a GPU at a precision. `why` is what decided it.

    `verdict` is the plan's: "fits", "tight", "short", "no"; or "none", where no server would start.
    """

    gpu: Gpu
    precision: str
    count: int
    verdict: str
    why: str


def cells(
    model_name: str,
    gpu_names: Iterable[str],
    kinds: Iterable[str],
    counts: Sequence[int] = COUNTS,
    sglang: str = SGLANG,
    **options: Any,
) -> tuple[FitCell, ...]:
    """Every combination, GPU by GPU. `kinds` are precisions; `options` go to `Profile.of`."""
    kinds = tuple(kinds)
    return tuple(
        _cell(find_gpu(name), kind, count, model_name, sglang, options)
        for name in gpu_names
        for kind in kinds
        for count in counts
    )


def _cell(
    gpu: Gpu, kind: str, count: int, name: str, sglang: str, options: dict[str, Any]
) -> FitCell:
    try:
        profile = Profile.of(name, kind, gpu.key, count, **options)
        refusal = obstacle(profile) or _unpublished(profile)
    except InvalidValue as error:
        refusal = error.what
    if refusal:
        return FitCell(gpu, kind, count, "none", refusal.partition("; ")[0])
    held = plan(profile, sglang)
    if excess_gib(fullest(held)) or held.rest_gib <= 0:
        why = f"weights {held.ranks[0].weights_gib:.1f} GiB per rank"
    else:
        why = f"{held.max_running_requests} requests, {held.kv_tokens // 1000}k tokens"
    return FitCell(gpu, kind, count, held.verdict, why)


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
    found = cells(
        model_name,
        tuple(gpus) if gpus is not None else tuple(gpu.key for gpu in every_gpu()),
        tuple(precisions) if precisions is not None else tuple(every_precision()),
        counts,
        sglang,
        **options,
    )
    shown_gpus, kinds = _shown(found, gpus is None, precisions is None)
    found = tuple(cell for cell in found if cell.gpu in shown_gpus and cell.precision in kinds)
    provenance = computed(
        f"formulas of SGLang {sglang}; tight: under {TIGHT_REQUESTS} requests at once, "
        f"or under one whole context of {spec.max_position_embeddings:,} tokens"
    )
    return _draw(spec.title, found, shown_gpus, kinds, tuple(counts), provenance)


def _shown(
    found: Sequence[FitCell], choose_gpus: bool, choose_kinds: bool
) -> tuple[list[Gpu], list[str]]:
    """GPUs and precisions to show, in order; chosen ones only where something fits."""
    some = [cell for cell in found if cell.verdict in _HOLDS]
    gpus = dict.fromkeys(cell.gpu for cell in (some if choose_gpus else found))
    kinds = {cell.precision for cell in (some if choose_kinds else found)}
    return list(gpus), [k for k in dict.fromkeys(c.precision for c in found) if k in kinds]


def _draw(
    name: str,
    found: Sequence[FitCell],
    gpus: Sequence[Gpu],
    kinds: Sequence[str],
    counts: tuple[int, ...],
    provenance: Provenance,
) -> Figure:
    at = {(cell.gpu.key, cell.precision, cell.count): cell for cell in found}
    step = len(counts) + 0.5
    rows = [f"{gpu.name}  <b>{gpu.memory_gib:.0f}</b>" for gpu in gpus]
    traces = []
    for block, kind in enumerate(kinds):
        grid = [[at[gpu.key, kind, count] for count in counts] for gpu in gpus]
        traces.append(
            {
                "type": "heatmap",
                "x": [block * step + i for i in range(len(counts))],
                "y": rows,
                "z": [[_LEVEL[cell.verdict] for cell in row] for row in grid],
                "text": [[_MARK[cell.verdict] for cell in row] for row in grid],
                "customdata": [[cell.why for cell in row] for row in grid],
                "texttemplate": "%{text}",
                "textfont": {"size": 18, "color": theme.INK},
                "name": shown(kind),
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
                heading(shown(kind), block * step + (len(counts) - 1) / 2, **centred)
                for block, kind in enumerate(kinds)
            ),
        ],
    )
    return Figure(traces, layout, _table(name, found, gpus, kinds, provenance))


def _table(
    name: str,
    found: Sequence[FitCell],
    gpus: Sequence[Gpu],
    kinds: Sequence[str],
    provenance: Provenance,
) -> FigureTable:
    """The smallest count of each GPU at each precision; "~" where that is tight."""

    def least(gpu: Gpu, kind: str) -> str:
        for cell in found:
            here = cell.gpu == gpu and cell.precision == kind
            if here and cell.verdict in _HOLDS:
                return f"{'~' if cell.verdict == 'tight' else ''}{cell.count}"
        return "–"

    rows = tuple((gpu.name, *(least(gpu, kind) for kind in kinds)) for gpu in gpus)
    where = []
    for i, kind in enumerate(kinds, 1):
        fits = [f"{row[0]} from {row[i]}" for row in rows if row[i] != "–"]
        where.append(f"{shown(kind)}: {', '.join(fits) or 'nowhere'}")
    head = ("fewest GPUs", *(shown(kind) for kind in kinds))
    return FigureTable(f"{name} fits. {'; '.join(where)}.", head, rows, provenance)
