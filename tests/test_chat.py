"""Messages in, events out: from a real socket, and from the chunks of many providers."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from scripted import DONE, Drop, Scripted, chunk, finish, say, think, usage

from kit import chat
from kit.chat import Answer, Finish, Parser, Thinking, ToolCall, Usage, WasThinking
from kit.errors import EndpointError, KitError, StreamCut


def parse(chunks: list[dict[str, Any]], thinking: bool | None = None) -> list[chat.Event]:
    parser = Parser(thinking)
    return [e for c in chunks for e in parser.feed(c)] + parser.flush()


def joined(events: list[chat.Event]) -> tuple[str, str]:
    """(thinking, answer) as a reader of the events would add them up."""
    thought = answer = ""
    for event in events:
        match event:
            case Thinking(text):
                thought += text
            case Answer(text):
                answer += text
            case WasThinking():
                thought, answer = thought + answer, ""
    return thought, answer


def read(endpoint: Any, *args: Any, **kwargs: Any) -> tuple[chat.Stream, list[chat.Event]]:
    stream = chat.stream(endpoint, *args, **kwargs)
    return stream, list(stream)


# --- the parser -----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_is_read_under_either_name(field: str) -> None:
    events = parse([chunk({field: "15 % of"}), chunk({field: " 240"}), say("36"), finish()])
    assert joined(events) == ("15 % of 240", "36")


def test_null_fields_and_empty_deltas_give_no_events() -> None:
    nothing = {"role": None, "content": None, "reasoning_content": None, "tool_calls": None}
    odd = [
        chunk({"role": "assistant", "content": ""}),
        chunk(nothing),
        chunk({}),
        {"choices": None},
    ]
    assert parse(odd) == []
    assert parse([{"id": "x", "choices": [{"index": 0, "delta": None}]}]) == []


WHOLE = "<think>\nLet me see: 2 < 3.\n</think>\n\nIt is **36**, as `<think>` said </think> once."


@pytest.mark.parametrize("seed", range(40))
def test_inline_thinking_survives_any_split(seed: int) -> None:
    cuts = sorted(random.Random(seed).sample(range(1, len(WHOLE)), seed % 20))
    pieces = [WHOLE[a:b] for a, b in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    thought, answer = joined(parse([say(piece) for piece in pieces]))
    assert thought == "\nLet me see: 2 < 3.\n"
    assert answer == "\n\nIt is **36**, as `<think>` said </think> once."


def test_inline_thinking_survives_one_character_at_a_time() -> None:
    assert joined(parse([say(c) for c in WHOLE])) == joined(parse([say(WHOLE)]))


def test_text_before_a_lone_closing_tag_was_thinking() -> None:
    events = parse([say("Let me"), say(" think</th"), say("ink>\n\nHello")], thinking=True)
    assert events[0] == Answer("Let me")  # shown at once, not held back
    assert WasThinking() in events
    assert joined(events) == ("Let me think", "\n\nHello")


def test_a_lone_closing_tag_is_text_where_thinking_is_off() -> None:
    assert joined(parse([say("close it with </think>.")], thinking=False)) == (
        "",
        "close it with </think>.",
    )


def test_tags_are_text_once_thinking_has_its_own_field() -> None:
    events = parse([think("hm"), say("<think> is a tag, </think> too")])
    assert joined(events) == ("hm", "<think> is a tag, </think> too")


@pytest.mark.parametrize("text", ["2 <", "a </thin", "  <thi", "  "])
def test_half_a_tag_at_the_end_is_text(text: str) -> None:
    assert joined(parse([say(text), finish()]))[1] == text
    assert joined(parse([say(text)]))[1] == text


def test_tool_calls_are_joined_by_index_and_closed_in_order() -> None:
    def part(index: int, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return chunk({"tool_calls": [{"id": call_id, "index": index, "function": function}]})

    events = parse(
        [
            part(0, "a", "weather", ""),
            part(0, None, None, '{"city": '),
            part(0, None, None, '"Paris"}'),
            part(1, "b", "time", "{}"),
            finish("tool_calls"),
        ]
    )
    done = [e for e in events if isinstance(e, ToolCall) and e.done]
    assert done == [
        ToolCall(0, "a", "weather", '{"city": "Paris"}', done=True),
        ToolCall(1, "b", "time", "{}", done=True),
    ]
    assert events[-1] == Finish("tool_calls")
    assert events.index(done[0]) < events.index(ToolCall(1, "b", "time", "{}"))


def test_whole_tool_calls_without_an_index_stay_apart() -> None:
    calls = [{"id": i, "function": {"name": i, "arguments": {"x": 1}}} for i in "ab"]
    events = parse([chunk({"tool_calls": calls}), finish("tool_calls")])
    done = [e for e in events if isinstance(e, ToolCall) and e.done]
    assert [(c.name, json.loads(c.arguments)) for c in done] == [("a", {"x": 1}), ("b", {"x": 1})]


def test_usage_is_read_from_a_chunk_without_choices() -> None:
    assert parse([usage(14, 21, 8)]) == [Usage(14, 21, 8)]
    details = {"completion_tokens_details": {"reasoning_tokens": 5}}
    openai_way = {"prompt_tokens": 1, "completion_tokens": 9, **details}
    assert parse([chunk(usage=openai_way)]) == [Usage(1, 9, 5)]


def test_only_the_first_choice_is_read() -> None:
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": None}
    assert joined(parse([{"choices": [other]}, say("yes")])) == ("", "yes")


# --- over a socket --------------------------------------------------------------------------

HELLO = [chunk({"role": "assistant", "content": ""}), think("hm"), say("Hi"), say(" there")]


def test_sync_and_async_give_the_same_events() -> None:
    with Scripted([*HELLO, finish(), usage(3, 4, 1), DONE]) as server:
        stream, events = read(server.endpoint, "Hello")

        async def gather() -> list[chat.Event]:
            return [event async for event in chat.stream(server.endpoint, "Hello")]

        assert asyncio.run(gather()) == events
    assert events == [
        Thinking("hm"),
        Answer("Hi"),
        Answer(" there"),
        Finish("stop"),
        Usage(3, 4, 1),
    ]
    assert (stream.thinking, stream.answer, stream.finish_reason) == ("hm", "Hi there", "stop")
    assert stream.usage == Usage(3, 4, 1)


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_is_asked_for_explicitly(thinking: bool) -> None:
    with Scripted([say("x"), finish(), DONE]) as server:
        read(server.endpoint, "Hi", thinking=thinking, chat_template_kwargs={"other": 1}, top_k=20)
    sent = server.requests[0]
    assert sent["chat_template_kwargs"] == {"other": 1, "enable_thinking": thinking}
    assert sent["top_k"] == 20
    assert sent["authorization"] == "Bearer a-key"


def test_nothing_is_said_about_thinking_unless_asked() -> None:
    with Scripted([say("x"), finish(), DONE]) as server:
        read(server.endpoint, [{"role": "user", "content": "Hi"}], max_tokens=None)
    sent = server.requests[0]
    assert "chat_template_kwargs" not in sent
    assert "max_tokens" not in sent
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_question_begins_when_the_words_of_a_twin_are_there() -> None:
    script = [say("x"), finish(), DONE]
    asked = []
    for headers in ({}, {"x-kit-held-s": "30"}):
        with Scripted(script, headers=headers) as server:
            stream, _ = read(server.endpoint, "Hi")
        assert stream.asked_s is not None
        asked.append(stream.asked_s)
    assert 30 < asked[1] - asked[0] < 40


def test_a_drop_keeps_what_had_arrived() -> None:
    with Scripted([*HELLO, 0.05, Drop]) as server:
        stream = chat.stream(server.endpoint, "Hi")
        seen: list[chat.Event] = []
        with pytest.raises(StreamCut) as caught:
            seen.extend(stream)
    assert seen == [Thinking("hm"), Answer("Hi"), Answer(" there")]
    assert caught.value.arrived == "hmHi there"
    assert len(str(caught.value).splitlines()) == 2


def test_a_stream_that_closes_without_finishing_is_cut() -> None:
    with (
        Scripted([*HELLO]) as server,
        pytest.raises(StreamCut, match="before the answer had ended"),
    ):
        read(server.endpoint, "Hi")


def test_an_error_inside_the_stream_is_two_lines() -> None:
    error = {"error": {"object": "error", "message": "parenthesis not closed", "code": 400}}
    with (
        Scripted([error, DONE]) as server,
        pytest.raises(EndpointError, match="parenthesis") as bad,
    ):
        read(server.endpoint, "Hi", regex="(((")
    assert not isinstance(bad.value, StreamCut)
    with Scripted([*HELLO, error, DONE]) as server, pytest.raises(StreamCut, match="parenthesis"):
        read(server.endpoint, "Hi")


@pytest.mark.parametrize("start", [[], HELLO])
def test_a_stall_is_given_up_and_says_how_to_wait_longer(start: list[Any]) -> None:
    with Scripted([*start, 30.0, DONE]) as server:
        with pytest.raises(EndpointError, match=r"for 0\.3 s[\s\S]*stall_s=") as caught:
            read(server.endpoint, "Hi", stall_s=0.3)
        assert isinstance(caught.value, StreamCut) == bool(start)
        assert server.hung_up.wait(5)


REFUSALS = [
    (401, {"error": {"message": "bad key"}}, "refused the key", "KIT_API_KEY"),
    (404, {"object": "error", "message": "no model m", "code": 404}, "no such path", "models.list"),
    (429, {"error": {"message": "slow down"}}, "over its limit", "wait 7 s"),
    (400, {"object": "error", "message": "top_p must be in (0, 1]"}, "top_p must", "ask again"),
    (400, {"message": "longer than the model's context length"}, "context", "shorten the prompt"),
    (503, {"message": "loading"}, "failed \\(503\\)", "log"),
]


@pytest.mark.parametrize(("status", "body", "what", "hint"), REFUSALS)
def test_a_refusal_is_two_lines_and_one_request(
    status: int, body: dict[str, Any], what: str, hint: str
) -> None:
    with Scripted([], status, body, {"retry-after": "7"}) as server:
        with pytest.raises(EndpointError, match=what) as caught:
            read(server.endpoint, "Hi")
        assert len(server.requests) == 1  # a retry would have doubled it in silence
    first, second = str(caught.value).splitlines()
    assert hint in second
    assert first


def test_a_server_that_is_gone_is_two_lines() -> None:
    with Scripted([]) as server:
        endpoint = server.endpoint
    with pytest.raises(EndpointError, match="cannot reach") as caught:
        read(endpoint, "Hi")
    assert "kit.connect()" in caught.value.hint


@pytest.mark.parametrize("body", ["<html>hello</html>", {"choices": []}])
def test_an_answer_that_is_no_stream_points_at_the_url(body: Any) -> None:
    with (
        Scripted([], body=body) as server,
        pytest.raises(EndpointError, match="not a stream") as bad,
    ):
        read(server.endpoint, "Hi")
    assert "URL" in bad.value.hint


def test_a_server_that_does_not_stream_is_read_all_the_same() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    with Scripted([], body={"object": "chat.completion", "choices": [choice]}) as server:
        _, events = read(server.endpoint, "Hi")
    assert events == [Thinking("hm"), Answer("Hi"), Finish("stop")]


def test_an_answer_taken_for_thinking_is_explained() -> None:
    """sgl-project/sglang#5874: thinking off, and the answer in `reasoning_content`."""
    with Scripted([think("Paris."), finish(), DONE]) as server:
        stream, _ = read(server.endpoint, "Hi", thinking=False)
    assert "reasoning parser may have taken the answer for it" in stream.remark


