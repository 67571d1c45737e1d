"""A conversation as the text that Qwen3.5 reads, from `chat_template.jinja` of the pocket model.

    <|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n<think>\\n

The template is rendered as transformers renders one, and its layout is that of Qwen3.5's published
template (tests/reference compares the two). Only its sentences about tools are our own, and
shorter: `unsaid_tokens` is what the published ones count more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from kit import load_data
from kit.twin.tokenizer import vocabulary

if TYPE_CHECKING:
    from jinja2 import Template

Message = Mapping[str, Any]

UNSAID_WITH_TOOLS = 109  # tokens of the published sentences less those of ours

MEDIA = ("image_url", "video_url")  # the content parts that are seen
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
ROW = "<|vision_start|><|video_pad|><|vision_end|>"  # two frames of a video

TURN = "<|im_start|>assistant\n"  # where the model's turn begins
THINK = "<think>\n"  # and its thinking


def render(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    thinking: bool = True,
    media: Sequence[str] = (),
) -> str:
    """The prompt, up to where the assistant's turn goes on.

    `media` are the texts that stand for the images and videos, in their order. Arguments of tool
    calls are objects.
    """
    return template().render(
        messages=_text_only(messages, media),
        tools=list(tools) or None,
        add_generation_prompt=True,
        enable_thinking=thinking,
    )


@cache
def template() -> Template:
    """The chat template, in the environment that transformers gives one."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _json
    return environment.from_string(load_data.text("pocket/chat_template.jinja"))


@cache
def _macros() -> Any:
    """The template's macros; it can be run only with a message."""
    return template().make_module({"messages": [{"role": "user", "content": ""}]})


def unsaid_tokens(tools: Sequence[Mapping[str, Any]]) -> int:
    """How many tokens the published template would need more for these tools: its sentences are
    longer, and it shows every key of a tool."""
    if not tools:
        return 0
    prompt = render([{"role": "user", "content": ""}], tools)
    shown = prompt.partition("<tools>\n")[2].rpartition("\n</tools>")[0]
    given = "\n".join(map(_json, tools))
    count = vocabulary().encode
    return UNSAID_WITH_TOOLS + (0 if given == shown else len(count(given)) - len(count(shown)))


def text_of(message: Message) -> str:
    """The text of a message: its string, or its text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in parts_of(message))


def parts_of(message: Message) -> list[Mapping[str, Any]]:
    """The content parts of a message; none where it is a string."""
    content = message.get("content")
    if isinstance(content, str) or not isinstance(content, Sequence):
        return []
    return [part for part in content if isinstance(part, Mapping)]


def offered(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Functions by name, each with the JSON schema of its parameters; empty where it has none."""
    functions = [f for tool in tools if isinstance(f := tool.get("function"), Mapping)]
    schemas = {str(f.get("name")): f.get("parameters") for f in functions}
    return {name: one if isinstance(one, Mapping) else {} for name, one in schemas.items()}


def video_text(rows: str) -> str:
    """A video in the prompt: its rows, a time stamp before each."""
    return f"<|vision_start|>{rows}<|vision_end|>"


def time_stamp(at_s: float) -> str:
    return f"<{at_s:.1f} seconds>"


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as the model writes it, from its `<tool_call>` to its `</tool_call>`."""
    return str(_macros().call_text({"name": name, "arguments": arguments}))


def _text_only(messages: Sequence[Message], media: Sequence[str]) -> list[Message]:
    """The messages as the template knows them: media replaced by text, one role for results."""
    texts = iter(media)
    turns = []
    for message in messages:
        parts = parts_of(message)
        if any(part.get("type") in MEDIA for part in parts):
            texts_of_parts = (
                next(texts) if part.get("type") in MEDIA else str(part.get("text", ""))
                for part in parts
            )
            message = {**message, "content": "".join(texts_of_parts)}
        turns.append({**message, "role": "tool"} if message.get("role") == "function" else message)
    return turns


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
