"""The widgets keep nobody out: by axe's rules, by their labels, and by the Tab key alone."""

from __future__ import annotations

import pytest
from axe import faults
from playwright.sync_api import Locator, expect

from .conftest import OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

CELLS = [
    "import kit\nfrom kit import bench\nfrom kit.views import (\n"
    "  StreamView, builder, compare, ledger, live_bench, sliders, trace, upload)\n"
    "twin = kit.connect('twin')",
    "reply = await StreamView(twin, 'What is 15% of 240?').run()",
    "both = await compare(twin, 'What is 15% of 240?')",
    "builder('h200x8')",
    "sliders(kit.profile('h200x8'))",
    "kit.guess('TTFT of one request, in ms', 'output, in tokens/s')",
    "ledger(kit.plan(kit.profile('h200x8')))",
    "report = await live_bench(\n  twin, bench.Workload(1000, 1000, 9000, max_concurrency=60))",
]
OUTPUTS = ".jp-OutputArea-output"
CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex='0']"
REACHABLE = f"""root => {{
  const seen = [...root.querySelectorAll("{CONTROLS}")].filter(
    (e) => !e.disabled && e.checkVisibility({{ visibilityProperty: true }}));
  seen.forEach((e, i) => {{ e.dataset.stop = i; }});
  return seen.length;
}}"""
FOCUSED = "document.activeElement?.dataset.stop ?? ''"


@pytest.fixture(scope="module")
def notebook(open_notebook: OpenNotebook) -> Notebook:
    made = open_notebook(CELLS, size=(1440, 900))
    made.present()
    for number in range(len(CELLS)):
        made.run_cell(number)
    expect(made.page.locator(".kit-bench-rate[d]").first).to_be_attached(timeout=90_000)
    made.page.locator(".js-plotly-plot .main-svg").first.wait_for(state="attached")
    made.page.locator(".kit-fold").first.click()  # an opened fold is looked at too
    return made


@pytest.mark.parametrize("size", [(1440, 900), (480, 900)], ids=["wide", "phone"])
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, theme: str, size: tuple[int, int]) -> None:
    notebook.command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
    light = str(theme == "Light").lower()
    notebook.page.wait_for_selector(f'[data-jp-theme-light="{light}"]', state="attached")
    notebook.page.set_viewport_size({"width": size[0], "height": size[1]})
    notebook.page.wait_for_timeout(500)
    assert faults(notebook.page, OUTPUTS) == []


def test_no_two_widgets_carry_the_same_label(notebook: Notebook) -> None:
    widgets = notebook.page.locator(f"{OUTPUTS} [aria-label].kit-widget")
    labels = widgets.evaluate_all("all => all.map((e) => e.getAttribute('aria-label'))")
    assert len(labels) >= 4
    assert len(labels) == len(set(labels)), labels


@pytest.mark.parametrize("widget", [".kit-stream", ".kit-builder", ".kit-bench"])
def test_tab_reaches_every_control(notebook: Notebook, widget: str) -> None:
    notebook.page.set_viewport_size({"width": 1440, "height": 900})
    root: Locator = notebook.page.locator(widget).first
    root.scroll_into_view_if_needed()
    count: int = root.evaluate(REACHABLE)
    assert count >= 1
    root.locator("[data-stop='0']").focus()
    reached = set()
    for _ in range(count + 2):
        reached.add(notebook.page.evaluate(FOCUSED))
        notebook.page.keyboard.press("Tab")
    assert {str(number) for number in range(count)} <= reached
