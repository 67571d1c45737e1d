"""What would mend a plan: each remedy is itself sized, so none is offered that does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kit.hardware import Gpu, Profile, gpus
from kit.hardware.validate import obstacle, transport_obstacle
from kit.models.precision import precision, precisions
from kit.sizing.accounting import parse
from kit.sizing.mem_fraction import aiter_share
from kit.sizing.plan import MemoryPlan, plan

LAZY_SINCE = (0, 5, 14)  # the strategy is older, its flag had another name
FRACTION_STEPS = (0.85, 0.88, 0.9, 0.92, 0.95)

Change = tuple[str, Profile]  # what to do, and the profile after it


@dataclass(frozen=True)
class Remedy:
    """A change that mends a plan: what to do, the profile after it, what that gives."""

    action: str
    profile: Profile
    gives: str


def remedies(memory: MemoryPlan) -> tuple[Remedy, ...]:
    """For what does not fit, changes that make it fit; else those that admit more requests."""
    found = []
    for action, profile in _changes(memory):
        then = plan(profile, memory.sglang)
        better = then.max_running_requests > memory.max_running_requests
        if then.fits and (better or not memory.fits):
            gives = f"{requests(then.max_running_requests)}, {then.kv_tokens:,} tokens of KV cache"
            found.append(Remedy(action, profile, gives))
    return tuple(found)


def requests(number: int) -> str:
    """ "1 request", "39 requests"."""
    return "1 request" if number == 1 else f"{number} requests"


def _changes(memory: MemoryPlan) -> Iterator[Change]:
    """The likeliest first. Of more ranks, smaller precisions and so on, the first that fits."""
    p = memory.profile
    if memory.fits:
        yield from _more_requests(p, parse(memory.sglang) >= LAZY_SINCE)
        return
    kinds = [_precisions(p), _hardware(p), _fraction(memory)]
    if not obstacle(p):
        kinds.insert(0, _ranks(p))
    for changes in kinds:
        yield from _first_that_fits(changes, memory.sglang)
    if p.mtp is not None:
        yield "without MTP (--no-mtp)", replace(p, mtp=None)


def _first_that_fits(changes: Iterator[Change], sglang: str) -> Iterator[Change]:
    for action, profile in changes:
        if plan(profile, sglang).fits:
            yield action, profile
            return


def _more_requests(p: Profile, lazy: bool) -> Iterator[Change]:
    if not p.model.gdn_layers:
        return
    if p.ssm_dtype == "float32":
        yield "--mamba-ssm-dtype bfloat16", replace(p, ssm_dtype="bfloat16")
    if p.radix_cache and p.mtp is not None:
        yield "--disable-radix-cache", replace(p, radix_cache=False)
    if lazy and p.radix_cache and p.mamba_radix_cache_strategy == "auto" and p.overlap:
        yield (
            "--mamba-radix-cache-strategy extra_buffer_lazy",
            replace(p, mamba_radix_cache_strategy="extra_buffer_lazy"),
        )


def _ranks(p: Profile) -> Iterator[Change]:
    for n in p.model.tp_sizes:
        if n > p.tp_size and n % -(-n // p.gpu.gpus_per_node) == 0:  # as many on every node
            more = _on(p, p.gpu, n, p.precision)
            yield _machine(more), more


def _precisions(p: Profile) -> Iterator[Change]:
    for recipe in precisions().values():
        if recipe.bits < precision(p.precision).bits and p.model.name in recipe.sizes:
            smaller = _on(p, p.gpu, p.tp_size, recipe.key)
            yield f"{recipe.title} on {_machine(smaller)}", smaller


def _hardware(p: Profile) -> Iterator[Change]:
    """Larger GPUs, as many: of the same maker first, the smallest first."""
    if p.gpu.is_cpu:
        return
    larger = sorted(
        (g for g in gpus() if g.memory_gib > p.gpu.memory_gib and not g.is_cpu),
        key=lambda g: (g.is_amd != p.gpu.is_amd, g.memory_gib),
    )
    for gpu in larger:
        moved = _on(p, gpu, p.tp_size, p.precision)
        yield _machine(moved), moved


def _fraction(memory: MemoryPlan) -> Iterator[Change]:
    p = memory.profile
    least = max(memory.mem_fraction_static, memory.minimum_fraction) / aiter_share(p)
    for fraction in FRACTION_STEPS:
        if fraction > least:
            yield f"--mem-fraction-static {fraction}", replace(p, mem_fraction_static=fraction)


def _on(p: Profile, gpu: Gpu, count: int, precision_key: str) -> Profile:
    nodes = -(-count // gpu.gpus_per_node)
    transport = p.mm_feature_transport
    return replace(
        p,
        name=f"{p.model.name}-{precision_key}-{gpu.key}x{count}",
        gpu=gpu,
        precision=precision_key,
        tp_size=count,
        nodes=nodes,
        ep_size=1,
        mm_feature_transport=None if transport_obstacle(transport, gpu, nodes) else transport,
        kv_dtype=precision(precision_key).kv_dtype,
    )


def _machine(p: Profile) -> str:
    nodes = f" on {p.nodes} nodes" if p.nodes > 1 else ""
    return f"{p.tp_size} × {p.gpu.name}{nodes}"
