"""A run while it is going: what a live view draws, about five times per second.

    await measure(endpoint, workload, on_sample=lambda sample: print(sample.output_tokens))

Sampling must not change the figures. What has come is in `Response.parts` with its times; a look
reads the newest part of each answer for its count of tokens, and nothing is parsed twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kit.bench.progress import HAS_TOKENS, count_in
from kit.bench.transport import Response
from kit.bench.twin_clock import newest

INTERVAL_S = 0.2
_IN_STREAM = b'data: {"error"'
_FINISH = re.compile(rb'"finish_reason":\s*(?:"|\{)')
_END = 1 << 16  # bytes at the end of an answer, where its last events are


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a run at `t_s`, in the endpoint's seconds since its start.

    `sent` … `output_tokens` are totals so far; where the server does not count tokens
    (`counted` is False), chunks are counted instead. `running` and `queued` are the server's own,
    None where it does not say. `ttft_s` holds every first token since the sample before, `itl_s`
    the newest gap of each answer, per token (per chunk where tokens are not counted).
    """

    t_s: float
    sent: int
    finished: int
    failed: int
    in_flight: int
    output_tokens: int
    running: int | None = None
    queued: int | None = None
    ttft_s: tuple[float, ...] = ()
    itl_s: tuple[float, ...] = ()
    counted: bool = True


@dataclass(slots=True)
class _Seen:
    """How far one answer has been looked at."""

    parts: int = 0
    tokens: int = 0
    started: bool = False


@dataclass
class Sampler:
    """Turns answers, complete or under way, into samples.

    `clock` is the endpoint's speed, `counted` whether the server counts tokens in every chunk,
    `twin` whether it may be a twin: then times are its own where it says them, and `twin_s` is the
    newest.
    """

    clock: float = 1.0
    counted: bool = True
    twin: bool = False
    running: int | None = None
    queued: int | None = None
    twin_s: float | None = None
    _seen: dict[Response, _Seen] = field(default_factory=dict)
    _tokens: int = 0
    _finished: int = 0
    _failed: int = 0
    _ttft_s: list[float] = field(default_factory=list)
    _itl_s: list[float] = field(default_factory=list)

    def look(self, response: Response, ended: bool = False) -> None:
        """Take in what is new in one answer; takes some microseconds."""
        seen = self._seen.setdefault(response, _Seen())
        parts = response.parts
        if response.status == 200 and len(parts) > seen.parts:
            self._start(response, seen)
            if seen.started:
                self._count(response, seen)
            seen.parts = len(parts)
            if self.twin and (stamp := newest(parts, len(parts) - 1)):
                self.twin_s = max(stamp[0], self.twin_s or 0.0)
        if ended:
            del self._seen[response]
            if _failed(response):
                self._failed += 1
            else:
                self._finished += 1

    def sample(self, since_start_s: float, sent: int, in_flight: int) -> Sample:
        """The totals so far; times to first token and gaps are given out once."""
        made = Sample(
            t_s=self._now_s(since_start_s),
            sent=sent,
            finished=self._finished,
            failed=self._failed,
            in_flight=in_flight,
            output_tokens=self._tokens,
            running=self.running,
            queued=self.queued,
            ttft_s=tuple(self._ttft_s),
            itl_s=tuple(self._itl_s),
            counted=self.counted,
        )
        self._ttft_s, self._itl_s = [], []
        return made

    def _now_s(self, since_start_s: float) -> float:
        """The endpoint's time. A twin that has said nothing yet is at its start: on a slow
        computer the wall clock would be past the twin's first stamp, and a curve turn back."""
        if self.twin_s is not None:
            return self.twin_s
        return 0.0 if self.twin and not self._tokens else since_start_s * self.clock

    def _start(self, response: Response, seen: _Seen) -> None:
        """Find the first part with a token: until then the answer has not begun."""
        if seen.started:
            return
        for index in range(seen.parts, len(response.parts)):
            part = response.parts[index][1]
            if count_in(response.parts, index) if self.counted else HAS_TOKENS.search(part):
                seen.started = True
                seen.parts = index
                self._ttft_s.append(self._since_sent_s(response, index))
                return

    def _count(self, response: Response, seen: _Seen) -> None:
        parts, first = response.parts, seen.parts
        if not self.counted:
            new = [i for i in range(first, len(parts)) if HAS_TOKENS.search(parts[i][1])]
            self._add(seen, seen.tokens + len(new))
            if len(new) > 1:
                self._itl_s.append(self._between_s(response, *new[-2:]))
            return
        last: tuple[int, int] | None = None
        for index in range(len(parts) - 1, max(first - 1, 0) - 1, -1):
            count = count_in(parts, index)
            if not count:
                continue
            if last is None:
                last = (index, count)
                self._add(seen, count)
            elif count < last[1]:
                between_s = self._between_s(response, index, last[0])
                self._itl_s.append(between_s / (last[1] - count))
                return

    def _since_sent_s(self, response: Response, index: int) -> float:
        """When a part came, in the endpoint's seconds since its request was sent."""
        stamp = newest(response.parts, index) if self.twin else None
        if stamp is not None:
            return stamp[0] - stamp[1]
        return (response.parts[index][0] - response.sent) * self.clock

    def _between_s(self, response: Response, first: int, second: int) -> float:
        return self._since_sent_s(response, second) - self._since_sent_s(response, first)

    def _add(self, seen: _Seen, tokens: int) -> None:
        self._tokens += max(tokens - seen.tokens, 0)
        seen.tokens = max(tokens, seen.tokens)


def _failed(response: Response) -> bool:
    """Whether it is no whole answer, by the looks of its end; `answer_reader` reads it all."""
    if response.error or response.status != 200:
        return True
    end = b"".join(part[-_END:] for _, part in response.parts[-8:])
    return _IN_STREAM in end or b"[DONE]" not in end or not _FINISH.search(end)
