"""The figures in the committed notebooks are those that the lessons draw now."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from kit.course.lessons import lessons
from kit.course.pictures import KEY

BUILD = Path(__file__).parents[2] / "build"
PLOTLY = "application/vnd.plotly.v1+json"
FIXED = ("computed", "published")  # a simulated run differs a little each time


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.stem[:2])
def test_computed_and_published_figures_are_as_committed(lesson: Path) -> None:
    from draw import digest

    committed = {cell.id: cell for cell in nbformat.read(lesson, as_version=4).cells}
    for cell in nbformat.read(BUILD / lesson.name, as_version=4).cells:
        drawn = [o.data[PLOTLY] for o in cell.get("outputs", []) if PLOTLY in o.get("data", {})]
        kept = committed[cell.id].metadata.get(KEY, {"figures": []})["figures"]
        checked = "nbval-check-output" in cell.metadata.get("tags", [])
        assert len(kept) == (0 if checked else len(drawn)), f"make outputs: {cell.source}"
        for figure, known in zip(drawn, kept, strict=True):
            if figure["layout"]["meta"]["provenance"]["kind"] in FIXED:
                assert digest(figure) == known, f"make outputs: {cell.source}"
