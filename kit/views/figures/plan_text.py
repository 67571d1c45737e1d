"""A memory plan as text: what it is of, how it ends, and a table rank by rank."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kit.hardware import Profile
from kit.hardware.validate import obstacle
from kit.models.precision import precision
from kit.sizing import MemoryPlan, RankLedger
from kit.views.figure import FigureTable


def machine(profile: Profile) -> str:
    """ "8× H200", "16× H100 on 2 nodes"."""
    nodes = f" on {profile.nodes} nodes" if profile.nodes > 1 else ""
    return f"{profile.tp_size}× {profile.gpu.name}{nodes}"


def fullest(plan: MemoryPlan) -> RankLedger:
    """The rank that holds most."""
    return max(plan.ranks, key=lambda rank: rank.total_gib)


def excess_gib(rank: RankLedger) -> float:
    """What stands over the GPU's limit, in GiB."""
    return max(rank.total_gib - rank.limit_gib, 0.0)


def verdict(plan: MemoryPlan) -> str:
    """How it ends: "fits: 39 requests at once, 591,182 tokens of KV cache"."""
    if plan.starts:
        most = plan.max_running_requests
        does = {"tight": "fits tightly", "short": "starts, short of what is asked"}
        return (
            f"{does.get(plan.verdict, 'fits')}: {most:,} request{'s' if most > 1 else ''} at once, "
            f"{plan.kv_tokens:,} tokens of KV cache"
        )
    if refusal := obstacle(plan.profile):
        return f"does not run: {refusal}"
    if over := excess_gib(fullest(plan)):
        return f"does not fit: {over:.1f} GiB too much per rank"
    if plan.rest_gib <= 0:
        return (
            f"does not fit: mem_fraction_static {plan.mem_fraction_static:.3g} "
            f"is {-plan.rest_gib:.1f} GiB short of the weights"
        )
    return f"does not fit: room for {plan.kv_tokens:,} tokens of KV cache, which is too few"


def plan_table(plan: MemoryPlan) -> FigureTable:
    """The ledger as a sentence and a table: a column for the ranks that hold the same."""
    groups = [list(g) for _, g in groupby(plan.ranks, key=lambda r: (r.entries, r.limit_gib))]
    rows = _rows([group[0] for group in groups], "{:.2f}")
    rank = fullest(plan)
    sentence = (
        f"{plan.profile}: weights take {rank.weights_gib:.1f} of the "
        f"{rank.limit_gib:.1f} GiB of each rank. It {verdict(plan)}."
    )
    return FigureTable(sentence, ("GiB", *map(_ranks, groups)), rows, plan.provenance)


def plans_table(plans: Sequence[MemoryPlan]) -> FigureTable:
    """Machines side by side: the fullest rank of each."""
    rows = _rows([fullest(plan) for plan in plans], "{:.1f}")
    verdicts = ("verdict", *(plan.verdict for plan in plans))
    names = [f"{machine(p.profile)} {precision(p.profile.precision).title}" for p in plans]
    ends = "; ".join(f"{name} {verdict(plan)}" for name, plan in zip(names, plans, strict=True))
    head = ("GiB per rank", *names)
    return FigureTable(f"{ends}.", head, (*rows, verdicts), plans[0].provenance)


def _rows(ranks: Sequence[RankLedger], form: str) -> tuple[tuple[str, ...], ...]:
    """A row for each label that is more than nothing on some rank, their sum, and the GPU."""
    held = [{**dict(r.entries), "together": r.total_gib, "the GPU": r.limit_gib} for r in ranks]
    labels = dict.fromkeys(label for r in ranks for label, gib in r.entries if gib > 0.004)
    return tuple(
        (label, *(form.format(column.get(label, 0.0)) for column in held))
        for label in (*labels, "together", "the GPU")
    )


def _ranks(group: Sequence[RankLedger]) -> str:
    first, last = group[0].rank, group[-1].rank
    return f"rank {first}" if first == last else f"ranks {first}–{last}"
