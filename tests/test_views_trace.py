"""The tool trace: rows on a clock, and what a saved notebook keeps of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from scripted import DONE, Scripted, chunk, finish, say, think, usage

from kit.chat import Answer, Event, Finish, Thinking, ToolCall, Usage, WasThinking
from kit.errors import KitError, StreamCut
from kit.tools import Problem, StepLimit, ToolEvent, ToolResult, ToolRun, ToolStarted
from kit.views import live, trace
from kit.views.widgets import page_widgets
from kit.views.widgets import trace as trace_module
from kit.views.widgets.trace_rows import TraceRows

CALL = ToolCall(0, "c1", "get_weather", '{"location": "Beijing"}')
DONE_CALL = ToolCall(0, "c1", "get_weather", '{"location": "Beijing"}', done=True)
STARTED = ToolStarted(1, "c1", "get_weather", {"location": "Beijing"})
ENDLESS = [think("a"), *[0.05, think("b")] * 200, finish(), DONE]
RESULT = ToolResult(1, "c1", "get_weather", "22 °C", seconds=2.0)


class Clock:
    """A second an event, unless a test says otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rows_of(events: Sequence[ToolEvent], speed: float = 1.0) -> TraceRows:
    clock = Clock()
    rows = TraceRows(speed, now_s=clock)
    rows.start(0.0)
    for event in events:
        clock.now += 1
        rows.add(event)
    return rows


LOOP: list[ToolEvent] = [
    Thinking("Look "),
    Thinking("it up."),
    Answer("\n\n"),
    CALL,
    DONE_CALL,
    Finish("tool_calls"),
    Usage(100, 20),
    STARTED,
    RESULT,
    Thinking("Good."),
    Answer("22 degrees."),
    Finish("stop"),
    Usage(150, 10),
]


def test_a_loop_is_thinking_call_result_answer() -> None:
    rows = rows_of(LOOP)
    assert [(row.kind, row.step) for row in rows.rows] == [
        ("thinking", 1),
        ("call", 1),
        ("tool", 1),
        ("thinking", 2),
        ("answer", 2),
    ]
    assert rows.rows[0].text == "Look it up."
    assert all(row.end_s is not None and row.end_s >= row.start_s for row in rows.rows)
    assert (rows.prompt_tokens, rows.completion_tokens, rows.steps) == (250, 30, 2)


def test_the_models_time_is_scaled_to_life_and_a_tools_is_not() -> None:
    plain, fast = rows_of(LOOP), rows_of(LOOP, speed=2.0)
    thinks, _, runs, _, answers = zip(plain.rows, fast.rows, strict=True)
    assert runs[0].took_s == runs[1].took_s == 1.0
    assert thinks[1].took_s == 2 * (thinks[0].took_s or 0) > 0
    assert answers[1].start_s > answers[0].start_s
    assert rows_of(LOOP, speed=10.0).timed
    assert not rows_of(LOOP, speed=50.0).timed


def test_time_in_which_a_twins_words_were_written_is_left_out() -> None:
    clock = Clock()
    rows = TraceRows(2.0, now_s=clock)
    rows.start(0.0)
    clock.now = 5.0  # a second of it the simulated machine took
    rows.leave_out(4.0)
    rows.add(Answer("22"))
    assert rows.rows[0].start_s == 2.0


def test_calls_of_one_turn_overlap_and_a_refused_one_has_its_problem() -> None:
    other = ToolStarted(1, "c2", "get_weather", {"location": "Paris"})
    refused = ToolResult(1, "c3", "rm", "error: no tool is called 'rm'.", Problem.UNKNOWN_TOOL)
    second = ToolResult(1, "c2", "get_weather", "15 °C")
    rows = rows_of([CALL, DONE_CALL, Finish("tool_calls"), refused, STARTED, other, second, RESULT])
    wrong, beijing, paris = rows.rows[1:]
    assert wrong.problem == "unknown tool"
    assert beijing.start_s < paris.start_s < (paris.end_s or 0) < (beijing.end_s or 0)
    assert (beijing.text, paris.text) == ("22 °C", "15 °C")


