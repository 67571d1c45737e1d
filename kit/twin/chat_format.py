"""A conversation as the text that Qwen3.5 reads: its chat format, rendered by us.

    <|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n<think>\\n

The layout is Qwen3.5's: turns, the thinking block opened or closed empty, tools in the system
turn, tool results in a user turn, thoughts kept only after the last question. The sentences that
explain tool calling to the model are our own; `UNSAID_WITH_TOOLS` is what the published ones count
more. tests/reference compares with the published template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]

# Tokens of Qwen3.5's vocabulary; the same whatever the tools.
UNSAID_WITH_TOOLS = 109

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
ROW = "<|vision_start|><|video_pad|><|vision_end|>"  # two frames of a video

MEDIA = ("image_url", "video_url")  # the content parts that are seen

TURN = "<|im_start|>assistant\n"  # where the model's turn begins
THINK = "<think>\n"  # and its thinking

_TOOLS = """\
# Tools

These functions can be called:

<tools>
{tools}
</tools>

To call one, write nothing but this, once for each call, after any words of explanation:

<tool_call>
<function=name_of_the_function>
<parameter=name_of_a_parameter>
its value
</parameter>
</function>
</tool_call>

Give every required parameter. Where no function helps, answer as you would without them."""


def render(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    thinking: bool = True,
    shown: Sequence[str] = (),
) -> str:
    """The prompt, up to the point where the assistant's turn goes on.

    `shown` stands for its pictures and videos, in their order.
    """
    turns = _with_text(messages, shown)
    system = []
    if tools:
        system.append(_TOOLS.format(tools="\n".join(_json(tool) for tool in tools)))
    if turns and turns[0].get("role") in ("system", "developer"):
        said = text_of(turns.pop(0)).strip()
        system += [said] if said or not tools else []
    out = [_turn("system", "\n\n".join(system))] if system else []
    question = max((i for i, m in enumerate(turns) if _asks(m)), default=-1)
    for i, message in enumerate(turns):
        role = message.get("role")
        if role == "assistant":
            out.append(_turn("assistant", _assistant(message, keep_thinking=i > question)))
        elif role in ("tool", "function"):
            before, after = turns[i - 1] if i else {}, turns[i + 1] if i + 1 < len(turns) else {}
            first = before.get("role") != role
            last = after.get("role") != role
            out.append("<|im_start|>user" if first else "")
            out.append(f"\n<tool_response>\n{text_of(message).strip()}\n</tool_response>")
            out.append("<|im_end|>\n" if last else "")
        else:
            said = text_of(message).strip()
            out.append(_turn("system" if role == "developer" else str(role), said))
    out.append(TURN)
    out.append(THINK if thinking else f"{THINK}\n</think>\n\n")
    return "".join(out)


def _asks(message: Message) -> bool:
    """Whether it is the user's question, and not a tool's answer that stands in such a turn."""
    text = text_of(message).strip()
    answer = text.startswith("<tool_response>") and text.endswith("</tool_response>")
    return message.get("role") == "user" and not answer


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


def video_text(rows: str) -> str:
    """A video in the prompt: its rows, a time stamp before each."""
    return f"<|vision_start|>{rows}<|vision_end|>"


def time_stamp(at_s: float) -> str:
    return f"<{at_s:.1f} seconds>"


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as the model writes it, from its `<tool_call>` to its `</tool_call>`.

    Only lists and objects are written as JSON: that is how the published template has it.
    """
    parameters = "".join(
        f"<parameter={key}>\n{_json(value) if isinstance(value, dict | list) else value}\n"
        "</parameter>\n"
        for key, value in arguments.items()
    )
    return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"


def _with_text(messages: Sequence[Message], shown: Sequence[str]) -> list[Message]:
    """The messages, each picture and video replaced by the text that stands for it."""
    texts = iter(shown)
    turns: list[Message] = []
    for message in messages:
        parts = parts_of(message)
        if any(part.get("type") in MEDIA for part in parts):
            said = (
                next(texts) if part.get("type") in MEDIA else str(part.get("text", ""))
                for part in parts
            )
            message = {**message, "content": "".join(said)}
        turns.append(message)
    return turns


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def _assistant(message: Message, keep_thinking: bool) -> str:
    text = text_of(message).strip()
    thoughts = message.get("reasoning_content")
    if not isinstance(thoughts, str):
        before, tag, after = text.rpartition("</think>")
        thoughts = before.removeprefix("<think>") if tag else ""
        text = after.lstrip("\n")
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    text = "\n\n".join(filter(None, [text, "\n".join(calls)]))
    return f"<think>\n{thoughts.strip()}\n</think>\n\n{text}" if keep_thinking else text


def _call(call: Mapping[str, Any]) -> str:
    function = call.get("function") or {}
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = {"arguments": arguments}
    return call_text(str(function.get("name", "")), arguments)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
