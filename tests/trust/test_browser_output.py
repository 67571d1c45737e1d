"""Hostile output in a real browser: live, in the saved notebook reopened, and in its page.

Nothing of it runs, nothing is fetched, and no text holds a frame up.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser.conftest import OpenNotebook, browser, open_notebook  # noqa: F401
from browser.lab import Notebook
from scripted import DONE, Drop, Scripted, chunk, finish, say, think
from servers import Handler, Server, folder_served

from kit.views import html_export
from kit.views.frontend import STATIC

from .hostile import LONG, texts

TESTS = Path(__file__).parents[1]
FRAME_MS = 100
WIDGETS = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}

BAD = """() => {
  const tags = new Set(['script', 'iframe', 'object', 'embed', 'form', 'base', 'meta', 'link',
    'video', 'audio', 'svg', 'img', 'image', 'style', 'input']);
  const own = '.jp-InputArea, .jp-Toolbar, .jp-Collapser, button, mjx-container, '
    + '[data-icon^="ui-components:"]';
  const leads = /^(href|src|action|xlink:href)$/i;
  const runs = /^\\s*(javascript|data|vbscript|file):/i;
  const found = [];
  const inspect = (e) => {
    if (tags.has(e.localName)) found.push(e.outerHTML.slice(0, 80));
    for (const { name, value } of e.attributes) {
      const bad = /^on/i.test(name) || (name === 'style' && /url\\(/i.test(value))
        || (leads.test(name) && runs.test(value));
      if (bad) found.push(`${e.localName} ${name}=${value.slice(0, 60)}`);
    }
  };
  for (const root of document.querySelectorAll('.jp-OutputArea, main'))
    for (const e of root.querySelectorAll('*')) if (!e.closest(own)) inspect(e);
  for (const e of document.querySelectorAll('mjx-container a, mjx-container [style*="url("]'))
    found.push(e.outerHTML.slice(0, 80));
  return [...new Set(found)];
}"""


class Collector(Server):
    """Writes down who asks it for anything."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(_Answer)


class _Answer(Handler):
    server: Collector

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET


def numbered(form: str) -> Any:
    numbers = iter(range(10_000))
    return lambda: form.format(next(numbers))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def hostile(collector: Collector) -> dict[str, str]:
    return texts(numbered(collector.url + "/{}"), numbered("window.hit=(window.hit||'')+'{},'"))


def play(hostile: dict[str, str], body: dict[str, Any]) -> Iterator[Any]:
    """All of a text in every place of an answer; `seed` says how it goes on."""
    asked = next(m["content"] for m in body["messages"] if m["role"] == "user")
    text = hostile[asked.partition(":")[0]]
    pieces = [text[i : i + 200] for i in range(0, len(text), 200)]
    call = {"index": 0, "id": "c", "type": "function"}
    if body["seed"] == 3 and body["messages"][-1]["role"] == "user":  # a tool, asked for twice
        echoed = {"name": "echo", "arguments": json.dumps({"text": text})}
        yield think(text)
        yield chunk({"tool_calls": [call | {"function": echoed}]})
        wrong = call | {"index": 1, "id": text, "function": {"name": text, "arguments": text}}
        yield chunk({"tool_calls": [wrong]})
        yield finish("tool_calls")
        yield DONE
        return
    yield from map(think, pieces)
    yield from map(say, pieces)
    if body["seed"] == 2:
        yield Drop
    yield finish(text if body["seed"] == 1 else "stop")
    yield DONE


SETUP = """
import sys; sys.path.insert(0, {tests!r})
from scripted import Door
from kit.errors import KitError
from kit.provenance import simulated
from kit.views import StreamView, trace
texts = {texts!r}

def echo(text: str) -> str:
    'Say it again.'
    return text

async def show(name):
    text = texts[name]
    door = Door({url!r}, model=text, provenance=simulated(text))
    for seed in (1, 2):
        try:
            await StreamView(door, name + ':' + text, title=text, seed=seed).run()
        except KitError as error:
            print('error', name)
    await trace(door, name + ':' + text, [echo], max_steps=2, seed=3)
"""


def with_extras(hostile: dict[str, str], url: str) -> list[str]:
    setup = SETUP.format(tests=str(TESTS), texts=hostile, url=url)
    return [setup, *(f"await show({name!r})" for name in hostile)]


def foreign(requests: list[str], *own: str) -> list[str]:
    return [r[:90] for r in requests if not r.startswith((*own, "data:", "blob:"))]


@pytest.mark.browser
@pytest.mark.trust_long
def test_hostile_answers_stay_text_in_jupyterlab_and_in_the_page(
    open_notebook: OpenNotebook,  # noqa: F811
    browser: Any,  # noqa: F811
    collector: Collector,
    hostile: dict[str, str],
    tmp_path: Path,
) -> None:
    collector.asked.clear()
    with Scripted(functools.partial(play, hostile)) as server:
        notebook = open_notebook(with_extras(hostile, server.url), size=(1200, 900))
        notebook.run_all()
        notebook.wait_until_done(500)
        page = notebook.page
        for fold in page.locator("button.kit-fold").all():
            fold.dispatch_event("click")
        page.wait_for_timeout(1500)
        views = page.locator(".kit-stream").count(), page.locator(".kit-trace").count()
        assert views == (2 * len(hostile), len(hostile))
        assert page.locator(".jp-mod-error").count() == 0
        assert inert(notebook, collector) == ([], [], None, [])
        saved = notebook.save()
    notebook.requests.clear()
    notebook.reopen_without_kernel()
    page.wait_for_timeout(4000)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.wait_for_timeout(500)
    assert page.locator(".jp-RenderedMarkdown").count() >= 3 * len(hostile)
    assert inert(notebook, collector) == ([], [], None, [])
    html = html_export.page(nbformat.reads(json.dumps(saved), 4), "hostile", tmp_path)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    print(f"{len(hostile)} texts, 3 views each, live, reopened and exported: nothing ran")
    requests, hit, found = opened(browser, tmp_path / "page.html")
    assert (requests, collector.asked, hit, found) == ([], [], None, [])


def inert(notebook: Notebook, collector: Collector) -> tuple[list[str], list[str], Any, list[str]]:
    """(asked of elsewhere, asked of the collector, what ran, what could run or fetch)"""
    asked = foreign(notebook.requests, notebook.lab.url)
    return (
        asked,
        collector.asked,
        notebook.page.evaluate("window.hit ?? null"),
        notebook.page.evaluate(BAD),
    )


def opened(browser: Any, path: Path) -> tuple[list[str], Any, list[str]]:  # noqa: F811
    """A page, opened from a file: (asked of elsewhere, what ran, what could run or fetch)"""
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_timeout(1500)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.wait_for_timeout(300)
    hit, found = page.evaluate("window.hit ?? null"), page.evaluate(BAD)
    page.close()
    return foreign(requests, path.as_uri()), hit, found


@pytest.mark.browser
@pytest.mark.trust_long
def test_the_detector_detects(
    open_notebook: OpenNotebook,  # noqa: F811
    collector: Collector,
    hostile: dict[str, str],
) -> None:
    """The same texts as plain Markdown, unescaped: JupyterLab runs and fetches what they say."""
    collector.asked.clear()
    show = "from IPython.display import Markdown, display"
    names = ("resources", "handlers", "images", "diagrams")
    notebook = open_notebook([show, *(f"display(Markdown({hostile[name]!r}))" for name in names)])
    notebook.run_all()
    notebook.wait_until_done(60)
    notebook.page.wait_for_timeout(3000)
    _, collected, hit, found = inert(notebook, collector)
    assert collected
    assert hit
    assert found


@pytest.mark.browser
def test_an_exported_page_asks_for_nothing_and_draws_its_formulas(
    browser: Any,  # noqa: F811
    hostile: dict[str, str],
    tmp_path: Path,
) -> None:
    """Even where a lesson's own HTML names an address, the page's policy lets nothing be asked."""
    node = nbformat.v4.new_notebook(metadata={"widgets": WIDGETS})
    figure = {"data": [{"type": "bar", "y": [1, 2]}], "layout": {}}
    node.cells = [
        nbformat.v4.new_markdown_cell("As $a^2$:\n\n$$\\frac{1}{2}$$\n\n```mermaid\nA --> B\n```"),
        nbformat.v4.new_code_cell(
            "figure",
            outputs=[
                nbformat.v4.new_output("display_data", {html_export.PLOTLY_MIME: figure}),
                nbformat.v4.new_output("display_data", {"text/html": hostile["resources"]}),
            ],
        ),
    ]
    path = tmp_path / "page.html"
    path.write_text(html_export.page(node, "page", tmp_path), encoding="utf-8")
    page = browser.new_page()
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".plotly .bars")
    page.wait_for_timeout(500)
    assert foreign(answered, path.as_uri()) == []
    assert page.locator("math").count() == 2
    assert page.locator("math mfrac").count() == 1
    page.close()


