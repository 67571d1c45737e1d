"""The site that `make site` built: whole, readable without a network, with or without scripts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from axe import faults

from kit.course.lessons import lessons

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
PAGES = sorted(
    path
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and path.name not in ("genindex.html", "search.html")
)
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


class Page(HTMLParser):
    """Anchors, links and what a page loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif "src" in found or (tag == "link" and "href" in found):
            self.loads.append(found.get("src") or found.get("href", ""))


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    assert PAGES, "make site"
    return {path: Page(path) for path in PAGES}


def test_every_lesson_is_there_with_its_answers(pages: dict[Path, Page]) -> None:
    for lesson in lessons():
        assert SITE / "notebooks" / f"{lesson.stem}.html" in pages
        assert SITE / "notebooks" / "solutions" / f"{lesson.stem[:2]}.html" in pages


def test_every_link_leads_to_a_page_and_an_anchor(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            lost = anchor and target in pages and anchor not in pages[target].anchors
            if not target.is_file() or lost:
                broken.append(f"{path.relative_to(SITE)}: {link}")
    assert not broken


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not [url for url in page.loads if re.match(r"(https?:)?//", url)], path


@pytest.mark.parametrize("size", SIZES)
def test_every_page_opens_from_a_folder_and_keeps_nobody_out(browser: Any, size: str) -> None:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    found: dict[str, list[str]] = {}
    for path in PAGES:
        page.goto(path.as_uri())
        if wrong := faults(page):
            found[path.stem] = wrong
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, path
    page.close()
    assert not found
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


def test_figures_are_drawn_without_a_kernel(browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto((SITE / "notebooks" / "02_will_it_fit.html").as_uri())
    boxes = page.locator(".kit-figure-plot")
    for box in boxes.all():
        box.scroll_into_view_if_needed()
        box.locator(".main-svg").first.wait_for(state="visible")
    assert boxes.count() >= 3
    page.close()


def test_figures_are_pictures_where_scripts_are_off(browser: Any) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto((SITE / "notebooks" / "02_will_it_fit.html").as_uri())
    pictures = page.locator(".kit-figure-plot img")
    assert pictures.count() == page.locator(".kit-figure-plot").count() >= 3
    for picture in pictures.all():
        assert re.search("computed|simulated|published|measured", picture.get_attribute("alt"))
        assert picture.bounding_box()["width"] > 300
    page.close()


def test_the_deployment_matrix_sorts_by_a_column_and_by_keyboard(browser: Any) -> None:
    page = browser.new_page()
    page.goto((SITE / "docs" / "deployment-matrix.html").as_uri())
    table = page.locator("article table").first
    head = table.locator("th", has_text="KV tokens")
    column = head.evaluate("head => head.cellIndex")

    def tokens() -> list[int]:
        cells = table.locator(f"tbody td:nth-child({column + 1})").all_inner_texts()
        return [int(cell.replace(",", "") or 0) for cell in cells]

    assert tokens() != sorted(tokens())
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert tokens() == sorted(tokens())
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert tokens() == sorted(tokens(), reverse=True)
    page.close()
