"""What would mend a plan: each remedy is itself sized, so none is offered that does not hold."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kit.hardware import Gpu, Profile, gpus
from kit.hardware.gpu import CUSTOM
from kit.hardware.validate import obstacle, transport_obstacle
from kit.models.precision import precision, precisions
from kit.sizing.accounting import parse
from kit.sizing.mem_fraction import aiter_share
from kit.sizing.plan import MemoryPlan, plan

TIGHT_FRACTION = " 0.9"  # what is proposed where a plan is tight
LAZY_SINCE = (0, 5, 14)  # the strategy is older, its flag had another name
FRACTION_STEPS = (0.85, 0.88, 0.9, 0.92, 0.95)
SPARE_GIB = 1.9  # outside the budget: two RTX 3090 serve with it (noonghunna/club-3090)
LARGE_GPU_GIB, SMALL_GPU_MOST = 60, 0.92  # owners of smaller GPUs go no higher

Change = tuple[str, Profile]  # what to do, and the profile after it


@dataclass(frozen=True)
class Remedy:
    """A change that mends a plan: what to do, the profile after it, what that gives.

    `fits` is false where it only starts; `here`: on the same GPUs, by options alone.
    """

    action: str
    profile: Profile
    gives: str
    fits: bool = True
    here: bool = False

    @property
    def command(self) -> str:
        """`kit command …` for the profile after the change."""
        return kit_command(self.profile)


def kit_command(p: Profile) -> str:
    """`kit command …` with the options that describe `p`."""
    words = ["kit command", f"--model {shlex.quote(p.model.name)}", f"--precision {p.precision}"]
    if p.gpu.key == CUSTOM:
        words.append(f"--gpu-memory-gib {p.gpu.memory_gib:g}")
        words.append(f"--bandwidth-gb-s {p.gpu.bandwidth_gb_s:g}")
    else:
        words.append(f"--gpu {p.gpu.key}")
    words.append(f"--count {p.tp_size}")
    for option, value in (
        ("--context", p.context_length),
        ("--users", p.users),
        ("--mem-fraction-static", p.mem_fraction_static),
    ):
        if value is not None:
            words.append(f"{option} {value:g}" if isinstance(value, float) else f"{option} {value}")
    if p.mtp is None and p.model.mtp_num_hidden_layers and not p.gpu.is_cpu:
        words.append("--no-mtp")
    return " ".join(words)


def remedies(memory: MemoryPlan) -> tuple[Remedy, ...]:
    """For what does not fit, changes that make it fit; else those that admit more requests."""
    if memory.fits:
        changes = _more_requests(memory, parse(memory.sglang) >= LAZY_SINCE)
        made = (_remedy(change, memory) for change in changes)
        return tuple(r for r, then in made if _admits_more(then, memory))
    found = [_remedy(change, memory)[0] for change in _elsewhere(memory)]
    own = _here(memory)
    return (own, *found) if own is not None and own.fits else (*found, *([own] if own else ()))


def adapted(p: Profile, sglang: str) -> tuple[Profile, str]:
    """The profile with the least change of fraction and MTP that holds what is asked of it, and
    what was changed; `p` itself and "" where it holds that, or no such change does.

    For a reader's own machine: the cookbook's fraction of 0.8 is meant for large GPUs.
    """
    memory = plan(p, sglang)
    own = None if memory.fits else _here(memory)
    if own is None or not (own.fits or not memory.starts):
        return p, ""
    asked = f"--mem-fraction-static {p.mem_fraction_static:g}" if p.mem_fraction_static else "0.8"
    with_mtp = " with MTP" if p.mtp is not None else ""
    lacks = "does not start here" if not memory.starts else "is short of what is asked"
    return own.profile, f"chosen here: {own.action}, since {asked}{with_mtp} {lacks}"


def _remedy(change: Change, memory: MemoryPlan, here: bool = False) -> tuple[Remedy, MemoryPlan]:
    action, profile = change
    then = plan(profile, memory.sglang)
    gives = f"{requests(then.max_running_requests)}, {then.kv_tokens:,} tokens of KV cache"
    return Remedy(action, profile, gives, then.fits, here), then


def _admits_more(then: MemoryPlan, memory: MemoryPlan) -> bool:
    return then.fits and then.max_running_requests > memory.max_running_requests


def _here(memory: MemoryPlan) -> Remedy | None:
    """By options alone: the first that fits; else that which starts with the most KV cache, where
    it starts with more than there is."""
    made = [_remedy(change, memory, here=True) for change in _options(memory)]
    for remedy, then in made:
        if then.fits:
            return remedy
    best = max(made, key=lambda pair: pair[1].kv_tokens, default=None)
    return best[0] if best is not None and best[1].kv_tokens > memory.kv_tokens else None


def requests(number: int) -> str:
    """ "1 request", "39 requests"."""
    return "1 request" if number == 1 else f"{number} requests"


def _elsewhere(memory: MemoryPlan) -> Iterator[Change]:
    """On more ranks, in a smaller precision, on larger GPUs: of each the first that fits."""
    p = memory.profile
    kinds = [_precisions(p), _hardware(p)]
    if not obstacle(p):
        kinds.insert(0, _ranks(p))
    for changes in kinds:
        yield from _first_that_fits(changes, memory.sglang)


def _options(memory: MemoryPlan) -> Iterator[Change]:
    """On the same GPUs: a higher fraction, no MTP, both."""
    p = memory.profile
    if obstacle(p):
        return
    yield from _fractions(memory)
    if p.mtp is not None:
        without = plan(replace(p, mtp=None), memory.sglang)
        yield "--no-mtp", without.profile
        for action, profile in _fractions(without):
            yield f"{action} --no-mtp", profile


def _first_that_fits(changes: Iterator[Change], sglang: str) -> Iterator[Change]:
    for action, profile in changes:
        if plan(profile, sglang).fits:
            yield action, profile
            return


def _more_requests(memory: MemoryPlan, lazy: bool) -> Iterator[Change]:
    p = memory.profile
    if memory.verdict == "tight":
        yield from (change for change in _fractions(memory) if change[0].endswith(TIGHT_FRACTION))
        if p.mtp is not None:
            yield "--no-mtp", replace(p, mtp=None)
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
        (g for g in gpus() if g.memory_gib > p.gpu.memory_gib and g.suggested and not g.is_cpu),
        key=lambda g: (g.is_amd != p.gpu.is_amd, g.memory_gib),
    )
    for gpu in larger:
        moved = _on(p, gpu, p.tp_size, p.precision)
        yield _machine(moved), moved


def _fractions(memory: MemoryPlan) -> Iterator[Change]:
    p = memory.profile
    least = max(memory.mem_fraction_static, memory.minimum_fraction) / aiter_share(p)
    most = 1.0 if p.gpu.memory_gib > LARGE_GPU_GIB else SMALL_GPU_MOST
    for fraction in FRACTION_STEPS:
        if least < fraction <= most and p.gpu.memory_gib * (1 - fraction) >= SPARE_GIB:
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