# --- how long a frame takes -----------------------------------------------------------------

DRAW = """async ([text, pieces]) => {
  const stream = await import('/stream.js');
  const el = document.createElement('div');
  document.body.replaceChildren(el);
  const state = { status: 'answering', thinking: '', answer: '', tools: [], thinking_tokens: 0,
    answer_tokens: 0, exact: true, ttft_ms: 1, rate: 1, finish: null, remark: '', kind: 'measured',
    source: 's', author: 'a', error: null };
  const on = {};
  const config = { prompt: 'p', thinking: true, fixed: false, panes: [{ title: 't' }] };
  stream.default.render({ el, model: { get: (key) => (key === 'config' ? config : [state]),
    on: (event, f) => { on[event] = f; }, off() {}, send() {} } });
  const step = Math.ceil(text.length / pieces);
  for (let i = 0; i < text.length; i += step) {
    on['msg:custom']({ p: 0, a: text.slice(i, i + step), n: [0, 1], r: [1, 1] });
    await new Promise((resolve) => setTimeout(resolve, 80));
  }
  Object.assign(state, { status: 'done', answer: text });
  on['change:state']();
  const count = (what) => el.querySelectorAll(what).length;
  const look = () => count('*') + 9 * count('.kit-formula');
  for (let last = -1, still = 0; still < 4; ) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    still = look() === last ? still + 1 : 0;
    last = look();
  }
  return [el.querySelectorAll('*').length, el.querySelector('.kit-answer').textContent.length];
}"""


