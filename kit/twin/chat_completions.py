"""/v1/chat/completions: a conversation → its answer, in SGLang's chunks.

    role → thinking … → answer … → tool call: name, "{", a parameter each, "}" → finish → usage

Keys, their order and their nulls are those of SGLang 0.5.23 (tests/conformance).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from kit.twin import request as incoming
from kit.twin.authored import (
    MEASURES_TIME,
    NOT_CLAIMED,
    SEES_NOTHING,
    AssistantTurn,
    nearest,
    notice,
    reply_to,
)
from kit.twin.body import read_json
from kit.twin.chat_format import Message, parts_of
from kit.twin.errors import bad_request, error
from kit.twin.pocket_questions import is_claimed
from kit.twin.protocol import ChatCompletionRequest
from kit.twin.server import Twin
from kit.twin.sse import DONE, ResponseWriter, dumps, event
from kit.twin.token_script import CallFragment, Stop, Token, TokenPart, TokenScript, script_of

if TYPE_CHECKING:
    from kit.twin.media import MediaItem

Json = dict[str, Any]


async def serve(twin: Twin, request: Request) -> Any:
    """The ASGI response to a request. Raises Refused."""
    asked = incoming.chat(await read_json(request), twin.context_length)
    wrong = incoming.bad_regex(asked.regex)
    if wrong is not None:
        if not asked.stream:
            raise bad_request(wrong)  # SGLang compiles it late: a stream has already begun
        return twin.event_response(json.dumps({"error": error(wrong, "BAD_REQUEST")}).encode())
    messages, sampling = incoming.conversation(asked), incoming.sampling(asked)
    media, thinking = await _media(messages, twin), asked.thinking(twin.thinks)
    text, tokens = await twin.chat_prompt(
        messages,
        asked.callable_tools,
        thinking,
        [one.text for one in media],
        request.state.body_bytes,
    )
    tokens += sum(one.missing for one in media)
    incoming.check_length(tokens, sampling, twin.context_length)
    turn = _known_answer(asked, messages, thinking, media)
    if turn is None:
        near = partial(nearest, messages, asked.callable_tools, asked.must_call, media)
        how = (thinking, asked.callable_tools, asked.must_call)
        turn = await twin.pocket.write(text, *how, near=near)
    script = script_of(turn, **vars(sampling))
    asked.messages = []  # they may be large, and the response needs them no more
    response = ChatResponse(asked, script, tokens, ResponseWriter(), _vision_tokens(media))
    arrived_s = request.state.arrived_s + turn.held_s
    seen = sum(response.vision.values()), sum(one.pieces for one in media)
    return twin.run(
        response.choices,
        response.writer,
        script,
        tokens,
        asked.stream,
        arrived_s,
        *seen,
        request=request,
    )


async def _media(messages: Sequence[Message], twin: Twin) -> tuple[MediaItem, ...]:
    """The images and videos. kit.vision is loaded only for them."""
    if all(part.get("type") == "text" for message in messages for part in parts_of(message)):
        return ()
    from kit.twin.media import load_media

    return await load_media(messages, twin.context_length)


def _vision_tokens(media: Sequence[MediaItem]) -> dict[str, int]:
    """`image_tokens` and `video_tokens` of the usage object: only those that there are."""
    kinds = dict.fromkeys(one.kind for one in media)
    return {f"{kind}_tokens": sum(s.tokens for s in media if s.kind == kind) for kind in kinds}


def _known_answer(
    asked: ChatCompletionRequest,
    messages: Sequence[Message],
    thinking: bool,
    media: Sequence[MediaItem],
) -> AssistantTurn | None:
    """The authored reply, or the notice where no model is asked; None where one is."""
    turn = reply_to(messages, thinking, asked.callable_tools, asked.must_call, media)
    if turn is not None:
        return turn
    if asked.ignore_eos and not media:
        return notice(thinking, MEASURES_TIME)
    if not media and is_claimed(messages, asked.callable_tools, asked.must_call):
        return None
    near = nearest(messages, asked.callable_tools, asked.must_call, media)
    return notice(thinking, SEES_NOTHING if media else NOT_CLAIMED, near)


def usage(
    script: TokenScript, prompt: int, given: Sequence[int], vision: Json | None = None
) -> Json:
    """SGLang's usage object, after `given` tokens of each choice. The prefix cache is not reported:
    that has to be switched on. `vision` has `image_tokens` and `video_tokens`, where there are any.
    """
    completion = sum(map(script.completion_tokens, given))
    reasoning = sum(map(script.reasoning_tokens, given))
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


@dataclass(eq=False)
class ChatResponse:
    """One response of `n` choices, which write their chunks through it."""

    asked: ChatCompletionRequest
    script: TokenScript
    prompt_tokens: int
    writer: ResponseWriter
    vision: Json

    def __post_init__(self) -> None:
        self.created = int(time.time())
        self.choices = [Choice(self, index) for index in range(max(self.asked.n, 1))]
        self._ended: list[Choice] = []

    def end(self, choice: Choice, due_s: float | None = None) -> None:
        """A choice has ended; the last one completes the response."""
        self._ended.append(choice)
        if len(self._ended) < len(self.choices):
            return
        if self.asked.stream:
            self.writer.put(b"".join(self._finale(choice.rid)))
        else:
            self.writer.put(dumps(self._whole()), due_s)
        self.writer.close()

    def body(self, kind: str, rid: str, choices: list[Json], **more: Json | None) -> Json:
        return {
            "id": rid,
            "object": kind,
            "created": self.created,
            "model": self.asked.model,
            "choices": choices,
            **more,
        }

    def chunk(self, rid: str, choices: list[Json], **more: Json | None) -> bytes:
        return event(self.body("chat.completion.chunk", rid, choices, **more))

    def _finale(self, rid: str) -> list[bytes]:
        chunks = [
            self.chunk(rid, [entry(c.index, "delta", {"reasoning_content": None}, c.stop)])
            for c in self._ended
        ]
        if self.asked.include_usage:
            chunks.append(self.chunk(rid, [], usage=self._usage()))
        return [*chunks, DONE]

    def _usage(self) -> Json:
        given = [choice.given for choice in self.choices]
        return usage(self.script, self.prompt_tokens, given, self.vision)

    def _whole(self) -> Json:
        first, choices = self.choices[0], [choice.whole() for choice in self.choices]
        counts, version = self._usage(), metadata(self.script.completion_tokens(first.given))
        return self.body("chat.completion", first.rid, choices, usage=counts, metadata=version)


def entry(index: int, kind: str, what: Json, stop: Stop | None = None) -> Json:
    """A choice in JSON; `kind` is delta or message."""
    return {
        "index": index,
        kind: what,
        "logprobs": None,
        "finish_reason": stop.reason if stop else None,
        "matched_stop": stop.matched if stop else None,
    }


def response_id(turn: AssistantTurn) -> str:
    """32 hex digits, as SGLang's ids; the first twelve say what kind of author wrote the answer."""
    mark = turn.author.kind.mark
    return mark + uuid.uuid4().hex[len(mark) :]


