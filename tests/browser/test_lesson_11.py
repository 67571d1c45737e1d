"""The pocket model's page as a learner meets it: it adds, goes wrong, and is given a calculator."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "11_pocket_model.ipynb"


def test_the_page_finds_a_wrong_sum_and_shows_what_is_claimed(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    notebook = open_notebook(LESSON, size=(1240, 960))
    notebook.play(180)
    page = notebook.page
    view = notebook.stream_views.first
    expect(view.locator("[data-status=done]")).to_be_visible()
    view.scroll_into_view_if_needed()
    notebook.screenshot(screenshots / "lesson_11.png")

    view.get_by_label("Prompt").fill("What is 31 + 46?")
    view.get_by_role("button", name="Ask again").click()
    expect(view.locator(".kit-answer")).to_contain_text("31")
    expect(view.locator("[data-status=done]")).to_be_visible()
    expect(view).to_contain_text("pocket model")

    figure = page.locator(".js-plotly-plot").first
    figure.scroll_into_view_if_needed()
    expect(figure).to_contain_text("What the pocket model can do")
    notebook.screenshot(screenshots / "lesson_11_card.png", of=figure)
