"""How every figure looks: one plotly template, and a palette that survives colour blindness.

A figure is white with ink of its own, so that it reads alike on Jupyter's light and
dark themes: on a transparent one no ink has a contrast of 4.5:1 with both white and the dark
theme's #111 (4.3:1 is the most). It is large enough to be read from the back of a room. Colour
never carries a meaning alone: a mark, a hatch or a label says the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from kit.provenance import Provenance

INK = "#1f2933"
QUIET = "#52606d"
GRID = "#d9e0e6"
PAPER = "#ffffff"

# Okabe and Ito's eight colours, distinct under every common colour blindness;
# the yellow is darkened, so that it also stands out on white.
BLUE = "#0072b2"
SKY = "#56b4e9"
GREEN = "#009e73"
YELLOW = "#d8b600"
ORANGE = "#e69f00"
RED = "#d55e00"
DEEP_RED = "#a33b00"  # the same for letters, dark enough to read on white
PURPLE = "#cc79a7"
GREY = "#8a96a3"
PALE = "#eef2f6"
FAINT = "#cfe0ee"  # of the blue: the same thing, at rest
VEIL = "rgba(255,255,255,.85)"  # behind a legend, over curves
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, GREY)

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"
CONFIG = {"displayModeBar": False, "displaylogo": False, "responsive": True}

_MARGIN = {"l": 70, "r": 30, "t": 88, "b": 96}
_AXIS = {
    "gridcolor": GRID,
    "linecolor": QUIET,
    "zeroline": False,
    "ticks": "",
    "tickfont": {"size": 15},
    "title": {"font": {"size": 16, "color": QUIET}, "standoff": 12},
    "automargin": True,
}

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 16, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "colorway": list(COLOURS),
        "title": {
            "x": 0.01,
            "xanchor": "left",
            "y": 0.97,
            "yanchor": "top",
            "font": {"size": 22},
            "subtitle": {"font": {"size": 16, "color": QUIET}},
        },
        "margin": _MARGIN,
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"font": {"size": 15}},
        "hoverlabel": {"font": {"size": 15, "family": FONT}, "align": "left"},
    }
)

FOOT = "provenance"  # the annotation that holds it
_FOOT_CHARACTERS = 120


def flat(colours: Sequence[str]) -> list[list[Any]]:
    """A colour scale of flat steps: level i of a heatmap from 0 to n-1 gets colour i."""
    n = len(colours)
    return [[(i + side) / n, c] for i, c in enumerate(colours) for side in (0, 1)]


def foot(label: str) -> str:
    """The label of a provenance as lines under a figure."""
    return "<br>".join(textwrap.wrap(label, _FOOT_CHARACTERS))


def layout(
    title: str, subtitle: str, provenance: Provenance, foot_px: int = 62, **more: Any
) -> dict[str, Any]:
    """A figure's layout: title (what it shows), subtitle (of what), and its provenance below.

    `foot_px` is from the plot's lower edge to the line of the provenance, which also
    travels in `layout.meta`; `more` goes to plotly's layout as it is.
    """
    left = more.get("margin", {}).get("l", _MARGIN["l"])
    note = {
        "name": FOOT,
        "text": foot(str(provenance)),
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 0,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 18 - left,  # under the title
        "yshift": -foot_px,
        "align": "left",
        "font": {"size": 13, "color": QUIET},
    }
    return {
        "template": TEMPLATE,
        "title": {"text": title, "subtitle": {"text": subtitle}},
        "meta": {"provenance": provenance.to_json()},
        **more,
        "annotations": [*more.get("annotations", ()), note],
    }
