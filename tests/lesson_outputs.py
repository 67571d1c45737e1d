"""What an executed lesson shows, cell by cell, and what is wrong with it: for the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MOST_LINES = 12
PLOTLY = "application/vnd.plotly.v1+json"
KIND = re.compile(
    r"\b(computed|simulated|published|measured)\b"  # of a figure
    r"|authored reply|pocket model|notice from the twin|written by"  # of a text
)
FIGURE = re.compile(
    r"\d\s?(%|×|ms\b|[GM]i?B\b|bytes|requests|tokens)|\d\s(s|B)\b|\$\s?\d|\d+ of \d+ right"
)
# What is asked for, said to be done, or shown as an example: no figure of ours.
NO_FIGURE = re.compile(
    r"^check\(|kit\.guess\(|Target\(|BRIEF|\.prompt\(|source_commands\(|diagnose\w*\(|progress\(",
    re.M,
)
DRAWN = {"text/html", "text/markdown", "image/png", "image/svg+xml", PLOTLY}


def texts(output: Any) -> list[str]:
    """The text of an output: a stream's, or each form of a display. None of a picture."""
    if output.output_type == "stream":
        return [output.text]
    data = output.get("data", {})
    if any(form.startswith("image/") for form in data):
        return []
    forms = ("text/plain", "text/html", "text/markdown")
    return [re.sub(r"<[^>]*>", " ", data[form]) for form in forms if form in data]


def long_printouts(node: Any) -> Iterator[str]:
    """Cells that print more than MOST_LINES in the open: neither drawn nor folded."""
    for cell in node.cells:
        printed = [o for o in cell.get("outputs", []) if not DRAWN & set(o.get("data", {}))]
        lines = "".join(text for output in printed for text in texts(output)[:1]).splitlines()
        if len(lines) > MOST_LINES:
            yield f"{len(lines)} lines: {cell.source}"


def figures_without_a_kind(node: Any) -> Iterator[str]:
    """Cells that draw or print a figure or what a model wrote, with no word of its kind."""
    for cell in node.cells:
        if NO_FIGURE.search(cell.source):
            continue
        shown = [text for output in cell.get("outputs", []) for text in texts(output)]
        drawn = [o.data[PLOTLY] for o in cell.get("outputs", []) if PLOTLY in o.get("data", {})]
        labelled = any(KIND.search(text) for text in shown) or any(map(_is_labelled, drawn))
        if (drawn or any(FIGURE.search(text) for text in shown)) and not labelled:
            yield cell.source


def _is_labelled(figure: Any) -> bool:
    return bool(figure["layout"].get("meta", {}).get("provenance"))
