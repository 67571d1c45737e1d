"""The wire of /v1/chat/completions: what each step's tokens look like in SGLang's chunks.

    role → thinking … → answer … → tool call: name, "{", a parameter each, "}" → finish → usage

Keys, their order and their nulls are those of SGLang 0.5.23 (tests/conformance).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from kit.twin.protocol import ChatCompletionRequest
from kit.twin.sse import DONE, Outlet, dumps, event
from kit.twin.token_script import Fragment, Part, Script, Stop, Token

Json = dict[str, Any]


def usage(
    prompt: int, completion: int, reasoning: int, vision: Mapping[str, int] | None = None
) -> Json:
    """SGLang's usage object; the prefix cache is reported nowhere unless it is asked for.

    `vision` counts `image_tokens` and `video_tokens`, where there are any.
    """
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": 0, **vision} if vision else None,
        "reasoning_tokens": reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning} if reasoning else None,
    }


def metadata(completion: int) -> Json:
    version = {"version": "default", "start": 0, "end": completion}
    return {"weight_version": "default", "weight_versions": [version]}


class ChatResponse:
    """One response, of `ask.n` choices. Choices give their tokens to it; it writes the outlet."""

    def __init__(
        self,
        ask: ChatCompletionRequest,
        script: Script,
        prompt_tokens: int,
        outlet: Outlet,
        vision: Mapping[str, int] | None = None,
    ) -> None:
        self.outlet = outlet
        self.ask = ask
        self.script = script
        self.prompt_tokens = prompt_tokens
        self._vision = vision
        self.created = int(time.time())
        self.choices = [Choice(self, index) for index in range(max(ask.n, 1))]
        self._ended: list[Choice] = []

    def end(self, choice: Choice) -> None:
        """A choice has said everything; after the last of them the response is completed."""
        self._ended.append(choice)
        if len(self._ended) < len(self.choices):
            return
        if self.ask.stream:
            self.outlet.put(b"".join(self._finale(choice.rid)))
        else:
            self.outlet.put(dumps(self._whole()))
        self.outlet.close()

    def chunk(self, rid: str, choices: list[Json], more: Json | None = None) -> bytes:
        return event(
            {
                "id": rid,
                "object": "chat.completion.chunk",
                "created": self.created,
                "model": self.ask.model,
                "choices": choices,
                **(more or {}),
            }
        )

    def _finale(self, rid: str) -> list[bytes]:
        chunks = [
            self.chunk(rid, [delta(c.index, {"reasoning_content": None}, c.stop)])
            for c in self._ended
        ]
        if self.ask.include_usage:
            chunks.append(self.chunk(rid, [], {"usage": self._usage()}))
        return [*chunks, DONE]

    def _usage(self) -> Json:
        return usage(
            self.prompt_tokens,
            sum(choice.completion_tokens for choice in self.choices),
            sum(choice.reasoning_tokens for choice in self.choices),
            self._vision,
        )

    def _whole(self) -> Json:
        first = self.choices[0]
        return {
            "id": first.rid,
            "object": "chat.completion",
            "created": self.created,
            "model": self.ask.model,
            "choices": [choice.whole() for choice in self.choices],
            "usage": self._usage(),
            "metadata": metadata(first.completion_tokens),
        }


def delta(index: int, what: Json, stop: Stop | None = None) -> Json:
    return {
        "index": index,
        "delta": what,
        "logprobs": None,
        "finish_reason": stop.reason if stop else None,
        "matched_stop": stop.matched if stop else None,
    }


class Choice:
    """One generation of a response; the engine gives it tokens."""

    def __init__(self, response: ChatResponse, index: int) -> None:
        self.rid = uuid.uuid4().hex
        self.index = index
        self.given = 0
        self._response = response
        self._aborted = False
        self._thoughts = ""  # held back until they end, where stream_reasoning is off
        self._ready = b""
        self._finished = False

    @property
    def completion_tokens(self) -> int:
        return self._response.script.completion_tokens(self.given)

    @property
    def reasoning_tokens(self) -> int:
        return self._response.script.reasoning_tokens(self.given)

    @property
    def stop(self) -> Stop:
        if self._aborted:
            return Stop("abort")
        stop = self._response.script.stop
        return stop._replace(reason="tool_calls") if self._calls_end(stop) else stop

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        first = self.given == 0
        new = self._response.script.take(self.given, tokens)
        self.given += tokens
        self._finished = finished
        if self._response.ask.stream:
            chunks = self._role() if first else []
            self._ready = b"".join([*chunks, *self._chunks(new)])

    def deliver(self, due_s: float) -> None:
        if self._ready:
            self._response.outlet.put(self._ready, due_s)
            self._ready = b""
        if self._finished:
            self._response.end(self)

    def abort(self) -> None:
        self._aborted = True
        self._response.end(self)

    def whole(self) -> Json:
        """The choice of a response that is not streamed."""
        tokens = self._response.script.take(0, self.given)
        thoughts, answer, fragments = self._sort(tokens)
        message: Json = {
            "role": "assistant",
            "content": answer,
            "reasoning_content": thoughts or None,
        }
        stop = self.stop
        if fragments:
            message["content"] = _before_calls(tokens)
            message["tool_calls"] = _joined(fragments)
            stop = stop._replace(matched=None)
        return {
            "index": self.index,
            "message": message,
            "logprobs": None,
            "finish_reason": stop.reason,
            "matched_stop": stop.matched,
        }

    def _role(self) -> list[bytes]:
        what = {"reasoning_content": None, "role": "assistant", "content": ""}
        return [self._response.chunk(self.rid, [delta(self.index, what)])]

    def _chunks(self, tokens: Sequence[Token]) -> list[bytes]:
        thoughts, answer, fragments = self._sort(tokens)
        if not self._response.ask.stream_reasoning:
            self._thoughts += thoughts
            thinking = self.reasoning_tokens == self.given and not self._finished
            thoughts = "" if thinking else self._thoughts
            self._thoughts = "" if thoughts else self._thoughts
        chunks = []
        if thoughts:
            chunks.append(self._plain({"reasoning_content": thoughts}))
        if answer and not self._response.ask.callable_tools:
            chunks.append(self._plain({"reasoning_content": None, "content": answer}))
        elif answer:
            chunks.append(self._parsed(content=answer))
        for fragment in fragments:
            chunks.append(self._parsed(call=_call(fragment)))
        return chunks

    def _sort(self, tokens: Sequence[Token]) -> tuple[str, str, list[Fragment]]:
        """The thinking, the answer and the tool call fragments of some tokens."""
        apart = self._response.ask.separate_reasoning
        thoughts, answer = "", ""
        fragments: list[Fragment] = []
        for token in tokens:
            if token.part is Part.THINKING and apart:
                thoughts += token.text
            elif token.part in (Part.THINKING, Part.ANSWER):
                answer += token.text
            elif token.part is Part.CALL:
                fragments += token.fragments
            elif token.text == "</think>" and not apart:
                answer += token.text
        return thoughts, answer, fragments

    def _plain(self, what: Json) -> bytes:
        """A chunk as it is where no tool parser runs: usage only where it is asked for."""
        more = {"usage": self._so_far()} if self._response.ask.continuous_usage else None
        return self._response.chunk(self.rid, [delta(self.index, what)], more)

    def _parsed(self, content: str | None = None, call: Json | None = None) -> bytes:
        """A chunk out of the tool parser: every field is there, null or not."""
        what: Json = {"role": None, "content": content, "reasoning_content": None}
        if call is not None:
            what["tool_calls"] = [call]
        counts = self._so_far() if self._response.ask.continuous_usage else None
        return self._response.chunk(self.rid, [delta(self.index, what)], {"usage": counts})

    def _so_far(self) -> Json:
        return usage(self._response.prompt_tokens, self.completion_tokens, self.reasoning_tokens)

    def _calls_end(self, stop: Stop) -> bool:
        """Whether the generation ended by itself, with tool calls."""
        if stop.reason != "stop" or not self._response.ask.callable_tools:
            return False
        return any(token.fragments for token in self._response.script.tokens)


def _call(fragment: Fragment) -> Json:
    """A fragment on the wire. Only the first of a call has an id and a name."""
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}" if fragment.name else None,
        "index": fragment.call,
        "type": "function",
        "function": {"name": fragment.name, "arguments": fragment.arguments},
    }


def _joined(fragments: Sequence[Fragment]) -> list[Json]:
    calls: list[Json] = []
    for fragment in fragments:
        if fragment.name:
            calls.append(_call(fragment))
        else:
            calls[-1]["function"]["arguments"] += fragment.arguments
    return calls


def _before_calls(tokens: Sequence[Token]) -> str:
    text = ""
    for token in tokens:
        if token.part is Part.CALL:
            break
        text += token.text if token.part is Part.ANSWER else ""
    return text
