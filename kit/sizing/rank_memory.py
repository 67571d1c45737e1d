"""One rank's memory: the budget divided into slots, snapshots and KV tokens; all it goes to.

The division is the arithmetic of SGLang's `KVCacheConfigurator` (`_handle_max_mamba_cache`,
`resolve_max_num_reqs`), in bytes, without its globals.
"""

from __future__ import annotations

from dataclasses import dataclass

from kit.sizing.accounting import Accounting, table

# Allocated beside the slots and the snapshots in every version, for padded batches; counted in the
# budget where the rules say so. Source: wheels 0.5.9 to 0.5.23, mem_cache/memory_pool.py.
SPARE = 1

# Each part of a ledger, and what it is called on pages, in figures and in JSON; in this order.
LABELS = (
    ("weights_gib", "weights"),
    ("weights_copied_gib", "weights copied to every rank"),
    ("context_gib", "context"),
    ("multimodal_reserve_gib", "multimodal reserve"),
    ("gdn_states_gib", "GDN states"),
    ("mtp_snapshots_gib", "MTP snapshots"),
    ("kv_cache_gib", "KV cache"),
    ("mtp_kv_outside_gib", "MTP's KV cache, outside the budget"),
    ("cuda_graphs_gib", "CUDA graphs"),
    ("activations_gib", "activations"),
)


@dataclass(frozen=True)
class Demand:
    """What is to be divided on one rank.

    `budget` bytes for states and KV; `state` bytes per slot, 0 without GDN; `cell` bytes per
    KV token; `slots_per_request` by cache strategy; `drafts` tokens per verify step, 0 without
    MTP; `wanted` requests at once, if a number is set.
    """

    budget: int
    state: int
    cell: int
    slots_per_request: int
    drafts: int
    radix_cache: bool
    wanted: int | None
    context_tokens: int
    page_size: int = 1


@dataclass(frozen=True)
class Pools:
    """The result. `slots` and `snapshots` are without the spare one of each, the bytes with it."""

    slots: int
    snapshots: int
    kv_tokens: int
    max_running_requests: int
    state_bytes: int
    snapshot_bytes: int
    kv_bytes: int


@dataclass(frozen=True)
class RankLedger:
    """One rank's memory in GiB. What fits stays under `limit_gib`, the GPU's memory.

    `weights_copied_gib` is what copies add to an even share of the weights;
    `mtp_kv_outside_gib` is None where SGLang counts the MTP layer's KV cache in its budget.
    """

    rank: int
    limit_gib: float
    weights_gib: float
    weights_copied_gib: float
    context_gib: float
    multimodal_reserve_gib: float
    gdn_states_gib: float
    mtp_snapshots_gib: float
    kv_cache_gib: float
    mtp_kv_outside_gib: float | None = None
    cuda_graphs_gib: float = 0.0
    activations_gib: float = 0.0

    @property
    def entries(self) -> tuple[tuple[str, float], ...]:
        """(label, GiB) of each part."""
        parts = ((label, getattr(self, field)) for field, label in LABELS)
        return tuple((label, gib) for label, gib in parts if gib is not None)

    @property
    def total_gib(self) -> float:
        return sum(gib for _, gib in self.entries)


NOTHING = Pools(0, 0, 0, 0, 0, 0, 0)


def divide(d: Demand, rules: Accounting) -> Pools:
    """The pools of one rank. All zero where the budget does not hold one request: SGLang then
    ends with an error."""
    counted = SPARE if rules.padding else 0
    slots = _slots(d, rules, counted) if d.state else 0
    if d.budget <= 0 or (d.state and slots <= 0):
        return NOTHING
    snapshots = _snapshots(d, rules, slots) if d.state else 0
    budgeted = d.state * (_with(snapshots, counted) * d.drafts + _with(slots, counted))
    if d.cell:
        tokens = max(d.budget - budgeted, 0) // d.cell // d.page_size * d.page_size
    else:  # without an attention layer no token costs a byte
        tokens = slots * d.context_tokens
    running = _running(d, slots, tokens)
    if running < 1:
        return NOTHING
    return Pools(
        slots=slots,
        snapshots=snapshots,
        kv_tokens=tokens,
        max_running_requests=running,
        state_bytes=d.state * _with(slots, SPARE),
        snapshot_bytes=d.state * _with(snapshots, SPARE) * d.drafts,
        kv_bytes=tokens * d.cell,
    )


def _with(number: int, spare: int) -> int:
    return number + spare if number else 0


def _slots(d: Demand, rules: Accounting, spare: int) -> int:
    """State slots. Without radix cache one per wanted request; else by the ratio.

    "joint" solves slots·state + slots/slots_per_request·drafts·state = share of the budget.
    """
    if not d.radix_cache and d.wanted is not None:
        return d.wanted
    ratio = table().defaults.mamba_full_memory_ratio
    if rules.snapshots == "reserved":
        rest = d.budget - d.state * d.drafts * (d.wanted or 0)
        return int(rest * ratio / (1 + ratio) // d.state)
    share = d.budget * ratio / (1 + ratio)
    if not d.drafts:
        return int((share - d.state * spare) // d.state)
    return int(
        (share - d.state * (1 + d.drafts) * spare)
        // (d.state * (1 + d.drafts / d.slots_per_request))
    )


def _snapshots(d: Demand, rules: Accounting, slots: int) -> int:
    """Requests whose state is kept for each draft token of a verify step."""
    if not d.drafts or d.wanted is None:
        return 0
    if rules.snapshots == "reserved":
        return d.wanted
    return min(d.wanted, slots // d.slots_per_request)


def _running(d: Demand, slots: int, tokens: int) -> int:
    defaults = table().defaults
    most = int(tokens / d.context_tokens * 512)
    most = max(min(most, defaults.max_running), defaults.min_running)
    running = min(d.wanted or most, tokens // 2)
    return min(running, slots // d.slots_per_request) if d.state else running
