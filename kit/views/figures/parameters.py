"""A model's parameters as a field of squares: what a token uses, and what rests.

parts(model("397b"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.models import ModelSpec
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import note

COLUMNS = 34
SQUARES = 400  # about so many: a square is one billion parameters of the largest


@dataclass(frozen=True)
class ParameterGroup:
    """A part of a model: its parameters, its colour, and a letter that says the same."""

    name: str
    count: int
    colour: str
    letter: str


def parts(spec: ModelSpec) -> Figure:
    """What `spec` is made of: a square is a four-hundredth or so of it.

    Lettered squares are used by each token; the blank ones are experts that rest, and
    the checkpoint's MTP head and vision tower, which the name does not count.
    """
    found = _parts(spec)
    p = spec.parameters()
    unit = _round(p.total / SQUARES)
    squares = _shares([part.count / unit for part in found])
    rows = -(-sum(squares) // COLUMNS)
    layout = theme.layout(
        f"{spec.title}: {p.total / 1e9:.4g} B parameters, a token uses {p.active / 1e9:.3g} B",
        f"a square is {_billions(unit)} B parameters (B: billion); a token uses the lettered ones",
        spec.provenance,
        foot_px=18,
        height=max(176 + 22 * rows, 430),
        margin={"l": 20, "r": 316, "t": 92, "b": 56},
        xaxis={"visible": False, "fixedrange": True},
        yaxis={
            "visible": False,
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
            "constraintoward": "top",
            "fixedrange": True,
        },
        coloraxis={
            "colorscale": theme.flat([part.colour for part in found]),
            "cmin": 0,
            "cmax": len(found) - 1,
            "showscale": False,
        },
        annotations=_legend(found),
    )
    groups = [part for part, n in zip(found, squares, strict=True) for _ in range(n)]
    field = {
        "type": "heatmap",
        "z": _in_rows([found.index(part) for part in groups], None),
        "text": _in_rows([part.letter for part in groups], ""),
        "texttemplate": "%{text}",
        "textfont": {"size": 13, "color": theme.INK},
        "hoverinfo": "skip",
        "coloraxis": "coloraxis",
        "xgap": 2,
        "ygap": 2,
    }
    counts = {part.name: part.count for part in found} | {
        "the language model": p.text,
        "of it, used by a token": p.active,
    }
    table = FigureTable(
        f"{spec.title} has {p.text / 1e9:.2f} B parameters in its language model, of which a "
        f"token uses {p.active / 1e9:.2f} B.",
        ("part", "parameters", "share"),
        (
            *((name, f"{count:,}", f"{count / p.total:.2%}") for name, count in counts.items()),
            ("everything in the checkpoint", f"{p.total:,}", "100 %"),
        ),
        spec.provenance,
    )
    return Figure([field], layout, table)


def _parts(spec: ModelSpec) -> list[ParameterGroup]:
    p = spec.parameters()
    awake = round(p.routed_experts * p.experts_share)
    every = [
        ParameterGroup("routed experts at work", awake, theme.SKY, "E"),
        ParameterGroup("shared expert", p.shared_expert, theme.RED, "S"),
        ParameterGroup("feed-forward", p.ffn, theme.SKY, "F"),
        ParameterGroup("Gated DeltaNet", p.gdn, theme.ORANGE, "G"),
        ParameterGroup("full attention", p.attention, theme.GREEN, "A"),
        ParameterGroup("embeddings and head", p.embeddings + p.head, theme.YELLOW, "V"),
        ParameterGroup("router and norms", p.router + p.norms, theme.GREY, "R"),
        ParameterGroup("routed experts at rest", p.routed_experts - awake, theme.FAINT, ""),
        ParameterGroup("MTP head", p.mtp, theme.PURPLE, ""),
        ParameterGroup("vision tower", p.vision, theme.QUIET, ""),
    ]
    return [part for part in every if part.count]


def _in_rows(squares: Sequence[Any], blank: Any) -> list[list[Any]]:
    """The squares row by row, the last row filled up with blanks."""
    rows = [list(squares[at : at + COLUMNS]) for at in range(0, len(squares), COLUMNS)]
    rows[-1] += [blank] * (COLUMNS - len(rows[-1]))
    return rows


def _legend(found: Sequence[ParameterGroup]) -> list[dict[str, Any]]:
    """A line per part at the right, with its letter and its billions; specks are left out."""
    speck = sum(part.count for part in found) / 5000
    return [
        note(
            f'<span style="color:{part.colour}">■</span> {part.letter or " "} {part.name} '
            f"<b>{_billions(part.count)}</b>",
            1.02,
            1,
            size=16,
            colour=theme.INK,
            xref="paper",
            yref="paper",
            yshift=-30 * i,
            xanchor="left",
            yanchor="top",
        )
        for i, part in enumerate(p for p in found if p.count > speck)
    ]


def _shares(wanted: Sequence[float]) -> list[int]:
    """Whole squares that together are as many as the shares say: largest remainders win."""
    whole = [int(share) for share in wanted]
    left = round(sum(wanted)) - sum(whole)
    by_rest = sorted(range(len(wanted)), key=lambda i: whole[i] - wanted[i])
    for i in by_rest[:left]:
        whole[i] += 1
    return whole


def _round(count: float) -> float:
    """The nearest of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** (len(str(int(count))) - 1)
    return min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda value: abs(value - count))


def _billions(count: float) -> str:
    billions = count / 1e9
    return f"{billions:.1f}" if billions >= 10 else f"{billions:.3g}"
