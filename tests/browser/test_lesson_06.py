"""Lesson 06 as a learner meets it, and its timeline while it fills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from .conftest import ROOT, OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_MS = 45_000  # a busy machine imports slowly
LESSON = ROOT / "notebooks" / "06_use_tools.ipynb"

CONNECT = "from kit import connect\nendpoint = connect('twin', speed=0.1)"
SLOW = """
import time
from kit.views import trace

def get_weather(city: str, unit: str) -> str:
    "Get the current weather."
    time.sleep(1.5 if city == "Paris" else 0.5)
    return f"22 {unit} in {city}"

run = await trace(endpoint, "What's the weather in Beijing and in Paris?", [get_weather])
"""
FOREVER = """
from kit.views import trace

run = await trace(endpoint, "Keep looking until it rains in Beijing.",
                  [station], thinking=True, max_steps=50)
print("ended:", run.ended)
"""
STATION = """
from kit.tools import tool

def look(city: str) -> str:
    "Get the current weather."
    return "22 °C, dry"

station = tool(look, name="get_weather")
"""


def rows(trace: Locator) -> list[str]:
    return trace.locator(".kit-trace-row").all_inner_texts()


def test_the_timeline_fills_while_it_runs(open_notebook: OpenNotebook, screenshots: Path) -> None:
    notebook = open_notebook([CONNECT, SLOW], size=(1240, 900))
    notebook.present()
    notebook.run_all()
    trace = notebook.page.locator(".kit-trace")
    thinking = trace.locator("[data-kind=thinking] .kit-trace-text").first
    expect(thinking).to_contain_text("Two cities", timeout=WAIT_MS)
    first, early = rows(trace), thinking.inner_text()
    notebook.screenshot(screenshots / "trace_thinking.png", trace)
    expect(trace.locator("[data-kind=tool][data-open=true]")).to_have_count(2, timeout=WAIT_MS)
    second = rows(trace)
    notebook.screenshot(screenshots / "trace_running.png", trace)
    assert len(first) == 1
    assert len(second) > len(first)
    assert len(thinking.inner_text()) > len(early)
    wide = trace.locator("[data-kind=tool] .kit-trace-bar").last
    before = wide.bounding_box()
    # Beijing has answered, Paris is still at it: they run side by side
    expect(trace.locator("[data-kind=tool][data-open=true]")).to_have_count(1)
    after = wide.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]
    notebook.wait_until_done(90)
    expect(trace).to_have_attribute("data-status", "done")
    expect(trace.locator(".kit-trace-stop")).to_be_hidden()
    expect(trace.locator("[data-kind=answer]").last).to_contain_text("22 celsius in Paris")
    expect(trace.locator(".kit-trace-foot")).to_contain_text("no model ran")
    expect(trace.locator(".kit-trace-badge")).to_have_text("simulated")
    notebook.screenshot(screenshots / "trace_done.png", trace)


def test_stop_ends_a_model_that_calls_forever(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([CONNECT, STATION, FOREVER], size=(1240, 900))
    notebook.present()
    notebook.run_all()
    trace = notebook.page.locator(".kit-trace")
    expect(trace.locator("[data-kind=tool]")).not_to_have_count(0, timeout=WAIT_MS)
    trace.get_by_role("button", name="Stop").click()
    expect(trace.locator(".kit-trace-status")).to_contain_text("What had happened stays")
    notebook.wait_until_done(30)
    expect(notebook.page.locator(".jp-mod-error")).to_have_count(0)
    text = json.dumps(notebook.save()["cells"][-1]["outputs"])
    assert "ended: None" in text
    assert "ended: stopped" in text


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_lesson_runs_and_a_saved_notebook_keeps_the_table(
    open_notebook: OpenNotebook, screenshots: Path, theme: str
) -> None:
    notebook = open_notebook(LESSON, size=(1240, 960), theme=theme)
    notebook.play(150)
    agent = notebook.page.locator(".kit-trace").nth(1)
    expect(agent.locator("[data-kind=answer]").last).to_contain_text("sglang serve")
    agent.scroll_into_view_if_needed()
    notebook.screenshot(screenshots / f"lesson_06_{theme.lower()}.png", agent)
    wrong = notebook.page.locator(".kit-trace").nth(2)
    notebook.screenshot(screenshots / f"lesson_06_wrong_{theme.lower()}.png", wrong)
    expect(wrong.locator("[data-problem='bad arguments']")).to_have_count(1)
    notebook.save()
    notebook.reopen_without_kernel()
    saved = notebook.page.locator(".jp-RenderedMarkdown", has_text="Tool trace").nth(1)
    saved.scroll_into_view_if_needed()
    expect(saved).to_contain_text("sglang serve")
    expect(saved.locator("table")).to_have_count(1)
    notebook.screenshot(screenshots / f"lesson_06_saved_{theme.lower()}.png", saved)
