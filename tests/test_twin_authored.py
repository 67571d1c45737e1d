"""Which authored reply answers which conversation, and how an answer becomes tokens."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kit.bench import published
from kit.hardware import gpu, profile
from kit.models import model
from kit.provenance import Author, AuthorKind
from kit.sizing import plan
from kit.twin.authored import (
    AssistantTurn,
    FunctionCall,
    completion_of,
    filler,
    nearest,
    normalise,
    notice,
    replies,
    reply_to,
)
from kit.twin.chat_format import IMAGE
from kit.twin.media import MediaItem
from kit.twin.token_script import Stop, Token, TokenPart, script_of
from kit.twin.tokenizer import IM_END, vocabulary

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
            "required": ["city"],
        },
    },
}
FIFTEEN = "What is 15% of 240?"


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def written(*asked: Any) -> AssistantTurn:
    """The reply that is known to be there."""
    said = reply_to(*asked)
    assert said is not None
    return said


def text_of(tokens: list[Token] | tuple[Token, ...]) -> str:
    return "".join(token.text for token in tokens)


@pytest.mark.parametrize(
    "name", sorted(set(replies()) - {"notice", "notice_image", "note_stand_in", "filler"})
)
def test_each_reply_is_found_by_each_of_its_prompts(name: str) -> None:
    reply = replies()[name]
    assert reply.prompts
    for prompt in reply.prompts:
        for before in reply.after or [""]:
            turns = [*user(before), *user(prompt)] if before else user(prompt)
            if reply.tool_result:
                turns += answered(str(reply.tool_result), f"22 °C {reply.says}")
            tools = [offered(call) for call in reply.calls]
            shown = [picture(drawing, len(turns) - 1) for drawing in reply.images]
            said = reply_to(turns, True, tools, reply.forced, shown)
            assert said is not None
            assert (said.thinking, said.author.kind) == (reply.thinking, AuthorKind.AUTHORED)


def picture(drawing: str, turn: int) -> MediaItem:
    return MediaItem("image", (640, 480), 300, drawing, IMAGE, 299, turn)


def offered(call: FunctionCall) -> dict[str, object]:
    """A tool that takes what the call knows to say."""
    properties = {name: {"type": "string"} for name, _ in call.arguments}
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": call.name, "parameters": schema}}


def answered(name: str, result: str) -> list[dict[str, object]]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": result},
    ]


@pytest.mark.parametrize(
    "said",
    [
        "what is 15% of 240",
        "What's 15 % of 240?",
        "  WHAT IS\n15% of 240 ?! ",
        "What’s 15% of 240…",
    ],
)
def test_case_spacing_and_punctuation_do_not_matter(said: str) -> None:
    assert normalise(said) == normalise(FIFTEEN)


def test_the_working_of_the_percent_question_is_long_enough_to_watch() -> None:
    thinking = replies()["percent"].thinking
    assert 250 <= len(vocabulary().encode(thinking)) <= 400


def test_anything_else_has_no_reply() -> None:
    assert reply_to(user("What is 16% of 240?"), thinking=False) is None


def test_the_notice_says_that_no_model_ran_and_why() -> None:
    said = notice(thinking=False, why="llama.cpp is not installed here. → pip install xllamacpp")
    assert said.author.kind is AuthorKind.NOTICE
    first, second = said.answer.split("\n\n")
    assert "This is the **twin**" in first
    assert "No model ran. llama.cpp is not installed here. → pip install" in first
    assert "kit.connect(" in second


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("explain MTP please!", "Explain multi-token prediction"),
        ("Why 16 H100s?", "Why sixteen H100s but eight H200s?"),
        ("What's the weather in Beijing, now?", "What's the weather in Beijing?"),
    ],
)
def test_a_notice_names_prompts_like_this_one_and_each_has_a_reply(asked: str, near: str) -> None:
    found = nearest(user(asked), [WEATHER])
    assert found[0] == near
    assert len(found) == 3
    for prompt in found:
        assert written(user(prompt), True, [WEATHER]).author.kind is AuthorKind.AUTHORED
    assert all(f"*{prompt}*" in notice(True, "", found).answer for prompt in found)


def test_what_is_near_is_what_this_request_could_be_answered() -> None:
    """About a picture, the questions about it; after a tool's result, what follows one."""
    about = nearest(user("What is on it?"), media=[picture("chart", 0)])
    assert all(reply_to(user(one), True, media=[picture("chart", 0)]) for one in about)
    assert any(
        "chart" in replies()[name].images
        for name in replies()
        if set(about) & set(replies()[name].wording)
    )
    unknown = nearest(user("What is on it?"), media=[picture("", 0)])
    assert unknown == ()
    turns = [*user("Weather?"), *answered("get_weather", "22 °C")]
    for prompt in nearest(turns, [WEATHER]):
        assert written([*user(prompt), *answered("get_weather", "22 °C")], True, [WEATHER])


