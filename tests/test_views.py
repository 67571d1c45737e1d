"""The stream view without a browser: what it counts, what it sends, what a notebook keeps."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from scripted import DONE, Drop, Scripted, finish, say, think, usage

from kit.chat import Answer, Event, Finish, Stream, Thinking, ToolCall, Usage, WasThinking
from kit.endpoint import Endpoint
from kit.errors import StreamCut
from kit.provenance import Author, AuthorKind, measured, simulated
from kit.views import StreamView, compare
from kit.views.frontend import STATIC
from kit.views.live import EVERY_S, Output
from kit.views.reply import Tally
from kit.views.widgets.stream_controller import EVERY_TOKENS, AnswerPane, DeltaBuffer
from kit.views.widgets.transcript import bundle

HERE = Path(__file__).parent
JS = STATIC.parent / "js"


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Steps(Stream):
    """A stream of events at times: a number is a pause in seconds."""

    def __init__(self, steps: Sequence[Event | float], clock: Clock, **endpoint: Any) -> None:
        server = SimpleNamespace(**{"provenance": simulated("a test"), **endpoint})
        super().__init__(server, {}, None, 1.0)  # type: ignore[arg-type]
        self.steps, self.clock = steps, clock

    async def __aiter__(self) -> AsyncIterator[Event]:
        self.asked_s = self.clock.s
        for step in self.steps:
            if isinstance(step, float):
                self.clock.s += step
            else:
                for event in self._add([step]):
                    yield event


def tally(*steps: Event | float, speed: float = 1.0, prompt: str = "?", **endpoint: Any) -> Tally:
    """What is counted of the events."""
    clock = Clock()
    counted = Tally(prompt, Steps(steps, clock, speed=speed, **endpoint), clock)

    async def read() -> None:
        async for _ in counted.events():
            pass

    asyncio.run(read())
    return counted


# --- counts and times -----------------------------------------------------------------------


def test_times_and_rates_are_the_clocks() -> None:
    counted = tally(
        0.25, Thinking("a"), 0.5, Thinking("b"), 0.5, Answer("c"), Finish("stop"), Usage(9, 21, 10)
    )
    assert counted.ttft_ms == pytest.approx(250)
    assert counted.tokens == (10, 11)
    assert counted.tokens_per_s == pytest.approx(20 / 1.0)  # 21 tokens, the first at time zero
    assert counted.exact


def test_a_faster_twins_times_are_scaled_back_to_the_gpus() -> None:
    counted = tally(0.025, Answer("a"), 0.1, Answer("b"), Usage(9, 11, 0), speed=10.0)
    assert counted.ttft_ms == pytest.approx(250)
    assert counted.tokens_per_s == pytest.approx(10 / 1.0)


def test_a_twin_too_fast_to_time_shows_no_times() -> None:
    counted = tally(0.001, Answer("a"), 0.001, Answer("b"), Usage(9, 11, 0), speed=100.0)
    assert counted.ttft_ms is None
    assert counted.tokens_per_s is None
    assert counted.tokens == (0, 11)


def test_several_tokens_in_the_first_chunk_are_not_counted_as_speed() -> None:
    mtp = [Answer("abcd"), Usage(9, 4, 0), 1.0, Answer("efgh"), Usage(9, 8, 0)]
    assert tally(0.1, *mtp).tokens_per_s == pytest.approx(4)


def test_counts_are_estimates_until_the_server_gives_its_own() -> None:
    events = [Thinking("a"), Thinking("b"), Answer("c")]
    counted = tally(*events)
    assert counted.tokens == (2, 1)
    assert not counted.exact
    counted = tally(*events, Usage(9, 30, None))  # it does not tell thinking from answer
    assert sum(counted.tokens) == 30
    assert not counted.exact


def test_text_that_was_thinking_moves_with_its_count() -> None:
    counted = tally(Answer("let me"), Answer(" see"), WasThinking(), Answer("36"))
    assert (counted.stream.thinking, counted.stream.answer) == ("let me see", "36")
    assert counted.tokens == (2, 1)


# --- what goes to the page ------------------------------------------------------------------


class Page:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


def test_a_fast_stream_is_sent_in_gathered_messages_and_loses_nothing() -> None:
    page, clock = Page(), Clock()
    words = [f"w{i} " for i in range(16_000)]

    async def feed() -> None:
        box = DeltaBuffer(page.send, 0, lambda: (0, 0, 1.0, 2.0), clock)
        for i, word in enumerate(words):
            clock.s += 0.001
            box.add(word, thinking=i < 4_000)
        box.flush()

    asyncio.run(feed())
    assert "".join(m.get("t", "") + m.get("a", "") for m in page.messages) == "".join(words)
    assert len(page.messages) <= len(words) / EVERY_TOKENS + 2


def test_a_slow_stream_is_not_held_back() -> None:
    page = Page()

    async def feed() -> None:
        box = DeltaBuffer(page.send, 0, lambda: (0, 0, None, None))
        box.add("first", thinking=False)
        assert len(page.messages) == 1
        box.add(" second", thinking=False)  # and then the model thinks for a while
        await asyncio.sleep(3 * EVERY_S)

    asyncio.run(feed())
    assert [m["a"] for m in page.messages] == ["first", " second"]


def test_the_bundle_is_built_from_its_sources_and_fetches_nothing() -> None:
    sources = sorted(p for p in JS.iterdir() if re.search(r"\.m?js$|^package\.json$", p.name))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    bundled = (STATIC / "stream.js").read_text()
    assert bundled.startswith(f"/* sources {digest};"), (
        "run `npm ci && npm run build` in kit/views/js"
    )
    network = r"\bimport\s*\(|(?<!\.)\bfetch\((?!\)\{)|XMLHttpRequest|\beval\(|new Function"
    assert not re.search(network, bundled)
    assert "@import" not in (STATIC / "stream.css").read_text()
    licences = (STATIC / "LICENSES.md").read_text()
    assert all(f"## {name} " in licences for name in ("markdown-it", "temml", "entities"))


# --- what a saved notebook keeps ------------------------------------------------------------


def test_the_text_says_what_its_figures_are_worth_and_who_wrote_it() -> None:
    call = ToolCall(0, "a", "weather", '{"city": "Paris"}', done=True)
    events = [Thinking("hm"), 1.0, Answer("36"), Finish("length"), Usage(9, 21, 10), call]
    counted = tally(0.25, *events)
    counted.stream.author = Author(AuthorKind.AUTHORED)
    shown = bundle([("Instruct", counted.reply(), StreamCut("it broke", "ask again", "hm36"))])
    for text in shown.values():
        for part in ("Instruct", "hm", "36", "weather", "TTFT 250 ms", "10 thinking tokens"):
            assert part in text
        for part in (
            "finish: length",
            "simulated · a test",
            "no model ran",
            "it broke",
            "ask again",
        ):
            assert part in text


def test_no_field_of_a_reply_brings_html_into_the_markdown() -> None:
    evil = "`x` <img src=x onerror=a()>"
    events = [Thinking(evil), Answer(evil), ToolCall(0, evil, evil, evil), Finish(evil)]
    counted = tally(*events, prompt=evil, provenance=simulated(evil))
    counted.stream.author = Author(AuthorKind.MODEL, evil)
    text = bundle([(evil, counted.reply(), StreamCut(evil, evil))])["text/markdown"]
    ours = re.compile(r"</?(?:pre|code|span|details|summary)>")
    assert not re.search(r"<[A-Za-z/!?]", ours.sub("", text))


# --- running, without a page ----------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a run would have displayed."""
    outputs: list[Any] = []
    monkeypatch.setattr(Output, "show", lambda _, what: outputs.append(what))
    return outputs


