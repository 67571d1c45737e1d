"""Lesson 10: a promise kept by nine of ten, users who think, and a price per million tokens."""

from __future__ import annotations

from collections.abc import Sequence

from kit.course.check import Exercise

USERS, THINK_S, TTFT_S, TPOT_S, TOKENS = 120, 30.0, 0.4, 0.02, 301
_ANSWER_S = TTFT_S + (TOKENS - 1) * TPOT_S


def keeps(ttft_ms: Sequence[float], tpot_ms: Sequence[float], bounds: Sequence[float]) -> bool:
    kept = [t <= bounds[0] and p <= bounds[1] for t, p in zip(ttft_ms, tpot_ms, strict=True)]
    return sum(kept) >= 0.9 * len(kept)


def _apart(ttft_ms: Sequence[float], tpot_ms: Sequence[float], bounds: Sequence[float]) -> bool:
    return all(
        sum(ms <= bound for ms in times) >= 0.9 * len(times)
        for times, bound in zip((ttft_ms, tpot_ms), bounds, strict=True)
    )


def _mean(ttft_ms: Sequence[float], tpot_ms: Sequence[float], bounds: Sequence[float]) -> bool:
    means = [sum(times) / len(times) for times in (ttft_ms, tpot_ms)]
    return all(mean <= bound for mean, bound in zip(means, bounds, strict=True))


def _all(ttft_ms: Sequence[float], tpot_ms: Sequence[float], bounds: Sequence[float]) -> bool:
    return max(ttft_ms) <= bounds[0] and max(tpot_ms) <= bounds[1]


def per_million(gpus: int, gpu_hour: float, tokens_per_s: float) -> float:
    return gpus * gpu_hour / (tokens_per_s * 3600) * 1e6


def _per_second(gpus: int, gpu_hour: float, tokens_per_s: float) -> float:
    return gpus * gpu_hour / tokens_per_s * 1e6


def _one_gpu(gpus: int, gpu_hour: float, tokens_per_s: float) -> float:
    return per_million(1, gpu_hour, tokens_per_s)


def _per_token(gpus: int, gpu_hour: float, tokens_per_s: float) -> float:
    return per_million(gpus, gpu_hour, tokens_per_s) / 1e6


def _at_once() -> float:
    return USERS * _ANSWER_S / (_ANSWER_S + THINK_S)


_TEN_FAST = [300.0] * 10
EXERCISES = (
    Exercise(
        "10-1",
        "Write a function of the TTFTs and the TPOTs of a run (two lists in ms, one entry per "
        "request) and the two bounds, that says whether nine of ten requests keep both.",
        lambda: keeps,
        hint="Count requests, not times: a request is good if its TTFT is within the first bound "
        "and its TPOT within the second.",
        solution="A request that keeps one bound and breaks the other is not served as promised.",
        cases=(
            (_TEN_FAST, [20.0] * 10, (1000, 40)),
            ([300.0] * 9 + [4000.0], [20.0] * 10, (1000, 40)),
            ([300.0] * 9 + [4000.0], [60.0] + [20.0] * 9, (1000, 40)),
            ([900.0] * 8 + [1100.0] * 2, [20.0] * 10, (1000, 40)),
            ([5000.0] + [10.0] * 9, [20.0] * 10, (400, 40)),
        ),
    )
    .wrong(lambda: _apart, "you judge the bounds apart: one request in ten may break each.")
    .wrong(lambda: _mean, "that judges the means: a few very slow ones drown among the others.")
    .wrong(lambda: _all, "all ten is more than was promised."),
    Exercise(
        "10-2",
        f"{USERS} people use an assistant. An answer has {TOKENS} tokens, the first after "
        f"{TTFT_S * 1e3:g} ms and each further one after {TPOT_S * 1e3:g} ms; then its reader "
        f"thinks for {THINK_S:g} s. How many requests are out at once, on average?",
        _at_once,
        hint="One round of a user is an answer and a thought. During which share of it is a "
        "request out?",
        solution="So a replica for so many requests serves several times as many people; as long "
        "as they do think.",
        working=lambda: f"{USERS} × {_ANSWER_S:g} / ({_ANSWER_S:g} + {THINK_S:g})",
        unit="requests",
    )
    .wrong(lambda: float(USERS), "that is all of them, as if nobody read what he gets.")
    .wrong(
        lambda: USERS * _ANSWER_S / THINK_S,
        "a round is the answer and the thought, one after the other.",
    )
    .wrong(
        lambda: USERS * THINK_S / (_ANSWER_S + THINK_S), "those are the people who think just now."
    ),
    Exercise(
        "10-3",
        "Write a function of a number of GPUs, the price of one for an hour, and tokens per second "
        "of all of them: what do a million tokens cost?",
        lambda: per_million,
        hint="In an hour they give 3600 times their tokens per second, for the hour's price of "
        "all GPUs.",
        solution="Half the load on the same GPUs is twice the price of a token: ask of each such "
        "figure at which load it was reached.",
        cases=((8, 3.0, 4000.0), (1, 2.0, 500.0), (16, 4.5, 30_000.0)),
    )
    .wrong(lambda: _per_second, "the price is of an hour, the rate of a second.")
    .wrong(lambda: _one_gpu, "that is the price of one GPU; all of them have to be paid.")
    .wrong(lambda: _per_token, "that is one token; a million are asked for."),
)
