"""Lesson 10 as a learner meets it: the promise's price is drawn, with its table, and the capstone
says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "10_plan_capacity.ipynb"


def test_the_lesson_runs_and_draws_what_a_promise_costs(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    notebook = open_notebook(LESSON, size=(1240, 960))
    notebook.play(240)
    page = notebook.page

    expect(page.get_by_text("Nothing is written yet").last).to_be_attached()
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 14")
    figure = page.locator(".js-plotly-plot").first
    figure.wait_for(state="attached")
    for _ in range(2):  # the first look lets Lab draw what is around it, and moves it
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(800)
    expect(figure).to_contain_text("What a promise costs")
    for verdict in ("holds (", "does not hold ("):
        expect(figure).to_contain_text(verdict)
    expect(page.get_by_text("The same as a table").first).to_be_visible()
    notebook.screenshot(screenshots / "lesson_10.png", of=figure)
    notebook.screenshot(screenshots / "lesson_10_page.png")
