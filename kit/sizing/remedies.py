"""What would mend a plan: each remedy is itself sized, so none is offered that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kit.hardware import Gpu, Profile, gpus
from kit.hardware import validate as _checks
from kit.models.precision import precision, precisions
from kit.sizing.accounting import parse
from kit.sizing.mem_fraction import aiter_share

if TYPE_CHECKING:
    from kit.sizing.plan import MemoryPlan

Size = Callable[[Profile], "MemoryPlan"]
LAZY_SINCE = (0, 5, 14)  # the strategy is older, its flag was called otherwise
FRACTION_STEPS = (0.85, 0.88, 0.9, 0.92, 0.95)


def candidates(plan: MemoryPlan, size: Size) -> Iterator[tuple[str, Profile]]:
    """(what to do, the profile then), the likeliest first; not yet sized."""
    p = plan.profile
    if plan.fits:
        yield from _more_requests(p, parse(plan.sglang) >= LAZY_SINCE)
        return
    if not _checks.obstacle(p):
        yield from _ranks(p, size)
    yield from _precisions(p, size)
    yield from _hardware(p, size)
    yield from _fraction(p, plan, size)
    if p.mtp is not None:
        yield "without MTP (--no-mtp)", replace(p, mtp=None)


def _more_requests(p: Profile, lazy: bool) -> Iterator[tuple[str, Profile]]:
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


def _on(p: Profile, gpu: Gpu, count: int, precision_key: str) -> Profile:
    return replace(
        p,
        name=f"{p.model.name}-{precision_key}-{gpu.key}x{count}",
        gpu=gpu,
        precision=precision_key,
        tp_size=count,
        nodes=-(-count // gpu.gpus_per_node),
        ep_size=1,
        kv_dtype=precision(precision_key).kv_dtype,
    )


def _first(options: Iterator[tuple[str, Profile]], size: Size) -> Iterator[tuple[str, Profile]]:
    for action, profile in options:
        if size(profile).fits:
            yield action, profile
            return


def _ranks(p: Profile, size: Size) -> Iterator[tuple[str, Profile]]:
    more = [
        n
        for n in p.model.tp_sizes
        if n > p.tp_size and n % -(-n // p.gpu.gpus_per_node) == 0  # as many on every node
    ]
    profiles = [_on(p, p.gpu, n, p.precision) for n in more]
    yield from _first(((f"{_machine(q)}", q) for q in profiles), size)


def _precisions(p: Profile, size: Size) -> Iterator[tuple[str, Profile]]:
    smaller = [
        recipe
        for recipe in precisions().values()
        if recipe.bits < precision(p.precision).bits and p.model.name in recipe.sizes
    ]
    profiles = [(r.title, _on(p, p.gpu, p.tp_size, r.key)) for r in smaller]
    yield from _first(((f"{name} on {_machine(q)}", q) for name, q in profiles), size)


def _hardware(p: Profile, size: Size) -> Iterator[tuple[str, Profile]]:
    """The smallest card that holds it at as many ranks, and at fewer nodes if it can."""
    larger = sorted(
        (g for g in gpus() if g.memory_gib > p.gpu.memory_gib and not g.is_cpu),
        key=lambda g: (g.is_amd != p.gpu.is_amd, g.memory_gib),
    )
    profiles = [_on(p, g, p.tp_size, p.precision) for g in larger if not p.gpu.is_cpu]
    yield from _first(((f"{_machine(q)}", q) for q in profiles), size)


def _fraction(p: Profile, plan: MemoryPlan, size: Size) -> Iterator[tuple[str, Profile]]:
    least = max(plan.mem_fraction_static, plan.minimum_fraction) / aiter_share(p)
    steps = [f for f in FRACTION_STEPS if f > least]
    profiles = [replace(p, mem_fraction_static=f) for f in steps]
    yield from _first(
        ((f"--mem-fraction-static {q.mem_fraction_static}", q) for q in profiles), size
    )


def _machine(p: Profile) -> str:
    nodes = f" on {p.nodes} nodes" if p.nodes > 1 else ""
    return f"{p.tp_size} × {p.gpu.name}{nodes}"
