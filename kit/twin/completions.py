"""The wire of /generate and /v1/completions: bare prompts, and SGLang's own figures with them.

/generate repeats the whole text and all ids in every event, as SGLang does unless it is started
otherwise. Times in `meta_info` are by the real clock: what a client's own clock sees.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

from kit.twin.chat_completions import metadata, usage
from kit.twin.request import TextRequest
from kit.twin.sse import DONE, Outlet, dumps, event
from kit.twin.token_script import Part, Script, Token

Json = dict[str, Any]


def visible(tokens: Sequence[Token]) -> str:
    """The text of a completion: everything but the token that ends the turn."""
    return "".join(
        token.text for token in tokens if token.part is not Part.MARK or token.text == "</think>"
    )


class CompletionResponse:
    """/v1/completions: one choice, text only."""

    def __init__(
        self, ask: TextRequest, script: Script, prompt_tokens: int, outlet: Outlet
    ) -> None:
        self.rid = uuid.uuid4().hex
        self.outlet = outlet
        self._ask = ask
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
        if self._ask.stream and (text or finished):
            self._ready = self._chunk([self._choice(text, finished)], None)
            if finished:
                self._ready += self._finale()
        elif finished:
            self._ready = dumps(self._whole())

    def deliver(self, due_s: float) -> None:
        if self._ready:
            self.outlet.put(self._ready, due_s)
            self._ready = b""
        if self._finished:
            self.outlet.close()

    def abort(self) -> None:
        self._aborted = True
        if self._ask.stream:
            self.outlet.put(self._chunk([self._choice("", True)], None) + self._finale())
        else:
            self.outlet.put(dumps(self._whole()))
        self.outlet.close()

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
                "model": self._ask.model,
                "choices": choices,
                "usage": counts,
            }
        )

    def _finale(self) -> bytes:
        if not self._ask.include_usage:
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
            "model": self._ask.model,
            "choices": [self._choice(visible(self._script.take(0, self._given)), True)],
            "usage": self._usage(),
            "metadata": metadata(self._script.completion_tokens(self._given)),
        }


class GenerateResponse:
    """SGLang's native /generate. `draft_tokens` are the drafts of a step, 0 without MTP."""

    def __init__(
        self,
        ask: TextRequest,
        script: Script,
        prompt_tokens: int,
        outlet: Outlet,
        draft_tokens: int,
        arrived_s: float,
    ) -> None:
        self.rid = ask.rid or uuid.uuid4().hex
        self.outlet = outlet
        self._ask = ask
        self._script = script
        self._prompt_tokens = prompt_tokens
        self._drafts = draft_tokens
        self._given = 0
        self._text: list[str] = []  # already escaped for JSON
        self._ids: list[str] = []
        self._accepted: list[int] = []  # draft tokens accepted, a verify step each
        self._arrived_s = arrived_s
        self._epoch_s = time.time() - monotonic()  # from one clock to the other
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
        if self._ask.stream or finished:
            stop = self._stop() if finished else None
            body = self._body(stop, first, due_s)
            self._ready = b"data: " + body + b"\n\n" if self._ask.stream else body
            if self._ask.stream and finished:
                self._ready += DONE

    def deliver(self, due_s: float) -> None:
        if self._ready:
            self.outlet.put(self._ready, due_s)
            self._ready = b""
        if self._finished:
            self.outlet.close()

    def abort(self) -> None:
        body = self._body({"type": "abort", "message": "Abort before finished"}, False, monotonic())
        self.outlet.put(b"data: " + body + b"\n\n" + DONE if self._ask.stream else body)
        self.outlet.close()

    def _stop(self) -> Json:
        stop = self._script.stop
        if stop.reason == "length":
            return {"type": "length", "length": self._script.completion_tokens(self._given)}
        return {"type": stop.reason, "matched": stop.matched}

    def _body(self, stop: Json | None, first: bool, due_s: float) -> bytes:
        shown = "" if self._script.silent else ",".join(self._ids)
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
        """What the last event adds."""
        sent = {"response_sent_to_client_ts": self._epoch_s + self._first_s}
        times: Json = {"e2e_latency": due_s - self._arrived_s}
        times |= self._acceptance(completion)
        times |= {
            "request_received_ts": self._epoch_s + self._arrived_s,
            "first_token_latency": self._first_s - self._arrived_s,
            "api_server_dispatch_finish_ts": self._epoch_s + self._arrived_s,
        }
        times |= sent if self._ask.stream else {}
        times["request_finished_ts"] = self._epoch_s + due_s
        if completion > 1 and due_s > self._first_s:
            times["decode_throughput"] = (completion - 1) / (due_s - self._first_s)
        return times if self._ask.stream else times | sent

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