@dataclass(eq=False)
class Choice:
    """One generation of a response, which the engine gives its tokens."""

    response: ChatResponse
    index: int
    given: int = 0
    ready: bytes = b""
    thoughts: str = ""  # collected until they end, where stream_reasoning is off
    finished: bool = False
    aborted: bool = False

    def __post_init__(self) -> None:
        self.rid = response_id(self.response.script.turn)

    @property
    def stop(self) -> Stop:
        """Why it ends; with tool calls, where it ended by itself after some."""
        if self.aborted:
            return Stop("abort")
        script = self.response.script
        if script.stop.reason != "stop" or not self.response.asked.callable_tools:
            return script.stop
        called = any(token.fragments for token in script.tokens)
        return script.stop._replace(reason="tool_calls") if called else script.stop

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        first = self.given == 0
        new = self.response.script.take(self.given, tokens)
        self.given += tokens
        self.finished = finished
        if self.response.asked.stream:
            what = {"reasoning_content": None, "role": "assistant", "content": ""}
            role = [self._delta(what)] if first else []
            self.ready = b"".join([*role, *self._chunks(new)])

    def deliver(self, due_s: float) -> None:
        if self.ready:
            self.response.writer.put(self.ready, due_s)
            self.ready = b""
        if self.finished:
            self.response.end(self, due_s)

    def abort(self) -> None:
        self.aborted = True
        self.response.end(self)

    def drop(self) -> None:
        self.response.writer.drop()

    def whole(self) -> Json:
        """The choice of a response that is not streamed."""
        tokens = self.response.script.take(0, self.given)
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
        return entry(self.index, "message", message, stop)

    def _chunks(self, tokens: Sequence[Token]) -> list[bytes]:
        thoughts, answer, fragments = self._sort(tokens)
        if not self.response.asked.stream_reasoning:
            self.thoughts += thoughts
            thinking = (
                self.response.script.reasoning_tokens(self.given) == self.given
                and not self.finished
            )
            thoughts = "" if thinking else self.thoughts
            self.thoughts = "" if thoughts else self.thoughts
        chunks = []
        if thoughts:
            chunks.append(self._plain({"reasoning_content": thoughts}))
        if answer and not self.response.asked.callable_tools:
            chunks.append(self._plain({"reasoning_content": None, "content": answer}))
        elif answer:
            chunks.append(self._parsed(content=answer))
        return chunks + [self._parsed(tool_calls=[_call(fragment)]) for fragment in fragments]

    def _sort(self, tokens: Sequence[Token]) -> tuple[str, str, list[CallFragment]]:
        """The thinking, the answer and the tool call fragments of some tokens."""
        apart = self.response.asked.separate_reasoning
        thoughts, answer = "", ""
        fragments: list[CallFragment] = []
        for token in tokens:
            if token.part is TokenPart.THINKING and apart:
                thoughts += token.text
            elif token.part in (TokenPart.THINKING, TokenPart.ANSWER):
                answer += token.text
            elif token.part is TokenPart.CALL:
                fragments += token.fragments
            elif token.text == "</think>" and not apart:
                answer += token.text
        return thoughts, answer, fragments

    def _plain(self, what: Json) -> bytes:
        """A chunk without a tool parser: usage only where it is asked for."""
        counts = self._so_far()
        return self._delta(what, usage=counts) if counts else self._delta(what)

    def _parsed(self, content: str | None = None, **call: list[Json]) -> bytes:
        """A chunk of the tool parser: every field is there, null or not."""
        what: Json = {"role": None, "content": content, "reasoning_content": None, **call}
        return self._delta(what, usage=self._so_far())

    def _delta(self, what: Json, **more: Json | None) -> bytes:
        return self.response.chunk(self.rid, [entry(self.index, "delta", what)], **more)

    def _so_far(self) -> Json | None:
        """The usage up to here, where every chunk is to have it."""
        if not self.response.asked.continuous_usage:
            return None
        return usage(self.response.script, self.response.prompt_tokens, [self.given])


def _call(fragment: CallFragment) -> Json:
    """A fragment as JSON. Only the first of a call has an id and a name."""
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}" if fragment.name else None,
        "index": fragment.call,
        "type": "function",
        "function": {"name": fragment.name, "arguments": fragment.arguments},
    }


def _joined(fragments: Sequence[CallFragment]) -> list[Json]:
    calls: list[Json] = []
    for fragment in fragments:
        if fragment.name:
            calls.append(_call(fragment))
        else:
            calls[-1]["function"]["arguments"] += fragment.arguments
    return calls


def _before_calls(tokens: Sequence[Token]) -> str:
    before = takewhile(lambda token: token.part is not TokenPart.CALL, tokens)
    return "".join(token.text for token in before if token.part is TokenPart.ANSWER)
