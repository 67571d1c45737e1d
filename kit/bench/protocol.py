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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kit.bench.images import data_uri
from kit.bench.record import Record
from kit.bench.transport import Response
from kit.bench.workload import Workload

Dialect = Literal["native", "chat"]
PATHS: dict[Dialect, str] = {"native": "/generate", "chat": "/v1/chat/completions"}
DONE = b"[DONE]"
_KEPT = b'{"meta_info":{'
_TOTAL = b'"completion_tokens":'
BACKENDS: dict[Dialect, str] = {"native": "sglang", "chat": "sglang-oai-chat"}

# Short everyday words, each one token with its space in the vocabularies of the day.
_WORDS = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work number night "
    "point home water room mother area money story fact month lot right study book eye job word"
)


@dataclass(frozen=True)
class Wording:
    """How much of the OpenAI extensions a server takes; found out by the warm-up.

    `ignore_eos` makes answers as long as asked; `usage` counts tokens in every chunk.
    """

    ignore_eos: bool = True
    usage: bool = True

    @property
    def missing(self) -> tuple[str, ...]:
        out = []
        if not self.ignore_eos:
            out.append("exact answer lengths: the server does not take ignore_eos")
        if not self.usage:
            out.append("token counts by the server: it does not take stream_options")
        return tuple(out)


WORDINGS = (Wording(), Wording(ignore_eos=False), Wording(ignore_eos=False, usage=False))


def body(
    dialect: Dialect,
    workload: Workload,
    index: int,
    model: str,
    wording: Wording = WORDINGS[0],
    output_tokens: int | None = None,
) -> bytes:
    """The JSON of request `index`. `output_tokens` overrides its length, for the warm-up."""
    tokens_out = output_tokens or workload.lengths[index][1]
    if dialect == "native":
        asked: dict[str, Any] = {
            "input_ids": workload.prompt(index),
            "sampling_params": {
                "temperature": 0.0,
                "max_new_tokens": tokens_out,
                "ignore_eos": True,
            },
            "stream": True,
        }
        return json.dumps(asked, separators=(",", ":")).encode()
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": _content(workload, index)}],
        "max_tokens": tokens_out,
        "temperature": 0.0,
        "stream": True,
    }
    if wording.ignore_eos:
        asked["ignore_eos"] = True
    if wording.usage:
        asked["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    return json.dumps(asked, separators=(",", ":")).encode()


def _content(workload: Workload, index: int) -> str | list[dict[str, Any]]:
    """Words, about one token each; behind images where the workload has some."""
    words = random.Random(f"{workload.seed} {index}").choices(
        _WORDS.split(), k=workload.text_lengths[index][0]
    )
    text = " ".join(words)
    pictures = [
        {"type": "image_url", "image_url": {"url": data_uri(file)}}
        for file in workload.pictures(index)
    ]
    return [*pictures, {"type": "text", "text": text}] if pictures else text


class Keep:
    """Keeps of a native event what is needed: each repeats the whole text so far.

    Without it a run of 500,000 tokens would hold half a gigabyte. Only a read that is exactly
    one event is shortened, to its `meta_info` (in a text these quotes would be escaped).
    """

    def __init__(self) -> None:
        self._aligned = True

    def __call__(self, part: bytes) -> bytes:
        if self._aligned and part.startswith(b"data: {") and part.find(b"\n\n") == len(part) - 2:
            start = part.rfind(b'"meta_info":{')
            return b"data: {" + part[start:] if start > 0 else part
        self._aligned = part.endswith(b"\n\n")
        return part


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


def record(
    response: Response,
    dialect: Dialect,
    asked: tuple[int, int],
    start_s: float,
    clock: float = 1.0,
) -> Record:
    """The record of one response. Times count from `start_s`, in the server's own seconds:
    a twin whose clock runs `clock` times faster has its seconds stretched back.

    `asked` are the requested (input, output) tokens, counted where the server counts none.
    """
    tokens_in, tokens_out = asked
    sent_s = (response.sent - start_s) * clock
    failed = _failure(response)
    if failed:
        return Record(sent_s, tokens_in, error=failed)
    times: list[float] = []
    tokens: list[int] = []
    total, ended_s = 0, 0.0
    counted = True
    last = b""  # of the events whose count alone was read
    usage: dict[str, Any] = {}
    try:
        for time_s, data in events(response.parts):
            ended_s = time_s
            so_far = _kept_total(data)
            if so_far is not None:
                last = data
                if so_far > total:
                    times.append((time_s - start_s) * clock)
                    tokens.append(so_far - total)
                    total = so_far
                continue
            if data == DONE:
                continue
            event = json.loads(data)
            if "error" in event:
                return Record(sent_s, tokens_in, error=f"in the stream: {_message(event)}")
            told = event.get("meta_info") or event.get("usage")
            usage, last = (told, b"") if told else (usage, last)
            so_far = (told or {}).get("completion_tokens")
            if not _says_something(event, dialect):
                continue
            new = so_far - total if so_far is not None else 0
            if so_far is None:
                counted = False
            elif new <= 0:
                continue
            times.append((time_s - start_s) * clock)
            tokens.append(new)
            total += new
        usage = json.loads(last)["meta_info"] if last else usage
    except (json.JSONDecodeError, AttributeError, TypeError):
        return Record(sent_s, tokens_in, error="an event that is no JSON object of this kind")
    if not times:
        return Record(sent_s, tokens_in, error="an answer without a token")
    served = usage.get("completion_tokens")
    if counted and served is not None and served > total:
        tokens[-1] += served - total
    return Record(
        sent_s=sent_s,
        input_tokens=usage.get("prompt_tokens") or tokens_in,
        times_s=times,
        tokens=tokens if counted else (),
        output_tokens=served if served is not None else tokens_out,
        ended_s=(ended_s - start_s) * clock,
        assumed=served is None,
        verify_steps=usage.get("spec_verify_ct") or 0,
        correct_drafts=usage.get("spec_num_correct_drafts") or 0,
        image_tokens=(usage.get("prompt_tokens_details") or {}).get("image_tokens") or 0,
    )


def _kept_total(data: bytes) -> int | None:
    """The count of tokens in what `Keep` left of an event, without reading all of it as JSON."""
    if not data.startswith(_KEPT):
        return None
    at = data.find(_TOTAL) + len(_TOTAL)
    digits = data[at : data.find(b",", at)]
    return int(digits) if at >= len(_TOTAL) and digits.isdigit() else None


def _says_something(event: dict[str, Any], dialect: Dialect) -> bool:
    """Whether an event carries tokens: text, thinking or a tool call; not a role or a usage."""
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
        said = _message(json.loads(response.body))
    except (json.JSONDecodeError, UnicodeDecodeError):
        said = ""
    return f"HTTP {response.status}" + (f": {said}" if said else "")


def _message(answer: Any) -> str:
    """The words of an error body: SGLang's flat one, OpenAI's nested one."""
    if not isinstance(answer, dict):
        return ""
    inner = answer.get("error")
    found = (inner.get("message") if isinstance(inner, dict) else inner) or answer.get("message")
    return str(found or "").splitlines()[0][:200] if found else ""
