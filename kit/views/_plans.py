"""A memory plan in words: what it is of, how it ends, rank by rank as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kit.hardware import Profile
from kit.sizing import MemoryPlan, RankLedger
from kit.views.told import Words

_PRECISION = {"bf16": "BF16", "fp8": "FP8", "nvfp4": "NVFP4", "mxfp4": "MXFP4"}


def describe(profile: Profile) -> str:
    """ "Qwen3.5-397B-A17B · BF16 · 8× H200 · MTP on"."""
    return (
        f"{model(profile)} · {precision(profile.precision)} · {machine(profile)}"
        f" · MTP {'on' if profile.mtp else 'off'}"
    )


def model(profile: Profile) -> str:
    """ "Qwen3.5-397B-A17B"."""
    return profile.model.repo.split("/")[-1]


def machine(profile: Profile) -> str:
    """ "8× H200", "16× H100 on 2 nodes"."""
    nodes = f" on {profile.nodes} nodes" if profile.nodes > 1 else ""
    return f"{profile.tp_size}× {profile.gpu.name}{nodes}"


def precision(name: str) -> str:
    """As people write it: "BF16"."""
    return _PRECISION.get(name, name.replace("gptq-int4", "GPTQ-Int4"))


def fullest(plan: MemoryPlan) -> RankLedger:
    """The rank that holds most."""
    return max(plan.ranks, key=lambda rank: rank.total_gib)


def excess_gib(rank: RankLedger) -> float:
    """What stands over the card's limit, in GiB."""
    return max(rank.total_gib - rank.limit_gib, 0.0)


def verdict(plan: MemoryPlan) -> str:
    """How it ends: "fits: 39 requests at once, 594,549 tokens of KV cache"."""
    if plan.fits:
        return (
            f"fits: {plan.max_running_requests:,} requests at once, "
            f"{plan.kv_tokens:,} tokens of KV cache"
        )
    over = excess_gib(fullest(plan))
    if over:
        return f"does not fit: {over:.1f} GiB too much on a rank"
    return "does not fit: too little is left for states and KV cache"


def words(plan: MemoryPlan) -> Words:
    """The ledger as a sentence and a table: a column for the ranks that hold the same."""
    groups = [list(g) for _, g in groupby(plan.ranks, key=lambda r: (r.entries, r.limit_gib))]
    held = [dict(group[0].entries) for group in groups]
    rows = [
        (label, *(f"{column.get(label, 0.0):.2f}" for column in held))
        for label in _labels(plan.ranks)
    ]
    rows.append(("together", *(f"{group[0].total_gib:.2f}" for group in groups)))
    rows.append(("the card", *(f"{group[0].limit_gib:.2f}" for group in groups)))
    rank = fullest(plan)
    sentence = (
        f"{describe(plan.profile)}: weights take {dict(rank.entries)['weights']:.1f} of the "
        f"{rank.limit_gib:.1f} GiB of a rank. It {verdict(plan)}."
    )
    return Words(sentence, ("GiB", *map(_ranks, groups)), tuple(rows), plan.provenance)


def words_of_several(plans: Sequence[MemoryPlan]) -> Words:
    """Machines side by side: of each its fullest rank."""
    ranks = [fullest(plan) for plan in plans]
    held = [dict(rank.entries) for rank in ranks]
    rows = [
        (label, *(f"{column.get(label, 0.0):.1f}" for column in held)) for label in _labels(ranks)
    ]
    rows.append(("together", *(f"{rank.total_gib:.1f}" for rank in ranks)))
    rows.append(("the card", *(f"{rank.limit_gib:.1f}" for rank in ranks)))
    rows.append(("verdict", *("fits" if plan.fits else "does not fit" for plan in plans)))
    names = [f"{machine(p.profile)} {precision(p.profile.precision)}" for p in plans]
    told = [f"{name} {verdict(plan)}" for name, plan in zip(names, plans, strict=True)]
    head = ("GiB a rank", *names)
    return Words("; ".join(told) + ".", head, tuple(rows), plans[0].provenance)


def _labels(ranks: Sequence[RankLedger]) -> list[str]:
    """Every label that stands for more than nothing on some rank, in the ledger's order."""
    return list(dict.fromkeys(label for r in ranks for label, gib in r.entries if gib > 0.004))


def _ranks(group: Sequence[RankLedger]) -> str:
    first, last = group[0].rank, group[-1].rank
    return f"rank {first}" if first == last else f"ranks {first}–{last}"
