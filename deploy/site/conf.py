"""Sphinx's settings for the site. The pages are laid out by stage.py; every lesson is executed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Serving Qwen3.5, hands on"
html_title = project
extensions = ["myst_nb"]
exclude_patterns = ["_carried/**"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_heading_slug_func = "anchors.jupyter"
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "docutils"]

html_theme = "sphinx_book_theme"
html_theme_options = {
    "navbar_persistent": [],  # else a second search field
    "article_header_end": [],  # its buttons are for a code host
    "show_toc_level": 2,
}
html_context = {"default_mode": "auto"}
html_static_path = ["_carried"]
html_favicon = "_carried/favicon.svg"
html_css_files = ["site.css"]
html_js_files = [("plotly.min.js", {"defer": "defer"}), ("site.js", {"defer": "defer"})]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
mathjax_path = "tex-svg.js"