def test_a_follow_up_is_answered_by_what_came_before() -> None:
    answer = {"role": "assistant", "content": "36"}
    after_36 = written([*user(FIFTEEN), answer, *user("And half of that?")], False)
    assert "**18**" in after_36.answer
    longer = [*user(FIFTEEN), answer, *user("And 20% of it?"), *user("And half of that?")]
    assert "**24**" in written(longer, False).answer
    assert reply_to(user("And half of that?"), False) is None


def test_a_tool_is_called_only_where_it_is_offered() -> None:
    asked = user("What's the weather in Beijing?")
    assert written(asked, True, [WEATHER]).calls[0].name == "get_weather"
    without = written(asked, True)
    assert (without.calls, without.author.kind) == ((), AuthorKind.AUTHORED)
    assert "tool" in without.answer


def test_arguments_are_those_that_the_schema_names() -> None:
    call = written(user("What's the weather in Beijing?"), True, [WEATHER]).calls[0]
    assert dict(call.arguments) == {"city": "Beijing"}
    unknown = json.loads(json.dumps(WEATHER))
    unknown["function"]["parameters"]["required"] = ["station_id"]
    assert written(user("What's the weather in Beijing?"), True, [unknown]).calls == ()


def test_a_tools_answer_is_passed_on_word_for_word() -> None:
    turns = [*user("What's the weather in Beijing?"), {"role": "tool", "content": "22 °C, haze"}]
    assert "22 °C, haze" in written(turns, True, [WEATHER]).answer


def told(name: str) -> str:
    """All that a reply says, thinking included."""
    reply = replies()[name]
    return "\n".join((reply.thinking, reply.answer, reply.instruct)).replace("\\,", ",")


def test_figures_in_the_replies_are_those_that_the_kit_computes() -> None:
    whole, memory = model("397b"), plan(profile("h200x8"))
    kv = f"{whole.kv_bytes_per_token(mtp=False):,} bytes"
    state = f"{memory.state_mib_per_request:.0f} MiB"
    weights = whole.weights_bytes("bf16")
    figures = {
        "kv_cache": [kv],
        "fewer_kv_bytes": [kv, state, f"takes {memory.slots_per_request} slots"],
        "active_parameters": [
            f"{whole.parameters().active / 1e9:.0f}B",
            f"{whole.num_experts} *experts*",
            f"**{whole.num_experts_per_tok} for each token**",
        ],
        "tensor_parallelism": [
            f"{weights / 2**30:.1f} GiB in BF16 become {weights / 2**33:.1f} GiB on each of eight",
            f"only {whole.num_key_value_heads} key-value heads",
        ],
        "multi_token_prediction": [
            f"printed {published('cookbook-latency').accept_length:.2f} of a possible "
            f"{profile('397b-bf16-h200x8').mtp.num_draft_tokens}"
        ],
        "sixteen_h100": [
            f"{weights / 1e9:.1f} GB",
            f"H100 ({gpu('h100').memory_gib:.1f} GiB)",
            f"H200 ({gpu('h200').memory_gib:.1f} GiB)",
            *(f"| {ranks} | {weights / ranks / 2**30:.1f} GiB |" for ranks in (8, 16)),
        ],
    }
    for name, found in figures.items():
        for figure in found:
            assert figure in told(name), (name, figure)


def test_what_the_replies_say_fits_is_what_the_kit_plans() -> None:
    """Lesson 02 finds the same: eight H100s are too few in BF16 and enough in FP8."""
    eight = plan(profile("397b-fp8-h100x8"))
    assert eight.starts
    for figure in (
        f"{eight.ranks[0].weights_gib:.1f} GiB on each of 8 ranks",
        f"{gpu('h100').memory_gib:.1f} GiB",
        f"{model('397b').weights_bytes('bf16') / 8 / 2**30:.1f} GiB",
        f"**{eight.max_running_requests} requests at once**",
        f"{eight.kv_tokens:,} tokens of KV cache",
    ):
        assert figure in told("eight_h100_fp8"), figure
    fit = {name: plan(profile(name)).starts for name in ("h200x8", "397b-bf16-h100x8", "h100x16")}
    assert fit == {"h200x8": True, "397b-bf16-h100x8": False, "h100x16": True}


def test_no_reply_says_that_the_kv_cache_decides_how_many_requests_run() -> None:
    """On Qwen3.5 the state slots do (lesson 02): on 8 H200s the KV cache would hold more."""
    memory = plan(profile("h200x8"))
    assert memory.slots // memory.slots_per_request == memory.max_running_requests
    assert "by the state slots" in told("kv_cache")
    assert "state slots that run out first" in told("fewer_kv_bytes")
    for name in replies():
        text = " ".join(told(name).split())
        assert not re.search(
            r"(?:cache|size)[^.;]{0,60}(?:decides|limits|sets) how many requests", text
        )


def test_the_injection_is_text_of_the_reply() -> None:
    answer = written(user("Show me an HTML injection"), False).answer
    assert "<script>alert(1)</script>" in answer
    assert "<img src=x onerror=alert(1)>" in answer


