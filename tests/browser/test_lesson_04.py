"""Lesson 04 as a learner meets it: open it, run it, ask, stop, ask something of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "04_think_or_answer.ipynb"


def test_the_lesson_runs_and_its_stream_views_answer_and_stop(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    notebook = open_notebook(LESSON, size=(1240, 960))
    notebook.play(120)
    both, single = notebook.stream_views.nth(0), notebook.stream_views.nth(1)
    expect(both.locator("[data-status=done]")).to_have_count(2)

    both.scroll_into_view_if_needed()
    both.get_by_role("button", name="Ask again").click()
    expect(both.get_by_role("button", name="Thinking…")).to_be_visible()
    both.get_by_role("button", name="Stop").click()
    expect(both.locator(".kit-figure-finish").first).to_contain_text("stopped by you")
    expect(both.locator(".kit-status").first).to_contain_text("What had arrived stays")

    both.get_by_role("button", name="Ask again").click()
    expect(both.locator(".kit-pane").nth(1).locator(".kit-answer math")).not_to_have_count(0)
    notebook.screenshot(screenshots / "lesson_04.png")
    expect(both.locator("[data-status=done]")).to_have_count(2)

    single.get_by_label("Prompt").fill("What is 15% of 240?")
    single.get_by_role("button", name="Ask again").click()
    expect(single.locator(".kit-answer")).to_contain_text("36")
    expect(single.locator("[data-status=done]")).to_be_visible()
    expect(single.locator(".kit-badge")).to_have_text("simulated")
    expect(single.locator(".kit-figure-rate dd")).to_have_text(re.compile(r"\d"))
