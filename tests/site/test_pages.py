"""The pages of `kit run` (build/NN_….html), one file each: links, requests, narrow and wide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from axe import faults

from kit.course.lessons import lessons

BUILD = Path(__file__).parents[2] / "build"
PAGES = [BUILD / f"{lesson.stem}.html" for lesson in lessons()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem[:2])
def test_a_page_links_what_is_there_and_asks_no_other_host(browser: Any, path: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    links = page.locator("main a[href]").evaluate_all(
        "all => all.map((a) => a.getAttribute('href'))"
    )
    for link in links:
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = path.parent / unquote(target) if target else path
        assert file.is_file(), link
        if anchor and file.suffix == ".html":
            ids = re.findall(r' id="([^"]*)"', file.read_text(encoding="utf-8"))
            assert {anchor, unquote(anchor)} & set(ids), link
    drawn = page.locator(".js-plotly-plot")
    if drawn.count():
        narrow = "plots => plots.every((plot) => plot.layout.width < 600)"
        page.wait_for_function(
            f"() => ({narrow})([...document.querySelectorAll('.js-plotly-plot')])"
        )
    assert faults(page, ".jp-OutputArea-output") == []  # the rest is nbconvert's
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
