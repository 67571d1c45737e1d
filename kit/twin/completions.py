"""/v1/completions and /generate: a bare prompt → its answer, and with /generate SGLang's figures.

/generate repeats the whole text and all ids in every event, as SGLang does by default. Times in
`meta_info` are by the real clock: what a client's own clock measures.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kit.twin import request as incoming
from kit.twin.authored import (
    MEASURES_TIME,
    NOT_CLAIMED,
    AssistantTurn,
    completion_of,
    conversation_in,
    filler,
    nearest,
    notice,
)
from kit.twin.body import read_json
from kit.twin.chat_completions import metadata, response_id, usage
from kit.twin.chat_format import TURN, text_of
from kit.twin.errors import Refused, native, not_served
from kit.twin.pocket_questions import is_claimed
from kit.twin.protocol import AbortReq, TokenizeRequest
from kit.twin.request import TextRequest
from kit.twin.server import Twin
from kit.twin.sse import DONE, ResponseWriter, dumps, event
from kit.twin.token_script import Stop, Token, TokenScript, script_of
from kit.twin.tokenizer import IM_END, vocabulary
from kit.twin.workers import beside

Json = dict[str, Any]

_MOST_TO_TOKENIZE = 2_000_000  # characters: some twice the context


async def completions(twin: Twin, request: Request) -> Any:
    """The ASGI response to a request for /v1/completions. Raises Refused."""
    asked = incoming.completion(await read_json(request))
    return await _served(twin, request, asked, CompletionResponse)


async def generate(twin: Twin, request: Request) -> Any:
    """The ASGI response to a request for /generate. Raises Refused."""
    asked = incoming.generate(await read_json(request))
    try:
        return await _served(twin, request, asked, GenerateResponse)
    except Refused as problem:
        raise native(problem, asked.stream) from problem


async def _served(
    twin: Twin, request: Request, asked: TextRequest, kind: type[TextResponse]
) -> Any:
    tokens = await twin.count(asked.prompt)
    incoming.check_length(tokens, asked.sampling, twin.context_length)
    script = script_of(await _answer(twin, asked), **vars(asked.sampling))
    writer = ResponseWriter()
    arrived_s = request.state.arrived_s + script.turn.held_s
    asked = replace(asked, prompt="")  # it may be large, and the response needs it no more
    response = kind(asked, script, tokens, writer, arrived_s, twin.draft_tokens)
    return twin.run([response], writer, script, tokens, asked.stream, arrived_s, request=request)


async def _answer(twin: Twin, asked: TextRequest) -> AssistantTurn:
    """What follows a bare prompt. The pocket model is asked only where it is a conversation."""
    if not isinstance(asked.prompt, str):
        return filler()
    turn = completion_of(asked.prompt)
    if turn is not None:
        return turn
    thinking = "</think>" not in asked.prompt.rpartition(TURN)[2]
    if asked.sampling.ignore_eos:
        return notice(thinking, MEASURES_TIME)
    messages = conversation_in(asked.prompt) or []
    tools = messages and "<tools>" in text_of(messages[0])
    if not tools and not is_claimed(messages):
        return notice(thinking, NOT_CLAIMED, nearest(messages))
    return await twin.pocket.write(asked.prompt, thinking, near=partial(nearest, messages))


async def health_generate(twin: Twin, request: Request) -> Response:
    """Healthy is a server that can generate one token."""
    asked = incoming.generate({"text": "", "sampling_params": {"max_new_tokens": 1}})
    script = script_of(filler(), **vars(asked.sampling))
    writer, arrived_s = ResponseWriter(), monotonic()
    probe = GenerateResponse(asked, script, 1, writer, arrived_s, twin.draft_tokens)
    twin.run([probe], writer, script, 1, False, arrived_s)
    await writer.take()
    return twin.response()


async def tokenize(twin: Twin, request: Request) -> Response:
    prompt = incoming.checked(TokenizeRequest, await read_json(request)).prompt
    if not isinstance(prompt, str):
        raise not_served("batches in one request")
    if len(prompt) > _MOST_TO_TOKENIZE:
        raise not_served(f"tokenizing more than {_MOST_TO_TOKENIZE:,} characters")

    def counted() -> bytes:
        tokens = vocabulary().encode(prompt)
        return dumps({"tokens": tokens, "count": len(tokens), "max_model_len": twin.context_length})

    return twin.response(await beside(len(prompt), counted), media="application/json")


async def abort(twin: Twin, request: Request) -> Response:
    asked = incoming.checked(AbortReq, await read_json(request))
    if asked.abort_all:
        twin.engine.abort_all()
    else:
        twin.engine.abort(asked.rid)
    return twin.response()


def visible(tokens: Sequence[Token]) -> str:
    """The text of a completion: everything but the token that ends the turn."""
    return "".join(token.text for token in tokens if token.id != IM_END)


@dataclass(eq=False)
class TextResponse:
    """One answer to a bare prompt. `draft_tokens` are the drafts of a step, 0 without MTP."""

    asked: TextRequest
    script: TokenScript
    prompt_tokens: int
    writer: ResponseWriter
    arrived_s: float
    draft_tokens: int
    given: int = 0
    ready: bytes = b""
    finished: bool = False

    def __post_init__(self) -> None:
        self.rid = self.asked.rid or response_id(self.script.turn)
        self.created_s = time.time()

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        new = self.script.take(self.given, tokens)
        self.given += tokens
        self.finished = finished
        self.ready = self.part(new, due_s)

    def deliver(self, due_s: float) -> None:
        if self.ready:
            self.writer.put(self.ready, due_s)
            self.ready = b""
        if self.finished:
            self.writer.close()

    def abort(self) -> None:
        self.writer.put(self.aborted())
        self.writer.close()

    def drop(self) -> None:
        self.writer.drop()

    def part(self, new: Sequence[Token], due_s: float) -> bytes:
        """What these tokens add to the response."""
        raise NotImplementedError

    def aborted(self) -> bytes:
        """The end of a response that was aborted."""
        raise NotImplementedError


class CompletionResponse(TextResponse):
    """/v1/completions: one choice, text only."""

    def part(self, new: Sequence[Token], due_s: float) -> bytes:
        text, stop = visible(new), self.script.stop if self.finished else None
        if not self.asked.stream:
            return self._whole(stop) if stop else b""
        ready = self._chunk(text, stop) if text or stop else b""
        return ready + self._finale() if stop else ready

    def aborted(self) -> bytes:
        stop = Stop("abort")
        return self._chunk("", stop) + self._finale() if self.asked.stream else self._whole(stop)

    def _chunk(self, text: str, stop: Stop | None) -> bytes:
        return event(self._body([_choice(text, stop)], None))

    def _finale(self) -> bytes:
        if not self.asked.include_usage:
            return DONE
        counts = {name: value for name, value in self._usage().items() if value is not None}
        return event(self._body([], counts)) + DONE

    def _whole(self, stop: Stop) -> bytes:
        choice = _choice(visible(self.script.take(0, self.given)), stop)
        version = metadata(self.script.completion_tokens(self.given))
        return dumps(self._body([choice], self._usage()) | {"metadata": version})

    def _body(self, choices: list[Json], counts: Json | None) -> Json:
        return {
            "id": self.rid,
            "object": "text_completion",
            "created": int(self.created_s),
            "model": self.asked.model,
            "choices": choices,
            "usage": counts,
        }

    def _usage(self) -> Json:
        return usage(self.script, self.prompt_tokens, [self.given])


def _choice(text: str, stop: Stop | None) -> Json:
    return {
        "index": 0,
        "text": text,
        "logprobs": None,
        "finish_reason": stop.reason if stop else None,
        "matched_stop": stop.matched if stop else None,
    }


@dataclass(eq=False)
class GenerateResponse(TextResponse):
    """SGLang's native /generate."""

    text: list[str] = field(default_factory=list)  # already escaped for JSON
    ids: list[str] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)  # draft tokens accepted, per verify step
    first_s: float = 0.0
    entry_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.epoch_s = self.created_s - monotonic()  # of the monotonic clock's zero

    def part(self, new: Sequence[Token], due_s: float) -> bytes:
        first = not self.ids
        self.text.append(json.dumps(visible(new), ensure_ascii=False)[1:-1])
        self.ids += [str(token.id) for token in new]
        if first:
            self.first_s = due_s
            self.entry_s = min(monotonic(), due_s)
        elif self.draft_tokens:
            self.accepted.append(len(new) - 1)
        if not self.asked.stream and not self.finished:
            return b""
        return self._event(self._stop() if self.finished else None, first, due_s)

    def aborted(self) -> bytes:
        stop = {"type": "abort", "message": "Abort before finished"}
        return self._event(stop, False, monotonic())

    def _event(self, stop: Json | None, first: bool, due_s: float) -> bytes:
        shown = "" if self.script.empty else ",".join(self.ids)
        head = f'{{"text":"{"".join(self.text)}","output_ids":[{shown}],"meta_info":'
        body = head.encode() + dumps(self._meta(stop, first, due_s)) + b"}"
        if not self.asked.stream:
            return body
        return b"data: " + body + b"\n\n" + (DONE if stop else b"")

    def _stop(self) -> Json:
        stop = self.script.stop
        if stop.reason == "length":
            return {"type": "length", "length": self.script.completion_tokens(self.given)}
        return {"type": stop.reason, "matched": stop.matched}

    def _meta(self, stop: Json | None, first: bool, due_s: float) -> Json:
        completion = self.script.completion_tokens(self.given)
        entry_s = self.entry_s or self.arrived_s
        meta: Json = {
            "id": self.rid,
            "finish_reason": stop,
            "prompt_tokens": self.prompt_tokens,
            "weight_version": "default",
            "num_retractions": 0,
            "storage_prefetch_wait": 0.0,
            "storage_staging_wait": 0.0,
            "forward_entry_time": self.epoch_s + entry_s,
            "prefill_finished_time": self.epoch_s + self.first_s,
            "queue_time": entry_s - self.arrived_s,
            "reasoning_tokens": self.script.reasoning_tokens(self.given),
            "completion_tokens": completion,
            "cached_tokens": 0,
        }
        if stop:
            meta["weight_versions"] = metadata(completion)["weight_versions"]
        meta |= {"cached_tokens_details": None, "dp_rank": None}
        if stop:
            meta |= self._times(due_s, completion)
        elif first:
            meta["response_sent_to_client_ts"] = self.epoch_s + due_s
        return meta

    def _times(self, due_s: float, completion: int) -> Json:
        """The figures that only the last event has."""
        sent = {"response_sent_to_client_ts": self.epoch_s + self.first_s}
        times: Json = {"e2e_latency": due_s - self.arrived_s}
        times |= self._acceptance(completion)
        times |= {
            "request_received_ts": self.epoch_s + self.arrived_s,
            "first_token_latency": self.first_s - self.arrived_s,
            "api_server_dispatch_finish_ts": self.epoch_s + self.arrived_s,
        }
        times |= sent if self.asked.stream else {}
        times["request_finished_ts"] = self.epoch_s + due_s
        if completion > 1 and due_s > self.first_s:
            times["decode_throughput"] = (completion - 1) / (due_s - self.first_s)
        return times if self.asked.stream else times | sent

    def _acceptance(self, completion: int) -> Json:
        steps = len(self.accepted)
        if not steps:
            return {}
        correct = sum(self.accepted)
        histogram = Counter(self.accepted)
        return {
            "spec_accept_rate": correct / (steps * self.draft_tokens),
            "spec_accept_length": completion / steps,
            "spec_num_correct_drafts": correct,
            "spec_num_proposed_drafts": steps * self.draft_tokens,
            "spec_verify_ct": steps,
            "spec_correct_drafts_histogram": [histogram[n] for n in range(max(self.accepted) + 1)],
        }
