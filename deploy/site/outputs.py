"""Puts the figures of the executed lessons, as PNG, into the committed notebooks.

python deploy/site/outputs.py     # `make outputs` does it, and writes the answers' pages
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import nbformat
from draw import PLOTLY_MIME, digest, words
from stage import draw, execute, figures

from kit.course.lessons import lessons
from kit.course.pictures import KEY, MOST_BYTES, drawn_from, written
from kit.course.solutions import write as write_solutions

CHECKED = "nbval-check-output"  # its outputs are nbval's


def main() -> int:
    executed = [nbformat.read(path, as_version=4) for path in execute()]
    pictures = draw([figure for node in executed for figure in figures(node)])
    if not pictures:
        sys.exit("the figures are drawn by chromium: apt-get install chromium")
    for lesson, node in zip(lessons(), executed, strict=True):
        lesson.write_bytes(written(with_pictures(lesson, node, pictures)))
    write_solutions()
    return 0


def with_pictures(lesson: Path, executed: Any, pictures: dict[str, bytes]) -> dict[str, Any]:
    """The lesson, each cell with the figures that it drew when it was executed."""
    node: dict[str, Any] = json.loads(lesson.read_bytes())
    ran = {cell.id: cell for cell in executed.cells}
    for index, cell in enumerate(node["cells"]):
        if cell["cell_type"] != "code" or CHECKED in cell["metadata"].get("tags", []):
            continue
        data = [output.get("data", {}) for output in ran[cell["id"]].outputs]
        cell["execution_count"] = None
        found = [part[PLOTLY_MIME] for part in data if PLOTLY_MIME in part]
        cell["metadata"].pop(KEY, None)
        cell["outputs"] = [output(figure, pictures[digest(figure)]) for figure in found]
        if found:
            code = drawn_from(node["cells"], index)
            if code != drawn_from(executed.cells, index):
                sys.exit(f"{lesson.stem} changed after it was executed: remove build/{lesson.name}")
            cell["execution_count"] = ran[cell["id"]].execution_count  # nbval wants one
            cell["metadata"][KEY] = {"code": code, "figures": [digest(one) for one in found]}
    return node


def output(figure: dict[str, Any], picture: bytes) -> dict[str, Any]:
    if len(picture) > MOST_BYTES:
        sys.exit(f"{len(picture):,} bytes for a picture are too many: {words(figure)}")
    data = {
        "image/png": base64.b64encode(picture).decode(),
        "text/plain": [words(figure)],
    }
    return {"output_type": "display_data", "data": data, "metadata": {}}


if __name__ == "__main__":
    sys.exit(main())
