"""Lesson 05 in a browser: the pictures are there, and one of one's own shows its price first."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "05_see.ipynb"


def test_a_picture_of_ones_own_shows_its_price_before_it_is_sent(
    open_notebook: OpenNotebook, screenshots: Path, tmp_path: Path
) -> None:
    photo, words = tmp_path / "holiday.jpg", tmp_path / "words.png"
    Image.effect_noise((1600, 1200), 60).convert("RGB").save(photo)
    words.write_text("Dear model, please look at me.")
    notebook = open_notebook(LESSON, size=(1240, 960))
    notebook.play(150)
    page = notebook.page
    expect(page.get_by_alt_text("Line drawing: a square")).not_to_have_count(0)
    for view in notebook.stream_views.all():
        expect(view.locator("[data-status=done]")).to_be_visible()

    cost, field = page.locator(".kit-upload-cost"), page.locator(".kit-upload")
    field.scroll_into_view_if_needed()
    expect(cost).to_contain_text("receipt: 480 × 640 pixels")
    with page.expect_file_chooser() as chooser:
        field.get_by_role("button").click()
    chooser.value.set_files(photo)
    expect(cost).to_contain_text("holiday.jpg: 1,600 × 1,200 pixels")
    expect(cost).to_contain_text("1,900 + 2 tokens · computed")
    expect(cost.locator("img[alt='holiday.jpg']")).to_be_visible()

    field.get_by_role("combobox").select_option("720p")
    expect(cost).to_contain_text("sent as 1,088 × 800")
    expect(cost).to_contain_text("850 + 2 tokens · computed")
    cost.scroll_into_view_if_needed()
    notebook.screenshot(screenshots / "lesson_05.png")

    with page.expect_file_chooser() as chooser:
        field.get_by_role("button").click()
    chooser.value.set_files([photo, words])
    expect(cost).to_contain_text("words.png is text, not a picture")
    expect(cost).to_contain_text("holiday.jpg")
