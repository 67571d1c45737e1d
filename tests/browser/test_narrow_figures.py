"""Figures follow the width of their place: in a narrow window one column, the legend below."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

CELLS = [
    "from kit.models import model\nfrom kit.views import parts\nparts(model('397b'))",
    "import kit\nfrom kit.views import ledger\nledger(kit.plan(kit.profile('h200x8')))",
    "from kit.views import matrix\nmatrix('397b', gpus=('h100', 'h200', 'b200'))",
]
OUT = """plots => plots.flatMap((plot) => {
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll("text")].filter((text) => {
    const { left, right, width } = text.getBoundingClientRect();
    return width && (left < box.left - 2 || right > box.right + 2);
  }).map((text) => text.textContent);
})"""


@pytest.fixture(scope="module")
def notebook(open_notebook: OpenNotebook) -> Notebook:
    made = open_notebook(CELLS, size=(1280, 900))
    made.play(60)
    made.page.locator(".js-plotly-plot").nth(2).wait_for()
    return made


def resized(notebook: Notebook, width: int, narrow: bool) -> list[int]:
    """The figures' widths in their layouts (0: as wide as their place) once they have followed."""
    page = notebook.page
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(
        "narrow => [...document.querySelectorAll('.js-plotly-plot')]"
        ".every((plot) => Boolean(plot.layout.width) === narrow)",
        arg=narrow,
    )
    page.wait_for_timeout(700)  # drawn again
    plots = page.locator(".js-plotly-plot")
    widths: list[int] = plots.evaluate_all("plots => plots.map((p) => p.layout.width ?? 0)")
    return widths


def test_a_narrow_window_gets_narrow_figures_and_no_word_is_cut(
    notebook: Notebook, screenshots: Path
) -> None:
    widths = resized(notebook, 460, narrow=True)
    assert len(widths) == 3
    assert all(250 < width < 460 for width in widths)
    plots = notebook.page.locator(".js-plotly-plot")
    assert plots.evaluate_all(OUT) == []
    for number, plot in enumerate(plots.all()):
        plot.scroll_into_view_if_needed()
        notebook.screenshot(screenshots / f"narrow-{number}.png")


def test_a_wide_window_gets_them_back_as_they_were(notebook: Notebook) -> None:
    assert resized(notebook, 1280, narrow=False) == [0, 0, 0]
    margins = notebook.page.locator(".js-plotly-plot").evaluate_all(
        "plots => plots.map((plot) => plot.layout.margin.r)"
    )
    assert margins[0] == 316
