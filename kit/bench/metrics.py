"""Records of requests → the rows that serving benchmarks print, by the field's definitions.

    TTFT    first chunk with a token − send
    TPOT    (E2E − TTFT) / (output tokens − 1), a request; only above one token
    ITL     gap between chunks. With MTP a chunk carries several tokens, so there are two:
            per token (the gap divided by its tokens, repeated for each; what bench_serving's
            backend `sglang` prints) and per chunk (the gap itself; what OpenAI backends and
            vLLM print). They differ by the accept length; both are kept, labelled.
    E2E     last event − send; on a wire the last event is `[DONE]`
    throughput      counts / wall time of the whole run, ramps included
    concurrency     Σ E2E / wall time: Little's law
    peaks           the best of one-second buckets from the first send on; for requests, those
                    that overlap a second, so 3 at concurrency 1 is no mistake

Failed requests are counted and averaged into nothing. Percentiles interpolate, std is the
population's. Source: sglang 0.5.23, benchmark/serving.py, `calculate_metrics`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from kit.bench.workload import Workload
from kit.errors import InvalidValue
from kit.provenance import Provenance

if TYPE_CHECKING:
    from kit.bench.goodput import Goodput, Slo

Array = npt.NDArray[np.float64]
ItlBasis = Literal["token", "chunk"]


@dataclass(frozen=True, slots=True)
class Record:
    """One request as its client saw it; times in seconds since the start of the run.

    `tokens[i]` came in the chunk at `times_s[i]`. Where a server does not say how many tokens a
    chunk carries, `tokens` is empty and `output_tokens` is the server's count at the end;
    `assumed` when it gave none at all, and what was asked for is taken. `verify_steps` and
    `correct_drafts` are those of speculation, `image_tokens` those of the prompt; 0 where the
    answer does not tell.
    """

    sent_s: float
    input_tokens: int
    times_s: Sequence[float] = ()
    tokens: Sequence[int] = ()
    output_tokens: int = 0
    ended_s: float = 0.0
    error: str = ""
    assumed: bool = False
    verify_steps: int = 0
    correct_drafts: int = 0
    image_tokens: int = 0

    @property
    def ok(self) -> bool:
        return not self.error

    @property
    def ttft_s(self) -> float:
        return self.times_s[0] - self.sent_s

    @property
    def latency_s(self) -> float:
        return self.ended_s - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """None for an answer of one token: there is no second to wait for."""
        if self.output_tokens < 2:
            return None
        return (self.latency_s - self.ttft_s) / (self.output_tokens - 1)


@dataclass(frozen=True)
class Stats:
    """Of one quantity in milliseconds; None where the source does not say."""

    mean: float | None = None
    median: float | None = None
    std: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float] | Array) -> Stats:
        values = np.asarray(seconds if isinstance(seconds, np.ndarray) else list(seconds)) * 1e3
        if values.size == 0:
            return cls()
        p90, p95, p99 = (float(p) for p in np.percentile(values, (90, 95, 99)))
        return cls(
            mean=float(values.mean()),
            median=float(np.median(values)),
            std=float(values.std()),
            p90=p90,
            p95=p95,
            p99=p99,
            max=float(values.max()),
        )


@dataclass(frozen=True)
class Report:
    """What a run gave. None is what its source does not say; `missing` says so in words."""

    provenance: Provenance
    backend: str = "sglang"
    workload: Workload | None = None
    arguments: dict[str, Any] = field(default_factory=dict)  # of a line that somebody else wrote
    duration_s: float | None = None
    completed: int | None = None
    total_input_tokens: int | None = None
    total_input_vision_tokens: int = 0
    total_output_tokens: int | None = None
    total_output_tokens_retokenized: int | None = None
    request_throughput: float | None = None
    input_throughput: float | None = None
    output_throughput: float | None = None
    total_throughput: float | None = None
    e2e_latency: Stats = Stats()
    ttft: Stats = Stats()
    tpot: Stats = Stats()
    itl: Stats = Stats()
    itl_basis: ItlBasis = "token"
    itl_per_chunk: Stats = Stats()
    concurrency: float | None = None
    accept_length: float | None = None
    max_output_tokens_per_s: float | None = None
    max_concurrent_requests: int | None = None
    errors: dict[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    records: tuple[Record, ...] = field(default=(), repr=False)
    judged: Goodput | None = None  # what `to_json` and `table` tell of goodput

    @property
    def total_input_text_tokens(self) -> int | None:
        if self.total_input_tokens is None:
            return None
        return self.total_input_tokens - self.total_input_vision_tokens

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    def __getitem__(self, key: str) -> Any:
        """A figure by its key in the result line: `report["mean_ttft_ms"]`.

        Raises KeyError for a key that the line does not have.
        """
        return self.to_json()[key]

    def goodput(self, slo: Slo) -> float:
        """Requests a second that kept `slo`. Raises InvalidValue where no request was kept."""
        return self.judge(slo).requests_per_s

    def judge(self, slo: Slo) -> Goodput:
        """Goodput and the share of requests that kept each bound. Raises InvalidValue."""
        from kit.bench.goodput import Goodput

        if not self.records or self.duration_s is None:
            raise InvalidValue(
                "goodput needs every request, and this report holds their averages only",
                "measure or simulate the run here",
            )
        return Goodput.of(self.records, slo, self.duration_s)

    def to_json(self) -> dict[str, Any]:
        """The keys of bench_serving's result line in its order, then ours."""
        from kit.bench.result_file import to_json

        return to_json(self)

    def table(self) -> str:
        """The rows of bench_serving's table in its order, then ours; rows unknown are left out."""
        from kit.bench.table import table

        return table(self)


