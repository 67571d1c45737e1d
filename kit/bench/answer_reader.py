"""What a recorded answer means. Pure: bytes in, figures out.

Recorded parts are not events: a read may end in the middle of one, or hold several. An event
came when the read came that completed it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kit.bench.progress import most_tokens
from kit.bench.record import Record
from kit.bench.request_writer import Dialect
from kit.bench.transport import Part, Response

_DONE = b"[DONE]"
_SHORTENED = b'{"meta_info":{'
_BEGINNINGS = (b"data: {", b": twin at ")
_COUNT = b'"completion_tokens":'
_BLANK_LINE = re.compile(rb"\n[\r\n]|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NOT_OURS = "an event that is no JSON object of this kind"
_FAILED_ENDS = ("abort", "error")  # finish reasons of an answer that is not whole


def record(
    response: Response,
    dialect: Dialect,
    lengths: tuple[int, int],
    start_s: float,
    clock: float = 1.0,
) -> Record:
    """The record of one response. Times count from `start_s`, in the server's own seconds: those
    of a twin whose clock runs `clock` times faster are that many times longer.

    An answer is whole when it ended as its protocol says: with a finish reason and `[DONE]`.
    bench_serving counts whatever ended without an error of HTTP. `lengths` are the (input, output)
    tokens asked for; they are taken for a whole answer if the server counts none.
    """
    tokens_in, tokens_out = lengths
    sent_s = (response.sent - start_s) * clock
    failure = _failure(response)
    answer = _Answer(dialect, most_tokens(tokens_out))
    usage = _Usage()
    try:
        answer.read([] if failure else response.parts)
        usage = answer.usage()
    except _StreamError as error:
        failure = f"in the stream: {error}"
    except (ValueError, RecursionError, AttributeError, TypeError):
        failure = _NOT_OURS
    failure = failure or answer.lacks(usage)
    if failure:
        return Record(sent_s, tokens_in, error=failure)
    served = usage.output_tokens
    return Record(
        sent_s=sent_s,
        input_tokens=usage.input_tokens or tokens_in,
        times_s=[(time_s - start_s) * clock for time_s in answer.times],
        tokens=answer.tokens_of_chunks(served),
        output_tokens=served if served is not None else tokens_out,
        ended_s=(answer.ended_s - start_s) * clock,
        assumed=served is None,
        verify_steps=usage.verify_steps,
        correct_drafts=usage.correct_drafts,
        image_tokens=usage.image_tokens,
    )


def events(parts: Sequence[tuple[float, Part]]) -> Iterator[tuple[float, Part]]:
    """(time, data) of each server-sent event, the closing `[DONE]` included.

    Lines end in LF, CR LF or CR. An event whose blank line did not come is none. Each byte is
    looked at a fixed number of times, however the parts were cut.
    """
    rest: list[Part] = []  # the beginning of an event, and the last byte of it
    last = b""
    for time_s, part in parts:
        one = not rest and part.startswith(b"data: ") and part.find(b"\n") == len(part) - 2
        if one and part.endswith(b"\n"):
            yield time_s, part[6:-2]  # one event and nothing else: nearly every read
            continue
        if not _BLANK_LINE.search(last + part):
            rest.append(part)
            last = bytes(part[-1:]) or last
            continue
        *whole, left = _BLANK_LINE.split(b"".join((*rest, part)))
        rest, last = ([left], left[-1:]) if left else ([], b"")
        for event in whole:
            if data := _data(event):
                yield time_s, data


def _data(event: bytes) -> bytes:
    """What the data lines of an event hold; empty for a comment."""
    lines = _LINE_END.split(event)
    return b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))


class _StreamError(Exception):
    """The server reported an error inside the stream."""


@dataclass(frozen=True)
class _Usage:
    """The server's last word on tokens and on the end; None and 0 where it gave none.

    Raises TypeError for what is no count.
    """

    output_tokens: int | None = None
    input_tokens: int = 0
    verify_steps: int = 0
    correct_drafts: int = 0
    image_tokens: int = 0
    finish: Any = None

    @classmethod
    def of(cls, usage: dict[str, Any]) -> _Usage:
        details = usage.get("prompt_tokens_details")
        images = details.get("image_tokens") if isinstance(details, dict) else None
        served = usage.get("completion_tokens")
        return cls(
            output_tokens=None if served is None else _count(served),
            input_tokens=_count(usage.get("prompt_tokens")),
            verify_steps=_count(usage.get("spec_verify_ct")),
            correct_drafts=_count(usage.get("spec_num_correct_drafts")),
            image_tokens=_count(images),
            finish=usage.get("finish_reason"),
        )


class _Answer:
    """One answer, read event by event: when chunks with tokens came, and how many each had."""

    def __init__(self, dialect: Dialect, most_tokens: int) -> None:
        self.times: list[float] = []
        self.ended_s = 0.0
        self._dialect = dialect
        self._most = most_tokens
        self._done = False
        self._finish: Any = None
        self._tokens: list[int] = []
        self._total = 0
        self._counted = True  # every chunk said how many tokens there are so far
        self._usage: dict[str, Any] = {}
        self._last: Part = b""  # the newest shortened event, of which only the count has been read

    def read(self, parts: Sequence[tuple[float, Part]]) -> None:
        """Raises _StreamError, and the errors of JSON of another kind."""
        for time_s, data in events(parts):
            self.ended_s = time_s
            total = _shortened_count(data)
            if total is not None:
                self._last = data
                self._add_chunk(time_s, total)
            elif data == _DONE:
                self._done = True
                return  # what follows belongs to no answer
            else:
                self._add_whole(time_s, json.loads(data))

    def _add_chunk(self, time_s: float, total: int) -> None:
        if total > self._total:
            self.times.append(time_s)
            self._tokens.append(total - self._total)
            self._total = total

    def _add_whole(self, time_s: float, event: dict[str, Any]) -> None:
        if event.get("error"):
            raise _StreamError(_message(event))
        usage = event.get("meta_info") or event.get("usage")
        if usage:
            self._usage, self._last = usage, b""
        self._finish = _finish(event) or self._finish
        if not _carries_tokens(event, self._dialect):
            return
        total = (usage or {}).get("completion_tokens")
        if total is None:
            self._counted = False
            self.times.append(time_s)
        else:
            self._add_chunk(time_s, _count(total))

    def usage(self) -> _Usage:
        """The server's last word on tokens. Raises the errors of JSON of another kind."""
        return _Usage.of(json.loads(self._last)["meta_info"] if self._last else self._usage)

    def lacks(self, usage: _Usage) -> str:
        """Why it is no whole answer; empty where it is one."""
        finish = usage.finish if self._dialect == "native" else self._finish
        reason = finish.get("type") if isinstance(finish, dict) else finish
        most = max(usage.output_tokens or 0, self._total, len(self.times))
        if most > self._most:
            return "more tokens than were asked for: the answer is endless, or its count is wrong"
        if not self.times:
            return "an answer without a token"
        if not isinstance(reason, str) or not reason:
            return f"not whole: no finish reason{'' if self._done else ' and no [DONE]'}"
        if not self._done:
            return "not whole: no [DONE]"
        if reason in _FAILED_ENDS:
            said = _message(finish) if isinstance(finish, dict) else ""
            return f"in the stream: {reason}{f': {said}' if said else ''}"
        return ""

    def tokens_of_chunks(self, served: int | None) -> Sequence[int]:
        """Tokens of each chunk; empty where the server does not count them.

        `served` is its final count: what the chunks lack of it came with the last one.
        """
        if not self._counted:
            return ()
        if served is not None and served > self._total:
            self._tokens[-1] += served - self._total
        return self._tokens


