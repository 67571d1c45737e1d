"""Lesson 07 as a learner meets it: two runs that move while they go, and figures that stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import ROOT, OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

LESSON = ROOT / "notebooks" / "07_measure.ipynb"
CROWD = "crowd = bench.published("  # the cell of the throughput run
WAITING = 'check("07-1"'
TRACES = """() => Object.fromEntries(
  ['rate', 'running', 'queued', 'bars'].map((name) =>
    [name, document.querySelector(`.kit-bench-${name}[d]`)?.getAttribute('d') ?? '']))"""
SET = """([part, text]) => {
  const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
  const at = cells.findIndex((c) => c.sharedModel.source.includes(part));
  cells[at].sharedModel.setSource(cells[at].sharedModel.source.replace(part, text));
  return at;
}"""


@pytest.fixture(scope="module")
def lesson(open_notebook: OpenNotebook) -> Notebook:
    notebook = open_notebook(LESSON, size=(1240, 960))
    notebook.present()
    notebook.page.evaluate(SET, ["speed = 10.0", "speed = 3.0"])  # longer to look at
    notebook.run_all()
    return notebook


def test_the_throughput_run_is_seen_moving(lesson: Notebook, screenshots: Path) -> None:
    page = lesson.page
    crowd = page.get_by_role("progressbar", name="requests finished")
    expect(crowd).to_have_attribute("max", "120", timeout=90_000)
    expect(page.locator(".kit-bench-queued[d]").first).to_be_attached(timeout=30_000)
    looks = []
    for number in (0, 1, 2):  # the first look lets Lab draw what is around it, and moves it
        page.evaluate("document.querySelector('.kit-bench').scrollIntoView({block: 'center'})")
        page.wait_for_timeout(1000)
        if not number:
            continue
        looks.append(page.evaluate(TRACES))
        lesson.screenshot(screenshots / f"lesson_07_live_{number}.png")
    first, second = looks
    assert all(first.values())
    assert all(second.values())
    assert {name for name in first if first[name] != second[name]} == set(first)


def test_it_runs_to_its_end_without_an_error(lesson: Notebook) -> None:
    lesson.wait_until_done(180)
    expect(lesson.page.locator(".jp-mod-error")).to_have_count(0)
    expect(lesson.page.locator(".kit-bench")).to_have_count(0)


def test_littles_law_is_checked(lesson: Notebook) -> None:
    cell = lesson.page.locator(".jp-CodeCell", has_text=WAITING)
    before = "waiting = ..."
    for answer, said in (("96.7", "take the wait alone"), ("50.3", "Right")):
        at = lesson.page.evaluate(SET, [before, f"waiting = {answer}"])
        lesson.run_cell(at)
        expect(cell).to_contain_text(said, timeout=20_000)
        before = f"waiting = {answer}"


def test_its_figures_stay_in_a_saved_notebook_of_300_kb(lesson: Notebook) -> None:
    saved = lesson.save()
    drawn = [
        output["data"]
        for cell in saved["cells"]
        for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    titles = {data["application/vnd.plotly.v1+json"]["layout"]["title"]["text"] for data in drawn}
    assert len(titles) >= 3
    pictures = sum(len(data.pop("image/png", "")) for data in drawn)  # plotly's renderer adds them
    assert len(json.dumps(saved)) - pictures <= 300_000