def report(
    records: Sequence[Record],
    duration_s: float,
    provenance: Provenance,
    *,
    workload: Workload | None = None,
    backend: str = "sglang",
    accept_length: float | None = None,
    missing: tuple[str, ...] = (),
) -> Report:
    """The figures of a run that took `duration_s` from its first send to its end."""
    done = [r for r in records if r.ok]
    tokens_in = sum(r.input_tokens for r in done)
    tokens_out = sum(r.output_tokens for r in done)
    vision, unseen = _vision(done, workload)
    counted = all(r.tokens for r in done)
    per_chunk, per_token = _gaps(done, counted)
    tokens_peak, requests_peak = _peaks(done, counted)
    wall_s = duration_s if duration_s > 0 else math.inf
    if done and not counted:
        missing = (*missing, "ITL per token: the server does not count the tokens of a chunk")
    if any(r.assumed for r in done):
        missing = (*missing, "output tokens: the server counts none; the lengths asked are taken")
    if unseen:
        missing = (*missing, unseen)
    return Report(
        provenance=provenance,
        backend=backend,
        workload=workload,
        duration_s=duration_s,
        completed=len(done),
        total_input_tokens=tokens_in,
        total_input_vision_tokens=vision,
        total_output_tokens=tokens_out,
        request_throughput=len(done) / wall_s,
        input_throughput=tokens_in / wall_s,
        output_throughput=tokens_out / wall_s,
        total_throughput=(tokens_in + tokens_out) / wall_s,
        e2e_latency=Stats.of(r.latency_s for r in done),
        ttft=Stats.of(r.ttft_s for r in done),
        tpot=Stats.of(tpot for r in done if (tpot := r.tpot_s) is not None),
        itl=Stats.of(per_token if counted else per_chunk),
        itl_basis="token" if counted else "chunk",
        itl_per_chunk=Stats.of(per_chunk),
        concurrency=sum(r.latency_s for r in done) / wall_s,
        accept_length=_accept_length(done) if accept_length is None else accept_length,
        max_output_tokens_per_s=tokens_peak,
        max_concurrent_requests=requests_peak,
        errors=dict(Counter(r.error for r in records if r.error)),
        missing=missing,
        records=tuple(records),
    )


def _gaps(done: Sequence[Record], counted: bool) -> tuple[Array, Array]:
    """All gaps between chunks, and the same per token (empty when nobody counted)."""
    gaps = [np.diff(r.times_s) for r in done if len(r.times_s) > 1]
    per_chunk = np.concatenate(gaps) if gaps else np.zeros(0)
    if not counted or not gaps:
        return per_chunk, np.zeros(0)
    counts = np.concatenate([np.asarray(r.tokens[1:]) for r in done if len(r.times_s) > 1])
    return per_chunk, np.repeat(per_chunk / counts, counts)


def _vision(done: Sequence[Record], workload: Workload | None) -> tuple[int, str]:
    """(tokens of images and their delimiters in all prompts, what is unsure about them)."""
    if workload is None or not workload.vision_tokens or not done:
        return 0, ""
    delimiters = workload.vision_tokens - workload.image_tokens
    if all(r.image_tokens for r in done):
        return sum(r.image_tokens + delimiters for r in done), ""
    if all(r.input_tokens >= workload.vision_tokens for r in done):
        computed = "vision tokens by the server: it counts them in the prompt, not apart"
        return workload.vision_tokens * len(done), computed
    return 0, "vision tokens: by its count of the prompts, the server did not read the images"


def _accept_length(done: Sequence[Record]) -> float | None:
    """Tokens a verify step gave, its bonus token included; None where no answer tells."""
    steps = sum(r.verify_steps for r in done)
    return 1 + sum(r.correct_drafts for r in done) / steps if steps else None


def _peaks(done: Sequence[Record], counted: bool) -> tuple[float | None, int | None]:
    if not done:
        return None, None
    start_s = min(r.sent_s for r in done)
    seconds = math.ceil(max(r.ended_s for r in done) - start_s) + 1
    overlap = np.zeros(seconds + 1, dtype=np.int64)
    for r in done:
        overlap[int(r.sent_s - start_s)] += 1
        overlap[min(int(r.ended_s - start_s) + 1, seconds)] -= 1
    requests_peak = int(np.cumsum(overlap)[:seconds].max())
    if not counted:
        return None, requests_peak
    times = np.concatenate([_token_times(r, start_s) for r in done])
    return float(np.bincount(times.astype(np.int64)).max()), requests_peak


def _token_times(record: Record, start_s: float) -> Array:
    """When each token came, those of one chunk spread over the gap before it."""
    times = np.asarray(record.times_s)
    counts = np.asarray(record.tokens[1:], dtype=np.int64)
    steps = np.repeat(np.diff(times) / counts, counts)
    return np.concatenate([[times[0]], times[0] + np.cumsum(steps)]) - start_s