def test_what_turns_out_to_be_thinking_is_called_so() -> None:
    rows = rows_of([Answer("Hm."), WasThinking(), Answer("22."), Finish("stop")])
    assert [(row.kind, row.text) for row in rows.rows] == [("thinking", "Hm."), ("answer", "22.")]


def test_what_is_cut_short_ends_where_it_was_cut() -> None:
    rows = rows_of([Thinking("Look"), CALL, Finish("tool_calls"), STARTED])
    rows.stop()
    assert all(row.end_s is not None for row in rows.rows)
    limit = rows_of([StepLimit(3)]).rows[0]
    assert (limit.kind, limit.end_s) == ("limit", limit.start_s)


def test_a_page_gets_at_most_four_thousand_characters_of_a_result() -> None:
    flood = ToolResult(1, "c1", "get_weather", "x" * 50_000)
    (row,) = rows_of([flood]).snapshot()
    assert len(row["text"]) < 4100
    assert "(50,000 characters)" in row["text"]


# --- as a saved notebook has it


def get_weather(location: str) -> str:
    """Get the current weather for a location."""
    return f"22 °C in {location}"


def wire(*turns: list[Any]) -> Any:
    left = list(turns)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def calling(arguments: str = '{"location": "Beijing"}') -> list[Any]:
    function = {"name": "get_weather", "arguments": arguments}
    called = chunk({"tool_calls": [{"index": 0, "id": "c1", "function": function}]})
    return [think("Look it up."), called, finish("tool_calls"), usage(100, 20, 5), DONE]


def answering(text: str) -> list[Any]:
    return [say(text), finish(), usage(150, 10), DONE]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    outputs: list[dict[str, str]] = []
    monkeypatch.setattr(live.Output, "show", lambda _, what: outputs.append(what))
    return outputs


def test_headless_it_leaves_the_table_the_answer_author_and_provenance(
    shown: list[dict[str, str]],
) -> None:
    with Scripted(wire(calling(), answering("It is **22** degrees."))) as server:
        run = asyncio.run(trace(server.endpoint, "Weather?", [get_weather]))
    assert isinstance(run, ToolRun)
    assert run.answer == "It is **22** degrees."
    (bundle,) = shown
    assert set(bundle) == {"text/markdown", "text/plain"}
    for text in bundle.values():
        for part in ("thinks", "calls", "22 °C in Beijing", "It is **22** degrees.", "Look it up."):
            assert part in text
        assert "2 requests · 1 tool call · 250 prompt tokens · 30 generated · ended: answer" in text
        assert "simulated · a script in a test — written by m" in text


def test_every_author_of_a_run_is_named(shown: list[dict[str, str]]) -> None:
    authors = ["authored", "pocket; pocket model (3.2 M parameters)"]
    turns = wire(calling(), answering("22"))

    def script(body: dict[str, Any]) -> list[Any]:
        server.headers["x-kit-author"] = authors.pop(0)
        return list(turns(body))

    with Scripted(script) as server:
        asyncio.run(trace(server.endpoint, "Weather?", [get_weather]))
    authors = "no model ran, then written by pocket model (3.2 M parameters), this course's own"
    assert all(authors in text for text in shown[0].values())


def test_markup_in_arguments_results_and_answers_stays_text(shown: list[dict[str, str]]) -> None:
    evil = "<img src=x onerror=alert(1)> | </td> `x` [a](javascript:b)"
    with Scripted(wire(calling(f'{{"location": "{evil}"}}'), answering(evil))) as server:
        asyncio.run(trace(server.endpoint, evil, [get_weather]))
    markdown = shown[0]["text/markdown"]
    assert "<img" not in markdown
    assert "</td>" not in markdown
    assert "](javascript:" not in markdown
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {5}  # no cell breaks out of its row


def test_a_stream_that_breaks_shows_what_was_done_and_raises(shown: list[dict[str, str]]) -> None:
    with (
        Scripted(wire(calling(), [say("22")])) as server,
        pytest.raises(StreamCut, match="before the answer had ended"),
    ):
        asyncio.run(trace(server.endpoint, "Weather?", [get_weather]))
    assert "22 °C in Beijing" in shown[0]["text/plain"]
    assert "before the answer had ended" in shown[0]["text/markdown"]


