"""One chunk of the wire → events. Pure: no network, no clock, no screen.

What is known to arrive from OpenAI-compatible servers: thinking in a field called
`reasoning_content` (SGLang, vLLM) or `reasoning` (OpenRouter, newer vLLM), or inline in the
text, or both; content as a list of parts; deltas that are empty or null; a whole message where
the delta should be; a usage chunk without choices; usage on every chunk; errors in six shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kit.chat import content
from kit.chat.call_fragments import Calls, fragment
from kit.chat.errors import broken_off
from kit.chat.events import Answer, Event, Finish, Thinking, Usage
from kit.chat.think_tags import InlineThinking

LEAST_ECHO = 40  # characters: a short thought may well be the answer
_MOST_TOKENS = 10**12  # beyond it, a number is no count
_ERROR_KEYS = ("message", "detail", "msg")


class Parser:
    """Turns the chunks of one streamed completion (choice 0) into events.

    `thinking` is what was asked for; it decides only how a `</think>` without its opening tag
    is read: as the end of thinking, unless thinking was switched off. `unread` names what was left
    out, in order: the types of content parts that held no text, the keys whose value had a shape
    that nobody can read. `late` once text came after the end of the answer.
    """

    def __init__(self, thinking: bool | None = None) -> None:
        self._inline = InlineThinking(thinking)
        self._calls = Calls()
        self._thoughts, self._texts = content.Increment(), content.Increment()
        self._characters = {"text": content.Characters(), "thinking": content.Characters()}
        self._thought: list[str] = []
        self._answered = False
        self.unread: dict[str, None] = {}
        self.late = False
        self.finish_reason: str | None = None

    def feed(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Events of one chunk, in order. Raises `EndpointError` on an error object."""
        _refuse(_error_in(chunk))
        events: list[Event] = []
        for choice in self._objects("choices", chunk.get("choices")):
            if (choice.get("index") or 0) in (0, "0"):
                _refuse(choice.get("error"))
                events += self._choice(choice)
        if isinstance(usage := chunk.get("usage"), Mapping) and usage:
            events.append(_usage(usage))
        return events

    def flush(self) -> list[Event]:
        """What was held back when the stream ended: half a tag, a call whose end did not come."""
        events: list[Event] = []
        if half := self._characters["thinking"].rest():
            events.append(Thinking(half))
        if half := self._characters["text"].rest():
            events += self._inline.feed(half)
        return [*events, *self._inline.settle(), *self._calls.close()]

    @property
    def mangled(self) -> bool:
        """Whether a character arrived broken, and stands as U+FFFD."""
        return any(one.mangled for one in self._characters.values())

    @property
    def repeated(self) -> bool:
        """Whether the server sent all of the text again with each chunk."""
        return self._thoughts.repeated or self._texts.repeated

    def _choice(self, choice: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        delta = self._delta(choice)
        if thought := self._thoughts.of(content.thought(delta)):
            events += self._think(thought)
        events += self._content(delta)
        for key in ("function_call", "tool_calls"):
            for sent in self._objects(key, delta.get(key)):
                events += [*self._inline.settle(), *self._calls.add(fragment(sent))]
        self.late |= self.finish_reason is not None and bool(events)
        if reason := choice.get("finish_reason"):
            events += self._finish(reason)
        return events

    def _delta(self, choice: Mapping[str, Any]) -> Mapping[str, Any]:
        """The delta; the whole message of a server that does not stream, where nothing came yet."""
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, Mapping) and delta:
            return delta
        if isinstance(delta, str | list):
            return {"content": delta}
        if delta and not isinstance(delta, Mapping):
            self.unread["delta"] = None
        if isinstance(message, Mapping) and not (self._answered or self._thought or self._calls):
            return message
        return {"content": choice.get("text")}

    def _objects(self, key: str, sent: Any) -> Iterator[Mapping[str, Any]]:
        """The objects of a list, or the one that stands there alone."""
        for one in sent if isinstance(sent, list) else [sent]:
            if isinstance(one, Mapping) and one:
                yield one
            elif one and not isinstance(one, Mapping):
                self.unread[key] = None

    def _think(self, text: str) -> list[Event]:
        text = self._characters["thinking"].of(text)
        self._thought.append(text)
        return [*self._inline.thinking_apart(), *([Thinking(text)] if text else [])]

    def _content(self, delta: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        for kind, text in content.pieces(delta.get("content") or delta.get("refusal")):
            if kind == "unread":
                self.unread[_word(text)] = None
            elif kind == "thinking":
                events += self._think(text)
            elif self._answered or not self._is_echo(text):
                found = self._inline.feed(self._characters["text"].of(self._texts.of(text)))
                self._answered |= any(isinstance(one, Answer) for one in found)
                events += found
        return events

    def _is_echo(self, text: str) -> bool:
        """Whether it is all of the thinking once more: some servers send that as the answer where
        the thinking was cut off."""
        return len(text) >= LEAST_ECHO and text.strip() == "".join(self._thought).strip()

    def _finish(self, reason: Any) -> list[Event]:
        if isinstance(reason, Mapping):  # SGLang's own: {"type": "abort", "message": …}
            reason = reason.get("type") or "unknown"
        reason = _word(reason)
        events: list[Event] = [*self._inline.settle(), *self._calls.close()]
        if reason != self.finish_reason:
            events.append(Finish(reason))
        self.finish_reason = reason
        return events


def _word(sent: Any) -> str:
    """A server's word for something, short and on one line."""
    return " ".join(content.characters(str(sent)[:80]).split())


def _usage(usage: Mapping[str, Any]) -> Usage:
    completion = usage.get("completion_tokens_details") or {}
    prompt = usage.get("prompt_tokens_details") or {}
    reasoning = _count(usage, "reasoning_tokens")  # SGLang's place; OpenAI's is the details
    return Usage(
        prompt_tokens=_count(usage, "prompt_tokens") or 0,
        completion_tokens=_count(usage, "completion_tokens") or 0,
        reasoning_tokens=_count(completion, "reasoning_tokens") if reasoning is None else reasoning,
        cached_tokens=_count(prompt, "cached_tokens"),
    )


def _count(source: Any, name: str) -> int | None:
    """A number of tokens; None where there is none, or something else."""
    try:
        count = int(source.get(name))
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return count if 0 <= count < _MOST_TOKENS else None


def _error_in(chunk: Mapping[str, Any]) -> Any:
    """The error that a chunk is or has; nothing where it is an answer's."""
    error = chunk.get("error") or chunk.get("errors")
    flat = chunk.get("object") == "error" or not chunk.keys() & {"choices", "usage"}
    return error or (flat and any(chunk.get(key) for key in _ERROR_KEYS) and chunk)


def _refuse(error: Any) -> None:
    """Raises EndpointError for an error in whatever shape."""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, Mapping) and error:
        message = next((error[key] for key in _ERROR_KEYS if error.get(key)), "no reason given")
        raise broken_off(str(message), error.get("code"))
    if error:
        raise broken_off(str(error))
