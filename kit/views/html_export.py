"""An executed notebook as one HTML page that needs no network.

nbconvert's own page loads MathJax, require.js and mermaid from elsewhere. In this one formulas are
drawn as MathML by a script that it carries, diagrams stand as their source, and its policy lets
the browser load nothing that is not in the file. Plotly figures come alive: nbconvert shows one
only where it carries HTML, and a notebook keeps it as JSON, 700 times smaller; the library is put
into the page once. What a cell printed piece by piece stands in one piece.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from kit.views.frontend import STATIC

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLOTLY_MIME = "application/vnd.plotly.v1+json"
_POLICY = (
    "default-src data: blob: 'unsafe-inline'; connect-src data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-src 'none'; object-src 'none'"
)
_TEMPLATE = f"""{{%- extends 'lab/index.html.j2' -%}}
{{%- block html_head_js -%}}
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
{{%- endblock html_head_js -%}}
{{%- block jupyter_widgets -%}}{{%- endblock jupyter_widgets -%}}
{{%- block html_head_js_mathjax -%}}{{%- endblock html_head_js_mathjax -%}}
{{%- block html_head_js_mermaidjs -%}}{{%- endblock html_head_js_mermaidjs -%}}
{{%- block footer_js -%}}
<script>{{{{ resources.kit_page_script }}}}</script>
{{%- endblock footer_js -%}}
"""


def page(node: NotebookNode, name: str, folder: Path) -> str:
    """The executed notebook as HTML. `folder` is where its pictures lie; `name` is the title."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    resources = {
        "metadata": {"name": name, "path": str(folder)},
        "kit_page_script": (STATIC / "page.js").read_text(encoding="utf-8"),
    }
    exporter = HTMLExporter(embed_images=True, raw_template=_TEMPLATE)
    whole, _ = CoalesceStreamsPreprocessor().preprocess(with_live_plots(node), resources)
    body, _ = exporter.from_notebook_node(whole, resources=resources)
    return str(body)


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
