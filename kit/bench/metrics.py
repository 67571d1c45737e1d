"""Records of requests → the rows that serving benchmarks print, by the field's definitions.

    TTFT    first chunk with a token − send
    TPOT    (E2E − TTFT) / (output tokens − 1), per request; only above one token
    ITL     gap between chunks. With MTP a chunk carries several tokens, so there are two:
            per token (the gap divided by its tokens, repeated for each; what bench_serving's
            backend `sglang` prints) and per chunk (the gap itself; what OpenAI backends and
            vLLM print). They differ by the accept length; both are kept, labelled.
    E2E     last event − send; the last event of a server is `[DONE]`
    throughput      counts / wall time of the whole run, ramps included
    concurrency     Σ E2E / wall time: Little's law
    peaks           the best of one-second buckets from the first send on; for requests, those
                    that overlap a second, so 3 at concurrency 1 is no mistake

Failed requests are counted and averaged into nothing. Source: sglang 0.5.23,
benchmark/serving.py, `calculate_metrics`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain

from kit.bench.record import Record
from kit.bench.report import Report, Stats
from kit.bench.without_numpy import gaps
from kit.bench.workload import Workload
from kit.provenance import Provenance


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
    vision, caveat = _vision(done, workload)
    counted = all(r.tokens for r in done)
    per_chunk, per_token = _gaps(done, counted)
    tokens_peak, requests_peak = _peaks(done, counted)
    wall_s = duration_s if duration_s > 0 else math.inf
    caveats = {
        "ITL per token: the server does not count the tokens of a chunk": done and not counted,
        "output tokens: the server counts none; those asked for are taken": any(
            r.assumed for r in done
        ),
        caveat: caveat,
    }
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
        missing=(*missing, *(what for what, holds in caveats.items() if holds)),
        records=tuple(records),
    )


def _gaps(done: Sequence[Record], counted: bool) -> tuple[list[float], list[float]]:
    """All gaps between chunks, and the same per token (empty where tokens are not counted)."""
    per_chunk = [gap for r in done for gap in gaps(r.times_s)]
    if not counted:
        return per_chunk, []
    counts = chain.from_iterable(r.tokens[1:] for r in done)
    per_token = [[gap / n] * n if n else [] for gap, n in zip(per_chunk, counts, strict=True)]
    return per_chunk, list(chain.from_iterable(per_token))


def _vision(done: Sequence[Record], workload: Workload | None) -> tuple[int, str]:
    """(tokens of images and their delimiters in all prompts, a caveat where they are unsure)."""
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
    """Tokens per verify step, the bonus token included; None where no answer says."""
    steps = sum(r.verify_steps for r in done)
    return 1 + sum(r.correct_drafts for r in done) / steps if steps else None


def _peaks(done: Sequence[Record], counted: bool) -> tuple[float | None, int | None]:
    if not done:
        return None, None
    start_s = min(r.sent_s for r in done)
    seconds = math.ceil(max(r.ended_s for r in done) - start_s) + 1
    change = [0] * (seconds + 1)
    for r in done:
        change[int(r.sent_s - start_s)] += 1
        change[min(int(r.ended_s - start_s) + 1, seconds)] -= 1
    requests_peak = max(list(accumulate(change))[:seconds])
    if not counted:
        return None, requests_peak
    tokens: Counter[int] = Counter()
    for r in done:
        _count_tokens(tokens, r, start_s)
    return float(max(tokens.values())), requests_peak


def _count_tokens(tokens: Counter[int], record: Record, start_s: float) -> None:
    """Add each token to its second; those of one chunk are spread over the gap before it."""
    before_s = record.times_s[0] - start_s
    tokens[int(before_s)] += 1
    for time_s, count in zip(record.times_s[1:], record.tokens[1:], strict=True):
        at_s = time_s - start_s
        if int(before_s) == int(at_s):
            tokens[int(at_s)] += count
        else:
            step_s = (at_s - before_s) / max(count, 1)
            for number in range(1, count + 1):
                tokens[int(before_s + number * step_s)] += 1
        before_s = at_s