def test_nothing_is_waited_for_after_done() -> None:
    with Scripted([say("x"), finish(), DONE, 30.0]) as server:

        async def gather() -> list[chat.Event]:
            return [event async for event in chat.stream(server.endpoint, "Hi")]

        begun = time.monotonic()
        assert read(server.endpoint, "Hi")[1] == asyncio.run(gather())
    assert time.monotonic() - begun < 5


def test_closing_early_hangs_up() -> None:
    with Scripted([say("x"), 30.0, DONE]) as server:
        with chat.stream(server.endpoint, "Hi") as stream:
            assert next(iter(stream)) == Answer("x")
        assert server.hung_up.wait(5)


def test_cancelling_hangs_up() -> None:
    with Scripted([say("x"), 30.0, DONE]) as server:

        async def ask() -> None:
            first = asyncio.Event()

            async def consume() -> None:
                async for _ in chat.stream(server.endpoint, "Hi"):
                    first.set()

            task = asyncio.create_task(consume())
            await first.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(ask())
        assert server.hung_up.wait(5)


def test_a_stream_is_read_once() -> None:
    with Scripted([say("x"), finish(), DONE]) as server:
        stream, _ = read(server.endpoint, "Hi")
        with pytest.raises(KitError, match="read once"):
            list(stream)


