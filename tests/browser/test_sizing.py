"""Lesson 02 in JupyterLab: the figures are drawn, and the drawing follows the sliders."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "02_will_it_fit.ipynb"


@pytest.fixture(scope="module")
def lesson(open_notebook: OpenNotebook) -> Notebook:
    notebook = open_notebook(LESSON, size=(1280, 940))
    notebook.present()
    notebook.run_all()
    notebook.wait_until_done(90)
    return notebook


def show(notebook: Notebook, text: str) -> None:
    """Scroll to the code cell that contains `text`; JupyterLab draws what is in view."""
    notebook.page.evaluate(
        """async text => {
          const notebook = window.jupyterapp.shell.currentWidget.content;
          const at = [...notebook.model.cells].findIndex(
            cell => cell.type === 'code' && cell.sharedModel.source.includes(text));
          notebook.activeCellIndex = at;
          await notebook.scrollToItem(at, 'start');
        }""",
        text,
    )


@pytest.mark.parametrize(
    ("name", "cell", "shown"),
    [("ledger", "\nledger(memory)", "the GPU: 140.4 GiB"), ("matrix", "matrix(", "GPTQ-Int4")],
)
def test_a_figure_is_drawn_above_its_table(
    lesson: Notebook, screenshots: Path, name: str, cell: str, shown: str
) -> None:
    show(lesson, cell)
    plot = lesson.page.locator(".js-plotly-plot", has_text=shown)
    expect(plot).to_be_visible()
    output = lesson.page.locator(".jp-OutputArea", has=plot)
    expect(output.get_by_text("The same as a table")).to_be_visible()
    lesson.page.wait_for_timeout(500)  # plotly fits the figure to the window
    lesson.screenshot(screenshots / f"{name}.png", plot)


def test_the_drawing_follows_a_slider(lesson: Notebook) -> None:
    show(lesson, "sliders(machine)")
    drawing = lesson.page.locator(".jp-OutputArea svg[role=img]")
    expect(drawing).to_be_visible()
    before = drawing.inner_html()
    handle = lesson.page.locator(".kit-sliders .noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    deadline = time.monotonic() + 5
    while drawing.inner_html() == before and time.monotonic() < deadline:
        lesson.page.wait_for_timeout(20)
    assert drawing.inner_html() != before


def test_no_widget_state_is_saved(lesson: Notebook) -> None:
    assert "widgets" not in lesson.save()["metadata"]
