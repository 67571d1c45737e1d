"""A memory plan in words: reasons, what would mend it, and the page that `kit size` prints.

>>> explain(plan(profile("h200x8"))).remedies[0].action
'--mamba-ssm-dtype bfloat16'
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kit.hardware.validate import obstacle
from kit.sizing.accounting import accounting, is_unread, table
from kit.sizing.mem_fraction import aiter_share, context_gib, headroom, peers_share
from kit.sizing.plan import FITS_TOKENS, YARN_TOKENS, MemoryPlan
from kit.sizing.remedies import Remedy, remedies, requests

VERDICTS = {
    "fits": "It fits",
    "tight": "It fits, tightly",
    "short": "It starts, with less than was asked",
    "no": "It does not fit",
}


@dataclass(frozen=True)
class Explanation:
    """Why a plan is as it is. Reasons and remedies are computed when they are first read."""

    plan: MemoryPlan
    changed: str = ""  # what was chosen in place of the defaults, and why

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is what it is; the first sentence stands alone."""
        memory = self.plan
        return (
            *((self.changed,) if self.changed else ()),
            *_weights(memory),
            *_would_fit(memory, self.remedies),
            *_concurrency(memory, self.remedies),
            *_tokens(memory),
            *_version(memory),
            *_fraction(memory),
            *_assumption(memory),
            *_notes(memory),
        )

    @cached_property
    def shortfall(self) -> tuple[str, ...]:
        """What is missing of what was asked, where the server starts; and what is less than the
        cookbook advises."""
        return tuple(_asked(self.plan))

    @cached_property
    def remedies(self) -> tuple[Remedy, ...]:
        """For what does not fit, changes that make it fit; else those that admit more requests."""
        return remedies(self.plan)

    def to_json(self) -> dict[str, Any]:
        """What `kit size --json` prints; `provenance` labels every figure in it."""
        memory = self.plan
        return {
            "profile": memory.profile.name,
            "sglang": memory.sglang,
            "weights_gb": round(memory.weights_gb, 1),
            "loaded_gb": round(memory.loaded_gb, 1),
            "kv_bytes_per_token": memory.kv_bytes_per_token,
            "kv_bytes_per_token_per_rank": memory.kv_bytes_per_token_per_rank,
            "state_mib_per_request": round(memory.state_mib_per_request, 1),
            "fits": memory.fits,
            "starts": memory.starts,
            "asked": {"users": memory.asked_users, "context_tokens": memory.asked_tokens},
            "verdict": memory.verdict,
            "max_running_requests": memory.max_running_requests,
            "kv_tokens": memory.kv_tokens,
            "mem_fraction_static": round(memory.mem_fraction_static, 3),
            "state_slots": memory.slots,
            "state_slots_per_request": memory.slots_per_request,
            "reasons": list(self.reasons),
            "remedies": [
                {"action": r.action, "profile": r.profile.name, "gives": r.gives}
                for r in self.remedies
            ],
            "ranks": [
                {
                    "rank": r.rank,
                    "entries": {label: round(gib, 2) for label, gib in r.entries},
                    "total_gib": round(r.total_gib, 2),
                    "limit_gib": round(r.limit_gib, 2),
                }
                for r in memory.ranks
            ],
            "provenance": memory.provenance.to_json(),
        }

    def __str__(self) -> str:
        """The page: what is planned, the ledger of one rank, the verdict, the reasons."""
        memory = self.plan
        rank = memory.ranks[0]
        width = max(len(label) for label, _ in rank.entries)
        rows = [f"  {label:<{width}} {gib:8.2f} GiB" for label, gib in rank.entries if gib >= 0.005]
        rows.append(f"  {'together':<{width}} {rank.total_gib:8.2f} GiB of {rank.limit_gib:.2f}")
        head = VERDICTS[memory.verdict]
        if memory.starts:
            at_once = requests(memory.max_running_requests)
            head += f": {at_once} at once, {memory.kv_tokens:,} tokens of KV"
        return "\n".join(
            (
                f"{memory.profile.name}: {memory.profile} · SGLang {memory.sglang}",
                "",
                f"Each of {len(memory.ranks)} ranks:" if len(memory.ranks) > 1 else "The one rank:",
                *rows,
                "",
                f"{head}.",
                *(f"- {reason}" for reason in self.reasons),
                "",
                str(memory.provenance),
            )
        )


def explain(memory: MemoryPlan, changed: str = "") -> Explanation:
    """The words of a plan; `changed`, of `adapted`, comes first."""
    return Explanation(memory, changed)


