"""Lesson 08 as a learner meets it: two servers answer side by side, a slider moves a curve, and
what was accepted for real is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "08_speculate.ipynb"
CURVE = """() => [...document.querySelectorAll('.js-plotly-plot')]
  .filter((plot) => plot.layout.sliders)
  .map((plot) => [plot.data[0].y[0], plot.layout.title.subtitle.text])[0]"""


def test_the_lesson_runs_and_its_slider_says_where_mtp_costs(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    notebook = open_notebook(LESSON, size=(1240, 960))
    notebook.play(180)
    page = notebook.page
    expect(notebook.stream_views.locator("[data-status=done]")).to_have_count(2)

    page.locator(".js-plotly-plot .slider-container").first.wait_for(state="attached")
    before = page.evaluate(CURVE)
    for _ in range(2):  # the first look lets Lab draw what is around it, and moves it
        page.evaluate(
            "document.querySelector('.slider-container').scrollIntoView({block: 'center'})"
        )
        page.wait_for_timeout(1000)
    rail = page.locator(".slider-container .slider-rail-touch-rect").first.bounding_box()
    assert rail is not None
    page.mouse.click(rail["x"] + 0.2 * rail["width"], rail["y"] + rail["height"] / 2)
    page.wait_for_timeout(600)
    after = page.evaluate(CURVE)
    assert after[0] < before[0]
    assert "crosses 1" in after[1]
    assert "crosses 1" not in before[1]

    real = page.locator(".js-plotly-plot").last
    real.scroll_into_view_if_needed()
    expect(real).to_contain_text("tokens per second, times plain")
    expect(page.get_by_text("The same as a table").last).to_be_visible()
    notebook.screenshot(screenshots / "lesson_08_real.png", of=real)
