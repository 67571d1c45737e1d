"""The figures that a committed lesson carries as PNG, for readers on a code host.

`make outputs` draws them and writes down, in each cell's metadata, what they were drawn from; a
test compares that with the lesson. A reader's own copy starts without them: a figure would give a
prediction away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

KEY = "kit_pictures"
MOST_BYTES = 60_000

Cell = Mapping[str, Any]


def drawn_from(cells: Sequence[Cell], index: int) -> str:
    """A digest of the code that the figures of a cell come from: its own and all before it."""
    code = ["".join(cell["source"]) for cell in cells[: index + 1] if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def is_picture(output: Mapping[str, Any]) -> bool:
    """Whether an output is a figure as PNG, with the words that stand for it."""
    return set(output.get("data", {})) == {"image/png", "text/plain"}


def without_pictures(notebook: bytes) -> bytes:
    """The notebook's file as it is before anything ran; what a test compares stays."""
    if KEY.encode() not in notebook:
        return notebook
    node = json.loads(notebook)
    for cell in node["cells"]:
        if cell["metadata"].pop(KEY, None):
            cell["outputs"], cell["execution_count"] = [], None
    return written(node)


def written(node: Mapping[str, Any]) -> bytes:
    """A notebook's file, as Jupyter writes it."""
    text = json.dumps(node, indent=1, ensure_ascii=False, sort_keys=True)
    return f"{text}\n".encode()