# --- history --------------------------------------------------------------------------------


def test_history_keeps_answers_and_drops_the_thinking_behind_them() -> None:
    with Scripted([*HELLO, finish(), DONE]) as server:
        stream, _ = read(server.endpoint, "Hi")
    assert stream.message == {
        "role": "assistant",
        "content": "Hi there",
        "reasoning_content": "hm",
    }
    asked = {"role": "user", "content": "Hi"}
    inline = {"role": "assistant", "content": "<think>hm</think>\n\nHi"}
    history = chat.conversation([asked, stream.message, asked, inline, asked])
    assert history[1] == {"role": "assistant", "content": "Hi there"}
    assert history[3] == {"role": "assistant", "content": "Hi"}
    assert "reasoning_content" in stream.message  # the caller's own message is untouched


def test_history_keeps_the_thinking_of_an_open_tool_turn() -> None:
    call = {"role": "assistant", "content": "", "reasoning_content": "look", "tool_calls": [{}]}
    turn = [{"role": "user", "content": "weather?"}, call, {"role": "tool", "content": "sun"}]
    assert chat.conversation(turn)[1]["reasoning_content"] == "look"
    ended = [*turn, {"role": "assistant", "content": "Sun.", "reasoning_content": "so"}]
    assert all("reasoning_content" not in m for m in chat.conversation(ended))
    assert chat.conversation(ended, preserve_thinking=True) == ended