@pytest.fixture(scope="module")
def static() -> Iterator[str]:
    page = b'<!doctype html><link rel=stylesheet href="/stream.css"><body style="width:900px">'
    with folder_served(STATIC, pages={"/": page}) as address:
        yield address


def longest_ms(trace: bytes) -> float:
    """The longest task of the page's main thread, in its own CPU time: scripts, layout, paint.
    Wall time would measure what else this machine does."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (e["pid"], e["tid"])
        for e in events
        if e.get("name") == "thread_name" and e["args"].get("name") == "CrRendererMain"
    }
    tasks = [e for e in events if e.get("ph") == "X" and e["name"].endswith("RunTask")]
    return max(e.get("tdur", 0) / 1000 for e in tasks if (e["pid"], e["tid"]) in main)


def drawn(browser: Any, static: str, text: str, pieces: int) -> tuple[float, int, int]:  # noqa: F811
    """(longest task in ms, elements, characters shown) of a text that comes in pieces."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(static)
    page.evaluate(DRAW, ["warm $x$ **up** `c`\n\n- a\n- b\n\n", 2])
    browser.start_tracing(page=page, categories=["toplevel"])
    elements, characters = page.evaluate(DRAW, [text, pieces])
    longest = longest_ms(browser.stop_tracing())
    page.close()
    return longest, elements, characters


SHORT_FORM = ["opening formula signs", "twenty thousand formulas"]


@pytest.mark.browser
@pytest.mark.parametrize(
    "name",
    [n if n in SHORT_FORM else pytest.param(n, marks=pytest.mark.trust_long) for n in LONG],
)
def test_no_text_holds_a_frame_up(browser: Any, static: str, name: str) -> None:  # noqa: F811
    for pieces in (1, 30):
        longest, elements, characters = drawn(browser, static, LONG[name], pieces)
        size = f"{len(LONG[name]):,} characters in {pieces}"
        print(f"{name:26} {size:27} longest task {longest:4.0f} ms CPU, {elements:,} elements")
        assert longest <= FRAME_MS
        assert elements < 60_000
        assert characters > 0 or name == "references"  # definitions show nothing


@pytest.mark.browser
@pytest.mark.trust_long
def test_a_hundred_thousand_tokens_stay_smooth(browser: Any, static: str) -> None:  # noqa: F811
    words = (
        "The KV cache of a rank holds what its **layers** have seen, `2` bytes each, $n$ times. "
    )
    text = "".join(words + ("\n\n" if i % 5 == 4 else "") for i in range(5_500))
    longest, elements, characters = drawn(browser, static, text, 300)
    print(
        f"{len(text):,} characters in 300: longest task {longest:.0f} ms CPU, {elements:,} elements"
    )
    assert longest <= FRAME_MS
    assert characters > 0.9 * len(text.replace("*", "").replace("`", "").replace("$", ""))
