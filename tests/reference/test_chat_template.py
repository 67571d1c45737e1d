"""The twin's prompts, and the pocket model's, against Qwen3.5's published chat template.

`trl` carries it (trl/chat_templates/qwen3_5_think.jinja, "as shipped by Qwen3.5-4B and larger").
Only the sentences that explain tool calling differ: ours are our own, shorter by a fixed count.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.metadata import distribution
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from kit.pocket import WEIGHTS
from kit.twin.chat_format import render, unsaid_tokens
from kit.twin.protocol import ChatCompletionRequest
from kit.twin.request import conversation
from kit.twin.tokenizer import vocabulary

POCKET = WEIGHTS / "chat_template.jinja"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city: “now”",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
SEND = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}
STRICT = {"type": "function", "function": {**SEND["function"], "description": "", "strict": True}}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str, *calls: dict[str, Any], thoughts: str | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    message |= {"tool_calls": list(calls)} if calls else {}
    return message | ({"reasoning_content": thoughts} if thoughts is not None else {})


def result(text: str) -> dict[str, Any]:
    return {"role": "tool", "content": text}


SYSTEM = {"role": "system", "content": " Be brief.\n"}
TALKS: dict[str, list[dict[str, Any]]] = {
    "a question": [user("Hi")],
    "with space around it": [user("\n  What is 15% of 240?  \n")],
    "under a system message": [SYSTEM, user("Hi")],
    "under an empty one": [{"role": "system", "content": ""}, user("Hi")],
    "a second question": [user("Hi"), said("Hello!"), user("And 20%?")],
    "thoughts of the past go": [user("Hi"), said("Hello!", thoughts="Greet."), user("Why?")],
    "thoughts in the text go": [
        user("Hi"),
        said("<think>\nGreet.\n</think>\n\nHello!"),
        user("Hm"),
    ],
    "text in parts": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}],
        }
    ],
    "a call answered": [user("Rain?"), said("", call("get_weather", city="Beijing")), result("22")],
    "its thoughts stay": [
        user("Rain?"),
        said("", call("get_weather", city="Beijing", days=2), thoughts="\nLook it up.\n"),
        result("22 °C\n"),
    ],
    "words before the call": [
        user("Rain?"),
        said("I look.", call("get_weather", city="Oslo")),
        result("3"),
    ],
    "two calls": [
        user("Rain?"),
        said("", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
        result("3"),
        result("19"),
    ],
    "other types": [
        user("Send it"),
        said(
            "", call("send", to=["Ana", "Ben"], body={"text": "hé"}, now=True, at=None, share=0.5)
        ),
        result("sent"),
    ],
    "a call of the past": [
        user("Rain?"),
        said("", call("get_weather", city="Oslo"), thoughts="Look it up."),
        result("3"),
        said("3 degrees.", thoughts="Tell."),
        user("Thanks!"),
    ],
    "two rounds": [
        user("Rain?"),
        said("", call("get_weather", city="Oslo"), thoughts="One."),
        result("error"),
        said("", call("get_weather", city="Rome"), thoughts="Two."),
        result("19"),
    ],
}
CASES = list(product(TALKS, (True, False)))


@cache
def published() -> str:
    folder = Path(str(distribution("trl").locate_file("trl")))
    return (folder / "chat_templates" / "qwen3_5_think.jinja").read_text()


def filled(template: str, messages: Any, tools: Any, thinking: bool) -> str:
    ((text,), _) = render_jinja_template(
        [messages],
        tools=tools or None,
        chat_template=template,
        add_generation_prompt=True,
        enable_thinking=thinking,
    )
    return str(text)


def bare(text: str) -> str:
    """A prompt without the sentences that explain tool calling; a system message stays."""
    explained, rest = text.split("</tools>\n\n", 1)
    own = re.search(r"(?:</IMPORTANT>|without them\.)(.*?<\|im_end\|>.*)", rest, re.DOTALL)
    assert own, text
    return explained.split("<tools>")[1] + own[1]


def test_there_are_thirty_conversations() -> None:
    assert len(CASES) == 30


@pytest.mark.parametrize("ours", ["the twin", "the pocket model"])
@pytest.mark.parametrize(("name", "thinking"), CASES)
def test_prompts_are_those_of_the_published_template(name: str, thinking: bool, ours: str) -> None:
    messages = TALKS[name]
    tools = [WEATHER, SEND] if any(m["role"] == "tool" for m in messages) else []
    theirs = filled(published(), messages, tools, thinking)
    if ours == "the twin":
        text = render(messages, tools, thinking)
    else:
        text = filled(POCKET.read_text(), messages, tools, thinking)
    if tools:
        theirs, text = bare(theirs), bare(text)
    assert text == theirs


@pytest.mark.parametrize(
    "tools", [[WEATHER], [WEATHER, SEND], [SEND] * 9, [STRICT], [STRICT, WEATHER], []]
)
@pytest.mark.parametrize("system", [True, False])
def test_what_is_left_unsaid_about_tools_is_counted(tools: list[Any], system: bool) -> None:
    messages = [SYSTEM, user("Hi")] if system else [user("Hi")]
    count = vocabulary().encode
    theirs = len(count(filled(published(), messages, tools, True)))
    assert theirs == len(count(render(messages, tools))) + unsaid_tokens(tools)


def test_arguments_may_come_as_text() -> None:
    """As OpenAI's clients send them back; SGLang turns them into objects first, and so do we."""
    talk = TALKS["a call answered"]
    sent = json.loads(json.dumps(talk))
    function = sent[1]["tool_calls"][0]["function"]
    function["arguments"] = json.dumps(function["arguments"])
    asked = ChatCompletionRequest.model_validate({"messages": sent, "tools": [WEATHER]})
    assert render(conversation(asked), [WEATHER]) == render(talk, [WEATHER])
