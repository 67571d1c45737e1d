"""Lesson 02: GPUs for a smaller model, a state in tokens of cache, and which pool runs out."""

from __future__ import annotations

from kit.course.check import Exercise
from kit.hardware import Profile, profile
from kit.models import model
from kit.sizing import MemoryPlan, plan

_LARGE = model("397b")
_TOKENS = 32_768


def _fewest(size: str, gpu: str) -> int:
    return next(n for n in model(size).tp_sizes if plan(Profile.of(size, "bf16", gpu, n)).fits)


def _plan() -> MemoryPlan:
    return plan(profile("h200x8"))


def _state_in_tokens(mtp: bool = True) -> float:
    tp_size = profile("h200x8").tp_size
    kv = _LARGE.kv_bytes_per_token_per_rank(tp_size, mtp)
    return _LARGE.state_bytes_per_rank(tp_size) / kv


EXERCISES = (
    Exercise(
        "02-1",
        "How many H200s does the 122B need in BF16?",
        lambda: _fewest("122b", "h200"),
        hint='`plan(Profile.of("122b", "bf16", "h200", n)).fits` answers for n GPUs.',
        solution="Its weights alone would go onto two, with next to nothing left for requests; and "
        "three ranks do not divide its heads.",
        working=lambda: (
            'next(n for n in model("122b").tp_sizes '
            'if plan(Profile.of("122b", "bf16", "h200", n)).fits)'
        ),
        unit="GPUs",
    )
    .wrong(lambda: 2, "the weights go onto two, and then there is no room for what serves them.")
    .wrong(lambda: 3, "enough memory by the sum, but three ranks do not divide the model's heads.")
    .wrong(
        lambda: _fewest("397b", "h200"), "that is the 397B; this model has a third of its bytes."
    ),
    Exercise(
        "02-2",
        "On a rank of h200x8, with MTP: how many tokens of KV cache does a request's state weigh?",
        _state_in_tokens,
        hint="Both sides on one rank: the state is split over the ranks, a KV head is copied.",
        solution="The state shrinks with every rank; the cache of a token stopped at two.",
        tolerance=0.005,
        working=lambda: (
            f"{_LARGE.state_bytes_per_rank(8):,.0f} / "
            f"{_LARGE.kv_bytes_per_token_per_rank(8, mtp=True):,.0f}"
        ),
        unit="tokens",
    )
    .wrong(
        lambda: _LARGE.state_bytes_per_request() / _LARGE.kv_bytes_per_token(mtp=True),
        "that is over the whole model; on a rank the state is an eighth, the cache a half.",
    )
    .wrong(lambda: _state_in_tokens(mtp=False), "MTP is on: its layer keeps a KV cache too.")
    .wrong(
        lambda: _LARGE.state_bytes_per_request() / _LARGE.kv_bytes_per_token(mtp=False),
        "that is over the whole model, and without MTP's layer.",
    ),
    Exercise(
        "02-3",
        f"How many requests of {_TOKENS:,} tokens run at once on h200x8, as it is?",
        lambda: _plan().requests_at(_TOKENS),
        hint="There are two caps, and the smaller one holds: state slots, and tokens of cache.",
        solution="At this length the cache runs out long before the state slots do.",
        working=lambda: (
            f"min({_plan().max_running_requests}, {_plan().kv_tokens:,} // {_TOKENS:,})"
        ),
        unit="requests",
    )
    .wrong(
        lambda: _plan().max_running_requests,
        "that is the cap by state slots; is there cache for so many of this length?",
    )
    .wrong(lambda: 48, "that is SGLang's own limit with MTP; both pools are smaller.")
    .wrong(
        lambda: _plan().requests_at(_TOKENS) + 1,
        "the last one has cache for a part of its tokens only.",
    ),
)