def _weights(memory: MemoryPlan) -> Iterator[str]:
    p = memory.profile
    rank = memory.ranks[0]
    if refusal := obstacle(p):
        yield refusal
    over = rank.total_gib - p.gpu.memory_gib
    sizes = (
        f"weights take {rank.weights_gib:.1f} GiB per rank against {p.gpu.memory_gib:.1f} GiB on "
        f"{_article(p.gpu.name)} {p.gpu.name}"
    )
    if rank.weights_copied_gib >= 0.05:
        sizes += f", and {rank.weights_copied_gib:.1f} GiB that every rank holds a copy of"
    if over > 0.005:
        yield f"{sizes}: with the context, {over:.1f} GiB too much"
    elif memory.rest_gib <= 0:
        yield (
            f"{sizes}: more than {_fraction_asked(memory)} allows, so "
            "SGLang stops after loading (“Loaded weights leave no GPU memory for the KV cache”)"
        )
    else:
        yield (
            f"{sizes}; {_fraction_asked(memory)} leaves {memory.rest_gib:.1f} GiB for states and "
            "KV cache"
        )


def _would_fit(memory: MemoryPlan, found: tuple[Remedy, ...]) -> Iterator[str]:
    if memory.fits:
        return
    whole = [remedy for remedy in found if remedy.fits]
    if whole:
        yield "what would fit: " + "; ".join(remedy.action for remedy in whole)
    elif not found:
        yield "nothing near it fits: take a smaller model, or other hardware"
    for remedy in found:
        if remedy.here:
            does = "fits" if remedy.fits else "starts"
            yield (f"on these GPUs {remedy.action} {does}, with {remedy.gives}: {remedy.command}")


def _concurrency(memory: MemoryPlan, found: tuple[Remedy, ...]) -> Iterator[str]:
    p = memory.profile
    state = f"{memory.state_mib_per_request_per_rank:.1f} MiB per rank"
    if not memory.max_running_requests:
        if memory.rest_gib > 0 and not obstacle(p):
            yield (
                f"too little is left for one request: {memory.slots_per_request} state slots of "
                f"{state}"
            )
        return
    by_slots = memory.slots // memory.slots_per_request
    if memory.slots and by_slots == memory.max_running_requests:
        text = (
            f"{memory.slots} state slots of {state}, {memory.slots_per_request} per request "
            f"({memory.strategy}), hold {requests(by_slots)} at once"
        )
        cap = p.max_running_requests or (_mtp_cap() if p.mtp else None)
        yield text + (f", under the cap of {cap}" if cap and cap > by_slots else "")
    elif p.max_running_requests == memory.max_running_requests:
        yield f"--max-running-requests asks for {p.max_running_requests}"
    elif p.mtp is not None and p.max_running_requests is None:
        yield (
            f"MTP caps it at {_mtp_cap()} requests at once where --max-running-requests is left out"
        )
    if memory.fits and found:
        yield "more requests: " + "; ".join(f"{r.action} gives {r.gives}" for r in found)


def _mtp_cap() -> int:
    return table().defaults.speculative_max_running


def _tokens(memory: MemoryPlan) -> Iterator[str]:
    p, m = memory.profile, memory.profile.model
    if not memory.kv_tokens:
        return
    yield from _asked(memory)
    whole = memory.requests_at(p.context_tokens)
    shared = memory.context_at(memory.max_running_requests)
    yield (
        f"{memory.kv_tokens:,} tokens of KV cache for all: {requests(whole)} of "
        f"{p.context_tokens:,}, or {memory.max_running_requests} of {shared:,}"
    )
    if p.context_tokens > m.max_position_embeddings:
        gib = p.context_tokens * memory.kv_bytes_per_token_per_rank / 2**30
        yield (
            f"beyond {m.max_position_embeddings:,} tokens the positions are stretched by YaRN "
            f"(model cards: up to {YARN_TOKENS:,}), for every request, short ones too; one of "
            f"{p.context_tokens:,} takes {gib:.1f} GiB per rank"
        )
    if p.tp_size > m.num_key_value_heads:
        yield (
            f"{m.num_key_value_heads} KV heads: KV per token and rank stops shrinking at TP "
            f"{m.num_key_value_heads}, here {memory.kv_bytes_per_token_per_rank:,} bytes; "
            "states go on shrinking"
        )