def test_an_answer_that_never_began_is_said_to_be_missing(shown: list[dict[str, str]]) -> None:
    with Scripted(wire(calling(), [think("So it is"), finish("length"), DONE])) as server:
        run = asyncio.run(trace(server.endpoint, "Weather?", [get_weather]))
    assert (run.ended, run.answer) == ("answer", "")
    assert "max_tokens ran out while the model was still thinking" in run.remark
    assert f"ended: {run.remark}" in shown[0]["text/plain"]


def test_stop_ends_it_and_gives_back_what_there_is(shown: list[dict[str, str]]) -> None:
    async def stopped(url: Any) -> ToolRun:
        run = trace_module.run_tools(url, "Weather?", [get_weather])
        view = trace_module.Trace(run)
        following = asyncio.create_task(view.run())
        while not view.rows.rows:
            await asyncio.sleep(0.01)
        view.stop()
        return await following

    with Scripted(ENDLESS) as server:
        run = asyncio.run(stopped(server.endpoint))
        assert server.hung_up.wait(5)
    assert (run.ended, run.answer) == (None, "")
    assert "ended: stopped" in shown[0]["text/plain"]


async def cancelled(endpoint: Any) -> None:
    """A cell that is interrupted while the model still thinks."""
    cell = asyncio.create_task(trace(endpoint, "Weather?", [get_weather]))
    await asyncio.sleep(0.3)
    cell.cancel()
    await cell


def test_a_run_that_is_cancelled_leaves_what_there_was(shown: list[dict[str, str]]) -> None:
    with Scripted(ENDLESS) as server, pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(server.endpoint))
    assert "ended: stopped" in shown[0]["text/plain"]


class Page:
    """Stands where the widget would: keeps what is sent to a page."""

    def __init__(self, on_message: object, state: dict[str, Any]) -> None:
        self.states, self.messages = [state], []

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "state":
            self.states.append(value)
        super().__setattr__(name, value)

    def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


async def yes() -> bool:
    return True


def test_a_page_gets_growth_in_pieces_and_the_state_when_something_changes(
    shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[Page] = []
    monkeypatch.setattr(live, "has_page", yes)
    monkeypatch.setattr(
        page_widgets, "TraceWidget", lambda _, state: pages.append(Page(_, state)) or pages[0]
    )
    words = [step for i in range(300) for step in (think(f"w{i} "), 0.002)]
    argument = [
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": letter}}]})
        for letter in ' {"location": "Beijing"}'
    ]
    first = chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "get_weather"}}]})
    turn = [*words, first, *argument, finish("tool_calls"), DONE]
    with Scripted(wire(turn, answering("22."))) as server:
        asyncio.run(trace(server.endpoint, "Weather?", [get_weather]))
    (page,) = pages
    assert page.messages
    assert len(page.messages) < 60  # not one per chunk: a page that is flooded loses messages
    assert len(page.states) < 20
    grown = "".join(m["text"] for m in page.messages if m["row"] == 0)
    assert grown
    assert "".join(f"w{i} " for i in range(300)).strip().startswith("w0 " + grown[:20])
    assert page.states[-1]["rows"][0]["text"].endswith("w299 ")
    assert page.states[-1]["status"] == "done"


def test_in_a_notebook_an_interrupt_says_so_in_two_lines(
    shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "has_page", yes)
    monkeypatch.setattr(page_widgets, "TraceWidget", Page)
    with Scripted(ENDLESS) as server, pytest.raises(KitError, match="interrupted"):
        asyncio.run(cancelled(server.endpoint))
    assert len(shown) == 2  # the widget, and the text that stays


def test_each_event_of_chat_is_taken() -> None:
    """A new event in `kit.chat` has to find its place here too."""
    taken = {Thinking, Answer, WasThinking, ToolCall, Usage, Finish}
    assert set(Event.__args__) == taken  # type: ignore[attr-defined]
