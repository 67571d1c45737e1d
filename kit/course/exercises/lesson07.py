"""Lesson 07: who waits, what makes the wait short, and two ways to be misled by a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kit.bench import published
from kit.course.check import Exercise
from kit.sizing import plan

_RUN = published("cookbook-throughput")
_ALONE = published("cookbook-latency")


def _row(key: str) -> float:
    return float(_RUN.report[key])


def _in_part(milliseconds: float) -> float:
    """Requests that are in a part of their life that takes so long: Little's law."""
    return _row("request_throughput") * milliseconds / 1e3


def _waiting() -> float:
    return _in_part(_row("mean_ttft_ms"))


Times = Sequence[float]
Bounds = tuple[float, float]


def goodput(ttft_ms: Times, tpot_ms: Times, bounds: Bounds, seconds: float) -> float:
    pairs = zip(ttft_ms, tpot_ms, strict=True)
    return sum(t <= bounds[0] and p <= bounds[1] for t, p in pairs) / seconds


def _throughput(ttft_ms: Times, tpot_ms: Times, bounds: Bounds, seconds: float) -> float:
    return len(ttft_ms) / seconds


def _share(ttft_ms: Times, tpot_ms: Times, bounds: Bounds, seconds: float) -> float:
    return goodput(ttft_ms, tpot_ms, bounds, seconds) * seconds / len(ttft_ms)


def _either(ttft_ms: Times, tpot_ms: Times, bounds: Bounds, seconds: float) -> float:
    pairs = zip(ttft_ms, tpot_ms, strict=True)
    return sum(t <= bounds[0] or p <= bounds[1] for t, p in pairs) / seconds


def _count(ttft_ms: Times, tpot_ms: Times, bounds: Bounds, seconds: float) -> float:
    return goodput(ttft_ms, tpot_ms, bounds, 1)


def _chunk_gap_ms() -> float:
    report = _ALONE.report
    return float(report["mean_itl_ms"] * report["accept_length"])


EXERCISES = (
    Exercise(
        "07-1",
        "How many requests of the published throughput run waited for their first token, "
        "on average?",
        _waiting,
        hint="Little's law on a part of a request's life: requests per second, times the seconds "
        "that each spends waiting. Both are rows of the table.",
        solution="Half of the clients were in the queue at any time, and none of it was work.",
        working=lambda: f"{_row('request_throughput')} × {_row('mean_ttft_ms')} / 1000",
        unit="requests",
    )
    .wrong(
        lambda: _in_part(_row("mean_e2e_latency_ms")),
        "those are all requests that were out; take the wait alone.",
    )
    .wrong(
        lambda: _in_part(_row("mean_e2e_latency_ms") - _row("mean_ttft_ms")),
        "those were being answered; which part of the time is the wait?",
    )
    .wrong(
        lambda: (
            float(_RUN.workload.max_concurrency or 0)
            - plan(_RUN.profile, _RUN.sglang).max_running_requests
        ),
        "that is the limit less the cap; take it from the table, without knowing the cap.",
    )
    .wrong(
        lambda: _row("request_throughput") * _row("mean_ttft_ms"), "the table is in milliseconds."
    ),
    Exercise(
        "07-2",
        "Write an SLO check: a function of the TTFTs and the TPOTs of a run (two lists in ms, one "
        "entry per request), the two bounds in ms, and the seconds that the run took. It gives the "
        "goodput, in requests per second.",
        lambda: goodput,
        hint="A request is good if it keeps both bounds. Count the good ones; a rate is a count "
        "over a time.",
        solution="A request that keeps one bound and breaks the other was not served as promised.",
        cases=(
            ([300.0] * 4, [20.0] * 4, (400, 20), 2.0),
            ([300.0, 900.0, 350.0, 390.0], [15.0, 15.0, 30.0, 19.0], (400, 20), 4.0),
            ([500.0, 500.0], [30.0, 30.0], (400, 20), 5.0),
        ),
    )
    .wrong(lambda: _throughput, "those are all requests per second; only the good ones count.")
    .wrong(lambda: _share, "that is a share of the requests; a rate is wanted, per second.")
    .wrong(lambda: _either, "both bounds have to be kept, not one of them.")
    .wrong(lambda: _count, "that is how many were good; divide by the seconds of the run."),
    Exercise(
        "07-3",
        "The cookbook's throughput command, typed today as it stands: how many tokens "
        "does it ask for in all?",
        lambda: replace(_RUN.workload, seed=42).total_output_tokens,
        hint="The lengths are drawn from a seed, and its default has changed: "
        "`replace(crowd.workload, seed=…)`.",
        solution="Another seed, other requests: whoever compares adds --seed 1.",
        working=lambda: (
            'replace(bench.published("cookbook-throughput").workload, seed=42).total_output_tokens'
        ),
        unit="tokens",
    )
    .wrong(
        lambda: _RUN.workload.total_output_tokens,
        "that is what the page's run asked for, with the default seed of its time.",
    )
    .wrong(
        lambda: _RUN.workload.num_prompts * _RUN.workload.output_len,
        "that takes 1000 as exact; it is where the draw ends.",
    )
    .wrong(
        lambda: replace(_RUN.workload, seed=42).total_input_tokens,
        "those are the tokens of the prompts.",
    ),
    Exercise(
        "07-4",
        "vllm bench serve takes the gap between chunks for an ITL. About which mean would it have "
        "printed for the server of the published latency run, in ms?",
        _chunk_gap_ms,
        hint="A chunk carries as many tokens as the accept length says; the table's ITL is shared "
        "out among them.",
        solution="The same server, the same run, three times the ITL: compare the definition "
        "before the figure.",
        tolerance=0.05,
        working=lambda: f"{_ALONE.report['mean_itl_ms']} × {_ALONE.report['accept_length']}",
        unit="ms",
    )
    .wrong(
        lambda: float(_ALONE.report["mean_itl_ms"]),
        "that is per token; a chunk brings several at once.",
    )
    .wrong(
        lambda: _ALONE.report["mean_itl_ms"] / _ALONE.report["accept_length"],
        "you divided; it was divided already.",
    )
    .wrong(lambda: _chunk_gap_ms() / 1000, "that is in seconds; the question asks for ms."),
)
