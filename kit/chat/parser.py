"""One chunk of the wire → events. Pure: no network, no clock, no screen.

What is known to arrive from OpenAI-compatible servers: thinking in a field called
`reasoning_content` (SGLang, vLLM) or `reasoning` (OpenRouter, newer vLLM), or inline in the
text; deltas that are empty or null; a usage chunk without choices; usage on every chunk; tool
calls in fragments, of which only the first has an id and a name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kit.chat.events import Event, Finish, Thinking, ToolCall, Usage
from kit.chat.think_tags import InlineThinking
from kit.errors import EndpointError


class Parser:
    """Turns the chunks of one streamed completion (choice 0) into events.

    `thinking` is what was asked for; it decides only how a `</think>` without its opening tag
    is read: as the end of thinking, unless thinking was switched off.
    """

    def __init__(self, thinking: bool | None = None) -> None:
        self._inline = InlineThinking(thinking)
        self._calls: dict[int, ToolCall] = {}
        self.finish_reason: str | None = None

    def feed(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Events of one chunk, in order. Raises `EndpointError` on an error object."""
        _refuse_errors(chunk)
        events: list[Event] = []
        for choice in chunk.get("choices") or ():
            if (choice.get("index") or 0) == 0:
                events += self._choice(choice)
        if usage := chunk.get("usage"):
            events.append(_usage(usage))
        return events

    def flush(self) -> list[Event]:
        """What was held back when the stream ended: half a tag that turned out to be text."""
        return self._inline.settle()

    def _choice(self, choice: Mapping[str, Any]) -> list[Event]:
        delta = choice.get("delta") or {}
        events: list[Event] = []
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            events += self._inline.settle()
            events.append(Thinking(thought))
        if text := delta.get("content"):
            events += self._inline.feed(text)
        for fragment in delta.get("tool_calls") or ():
            events += self._tool_call(fragment)
        if reason := choice.get("finish_reason"):
            self.finish_reason = reason
            events += self._inline.settle()
            events += [self._close(call) for call in self._calls.values() if not call.done]
            events.append(Finish(reason))
        return events

    def _tool_call(self, fragment: Mapping[str, Any]) -> list[Event]:
        index = fragment.get("index")
        if index is None:  # some providers number nothing and send each call whole, with its id
            index = len(self._calls) - (0 if fragment.get("id") or not self._calls else 1)
        function = fragment.get("function") or {}
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):  # an object where the wire wants its JSON
            arguments = json.dumps(arguments, ensure_ascii=False)
        before = self._calls.get(index) or ToolCall(index, "", "", "")
        call = ToolCall(
            index,
            before.id or fragment.get("id") or "",
            before.name or function.get("name") or "",
            before.arguments + arguments,
        )
        ended = [self._close(c) for c in self._calls.values() if c.index < index and not c.done]
        self._calls[index] = call
        return [*self._inline.settle(), *ended, call]

    def _close(self, call: ToolCall) -> ToolCall:
        done = ToolCall(call.index, call.id, call.name, call.arguments, done=True)
        self._calls[call.index] = done
        return done


def _usage(usage: Mapping[str, Any]) -> Usage:
    completion = usage.get("completion_tokens_details") or {}
    prompt = usage.get("prompt_tokens_details") or {}
    reasoning = usage.get("reasoning_tokens")  # SGLang's place; OpenAI's is the details
    return Usage(
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        reasoning_tokens=completion.get("reasoning_tokens") if reasoning is None else reasoning,
        cached_tokens=prompt.get("cached_tokens"),
    )


def _refuse_errors(chunk: Mapping[str, Any]) -> None:
    error = chunk if chunk.get("object") == "error" else chunk.get("error")
    if error:
        message = error.get("message") if isinstance(error, Mapping) else str(error)
        raise EndpointError(f"the server broke off: {message or 'no reason given'}", "ask again")
