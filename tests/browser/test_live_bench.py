"""live_bench in JupyterLab: it moves, it stops, and a static figure takes its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

CELLS = [
    "import kit\nfrom kit import bench\nfrom kit.views import live_bench\n"
    "twin = kit.connect('twin', speed=2)",
    "whole = await live_bench(twin, bench.Workload(1000, 600, 140, max_concurrency=60))",
    "partial = await live_bench(twin, bench.Workload(1000, 1000, 900, max_concurrency=60))\n"
    "print('kept:', len(partial.records), partial.missing)",
    "again = await live_bench(twin, bench.Workload(1000, 1000, 900, max_concurrency=60))\n"
    "print('kept:', len(again.records), again.missing)",
]
TRACES = """() => Object.fromEntries(
  ['rate', 'running', 'queued', 'bars'].map((name) =>
    [name, document.querySelector(`.kit-bench-${name}[d]`)?.getAttribute('d') ?? '']))"""


@pytest.fixture(scope="module")
def notebook(open_notebook: OpenNotebook) -> Notebook:
    opened = open_notebook(CELLS)
    opened.present()
    opened.run_cell(0)
    return opened


def shown(notebook: Notebook) -> dict[str, str]:
    """The outlines that the four charts have now."""
    found: dict[str, str] = notebook.page.evaluate(TRACES)
    return found


def wait_for_traces(notebook: Notebook) -> None:
    """Until there is something in each."""
    expect(notebook.page.locator(".kit-bench")).to_be_visible(timeout=60_000)
    for name in ("rate", "running", "queued", "bars"):
        expect(notebook.page.locator(f".kit-bench-{name}[d]").first).to_be_attached(timeout=30_000)


def test_two_looks_a_second_apart_differ_in_every_trace(
    notebook: Notebook, screenshots: Path
) -> None:
    page = notebook.page
    notebook.run_cell(1)
    wait_for_traces(notebook)
    page.wait_for_timeout(1000)
    looks = []
    for number in (1, 2):
        looks.append(shown(notebook))
        notebook.screenshot(screenshots / f"live-bench-{number}.png")
        page.wait_for_timeout(1000)
    first, second = looks
    assert all(first.values())
    assert {name for name in first if first[name] != second[name]} == set(first)
    assert second["rate"].count("L") > first["rate"].count("L")
    expect(page.locator(".kit-bench-source")).to_contain_text("simulated · twin of SGLang")
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    expect(page.locator('[data-jp-theme-light="false"]')).to_be_attached()
    notebook.screenshot(screenshots / "live-bench-dark.png")
    expect(page.get_by_role("progressbar", name="requests finished")).to_have_attribute(
        "max", "140"
    )


def test_the_static_figure_takes_its_place_with_the_table_below(
    notebook: Notebook, screenshots: Path
) -> None:
    page = notebook.page
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=90_000)
    expect(page.locator(".kit-bench")).to_have_count(0)
    words = page.locator(".jp-RenderedHTMLCommon", has_text="140 of 140 requests")
    expect(words.locator("td", has_text="ITL per token")).to_be_visible()
    expect(words).to_contain_text("simulated · twin of SGLang")
    notebook.screenshot(screenshots / "live-bench-end.png")


def test_stop_ends_it_with_a_partial_report(notebook: Notebook) -> None:
    page = notebook.page
    notebook.run_cell(2)
    wait_for_traces(notebook)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".jp-RenderedText", has_text="kept:").first).to_contain_text(
        "of 900 requests: stopped with", timeout=20_000
    )
    expect(page.locator(".kit-bench")).to_have_count(0)
    expect(page.locator(".jp-RenderedHTMLCommon", has_text="Missing:").last).to_contain_text(
        "not sent"
    )


def test_interrupting_the_kernel_stops_it_as_well(notebook: Notebook) -> None:
    page = notebook.page
    notebook.run_cell(3)
    wait_for_traces(notebook)
    notebook.command("notebook:interrupt-kernel")
    expect(page.locator(".jp-RenderedText", has_text="kept:").nth(1)).to_contain_text(
        "of 900 requests: stopped with", timeout=20_000
    )
    expect(page.locator(".jp-RenderedText[data-mime-type*=stderr]")).to_have_count(0)


def test_what_is_saved_is_small_and_is_there_the_next_day(notebook: Notebook) -> None:
    saved = notebook.save()
    assert "widgets" not in saved["metadata"]
    sizes = {
        mime: len(json.dumps(data))
        for output in saved["cells"][1]["outputs"]
        for mime, data in output["data"].items()
    }
    assert sum(sizes.values()) < 300_000, sizes  # plotly's renderer adds a PNG of its own
    assert "jupyter.widget" not in json.dumps(saved)
    notebook.reopen_without_kernel()
    expect(notebook.page.locator(".jp-RenderedPlotly").first).to_be_visible(timeout=60_000)
    expect(notebook.page.locator("td", has_text="ITL per token").first).to_be_visible()