# --- what the real server sent --------------------------------------------------------------

CAPTURES = Path(__file__).parent / "conformance" / "captures"


def recorded(name: str) -> list[dict[str, Any]]:
    lines = (CAPTURES / name).read_text(encoding="utf-8").splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
    return [json.loads(each) for each in data]


def test_real_sglang_thinking_and_usage() -> None:
    events = parse(recorded("04_chat_usage_continuous_stream.txt"))
    thought, answer = joined(events)
    assert thought == "Let me think about this question."
    assert answer.startswith("\n\nH")
    assert [e for e in events if isinstance(e, Usage)][-1] == Usage(14, 21, 8)
    assert Finish("stop") in events


def test_real_sglang_without_its_reasoning_parser() -> None:
    events = parse(recorded("15_separate_reasoning_false_stream.txt"))
    thought, answer = joined(events)
    assert (thought, answer[:7]) == ("Let me think about this question.", "\n\nHello")
    assert WasThinking() in events


def test_real_sglang_tool_calls() -> None:
    events = parse(recorded("10_tool_auto_stream.txt"))
    (call,) = [e for e in events if isinstance(e, ToolCall) and e.done]
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == {"city": "Paris", "days": 3}
    assert Finish("tool_calls") in events


def test_real_sglang_error_inside_a_stream() -> None:
    with pytest.raises(EndpointError, match="parenthesis is not closed"):
        parse(recorded("36_bad_regex_stream.txt"))
