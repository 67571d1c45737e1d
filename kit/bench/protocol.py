"""What a request says, and what its recorded answer means. Pure: bytes in, bytes or figures out.

Two dialects. `native` is SGLang's /generate: prompts are token ids, so their length is exact, and
each event carries the count of tokens so far. `chat` is /v1/chat/completions, which every
OpenAI-compatible server has: prompts are words, about one token each, and the server counts.

Recorded parts are not events: a read may end in the middle of one, or hold several. An event
came when the read came that completed it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kit.bench.record import Record
from kit.bench.transport import Origin, Response
from kit.bench.workload import Workload
from kit.vision.image_part import data_url

Dialect = Literal["native", "chat"]
PATHS: dict[Dialect, str] = {"native": "/generate", "chat": "/v1/chat/completions"}
BACKENDS: dict[Dialect, str] = {"native": "sglang", "chat": "sglang-oai-chat"}  # bench_serving's
_DONE = b"[DONE]"
_SHORTENED = b'{"meta_info":{'
_COUNT = b'"completion_tokens":'

# Short everyday words, each one token with its space in the vocabularies of the day.
_WORDS = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work number night "
    "point home water room mother area money story fact month lot right study book eye job word"
)


# --- requests


@dataclass(frozen=True)
class Extensions:
    """The OpenAI extensions that a server takes; the warm-up finds out.

    `ignore_eos` makes answers as long as asked; `usage` counts tokens in every chunk.
    """

    ignore_eos: bool = True
    usage: bool = True

    @property
    def missing(self) -> tuple[str, ...]:
        lacking = {
            "exact answer lengths: the server does not take ignore_eos": self.ignore_eos,
            "token counts by the server: it does not take stream_options": self.usage,
        }
        return tuple(what for what, taken in lacking.items() if not taken)


# What the warm-up tries, one after the other.
EXTENSIONS: dict[Dialect, tuple[Extensions, ...]] = {
    "native": (Extensions(),),
    "chat": (Extensions(), Extensions(ignore_eos=False), Extensions(False, usage=False)),
}


@dataclass(frozen=True)
class RequestWriter:
    """Writes the requests of a workload for one server."""

    workload: Workload
    origin: Origin
    dialect: Dialect
    model: str
    extensions: Extensions

    def request(self, index: int, most_tokens: int | None = None) -> bytes:
        """HTTP request `index`, for an answer of at most `most_tokens`.

        One with images takes a while to write.
        """
        tokens_out = self.workload.lengths[index][1]
        fields = self._native if self.dialect == "native" else self._chat
        asked = fields(index, min(tokens_out, most_tokens or tokens_out))
        body = json.dumps(asked, separators=(",", ":")).encode()
        return self.origin.request("POST", PATHS[self.dialect], body)

    def _native(self, index: int, tokens_out: int) -> dict[str, Any]:
        prompt = self.workload.prompt(index)
        sampling = {"temperature": 0.0, "max_new_tokens": tokens_out, "ignore_eos": True}
        return {"input_ids": prompt, "sampling_params": sampling, "stream": True}

    def _chat(self, index: int, tokens_out: int) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": _content(self.workload, index)}],
            "max_tokens": tokens_out,
            "temperature": 0.0,
            "stream": True,
        }
        if self.extensions.ignore_eos:
            fields["ignore_eos"] = True
        if self.extensions.usage:
            fields["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return fields


def _content(workload: Workload, index: int) -> str | list[dict[str, Any]]:
    """Words, about one token each; after the images where the workload has some."""
    rng = random.Random(f"{workload.seed} {index}")
    text = " ".join(rng.choices(_WORDS.split(), k=workload.text_lengths[index][0]))
    pictures = [
        {"type": "image_url", "image_url": {"url": data_url("image/jpeg", file)}}
        for file in workload.pictures(index)
    ]
    return [*pictures, {"type": "text", "text": text}] if pictures else text


class Shortener:
    """Reduces a native event to its `meta_info`: each event repeats the whole text so far.

    Without it a run of 500,000 tokens would hold half a gigabyte. Only a read that is exactly
    one event is shortened (in a text, the quotes that are looked for would be escaped).
    """

    def __init__(self) -> None:
        self._aligned = True

    def __call__(self, part: bytes) -> bytes:
        if self._aligned and part.startswith(b"data: {") and part.find(b"\n\n") == len(part) - 2:
            start = part.rfind(b'"meta_info":{')
            return b"data: {" + part[start:] if start > 0 else part
        self._aligned = part.endswith(b"\n\n")
        return part


# --- answers


def record(
    response: Response,
    dialect: Dialect,
    lengths: tuple[int, int],
    start_s: float,
    clock: float = 1.0,
) -> Record:
    """The record of one response. Times count from `start_s`, in the server's own seconds: those
    of a twin whose clock runs `clock` times faster are that many times longer.

    `lengths` are the (input, output) tokens asked for; they are taken if the server counts none.
    """
    tokens_in, tokens_out = lengths
    sent_s = (response.sent - start_s) * clock
    failure = _failure(response)
    answer = _Answer(dialect)
    try:
        answer.read([] if failure else response.parts)
        usage = answer.usage()
    except _StreamError as error:
        failure = f"in the stream: {error}"
    except (json.JSONDecodeError, AttributeError, TypeError):
        failure = "an event that is no JSON object of this kind"
    if failure or not answer.times:
        return Record(sent_s, tokens_in, error=failure or "an answer without a token")
    served = usage.get("completion_tokens")
    return Record(
        sent_s=sent_s,
        input_tokens=usage.get("prompt_tokens") or tokens_in,
        times_s=[(time_s - start_s) * clock for time_s in answer.times],
        tokens=answer.tokens_of_chunks(served),
        output_tokens=served if served is not None else tokens_out,
        ended_s=(answer.ended_s - start_s) * clock,
        assumed=served is None,
        verify_steps=usage.get("spec_verify_ct") or 0,
        correct_drafts=usage.get("spec_num_correct_drafts") or 0,
        image_tokens=(usage.get("prompt_tokens_details") or {}).get("image_tokens") or 0,
    )


def events(parts: list[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """(time, data) of each server-sent event, the closing `[DONE]` included."""
    rest = b""
    for time_s, part in parts:
        if not rest and part.startswith(b"data: ") and part.find(b"\n") == len(part) - 2:
            yield time_s, part[6:-2]  # one event and nothing else: nearly every read
            continue
        *whole, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in whole:
            lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
            data = b"\n".join(lines)
            if data:
                yield time_s, data


class _StreamError(Exception):
    """The server reported an error inside the stream."""


class _Answer:
    """One answer, read event by event: when chunks with tokens came, and how many each had."""

    def __init__(self, dialect: Dialect) -> None:
        self.times: list[float] = []
        self.ended_s = 0.0
        self._dialect = dialect
        self._tokens: list[int] = []
        self._total = 0
        self._counted = True  # every chunk said how many tokens there are so far
        self._usage: dict[str, Any] = {}
        self._last = b""  # the newest shortened event, of which only the count has been read

    def read(self, parts: list[tuple[float, bytes]]) -> None:
        """Raises _StreamError, and the errors of JSON of another kind."""
        for time_s, data in events(parts):
            self.ended_s = time_s
            total = _shortened_count(data)
            if total is not None:
                self._last = data
                self._add_chunk(time_s, total)
            elif data != _DONE:
                self._add_whole(time_s, json.loads(data))

    def _add_chunk(self, time_s: float, total: int) -> None:
        if total > self._total:
            self.times.append(time_s)
            self._tokens.append(total - self._total)
            self._total = total

    def _add_whole(self, time_s: float, event: dict[str, Any]) -> None:
        if "error" in event:
            raise _StreamError(_message(event))
        usage = event.get("meta_info") or event.get("usage")
        if usage:
            self._usage, self._last = usage, b""
        if not _carries_tokens(event, self._dialect):
            return
        total = (usage or {}).get("completion_tokens")
        if total is None:
            self._counted = False
            self.times.append(time_s)
        else:
            self._add_chunk(time_s, total)

    def usage(self) -> dict[str, Any]:
        """The server's last word on tokens; empty where it gave none."""
        usage: dict[str, Any] = json.loads(self._last)["meta_info"] if self._last else self._usage
        return usage

    def tokens_of_chunks(self, served: int | None) -> Sequence[int]:
        """Tokens of each chunk; empty where the server does not count them.

        `served` is its final count: what the chunks lack of it came with the last one.
        """
        if not self._counted:
            return ()
        if served is not None and served > self._total:
            self._tokens[-1] += served - self._total
        return self._tokens


