"""Chunks in, events out: of many providers, and as the real server sent them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from scripted import chunk, finish, say, think, usage

from kit import chat
from kit.chat import Answer, Finish, Parser, Thinking, ToolCall, Usage, WasThinking
from kit.errors import EndpointError


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