ANSWER = [think("hm"), say("36"), finish(), usage(9, 3, 2), DONE]


def test_a_run_gives_the_whole_reply(shown: list[Any]) -> None:
    with Scripted(ANSWER, headers={"x-kit-author": "authored"}) as server:
        reply = asyncio.run(StreamView(server.endpoint, "15 % of 240?", max_tokens=9).run())
    assert reply is not None
    assert (reply.thinking, str(reply), reply.finish_reason) == ("hm", "36", "stop")
    assert (reply.thinking_tokens, reply.answer_tokens) == (2, 1)
    assert reply.author == Author(AuthorKind.AUTHORED)
    assert server.requests[0]["max_tokens"] == 9
    assert "36" in shown[0]["text/plain"]


def test_both_modes_are_asked_at_the_same_time(shown: list[Any]) -> None:
    with Scripted([0.3, *ANSWER]) as server:

        async def both() -> None:
            waiting = asyncio.create_task(
                compare(server.endpoint, "?", instruct={"temperature": 0.7}, max_tokens=9)
            )
            while len(server.requests) < 2:
                assert not waiting.done()  # none has answered before both were asked
                await asyncio.sleep(0.01)
            await waiting

        asyncio.run(both())
    asked = {r["chat_template_kwargs"]["enable_thinking"]: r for r in server.requests}
    assert asked.keys() == {True, False}
    assert asked[False]["temperature"] == 0.7
    assert "temperature" not in asked[True]
    assert {r["max_tokens"] for r in server.requests} == {9}
    for title in ("Thinking", "Instruct"):
        assert f"**{title} · m**" in shown[0]["text/markdown"]


