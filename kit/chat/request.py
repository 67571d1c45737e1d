"""Messages → what is sent: the body of a request, and what of earlier turns stands in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kit.chat.content import THOUGHTS
from kit.chat.think_tags import CLOSE, OPEN

Message = dict[str, Any]
_MOST_PIECES = 102_400  # without max_tokens: a quarter over the most that Qwen3.5's cards advise


def request_body(
    model: str,
    messages: str | Sequence[Mapping[str, Any]],
    thinking: bool | None,
    tools: Sequence[Mapping[str, Any]] | None,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """The JSON that is sent. Parameters that are None are left out."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body: dict[str, Any] = {"model": model, "messages": [dict(m) for m in messages]}
    if tools:
        body["tools"] = [dict(tool) for tool in tools]
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    body |= {name: value for name, value in params.items() if name != "extra_body"}
    body |= params.get("extra_body") or {}
    if thinking is not None:
        template = body.get("chat_template_kwargs") or {}
        body["chat_template_kwargs"] = {**template, "enable_thinking": thinking}
    return {name: value for name, value in body.items() if value is not None}


def conversation(messages: Iterable[Message], *, preserve_thinking: bool = False) -> list[Message]:
    """The messages to send: answers without the thinking that led to them.

    Qwen3.5's cards ask for no thinking in the history: it costs context and helps nothing. A turn
    that is still open is kept whole, because between a tool call and its result the model goes on
    with the same thought. Qwen3.6 and later can use old thinking: `preserve_thinking=True`.
    """
    kept = [dict(message) for message in messages]
    if preserve_thinking:
        return kept
    closed = len(kept)
    if not kept or kept[-1].get("role") != "assistant" or kept[-1].get("tool_calls"):
        closed = max((i for i, m in enumerate(kept) if m.get("role") == "user"), default=0)
    return [_without_thinking(m) if i < closed else m for i, m in enumerate(kept)]


def _without_thinking(message: Message) -> Message:
    if message.get("role") != "assistant":
        return message
    content = message.get("content")
    if isinstance(content, str) and not any(message.get(name) for name in THOUGHTS):
        head, closed, rest = content.partition(CLOSE)
        if closed or head.lstrip().startswith(OPEN):
            message["content"] = rest.lstrip()
    return {key: value for key, value in message.items() if key not in THOUGHTS}


def most_pieces(body: Mapping[str, Any]) -> int:
    """How many pieces an answer may have: some servers send a token in several."""
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    return 4 * asked + 1024 if isinstance(asked, int) else _MOST_PIECES
