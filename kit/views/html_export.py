"""An executed notebook made ready to be a page: plotly figures come alive in it.

nbconvert shows a plotly figure only where it carries HTML, and a notebook keeps
it as JSON, 700 times smaller. The library is put into the page once.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLOTLY_MIME = "application/vnd.plotly.v1+json"


def with_live_plots(node: NotebookNode) -> NotebookNode:
    """A copy of `node` whose plotly outputs also carry HTML; the first brings the library."""
    import plotly.io

    node = copy.deepcopy(node)
    library: bool | str = True
    for cell in node.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY_MIME in data:
                figure = {k: data[PLOTLY_MIME][k] for k in ("data", "layout")}
                data["text/html"] = plotly.io.to_html(
                    figure, include_plotlyjs=library, full_html=False, validate=False
                )
                del data[PLOTLY_MIME]
                library = False
    return node
