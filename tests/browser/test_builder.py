"""The command builder in JupyterLab: it follows the controls, by keyboard too, and copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

CELLS = ["from kit.views import builder\nchosen = builder('h200x8')\nchosen"]


@pytest.fixture(scope="module")
def notebook(open_notebook: OpenNotebook) -> Notebook:
    made = open_notebook(CELLS, size=(1280, 1500))
    made.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    made.present()
    made.run_all()
    made.wait_until_done(60)
    return made


def control(notebook: Notebook, label: str):  # type: ignore[no-untyped-def]
    return notebook.page.locator(".kit-builder").get_by_label(label, exact=True)


def test_the_command_follows_a_choice_and_the_change_is_explained(
    notebook: Notebook, screenshots: Path
) -> None:
    command = notebook.page.locator("pre[aria-label='the command']")
    expect(command).to_contain_text("--tp-size 8")
    control(notebook, "GPU").select_option("H100, 80 GiB")
    expect(command).to_contain_text("--tp-size 16")
    expect(notebook.page.locator(".kit-builder-said")).to_contain_text("8 does not fit")
    notebook.screenshot(screenshots / "builder.png")


def test_a_choice_that_cannot_be_is_greyed_out_with_its_reason(notebook: Notebook) -> None:
    option = control(notebook, "precision").locator("option", has_text="NVFP4").first
    expect(option).to_be_disabled()
    expect(option).to_contain_text("compute capability")


def test_a_switch_turns_by_keyboard(notebook: Notebook) -> None:
    command = notebook.page.locator("pre[aria-label='the command']")
    control(notebook, "MTP").focus()
    notebook.page.keyboard.press("Space")
    expect(command).not_to_contain_text("--speculative-algorithm")
    notebook.page.keyboard.press("Space")
    expect(command).to_contain_text("--speculative-algorithm")


def test_copy_puts_the_command_on_the_clipboard(notebook: Notebook) -> None:
    notebook.page.get_by_role("button", name="Copy the command").click()
    expect(notebook.page.locator(".kit-builder-copied")).to_have_text("copied")
    copied = notebook.page.evaluate("navigator.clipboard.readText()")
    shown = notebook.page.locator("pre[aria-label='the command']").inner_text()
    assert copied.strip() == shown.strip()


def test_no_widget_state_is_saved(notebook: Notebook) -> None:
    assert "widgets" not in notebook.save()["metadata"]
