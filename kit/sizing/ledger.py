"""What one rank's memory goes to, part by part."""

from __future__ import annotations

from dataclasses import dataclass

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
