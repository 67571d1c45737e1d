"""Lesson 07: who waits, what makes the wait short, and two ways to be misled by a table."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from kit.bench import published, simulate
from kit.course.check import Exercise
from kit.hardware import SGLANG, Profile
from kit.launch import flag_differences
from kit.sizing import plan

_RUN = published("cookbook-throughput")
_ALONE = published("cookbook-latency")
_BASE = replace(_RUN.profile, radix_cache=True)  # as 0.5.23 starts it
_ASKED = 128
_SHORT_MS = 1000.0
WAYS: dict[str, Profile] = {
    "a": replace(_BASE, max_running_requests=_ASKED),
    "b": replace(_BASE, max_running_requests=_RUN.workload.max_concurrency, radix_cache=False),
    "c": replace(_BASE, max_running_requests=_ASKED, ssm_dtype="bfloat16"),
    "d": replace(_BASE, radix_cache=False),
    "e": replace(_BASE, max_running_requests=_ASKED, mem_fraction_static=0.85),
    "f": replace(_BASE, max_running_requests=_ASKED, radix_cache=False),
}


def ways() -> str:
    """the flags that each way adds to the command of the published run, one way per line."""
    return flag_differences(_BASE, WAYS)


def _row(key: str) -> float:
    return float(_RUN.report[key])


def _in_part(milliseconds: float) -> float:
    """Requests that are in a part of their life that takes so long: Little's law."""
    return _row("request_throughput") * milliseconds / 1e3


def _waiting() -> float:
    return _in_part(_row("mean_ttft_ms"))


@cache
def _short() -> frozenset[str]:
    return frozenset(name for name, way in WAYS.items() if _ttft_ms(way) < _SHORT_MS)


def _ttft_ms(way: Profile) -> float:
    report = simulate(way, _RUN.workload, SGLANG, accept_length=_RUN.accept_length)
    return report.ttft.mean or 0.0


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
        f"Which ways bring the mean TTFT of that run under {_SHORT_MS / 1e3:g} s "
        f"on SGLang {SGLANG}? Write a set of letters.",
        lambda: set(_short()),
        hint="All hundred clients have to run at once: `plan(WAYS['a']).max_running_requests`, "
        "or simulate the run.",
        solution="The limit has to be raised, and each request has to take fewer state slots: "
        "one without the prefix cache, against five with it. And no higher than there are clients, "
        "since slots take their memory from the KV cache.",
    )
    .wrong(lambda: {"a"}, "the flag alone: the state slots end long before.")
    .wrong(
        lambda: {"b", "c"},
        "half the state gives twice the slots, and that is still less than a hundred.",
    )
    .wrong(
        lambda: {"b", "d"}, "without --max-running-requests SGLang keeps its own limit under MTP."
    )
    .wrong(
        lambda: {"b", "f"},
        "more slots than clients leave too few tokens of KV cache for those that run.",
    )
    .wrong(lambda: set(WAYS), "simulate each: most of them leave a queue."),
    Exercise(
        "07-3",
        "The cookbook's throughput command, typed today as it stands: how many tokens "
        "does it ask for in all?",
        lambda: replace(_RUN.workload, seed=42).total_output_tokens,
        hint="The lengths are drawn from a seed, and its default has changed: "
        "`replace(load, seed=…)`.",
        solution="Another seed, other requests: whoever compares adds --seed 1.",
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
    )
    .wrong(
        lambda: float(_ALONE.report["mean_itl_ms"]),
        "that is per token; a chunk brings several at once.",
    )
    .wrong(
        lambda: _ALONE.report["mean_itl_ms"] / _ALONE.report["accept_length"],
        "you divided; it was divided already.",
    ),
)
