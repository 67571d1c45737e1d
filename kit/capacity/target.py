"""What is promised to whom.

    Target(users=200, input_len=2000, output_len=500, ttft_ms=1000, tpot_ms=40)

Users are a closed loop: each has one request out, and sends the next one `think_s` after the last
token. Without a think time, 200 users are 200 requests at once, always; that is what benchmarks
call a concurrency, and the heaviest load that so many users can be. `rate` is an open loop
instead: a Poisson process of requests per second that waits for nobody. A trace with arrival
times is replayed as it is.

A replica gets a share of it: so many of the users, so much of the rate, each n-th request of the
trace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from kit.bench.goodput import Slo
from kit.bench.workload import tokens_of_image
from kit.capacity.trace import Row, Trace
from kit.errors import InvalidValue

Kind = Literal["users", "rate", "trace"]
FIELDS = (
    "users", "rate", "think_s", "input_len", "output_len", "spread", "shared_prefix",
    "image_share", "image_resolution", "context", "ttft_ms", "tpot_ms", "percentile", "seed",
)  # fmt: skip
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Target:
    """Who asks for what, and what they are promised.

    `input_len` are text tokens of a prompt, `output_len` tokens of an answer, on average: lengths
    lie evenly within a share `spread` above and below. (With a spread of 0, users that once sent
    together are answered together, and so send together for ever.) The first `shared_prefix`
    tokens are the same in all prompts. A share `image_share` of the requests carries an image of
    `image_resolution`, on top of the text. `percentile` of the requests keep `ttft_ms` and
    `tpot_ms`; None is no bound. `context` are tokens that a single request must be able to reach.
    Raises InvalidValue for what cannot be asked.
    """

    users: int | None = None
    rate: float | None = None
    trace: Trace | None = None
    input_len: int | None = None
    output_len: int | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    percentile: float = 90.0
    think_s: float = 0.0
    spread: float = 0.2
    shared_prefix: int = 0
    image_share: float = 0.0
    image_resolution: str = "720p"
    context: int | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        if self.ttft_ms is None and self.tpot_ms is None:
            raise InvalidValue("nothing is promised", "give --ttft-ms, --tpot-ms, or both")
        Slo(self.ttft_ms, self.tpot_ms)  # refuses one that is not above 0
        _load(self)
        _lengths(self)
        if not 0 < self.percentile <= MOST_PERCENTILE:
            raise InvalidValue(
                f"percentile {self.percentile:g}",
                f"give one above 0 and up to {MOST_PERCENTILE:g}, like 90: further out nobody can "
                "simulate",
            )
        if self.ttft_ms is None and max(row.output_tokens for row in self.rows) < 2:
            raise InvalidValue("a TPOT for answers of one token", "give --ttft-ms")
        if self.context is not None and self.context < self.longest:
            raise InvalidValue(
                f"a context of {self.context:,} for requests of up to {self.longest:,} tokens",
                "give at least the longest prompt and its answer",
            )

    @property
    def kind(self) -> Kind:
        if self.users is not None:
            return "users"
        return "rate" if self.rate is not None else "trace"

    @property
    def bounds_ms(self) -> dict[str, float]:
        """The promised longest times by their metric, "ttft" and "tpot"."""
        return Slo(self.ttft_ms, self.tpot_ms).bounds_ms

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Requests to draw from, one after the other and again from the start."""
        if self.trace is not None:
            return self.trace.rows
        image = tokens_of_image(self.image_resolution) if self.image_share else (0, 0)
        return tuple(self._row(index, *image) for index in range(_PERIOD))

    def _row(self, index: int, image_tokens: int, with_marks: int) -> Row:
        assert self.input_len is not None
        assert self.output_len is not None
        seen = _even(index, 1) < self.image_share
        shared = ("prefix", self.shared_prefix) if self.shared_prefix else None
        text = self._drawn(self.input_len, _even(index, 2), self.shared_prefix + 1)
        return Row(
            text + with_marks * seen,
            self._drawn(self.output_len, _even(index, 3)),
            image_tokens=image_tokens * seen,
            shared=shared,
        )

    def _drawn(self, mean: int, draw: float, least: int = 1) -> int:
        return max(least, round(mean * (1 + self.spread * (2 * draw - 1))))

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest request, prompt and answer."""
        return max(row.input_tokens + row.output_tokens for row in self.rows)

    @cached_property
    def mean_input(self) -> float:
        return sum(row.input_tokens for row in self.rows) / len(self.rows)

    @cached_property
    def mean_output(self) -> float:
        return sum(row.output_tokens for row in self.rows) / len(self.rows)

    @property
    def mean_tokens(self) -> float:
        """Of a request, prompt and answer."""
        return self.mean_input + self.mean_output

    @property
    def most_replicas(self) -> int:
        """With more, a replica would have less than one user, or hardly a request at a time."""
        if self.users is not None:
            return self.users
        return len(self.rows) if self.rate is None else math.ceil(self.rate / _IDLE_RATE)

    def __str__(self) -> str:
        return f"{self.who}; {self.what}; {self.promise}"

    @property
    def who(self) -> str:
        """ "200 users, each with a request out at all times"."""
        if self.users is not None:
            pause = f"{self.think_s:g} s between an answer and the next request"
            busy = "each with a request out at all times"
            return f"{self.users:,} user{'s' * (self.users > 1)}, {pause if self.think_s else busy}"
        if self.rate is not None:
            return f"{self.rate:g} requests per second (Poisson)"
        assert self.trace is not None
        return f"{self.trace.name} as it came, {len(self.trace.rows):,} requests"

    @property
    def what(self) -> str:
        """ "2,000 tokens in, 500 out"."""
        if self.trace is not None:
            return f"on average {self.mean_input:,.0f} tokens in, {self.mean_output:,.0f} out"
        around = f" (± {self.spread:.0%})" if self.spread else " (exactly)"
        parts = [f"{self.input_len:,} tokens in, {self.output_len:,} out{around}"]
        if self.shared_prefix:
            parts.append(f"{self.shared_prefix:,} of the prompt shared by all")
        if self.image_share:
            parts.append(f"{self.image_share:.0%} with a {self.image_resolution} image")
        return ", ".join(parts)

    @property
    def promise(self) -> str:
        """ "TTFT 1,000 ms and TPOT 40 ms for 90 % of them"."""
        bounds = " and ".join(f"{m.upper()} {ms:,g} ms" for m, ms in self.bounds_ms.items())
        return f"{bounds} for {self.percentile:g} % of the requests"

    def to_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in FIELDS}
        return {**found, "trace": self.trace.name if self.trace else None, "says": str(self)}


_PERIOD = 1009  # requests before the draws repeat: a prime
_IDLE_RATE = 0.01  # requests per second that find a replica idle
MOST_PERCENTILE = 99.9


def _even(index: int, which: int) -> float:
    """Numbers in [0, 1), of which any few in a row cover it evenly; another series per `which`."""
    return ((index + 0.5) * _GOLDEN**which) % 1


def _load(t: Target) -> None:
    given = [name for name in ("users", "rate") if getattr(t, name) is not None]
    timed = t.trace is not None and t.trace.timed
    if len(given) > 1:
        raise InvalidValue("users and a rate are two loads", "give one of them")
    if not given and not timed:
        lacks = "the trace has no arrival times, and there is" if t.trace else "there is"
        raise InvalidValue(f"{lacks} no load", "give --users N, or --rate N requests per second")
    if t.users is not None and not 1 <= t.users <= 1_000_000:
        raise InvalidValue(f"{t.users} users", "give 1 or more, up to a million")
    if t.rate is not None and not (t.rate > 0 and math.isfinite(t.rate)):
        raise InvalidValue(f"{t.rate:g} requests per second", "give a finite rate above 0")
    if not (t.think_s >= 0 and math.isfinite(t.think_s)):
        raise InvalidValue(f"a think time of {t.think_s:g} s", "give 0 or more")
    if t.think_s and t.users is None:
        raise InvalidValue(
            "a think time without users", "give --users N: a rate and a trace have their own times"
        )


def _lengths(t: Target) -> None:
    if t.trace is not None:
        for name in ("input_len", "output_len"):
            if getattr(t, name) is not None:
                raise InvalidValue(f"a trace and {name}", "the trace has its lengths: leave it out")
        if t.shared_prefix or t.image_share:
            raise InvalidValue("a trace and a prefix or images", "lengths come from the trace")
        return
    for name in ("input_len", "output_len"):
        value = getattr(t, name)
        if value is None or value < 1:
            shown = "no" if value is None else str(value)
            raise InvalidValue(f"{shown} {name}", f"give a {name} of 1 token or more, or a trace")
    if not 0 <= t.spread <= 1:
        raise InvalidValue(f"a spread of {t.spread:g}", "give 0 (exact lengths) to 1")
    if not 0 <= t.shared_prefix < (t.input_len or 0):
        raise InvalidValue(
            f"a shared prefix of {t.shared_prefix} tokens in prompts of {t.input_len}",
            "give 0 or more, and fewer than the prompt has",
        )
    if not 0 <= t.image_share <= 1:
        raise InvalidValue(f"an image share of {t.image_share:g}", "give 0 (none) to 1 (all)")
    tokens_of_image(t.image_resolution)
