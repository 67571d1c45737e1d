"""What a replica runs out of first: slots, KV cache, bandwidth, FLOPs, or the patience of launches.

A queue beside free memory is short of slots, one with all memory promised is short of KV cache.
Without a queue it is the steps that take too long: they are worked out again with twice the
bandwidth and with twice the FLOP/s, and what shortens them most is what was short.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from kit.capacity.judge import Option, Point
from kit.hardware import Gpu
from kit.sizing import plan
from kit.speed import SpeedModel

Resource = Literal["slots", "KV cache", "bandwidth", "FLOPs", "launches"]
_QUEUE = 0.5  # waiting requests of an average step: more is no coincidence
_MORE = 8  # slots beyond those that were chosen
_HELPS = 0.88  # of its time that a step still takes: above, the resource is not short


@dataclass(frozen=True)
class Limit:
    """What runs out first, and how one can tell."""

    resource: Resource
    reason: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.reason}"


def limit(option: Option) -> Limit:
    """What an option runs out of: at the lightest load that is too much for a replica, where one
    was tried, else at the load that it has."""
    point = option.beyond or option.point
    out, memory = point.outcome, option.candidate.memory
    if point.tightest == "ttft" and out.queued > _QUEUE and _could_have_more(option):
        found = _steps(option, option.most or option.point, "tpot")
        slots = memory.max_running_requests
        return Limit(
            found.resource, f"its {slots} slots are what it serves in time; {found.reason}"
        )
    if point.tightest == "ttft" and out.queued > _QUEUE:
        load = f"{out.queued:,.0f} wait while {out.running:,.0f} run, on average"
        if out.most_running >= memory.max_running_requests:
            return Limit("slots", f"{load}: the {memory.max_running_requests} slots are taken")
        used = f"{out.kv_tokens:,.0f} of {memory.kv_tokens:,} tokens held, the rest promised"
        return Limit("KV cache", f"{load}: {used}")
    return _steps(option, point, point.tightest)


def _could_have_more(option: Option) -> bool:
    """Whether memory would give more slots than the search chose, by what steps serve in time."""
    p, t = option.profile, option.target
    if not option.candidate.widened or p.max_running_requests is None:
        return False
    number = p.max_running_requests + _MORE
    then = plan(replace(p, max_running_requests=number), option.candidate.memory.sglang)
    return then.max_running_requests >= number and then.kv_tokens >= number * t.mean_tokens


def _steps(option: Option, point: Point, metric: str) -> Limit:
    gpu = option.profile.gpu
    changed = (
        replace(gpu, bandwidth_gb_s=2 * gpu.bandwidth_gb_s),
        replace(gpu, flops={k: 2 * v for k, v in gpu.flops.items()}),
    )
    wider, faster = (_share(option, point, metric, other) for other in changed)
    what = "its prefills" if metric == "ttft" else "its steps"
    reason = (
        f"{metric.upper()} is nearest to its bound, and {what} take {wider:.0%} of their "
        f"time with twice the bandwidth, {faster:.0%} with twice the FLOP/s"
    )
    if min(wider, faster) > _HELPS:
        return Limit("launches", f"{reason}: the rest is launching kernels, which no GPU shortens")
    return Limit("bandwidth" if wider < faster else "FLOPs", reason)


def _share(option: Option, point: Point, metric: str, gpu: Gpu) -> float:
    """What steps as this load has them take on another GPU, of what they take on its own."""
    own = option.candidate.speed
    other = SpeedModel(replace(own.profile, gpu=gpu), own.sglang, own.constants)
    out = point.outcome
    running, held = max(1, round(out.running)), round(out.kv_tokens)
    tokens, requests = max(1, round(out.prefill_tokens)), max(1, round(out.prefill_requests))
    prefills = other.prefill_s(tokens, requests) / own.prefill_s(tokens, requests)
    if metric == "ttft":
        return prefills
    steps = other.step_s(running, held) / own.step_s(running, held)
    return (1 - out.prefill_share) * steps + out.prefill_share * prefills
