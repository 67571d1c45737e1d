"""Lesson 02: GPUs for FP8, a state in tokens of cache, and which pool runs out."""

from __future__ import annotations

from kit.course.check import Exercise
from kit.hardware import Profile, profile
from kit.models import model
from kit.sizing import MemoryPlan, plan

_LARGE = model("397b")
_TOKENS = 32_768


def _fewest(precision: str) -> int:
    return next(n for n in _LARGE.tp_sizes if plan(Profile.of("397b", precision, "h100", n)).fits)


def _plan() -> MemoryPlan:
    return plan(profile("h200x8"))


def _state_in_tokens(mtp: bool = True) -> float:
    tp_size = profile("h200x8").tp_size
    kv = _LARGE.kv_bytes_per_token_per_rank(tp_size, mtp)
    return _LARGE.state_bytes_per_rank(tp_size) / kv


EXERCISES = (
    Exercise(
        "02-1",
        "How many H100s does the FP8 checkpoint of the 397B need?",
        lambda: _fewest("fp8"),
        hint='`plan(Profile.of("397b", "fp8", "h100", n)).fits` answers for n GPUs.',
        solution="Half the bytes of most weights, half the GPUs: one node instead of two.",
    )
    .wrong(lambda: _fewest("bf16"), "that is BF16; FP8 takes half the bytes a weight.")
    .wrong(
        lambda: _fewest("fp8") // 2,
        "then a rank would have to hold more weights than a GPU has memory.",
    )
    .wrong(lambda: 6, "enough memory by the sum, but six ranks do not divide the model's heads."),
    Exercise(
        "02-2",
        "On a rank of h200x8, with MTP: how many tokens of KV cache does a request's state weigh?",
        _state_in_tokens,
        hint="Both sides on one rank: the state is split over the ranks, a KV head is copied.",
        solution="The state shrinks with every rank; the cache of a token stopped at two.",
        tolerance=0.005,
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
