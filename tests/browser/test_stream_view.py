"""The stream view in JupyterLab: what a reader sees, presses, and finds again the next day."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from scripted import DONE, Drop, Scripted, chunk, finish, say, think, usage

from .conftest import OpenNotebook
from .lab import Notebook

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]

HOSTILE = """<script>window.hit = 1</script> <img src=x onerror="window.hit = 2">

<iframe src="javascript:parent.hit = 3"></iframe> <svg onload="window.hit = 4"></svg>

![a picture](http://tracker.invalid/x.png) [a link](javascript:window.hit=5) [web](https://example.org)

[data](data:text/html,<script>window.hit=6</script>) $\\text{<img src=x onerror="window.hit=7">}$

| <b>a</b> |
|---|
| <style>body{display:none}</style> |

$$\\frac{15}{100} \\times 240 = 36$$

The end."""


SEEN = threading.Event()
GROWS = (
    "# Title\n\nSetext\n---\n\ntext with $a_1$ and `code` and \\(x\\)\n\n"
    + "".join(f"{i}. item **{i}** costs $5 and $6\n" for i in range(1, 41))
    + "\n- a\n  - nested\n\n    more\n- b\n\n| x | y |\n|--:|---|\n| 1 | 2 |\n\n"
    + "$$\n\\begin{aligned}\na &= b \\\\\n\nc &= d\n\\end{aligned}\n$$\n\n"
    + "```python\n# not a title\n\nx = '$5'\n```\n\n> quoted\nlazily\n\n"
    + "\\[ e = mc^2 \\]\n\nend $$ open"
)


def play(body: dict[str, Any]) -> Iterator[Any]:
    """What the server says depends on the prompt."""
    prompt = body["messages"][-1]["content"]
    thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
    yield chunk({"role": "assistant", "content": ""})
    if thinks:
        for word in ("Let ", "me ", "**see**", "."):
            yield think(word)
        while not SEEN.is_set():  # until the test has seen it think
            yield 0.02
    if prompt in ("whole", "pieces"):
        step = len(GROWS) if prompt == "whole" else 3
        for at in range(0, len(GROWS), step):
            yield say(GROWS[at : at + step])
            yield 0.003
        prompt = "nothing"
    if prompt == "slow":
        yield say("This will take")
        yield 60.0
    if prompt == "cut":
        yield say("It broke off he")
        yield 0.1
        yield Drop
    yield say("\n\n" + (HOSTILE if prompt == "hostile" else f"You said {prompt}."))
    yield finish()
    yield usage(9, 30, 4 if thinks else 0)
    yield DONE


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with Scripted(play, headers={"x-kit-author": "authored"}) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(open_notebook: OpenNotebook, server: Scripted) -> Notebook:
    setup = f"""
    import sys; sys.path.insert(0, {str(TESTS)!r})
    from scripted import Door
    from kit.views import StreamView, compare
    door = Door({server.url!r})"""
    opened = open_notebook(
        [
            "\n".join(line.strip() for line in setup.splitlines()),
            "reply = await StreamView(door, 'hostile', thinking=True).run()",
            "view = StreamView(door, 'slow', thinking=False)\nreply = await view.run()",
            "both = await compare(door, 'hello')",
            "await StreamView(door, 'cut', thinking=False).run()",
            "await StreamView(door, 'whole', thinking=False).run()",
            "await StreamView(door, 'pieces', thinking=False).run()",
            "await StreamView(door, 'slow', thinking=False).run()",
        ]
    )
    opened.run_cell(0)
    return opened


def test_thinking_streams_open_and_folds_when_the_answer_begins(notebook: Notebook) -> None:
    SEEN.clear()
    notebook.run_cell(1)
    view = notebook.stream_views.nth(0)
    expect(view.locator(".kit-thoughts strong")).to_have_text("see")  # live, and as Markdown
    expect(view.get_by_role("button", name="Thinking…")).to_have_attribute("aria-expanded", "true")
    SEEN.set()
    expect(view.locator(".kit-answer")).to_contain_text("The end.")
    fold = view.get_by_role("button", name=re.compile(r"^Thinking 4 tokens"))
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(view.locator(".kit-thoughts")).to_be_hidden()
    fold.click()
    expect(view.locator(".kit-thoughts")).to_be_visible()
    expect(view.locator(".kit-badge")).to_have_text("simulated")
    expect(view.locator(".kit-author")).to_contain_text("no model ran")
    expect(view.locator(".kit-figures")).to_contain_text("26")


def test_what_a_model_writes_is_text_and_never_html(notebook: Notebook) -> None:
    answer = notebook.stream_views.nth(0).locator(".kit-answer")
    expect(answer).to_contain_text("<script>window.hit = 1</script>")
    expect(answer).to_contain_text('<img src=x onerror="window.hit = 2">')
    expect(answer).to_contain_text("![a picture](http://tracker.invalid/x.png)")
    for made in ("script", "img", "iframe", "svg", "style", "[onerror]", "[onload]", "[src]"):
        expect(answer.locator(made)).to_have_count(0)
    links = answer.locator("a")
    expect(links).to_have_count(1)
    expect(links).to_have_attribute("href", "https://example.org")
    expect(links).to_have_attribute("rel", "noopener noreferrer")
    expect(answer.locator("math mfrac")).to_have_count(1)
    assert notebook.page.evaluate("window.hit") is None
    outside = [
        u for u in notebook.requests if not u.startswith((notebook.lab.url, "data:", "blob:"))
    ]
    assert not outside


def test_a_formula_that_fits_has_no_scroll_bar(notebook: Notebook) -> None:
    formula = notebook.stream_views.nth(0).locator(".kit-math").first
    assert formula.evaluate("e => getComputedStyle(e).overflowY") == "hidden"
    assert formula.evaluate(
        "e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight"
    )


def test_stop_cancels_the_request_and_ask_again_asks_anew(
    notebook: Notebook, server: Scripted
) -> None:
    server.hung_up.clear()
    notebook.run_cell(2)
    view = notebook.stream_views.nth(1)
    expect(view.locator(".kit-answer")).to_contain_text("This will take")
    view.get_by_role("button", name="Stop").click()
    expect(view.locator(".kit-status")).to_contain_text("Stopped")
    expect(view.locator(".kit-answer")).to_contain_text("This will take")
    assert server.hung_up.wait(5)

    view.get_by_label("Prompt").fill("something else")
    view.get_by_role("switch", name="Thinking").click()
    view.get_by_label("Prompt").press("Control+Enter")
    expect(view.locator(".kit-answer")).to_have_text("You said something else.")
    asked = server.requests[-1]
    assert asked["messages"][-1]["content"] == "something else"
    assert asked["chat_template_kwargs"] == {"enable_thinking": True}


def test_two_modes_stream_side_by_side(notebook: Notebook) -> None:
    SEEN.clear()
    notebook.run_cell(3)
    view = notebook.stream_views.nth(2)
    panes = view.locator(".kit-pane")
    expect(panes).to_have_count(2)
    expect(panes.nth(1).locator(".kit-answer")).to_have_text("You said hello.")
    expect(panes.nth(0).get_by_role("button", name="Thinking…")).to_be_visible()  # still at it
    expect(panes.nth(0).locator(".kit-thoughts")).to_have_text("Let me see.")  # nothing lost
    SEEN.set()
    expect(panes.nth(0).locator(".kit-answer")).to_have_text("You said hello.")
    left, right = (panes.nth(i).bounding_box() for i in (0, 1))
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"] + 1


def test_a_cut_stays_in_the_widget_in_two_lines(notebook: Notebook) -> None:
    notebook.run_cell(4)
    view = notebook.stream_views.nth(3)
    error = view.get_by_role("alert")
    expect(error.locator("strong")).to_contain_text("broke in the middle")
    expect(error.locator("span")).to_contain_text("ask again")
    expect(view.locator(".kit-answer")).to_have_text("It broke off he")
    expect(view.get_by_role("button", name="Ask again")).to_be_enabled()


def test_text_that_grew_looks_as_if_it_had_come_at_once(notebook: Notebook) -> None:
    looks = []
    for number in (5, 6):
        notebook.run_cell(number)
        view = notebook.stream_views.nth(number - 1)
        expect(view.locator("[data-status=done]")).to_be_visible()
        answer = view.locator(".kit-answer")
        expect(answer.locator("li", has_text="item 40")).to_be_visible()
        expect(answer).to_contain_text("open")
        counts = {
            tag: answer.locator(tag).count() for tag in ("li", "math", "pre", "td", "h1", "h2")
        }
        looks.append((re.sub(r"\s+", " ", answer.inner_text()), counts))
    whole, grown = looks
    assert grown == whole
    assert whole[1] == {"li": 43, "math": 4, "pre": 1, "td": 2, "h1": 1, "h2": 1}
    assert "costs $5 and $6" in whole[0]


def test_interrupting_the_cell_hangs_up_and_says_so_in_two_lines(
    notebook: Notebook, server: Scripted
) -> None:
    server.hung_up.clear()
    notebook.run_cell(7)
    view = notebook.stream_views.nth(6)
    expect(view.locator(".kit-answer")).to_contain_text("This will take")
    notebook.command("notebook:interrupt-kernel")
    assert server.hung_up.wait(5)
    expect(view.locator(".kit-status")).to_contain_text("Stopped")
    error = notebook.page.locator(".jp-RenderedText[data-mime-type*=stderr], .jp-mod-error").last
    expect(error).to_contain_text("press Ask again")
    expect(error).not_to_contain_text("Traceback")


def test_a_saved_notebook_shows_the_text_the_next_day(notebook: Notebook) -> None:
    kept = notebook.page.locator(".jp-RenderedMarkdown", has_text="The end.")
    expect(kept).to_be_hidden()  # the living widget shows it already
    saved = notebook.save()
    assert "widgets" not in saved["metadata"]
    notebook.reopen_without_kernel()
    expect(notebook.stream_views).to_have_count(0)
    expect(kept).to_be_visible()
    expect(kept).to_contain_text("<script>window.hit = 1</script>")
    expect(kept.locator("script, img, iframe, svg, style, [onerror]")).to_have_count(0)
    again = notebook.page.locator(".jp-RenderedMarkdown", has_text="You said something else.")
    expect(again).to_be_visible()  # what was asked last, not first
    assert notebook.page.evaluate("window.hit") is None
