"""A memory plan in words: reasons, what would mend it, and the page that `kit size` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kit.hardware import validate as _checks
from kit.models.precision import precision
from kit.sizing.accounting import accounting, is_unread, table
from kit.sizing.mem_fraction import aiter_share, headroom
from kit.sizing.remedies import candidates

if TYPE_CHECKING:
    from kit.sizing.plan import MemoryPlan, Remedy


def remedies(plan: MemoryPlan) -> tuple[Remedy, ...]:
    """For what does not fit, changes that make it fit; else those that admit more requests."""
    from kit.sizing.plan import Remedy, size

    found = []
    for action, profile in candidates(plan, lambda p: size(p, plan.sglang)):
        then = size(profile, plan.sglang)
        better = then.max_running_requests > plan.max_running_requests
        if then.fits and (better or not plan.fits):
            gives = f"{_requests(then.max_running_requests)}, {then.kv_tokens:,} tokens of KV cache"
            found.append(Remedy(action, profile, gives))
    return tuple(found)


def reasons(plan: MemoryPlan) -> tuple[str, ...]:
    """Why the verdict is what it is; the first sentence stands alone."""
    return (
        *_weights(plan),
        *_would_fit(plan),
        *_concurrency(plan),
        *_tokens(plan),
        *_version(plan),
        *_fraction(plan),
        *_assumption(plan),
        *_notes(plan),
    )


def _weights(plan: MemoryPlan) -> Iterator[str]:
    p = plan.profile
    held = dict(plan.ranks[0].entries)
    weights, copies = held["weights"], held["weights copied to every rank"]
    obstacle = _checks.obstacle(p)
    if obstacle:
        yield obstacle
    over = plan.ranks[0].total_gib - p.gpu.memory_gib
    sizes = (
        f"weights take {weights:.1f} GiB per rank against {p.gpu.memory_gib:.1f} GiB on "
        f"{_article(p.gpu.name)} {p.gpu.name}"
    )
    if copies >= 0.05:
        sizes += f", and {copies:.1f} GiB that every rank holds a copy of"
    if over > 0.005:
        yield f"{sizes}: with the context, {over:.1f} GiB too much"
    elif plan.rest_gib <= 0:
        yield (
            f"{sizes}: more than {_asked(plan)} allows, so "
            "SGLang stops after loading (“Loaded weights leave no GPU memory for the KV cache”)"
        )
    else:
        yield (f"{sizes}; {_asked(plan)} leaves {plan.rest_gib:.1f} GiB for states and KV cache")


def _would_fit(plan: MemoryPlan) -> Iterator[str]:
    if plan.fits:
        return
    if plan.remedies:
        yield "what would fit: " + "; ".join(remedy.action for remedy in plan.remedies)
    else:
        yield "nothing near it fits: take a smaller model, or other hardware"


def _concurrency(plan: MemoryPlan) -> Iterator[str]:
    p = plan.profile
    state = f"{plan.state_mib_per_request_per_rank:.1f} MiB per rank"
    if not plan.max_running_requests:
        if plan.rest_gib > 0 and not _checks.obstacle(p):
            yield (
                f"too little is left for one request: {plan.slots_per_request} state slots of "
                f"{state}"
            )
        return
    by_slots = plan.slots // plan.slots_per_request
    if plan.slots and by_slots == plan.max_running_requests:
        text = (
            f"{plan.slots} state slots of {state}, {plan.slots_per_request} per request "
            f"({plan.strategy}), hold {_requests(by_slots)} at once"
        )
        cap = p.max_running_requests or (_mtp_cap() if p.mtp else None)
        yield text + (f", under the cap of {cap}" if cap and cap > by_slots else "")
    elif p.max_running_requests == plan.max_running_requests:
        yield f"--max-running-requests asks for {p.max_running_requests}"
    elif p.mtp is not None and p.max_running_requests is None:
        yield (
            f"MTP caps it at {_mtp_cap()} requests at once where --max-running-requests is left out"
        )
    if plan.fits and plan.remedies:
        yield "more requests: " + "; ".join(f"{r.action} gives {r.gives}" for r in plan.remedies)


def _mtp_cap() -> int:
    return int(table()["defaults"]["speculative_max_running"])


def _tokens(plan: MemoryPlan) -> Iterator[str]:
    from kit.sizing.plan import FITS_TOKENS, YARN_TOKENS

    p, m = plan.profile, plan.profile.model
    if not plan.kv_tokens:
        return
    if plan.kv_tokens < FITS_TOKENS:
        yield (
            f"{plan.kv_tokens:,} tokens of KV cache are fewer than the {FITS_TOKENS:,} that "
            "thinking needs at the least"
        )
    whole = plan.requests_at(p.context_tokens)
    shared = plan.context_at(plan.max_running_requests)
    yield (
        f"{plan.kv_tokens:,} tokens of KV cache for all: {_requests(whole)} of "
        f"{p.context_tokens:,}, or {plan.max_running_requests} of {shared:,}"
    )
    if p.context_tokens > m.max_position_embeddings:
        gib = p.context_tokens * plan.kv_bytes_per_token_per_rank / 2**30
        yield (
            f"beyond {m.max_position_embeddings:,} tokens the positions are stretched by YaRN "
            f"(cards: up to {YARN_TOKENS:,}), for every request, short ones too; one of "
            f"{p.context_tokens:,} takes {gib:.1f} GiB per rank"
        )
    if p.tp_size > m.num_key_value_heads:
        yield (
            f"{m.num_key_value_heads} KV heads: KV a token and rank stops shrinking at TP "
            f"{m.num_key_value_heads}, here {plan.kv_bytes_per_token_per_rank:,} bytes; "
            "states go on shrinking"
        )


def _version(plan: MemoryPlan) -> Iterator[str]:
    p, rules = plan.profile, accounting(plan.sglang)
    if is_unread(plan.sglang):
        yield f"SGLang {plan.sglang} is newer than {table()['read_up_to']}: counted as that"
    if p.mtp is None or not p.model.gdn_layers:
        return
    if p.radix_cache and plan.strategy == "radix_off":
        yield (
            f"SGLang {plan.sglang} switches the radix cache off with MTP, so a request takes one "
            "state slot; from 0.5.14 on it keeps the cache and a request takes five"
        )
    if plan.refused:
        yield (
            f"SGLang {plan.sglang} refuses MTP with its default strategy; planned with "
            "--mamba-scheduler-strategy extra_buffer, which its error asks for"
        )
    if not rules.counts_mtp:
        yield (
            f"SGLang {plan.sglang} loads the MTP head after it has divided the memory: the head "
            "and its KV cache come out of what is left for serving"
        )


def _fraction(plan: MemoryPlan) -> Iterator[str]:
    if not plan.fits:
        return
    p = plan.profile
    least = plan.minimum_fraction / aiter_share(p)
    yield (
        f"out of memory at start: raise --mem-fraction-static (this model needs more than "
        f"{least:.3f}); out of memory while serving: lower it"
    )
    spare = (p.gpu.memory_gib - _context()) * (1 - plan.mem_fraction_static)
    wanted = headroom(p).reserved_mib / 1024
    if spare < 0.9 * wanted:
        yield (
            f"{spare:.1f} GiB stay outside the budget; SGLang's own default would keep "
            f"{wanted:.1f} for CUDA graphs and activations"
        )


def _asked(plan: MemoryPlan) -> str:
    share = aiter_share(plan.profile)
    asked = f"--mem-fraction-static {plan.mem_fraction_static / share:.3g}"
    return asked if share == 1 else f"{asked}, of which AMD's aiter leaves {share:g},"


def _context() -> float:
    return float(table()["estimates"]["context_gib"])


def _assumption(plan: MemoryPlan) -> Iterator[str]:
    """How far the one assumption carries: what communication buffers might take."""
    from kit.sizing.plan import size

    p = plan.profile
    if p.tp_size == 1 or p.gpu.is_cpu or not plan.fits:
        return
    more = float(table()["estimates"]["communication_gib"])
    smaller = replace(p.gpu, memory_gib=p.gpu.memory_gib - more)
    then = size(replace(p, gpu=smaller), plan.sglang)
    yield (
        f"assumed: {_context()} GiB of CUDA context per rank; start logs show up to {more:g} GiB "
        f"more where ranks talk to each other, which would leave {then.max_running_requests} "
        f"requests and {then.kv_tokens:,} tokens"
    )


def _notes(plan: MemoryPlan) -> Iterator[str]:
    p = plan.profile
    recipe = precision(p.precision)
    if p.model.name not in recipe.sizes:
        yield f"no {recipe.title} checkpoint of this size is known to be published"
    if p.precision == "bf16" and not p.gpu.is_cpu and "bf16" not in p.gpu.flops:
        yield f"{p.gpu.name} has no bfloat16: start SGLang with --dtype half"
    if p.precision == "fp8" and "fp8" not in p.gpu.flops:
        yield f"{p.gpu.name} has no FP8 arithmetic: the weights are stored in FP8, computed in BF16"
    if p.kv_dtype == "fp8":
        yield "the KV cache is FP8: half the bytes per token"


def _article(name: str) -> str:
    return "an" if name[0] in "HLMRAX" else "a"


def told(plan: MemoryPlan) -> str:
    """The plan as a page: what it is of, the ledger of a rank, the verdict, the reasons."""
    rank = plan.ranks[0]
    width = max(len(label) for label, _ in rank.entries)
    rows = [f"  {label:<{width}} {gib:8.2f} GiB" for label, gib in rank.entries if gib >= 0.005]
    rows.append(f"  {'together':<{width}} {rank.total_gib:8.2f} GiB of {rank.limit_gib:.2f}")
    verdict = {"fits": "It fits", "tight": "It fits, tightly", "no": "It does not fit"}
    head = f"{verdict[plan.verdict]}"
    if plan.fits:
        head += f": {_requests(plan.max_running_requests)} at once, {plan.kv_tokens:,} tokens of KV"
    return "\n".join(
        (
            f"{plan.profile.name}: {plan.profile} · SGLang {plan.sglang}",
            "",
            f"Each of {len(plan.ranks)} ranks:" if len(plan.ranks) > 1 else "The one rank:",
            *rows,
            "",
            f"{head}.",
            *(f"- {reason}" for reason in plan.reasons),
            "",
            str(plan.provenance),
        )
    )


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"