def _asked(memory: MemoryPlan) -> Iterator[str]:
    """What was asked beside what there is; 131,072 tokens are the cookbook's advice, no limit."""
    users, tokens = memory.asked_users, memory.asked_tokens
    wanted = requests(users)
    if memory.kv_tokens < users * tokens:
        yield (f"{memory.kv_tokens:,} tokens of KV cache are too few for {wanted} of {tokens:,}")
    if memory.max_running_requests < users:
        yield f"{memory.max_running_requests} run at once of the {wanted} asked for"
    if memory.profile.context_length is None and memory.kv_tokens < FITS_TOKENS:
        yield (
            f"the cookbook advises a context of {FITS_TOKENS:,} at least, since thinking needs "
            f"room; --context {_rounded(memory.kv_tokens)} asks for what there is"
        )
    elif tokens < FITS_TOKENS:
        yield (
            f"thinking that is longer than {tokens:,} tokens is cut off: the cookbook advises "
            f"{FITS_TOKENS:,} at least"
        )


def _rounded(tokens: int) -> int:
    """The largest power of two, or half more than one, that is not above `tokens`."""
    power = 1 << (tokens.bit_length() - 1)
    return power + power // 2 if power + power // 2 <= tokens else power


def _version(memory: MemoryPlan) -> Iterator[str]:
    p, rules = memory.profile, accounting(memory.sglang)
    if is_unread(memory.sglang):
        yield f"SGLang {memory.sglang} is newer than {table().read_up_to}: counted as that"
    if memory.loaded_twice_gib:
        yield (
            f"MTP loads embedding and head a second time, {memory.loaded_twice_gib:.1f} GiB per "
            "rank, and gives them back once the memory is divided: they are no cache, and free "
            "afterwards"
        )
    if p.mtp is None or not p.model.gdn_layers:
        return
    if p.radix_cache and memory.strategy == "radix_off":
        yield (
            f"SGLang {memory.sglang} switches the radix cache off with MTP, so a request takes one "
            "state slot; from 0.5.14 on it keeps the cache and a request takes five"
        )
    if memory.refused:
        yield (
            f"SGLang {memory.sglang} refuses MTP with its default strategy; planned with "
            "--mamba-scheduler-strategy extra_buffer, which its error asks for"
        )
    if not rules.counts_mtp:
        yield (
            f"SGLang {memory.sglang} loads the MTP head after it has divided the memory: the head "
            "and its KV cache come out of what is left for serving"
        )


def _fraction(memory: MemoryPlan) -> Iterator[str]:
    if not memory.starts:
        return
    p = memory.profile
    least = memory.minimum_fraction / aiter_share(p)
    yield (
        "no memory for states or KV cache at the start: raise --mem-fraction-static (this model "
        f"needs more than {least:.3f}); out of memory at graph capture or while serving: lower it"
    )
    spare = (p.gpu.memory_gib - context_gib(p)) * (1 - memory.mem_fraction_static)
    wanted = headroom(p).reserved_mib / 1024
    if spare < 0.9 * wanted:
        yield (
            f"{spare:.1f} GiB stay outside the budget; SGLang's own default would keep "
            f"{wanted:.1f} for CUDA graphs and activations"
        )


def _fraction_asked(memory: MemoryPlan) -> str:
    share = aiter_share(memory.profile)
    asked = f"--mem-fraction-static {memory.mem_fraction_static / share:.3g}"
    return asked if share == 1 else f"{asked}, of which AMD's aiter leaves {share:g},"


def _assumption(memory: MemoryPlan) -> Iterator[str]:
    """What a rank takes before its weights, and between what bounds it was seen."""
    p = memory.profile
    share = peers_share(p)
    if not share or not memory.starts:
        return
    known = table().estimates
    least = known.context_gib + known.communication_least_gib * share
    yield (
        f"assumed: {context_gib(p):.1f} GiB per rank before the weights, for CUDA context and "
        f"communication; start logs show {least:.1f} to {context_gib(p):.1f} where ranks talk to "
        "each other"
    )


def _notes(memory: MemoryPlan) -> Iterator[str]:
    p = memory.profile
    recipe = p.model.storage(p.precision)
    if p.model.stored is None and p.model.name not in recipe.sizes:
        yield f"no {recipe.title} checkpoint of this size is known to be published"
    elif p.model.stored is None and recipe.is_mixed:
        yield f"counted as {recipe.checkpoint} stores it; other builds keep more in BF16"
    if p.gpu.unified:
        yield (
            f"{p.gpu.name}'s memory is the machine's own: what the system and its page cache hold "
            "is missing here"
        )
    if p.precision == "bf16" and not p.gpu.is_cpu and "bf16" not in p.gpu.flops:
        yield f"{p.gpu.name} has no bfloat16: start SGLang with --dtype half"
    if p.precision == "fp8" and "fp8" not in p.gpu.flops:
        yield f"{p.gpu.name} has no FP8 arithmetic: the weights are stored in FP8, computed in BF16"
    if p.kv_dtype == "fp8":
        yield "the KV cache is FP8: half the bytes per token"


def _article(name: str) -> str:
    return "an" if name[0] in "HLMRAX" else "a"