def _shortened_count(data: Part) -> int | None:
    """The count of tokens in an event that was shortened, without reading all of it as JSON."""
    if not data.startswith(_SHORTENED):
        return None
    digits = data.partition(_COUNT)[2].partition(b",")[0]
    return int(digits) if digits.isdigit() else None


def _count(value: Any) -> int:
    """A count in an answer, 0 where it is null. Raises TypeError for anything else."""
    if value is None:
        return 0
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value


def _carries_tokens(event: dict[str, Any], dialect: Dialect) -> bool:
    """Whether an event holds text, thinking or a tool call; not only a role or a usage."""
    if dialect == "native":
        return "meta_info" in event
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        if any(delta.get(k) for k in ("content", "reasoning_content", "reasoning", "tool_calls")):
            return True
    return False


def _finish(event: dict[str, Any]) -> str:
    """The finish reason in a chunk of a chat; empty where it has none."""
    for choice in event.get("choices") or ():
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            return reason
    return ""


def _failure(response: Response) -> str:
    if response.error:
        return response.error
    if response.status == 200:
        return ""
    try:
        message = _message(json.loads(response.body))
    except (ValueError, RecursionError):
        message = ""
    return f"HTTP {response.status}" + (f": {message}" if message else "")


def _message(answer: Any) -> str:
    """The text of an error body: SGLang's flat one, OpenAI's nested one; its first line, and what
    a terminal would take for a command replaced."""
    if not isinstance(answer, dict):
        return ""
    inner = answer.get("error")
    found = (inner.get("message") if isinstance(inner, dict) else inner) or answer.get("message")
    lines = found.strip().splitlines() if isinstance(found, str) else []
    return "".join(c if c.isprintable() else "\ufffd" for c in lines[0][:200]) if lines else ""


class Shortener:
    """Reduces a native event to its `meta_info`: each event repeats the whole text so far.

    Without it a run of 500,000 tokens would hold half a gigabyte. Only a read that is exactly
    one event is shortened (in a text, the quotes that are looked for would be escaped); a twin's
    times before it are kept.
    """

    def __init__(self) -> None:
        self._aligned = True

    def __call__(self, part: bytes) -> bytes:
        if self._aligned and part.startswith(_BEGINNINGS) and part.find(b"\n\n") == len(part) - 2:
            start = part.rfind(b'"meta_info":{')
            return part[: part.find(b"{") + 1] + part[start:] if start > 0 else part
        self._aligned = part.endswith(b"\n\n")
        return part
