"""/v1/completions and /generate: a bare prompt → its answer, and with /generate SGLang's figures.

/generate repeats the whole text and all ids in every event, as SGLang does by default. Times in
`meta_info` are by the real clock: what a client's own clock measures.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kit.twin import request as incoming
from kit.twin.authored import MEASURES_TIME, AssistantTurn, completion_of, filler, notice
from kit.twin.chat_completions import metadata, usage
from kit.twin.chat_format import TURN
from kit.twin.errors import Refused, native, not_served
from kit.twin.protocol import AbortReq, TokenizeRequest
from kit.twin.request import TextRequest
from kit.twin.server import Prompt, Twin
from kit.twin.sse import DONE, ResponseWriter, dumps, event
from kit.twin.token_script import Token, TokenScript
from kit.twin.tokenizer import IM_END, vocabulary

Json = dict[str, Any]


async def completions(twin: Twin, request: Request) -> Any:
    """The ASGI response to a request for /v1/completions. Raises Refused."""
    asked = incoming.completion(incoming.parse(await request.body()))
    turn, script, tokens = await _prepared(twin, asked)
    writer = twin.writer(asked.stream, "x-kit-schedule" in request.headers)
    response = CompletionResponse(asked, script, tokens, writer)
    arrived_s = request.state.arrived_s + turn.held_s
    return twin.run([response], writer, script, Prompt(tokens), asked.stream, arrived_s)


async def generate(twin: Twin, request: Request) -> Any:
    """The ASGI response to a request for /generate. Raises Refused."""
    asked = incoming.generate(incoming.parse(await request.body()))
    try:
        turn, script, tokens = await _prepared(twin, asked)
        writer = twin.writer(asked.stream, "x-kit-schedule" in request.headers)
        arrived_s = request.state.arrived_s + turn.held_s
        response = GenerateResponse(asked, script, tokens, writer, twin.draft_tokens, arrived_s)
        return twin.run([response], writer, script, Prompt(tokens), asked.stream, arrived_s)
    except Refused as problem:
        raise native(problem, asked.stream) from problem


async def _prepared(twin: Twin, asked: TextRequest) -> tuple[AssistantTurn, TokenScript, int]:
    """The answer, its script, and the tokens of the prompt."""
    tokens = await twin.count(asked.prompt)
    incoming.check_length(tokens, asked.sampling, twin.context_length)
    turn = await _answer(twin, asked)
    return turn, twin.script(turn, asked.sampling), tokens


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
    return await twin.pocket.write(asked.prompt, thinking)


async def health_generate(twin: Twin, request: Request) -> Response:
    """Healthy is a server that can generate one token."""
    asked = incoming.generate({"text": "", "sampling_params": {"max_new_tokens": 1}})
    script = twin.script(filler(), asked.sampling)
    writer, arrived_s = ResponseWriter(), monotonic()
    probe = GenerateResponse(asked, script, 1, writer, twin.draft_tokens, arrived_s)
    twin.run([probe], writer, script, Prompt(1), False, arrived_s)
    await writer.take()
    return twin.response()


async def tokenize(twin: Twin, request: Request) -> Response:
    prompt = incoming.checked(TokenizeRequest, incoming.parse(await request.body())).prompt
    if not isinstance(prompt, str):
        raise not_served("batches in one request")
    tokens = vocabulary().encode(prompt)
    counted = {"tokens": tokens, "count": len(tokens), "max_model_len": twin.context_length}
    return twin.json_response(counted)


async def abort(twin: Twin, request: Request) -> Response:
    asked = incoming.checked(AbortReq, incoming.parse(await request.body()))
    if asked.abort_all:
        twin.engine.abort_all()
    else:
        twin.engine.abort(asked.rid)
    return twin.response()


def visible(tokens: Sequence[Token]) -> str:
    """The text of a completion: everything but the token that ends the turn."""
    return "".join(token.text for token in tokens if token.id != IM_END)


class CompletionResponse:
    """/v1/completions: one choice, text only."""

    def __init__(
        self, asked: TextRequest, script: TokenScript, prompt_tokens: int, writer: ResponseWriter
    ) -> None:
        self.rid = uuid.uuid4().hex
        self.writer = writer
        self._asked = asked
        self._script = script
        self._prompt_tokens = prompt_tokens
        self._created = int(time.time())
        self._given = 0
        self._ready = b""
        self._finished = False
        self._aborted = False

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        new = self._script.take(self._given, tokens)
        self._given += tokens
        self._finished = finished
        text = visible(new)
        if self._asked.stream and (text or finished):
            self._ready = self._chunk([self._choice(text, finished)], None)
            if finished:
                self._ready += self._finale()
        elif finished:
            self._ready = dumps(self._whole())

    def deliver(self, due_s: float) -> None:
        if self._ready:
            self.writer.put(self._ready, due_s)
            self._ready = b""
        if self._finished:
            self.writer.close()

    def abort(self) -> None:
        self._aborted = True
        if self._asked.stream:
            self.writer.put(self._chunk([self._choice("", True)], None) + self._finale())
        else:
            self.writer.put(dumps(self._whole()))
        self.writer.close()

    def _choice(self, text: str, last: bool) -> Json:
        stop = self._script.stop
        reason = "abort" if self._aborted else stop.reason
        return {
            "index": 0,
            "text": text,
            "logprobs": None,
            "finish_reason": reason if last else None,
            "matched_stop": stop.matched if last and not self._aborted else None,
        }

    def _chunk(self, choices: list[Json], counts: Json | None) -> bytes:
        return event(
            {
                "id": self.rid,
                "object": "text_completion",
                "created": self._created,
                "model": self._asked.model,
                "choices": choices,
                "usage": counts,
            }
        )

    def _finale(self) -> bytes:
        if not self._asked.include_usage:
            return DONE
        counts = {name: value for name, value in self._usage().items() if value is not None}
        return self._chunk([], counts) + DONE

    def _usage(self) -> Json:
        script, given = self._script, self._given
        return usage(
            self._prompt_tokens, script.completion_tokens(given), script.reasoning_tokens(given)
        )

    def _whole(self) -> Json:
        return {
            "id": self.rid,
            "object": "text_completion",
            "created": self._created,
            "model": self._asked.model,
            "choices": [self._choice(visible(self._script.take(0, self._given)), True)],
            "usage": self._usage(),
            "metadata": metadata(self._script.completion_tokens(self._given)),
        }


class GenerateResponse:
    """SGLang's native /generate. `draft_tokens` are the drafts of a step, 0 without MTP."""

    def __init__(
        self,
        asked: TextRequest,
        script: TokenScript,
        prompt_tokens: int,
        writer: ResponseWriter,
        draft_tokens: int,
        arrived_s: float,
    ) -> None:
        self.rid = asked.rid or uuid.uuid4().hex
        self.writer = writer
        self._asked = asked
        self._script = script
        self._prompt_tokens = prompt_tokens
        self._drafts = draft_tokens
        self._given = 0
        self._text: list[str] = []  # already escaped for JSON
        self._ids: list[str] = []
        self._accepted: list[int] = []  # draft tokens accepted, a verify step each
        self._arrived_s = arrived_s
        self._epoch_s = time.time() - monotonic()  # of the monotonic clock's zero
        self._first_s = 0.0
        self._entry_s = 0.0
        self._ready = b""
        self._finished = False

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        first = self._given == 0
        new = self._script.take(self._given, tokens)
        self._given += tokens
        self._finished = finished
        self._text.append(json.dumps(visible(new), ensure_ascii=False)[1:-1])
        self._ids += [str(token.id) for token in new]
        if first:
            self._first_s = due_s
            self._entry_s = min(monotonic(), due_s)
        elif self._drafts:
            self._accepted.append(tokens - 1)
        if self._asked.stream or finished:
            stop = self._stop() if finished else None
            body = self._body(stop, first, due_s)
            self._ready = b"data: " + body + b"\n\n" if self._asked.stream else body
            if self._asked.stream and finished:
                self._ready += DONE

    def deliver(self, due_s: float) -> None:
        if self._ready:
            self.writer.put(self._ready, due_s)
            self._ready = b""
        if self._finished:
            self.writer.close()

    def abort(self) -> None:
        body = self._body({"type": "abort", "message": "Abort before finished"}, False, monotonic())
        self.writer.put(b"data: " + body + b"\n\n" + DONE if self._asked.stream else body)
        self.writer.close()

    def _stop(self) -> Json:
        stop = self._script.stop
        if stop.reason == "length":
            return {"type": "length", "length": self._script.completion_tokens(self._given)}
        return {"type": stop.reason, "matched": stop.matched}

    def _body(self, stop: Json | None, first: bool, due_s: float) -> bytes:
        shown = "" if self._script.empty else ",".join(self._ids)
        head = f'{{"text":"{"".join(self._text)}","output_ids":[{shown}],"meta_info":'
        return head.encode() + dumps(self._meta(stop, first, due_s)) + b"}"

    def _meta(self, stop: Json | None, first: bool, due_s: float) -> Json:
        completion = self._script.completion_tokens(self._given)
        entry_s = self._entry_s or self._arrived_s
        meta: Json = {
            "id": self.rid,
            "finish_reason": stop,
            "prompt_tokens": self._prompt_tokens,
            "weight_version": "default",
            "num_retractions": 0,
            "storage_prefetch_wait": 0.0,
            "storage_staging_wait": 0.0,
            "forward_entry_time": self._epoch_s + entry_s,
            "prefill_finished_time": self._epoch_s + self._first_s,
            "queue_time": entry_s - self._arrived_s,
            "reasoning_tokens": self._script.reasoning_tokens(self._given),
            "completion_tokens": completion,
            "cached_tokens": 0,
        }
        if stop:
            meta["weight_versions"] = metadata(completion)["weight_versions"]
        meta |= {"cached_tokens_details": None, "dp_rank": None}
        if stop:
            meta |= self._times(due_s, completion)
        elif first:
            meta["response_sent_to_client_ts"] = self._epoch_s + due_s
        return meta

    def _times(self, due_s: float, completion: int) -> Json:
        """The figures that only the last event has."""
        sent = {"response_sent_to_client_ts": self._epoch_s + self._first_s}
        times: Json = {"e2e_latency": due_s - self._arrived_s}
        times |= self._acceptance(completion)
        times |= {
            "request_received_ts": self._epoch_s + self._arrived_s,
            "first_token_latency": self._first_s - self._arrived_s,
            "api_server_dispatch_finish_ts": self._epoch_s + self._arrived_s,
        }
        times |= sent if self._asked.stream else {}
        times["request_finished_ts"] = self._epoch_s + due_s
        if completion > 1 and due_s > self._first_s:
            times["decode_throughput"] = (completion - 1) / (due_s - self._first_s)
        return times if self._asked.stream else times | sent

    def _acceptance(self, completion: int) -> Json:
        steps = len(self._accepted)
        if not steps:
            return {}
        correct = sum(self._accepted)
        histogram = Counter(self._accepted)
        return {
            "spec_accept_rate": correct / (steps * self._drafts),
            "spec_accept_length": completion / steps,
            "spec_num_correct_drafts": correct,
            "spec_num_proposed_drafts": steps * self._drafts,
            "spec_verify_ct": steps,
            "spec_correct_drafts_histogram": [histogram[n] for n in range(max(self._accepted) + 1)],
        }
