"""Lesson 03 in JupyterLab: a log is pasted, and under the field stands what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from kit.course.sample_logs import recorded

from .conftest import OpenNotebook

pytestmark = pytest.mark.browser

CELLS = [
    "from kit.course.sample_logs import recorded\nfrom kit.views import diagnose_log, startup\n"
    "startup(recorded('h200-rank397-mtp'))",
    "diagnose_log(recorded('context-too-long').text)",
]


def test_a_pasted_log_is_answered_and_never_drawn(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    notebook = open_notebook(CELLS, name="log.ipynb", size=(1240, 960))
    notebook.play(60)
    page = notebook.page
    field = page.get_by_label("The server's log")
    answer = page.locator(".kit-diagnosis")
    expect(answer).to_contain_text("beyond what the checkpoint says")

    field.fill(recorded("init-oom-states").text)
    page.get_by_role("button", name="Read the log").click()
    expect(answer).to_contain_text("raise --mem-fraction-static")
    notebook.screenshot(screenshots / "lesson_03_diagnose.png")

    field.fill("RuntimeError: <b id=drawn>bold</b>")
    page.get_by_role("button", name="Read the log").click()
    expect(answer).to_contain_text("<b id=drawn>")
    expect(page.locator("#drawn")).to_have_count(0)