@pytest.mark.parametrize(
    ("author", "title"),
    [
        (Author(AuthorKind.AUTHORED), "authored reply"),
        (Author(AuthorKind.POCKET, "pocket model (3.2 M parameters)"), "pocket model · 3.2 M"),
        (Author(AuthorKind.NOTICE), "notice from the twin"),
        (Author(AuthorKind.MODEL, "Qwen/Qwen3.5-27B"), "Qwen/Qwen3.5-27B"),
    ],
)
def test_the_title_is_who_wrote_the_answer_and_before_it_who_is_asked(
    author: Author, title: str
) -> None:
    live = Endpoint("http://h", "m", None, "live", None, 1.0, None, measured("m"))
    twin = Endpoint("http://h", "397B", None, "twin", "h200x8", 1.0, None, simulated("a twin"))
    for endpoint, asked in ((live, "m"), (twin, "twin on h200x8")):
        for own, before in (("", ""), ("MTP on", "MTP on · ")):
            pane = AnswerPane(endpoint, own)
            assert pane.snapshot()["title"] == before + asked
            pane.ask("?").stream.author = author
            assert pane.snapshot()["title"] == before + title


def test_stop_hangs_up_and_keeps_what_had_arrived(shown: list[Any]) -> None:
    with Scripted([say("thirty-"), 30.0, DONE]) as server:

        async def stopped() -> Any:
            view = StreamView(server.endpoint, "?")
            running = asyncio.create_task(view.run())
            while not server.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            view.stop()
            return await running

        reply = asyncio.run(stopped())
        assert server.hung_up.wait(5)
    assert (reply.answer, reply.finish_reason) == ("thirty-", "stopped")
    assert "thirty-" in shown[0]["text/markdown"]


def test_a_cut_is_shown_with_what_had_arrived_and_then_raised(shown: list[Any]) -> None:
    with Scripted([say("thirty-"), 0.05, Drop]) as server, pytest.raises(StreamCut):
        asyncio.run(StreamView(server.endpoint, "?").run())
    assert "thirty-" in shown[0]["text/markdown"]
    assert "→" in shown[0]["text/markdown"]


REMARKS = [("length", "max_tokens ran out while"), ("stop", "The model stopped while")]


@pytest.mark.parametrize(("reason", "remark"), REMARKS)
def test_a_stop_inside_thinking_is_said_in_the_view(
    reason: str, remark: str, shown: list[Any]
) -> None:
    with Scripted([think("Let me see"), finish(reason), DONE]) as server:
        view = StreamView(server.endpoint, "?")
        reply = asyncio.run(view.run())
    assert reply is not None
    page = view.controller.panes[0].snapshot()
    assert reply.remark.startswith(remark)
    assert page["remark"] == reply.remark
    assert reply.remark in shown[0]["text/plain"]
    assert "still thinking" in shown[0]["text/markdown"]


SETUP = """
import sys; sys.path.insert(0, {tests!r})
from scripted import Door
from kit.views import StreamView, compare
good, bad = Door({good!r}), Door({bad!r})
"""


@pytest.mark.slow
def test_a_headless_notebook_keeps_text_and_no_widget() -> None:
    with Scripted(ANSWER) as good, Scripted([say("thirty-"), 0.05, Drop]) as bad:
        cells = [
            SETUP.format(tests=str(HERE), good=good.url, bad=bad.url),
            "reply = await StreamView(good, 'What is 15 % of 240?', thinking=True).run()",
            "await StreamView(good).run()",
            "await StreamView(bad, '?').run()",
        ]
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        with pytest.raises(CellExecutionError, match="StreamCut"):
            NotebookClient(node, timeout=60, kernel_name="python3").execute()
    _, asked, idle, cut = (cell["outputs"] for cell in node.cells)
    assert len(asked) == 1
    assert set(asked[0]["data"]) == {"text/markdown", "text/plain"}
    assert "hm" in asked[0]["data"]["text/plain"]
    assert "simulated ¹ · a script in a test" in asked[0]["data"]["text/markdown"]
    assert "JupyterLab" in idle[0]["data"]["text/plain"]
    assert "thirty-" in cut[0]["data"]["text/plain"]
    assert "widgets" not in node.metadata