def _shortened_count(data: bytes) -> int | None:
    """The count of tokens in an event that was shortened, without reading all of it as JSON."""
    if not data.startswith(_SHORTENED):
        return None
    digits = data.partition(_COUNT)[2].partition(b",")[0]
    return int(digits) if digits.isdigit() else None


def _carries_tokens(event: dict[str, Any], dialect: Dialect) -> bool:
    """Whether an event holds text, thinking or a tool call; not only a role or a usage."""
    if dialect == "native":
        return "meta_info" in event
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        if any(delta.get(k) for k in ("content", "reasoning_content", "reasoning", "tool_calls")):
            return True
    return False


def _failure(response: Response) -> str:
    if response.error:
        return response.error
    if response.status == 200:
        return ""
    try:
        message = _message(json.loads(response.body))
    except (json.JSONDecodeError, UnicodeDecodeError):
        message = ""
    return f"HTTP {response.status}" + (f": {message}" if message else "")


def _message(answer: Any) -> str:
    """The text of an error body: SGLang's flat one, OpenAI's nested one."""
    if not isinstance(answer, dict):
        return ""
    inner = answer.get("error")
    found = (inner.get("message") if isinstance(inner, dict) else inner) or answer.get("message")
    return str(found or "").splitlines()[0][:200] if found else ""
