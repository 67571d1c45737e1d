"""A learner without a GPU, in JupyterLab: the twin starts, answers stream, and are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import OpenNotebook

pytestmark = pytest.mark.browser

CELLS = [
    "import kit\n\nendpoint = kit.connect('twin')",
    "thinking, instruct = await kit.views.compare(endpoint, 'What is 15% of 240?')",
    "endpoint.close()",
]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_thinking_and_instruct_stream_side_by_side(
    open_notebook: OpenNotebook, screenshots: Path, theme: str
) -> None:
    notebook = open_notebook(CELLS, name="stream_view.ipynb", size=(1240, 800), theme=theme)
    notebook.present()
    for number in range(2):
        notebook.run_cell(number)
    view = notebook.stream_views
    done = view.locator("[data-status=done]")
    expect(done).to_have_count(2, timeout=60_000)
    view.get_by_role("button", name="Ask again").click()
    expect(view.get_by_role("button", name="Thinking…")).to_be_visible()
    expect(view.locator(".kit-pane").nth(1).locator("math")).not_to_have_count(0)
    notebook.screenshot(screenshots / f"stream_view_{theme.lower()}.png")

    expect(done).to_have_count(2, timeout=60_000)
    for pane in done.all():
        expect(pane.locator(".kit-answer")).to_contain_text("36")
        expect(pane.locator(".kit-badge")).to_have_text("simulated")
        expect(pane.locator(".kit-source")).to_contain_text("h200x8")
        expect(pane.locator(".kit-author")).to_contain_text("no model ran")
    notebook.run_cell(2)
    notebook.wait_until_done()
    notebook.close()
