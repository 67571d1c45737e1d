"""The slides that `make slides` built: they fit their wall, and ask no other host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe import faults

from kit.course.lessons import lessons

SLIDES = Path(__file__).parents[2] / "build" / "slides"
OVER = """async () => {
  const found = [];
  const frame = () => new Promise(requestAnimationFrame);
  for (let number = 0; number < Reveal.getTotalSlides(); number++) {
    Reveal.slide(number);
    const slide = Reveal.getCurrentSlide();
    const figure = slide.querySelector(".kit-figure-plot");
    do await frame(); while (figure && !figure.querySelector(".main-svg"));
    const wide = [...slide.querySelectorAll("pre, table, img, p, li, .kit-figure-plot")].filter(
      (e) => e.offsetWidth && !e.closest("aside") && e.offsetLeft + e.scrollWidth > 1280);
    const height = slide.scrollHeight;
    if (height > 800 || wide.length) found.push([number + 1, height, wide.length]);
  }
  return found;
}"""


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.stem[:2])
def test_every_slide_fits_and_its_figure_is_drawn(browser: Any, lesson: Path) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.goto((SLIDES / f"{lesson.stem}.html").as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    assert page.evaluate("Reveal.getTotalSlides()") >= 8
    assert page.evaluate(OVER) == []
    assert faults(page) == []
    page.close()
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