def test_a_prompt_in_the_chat_format_is_answered_as_a_conversation() -> None:
    turn = f"<|im_start|>user\n{FIFTEEN}<|im_end|>\n<|im_start|>assistant\n"
    opened = completion_of(turn + "<think>\n")
    assert opened is not None
    assert opened.thinking == replies()["percent"].thinking
    closed = completion_of(turn + "<think>\n\n</think>\n\n")
    assert closed is not None
    assert closed.thinking is None
    assert completion_of("Once upon a time") == filler()
    assert completion_of(turn.replace("15", "16")) is None


def test_a_script_says_the_reply_and_ends_the_turn() -> None:
    said = written(user(FIFTEEN), True)
    script = script_of(said, None)
    ids = [token.id for token in script.tokens]
    assert script.stop == Stop("stop", IM_END)
    assert vocabulary().decode(ids) == (f"{said.thinking}\n</think>\n\n{said.answer}<|im_end|>")
    thoughts = script.tokens[: script.thinking_tokens]
    assert text_of(thoughts).endswith("</think>")


def test_an_ignored_end_goes_on_to_the_last_token() -> None:
    script = script_of(written(user(FIFTEEN), False), 1000, ignore_eos=True)
    tokens = script.take(0, script.total)
    assert len(tokens) == 1000
    assert IM_END not in [token.id for token in tokens]
    assert script.stop == Stop("length")
    assert text_of(tuple(tokens)).count("As a check") > 5
    assert tuple(script.take(990, 10)) == tuple(tokens)[990:]


def test_a_stop_string_ends_it_before_itself_across_tokens() -> None:
    said = written(user(FIFTEEN), False)
    whole = text_of(script_of(said, None).tokens)
    stop = whole[30:47]  # begins and ends inside tokens
    script = script_of(said, None, stops=[stop])
    assert text_of(script.tokens) == whole[: whole.index(stop)]
    assert script.stop == Stop("stop", stop)
    assert script_of(said, None, stops=["not in there"]).stop == Stop("stop", IM_END)


def test_a_stop_token_ends_it_without_its_text() -> None:
    said = written(user(FIFTEEN), False)
    second = script_of(said, None).tokens[1].id
    script = script_of(said, None, stop_ids=[second])
    assert (script.total, script.stop) == (2, Stop("stop", second))
    assert script.tokens[1].text == ""


def test_fragments_of_a_call_are_a_name_and_then_its_json() -> None:
    said = written(user("What's the weather in Beijing and in Paris?"), False, [WEATHER])
    found = [f for token in script_of(said, None).tokens for f in token.fragments]
    assert [f.name for f in found if f.name] == ["get_weather", "get_weather"]
    for call, city in enumerate(["Beijing", "Paris"]):
        pieces = [f.arguments for f in found if f.call == call]
        assert pieces[:2] == ["", "{"]
        assert json.loads("".join(pieces)) == {"city": city, "unit": "celsius"}


def test_no_fragment_comes_before_its_piece_is_complete() -> None:
    said = written(user("What's the weather in Beijing?"), False, [WEATHER])
    text = ""
    for token in script_of(said, None).tokens:
        text += token.text
        for fragment in token.fragments:
            name = re.match(r'(?:, )?"(\w+)"', fragment.arguments)
            if name:
                assert re.search(rf"<parameter={name[1]}>.*?</parameter>", text, re.DOTALL)
    assert text.endswith("</tool_call><|im_end|>")
    assert {t.part for t in script_of(said, None).tokens} == {TokenPart.CALL, TokenPart.MARK}


def test_who_was_cut_has_no_end_of_its_own() -> None:
    script = script_of(AssistantTurn("All is said", "Half an ans", cut=True), None)
    assert script.stop == Stop("length")
    assert text_of(script.tokens).endswith("Half an ans")
    assert script_of(AssistantTurn(None, "Half an ans", cut=True), 1).stop == Stop("length")


def test_thinking_that_never_ended_is_all_thinking() -> None:
    script = script_of(AssistantTurn("On and on", "", cut=True, still_thinking=True), None)
    assert text_of(script.tokens) == "On and on"
    assert script.thinking_tokens == script.total


def test_a_call_that_never_ended_never_gets_its_last_brace() -> None:
    call = FunctionCall("get_weather", (("city", "Oslo"),), closed=False)
    script = script_of(AssistantTurn(None, "", (call,), cut=True), None)
    pieces = [f.arguments for token in script.tokens for f in token.fragments]
    assert "".join(pieces) == '{"city": "Oslo"'
    assert "</function>" not in text_of(script.tokens)


def test_arguments_may_be_lists_and_objects() -> None:
    call = FunctionCall("sort", (("items", [3, 1]), ("by", {"key": "size"})))
    script = script_of(AssistantTurn(None, "", (call,), Author(AuthorKind.POCKET)), None)
    pieces = [f.arguments for token in script.tokens for f in token.fragments]
    assert json.loads("".join(pieces)) == {"items": [3, 1], "by": {"key": "size"}}


def test_asked_for_nothing_one_token_is_computed_and_none_is_counted() -> None:
    script = script_of(written(user(FIFTEEN), True), 0)
    assert script.total == 1
    assert script.completion_tokens(1) == 0
    assert text_of(script.tokens) == ""
