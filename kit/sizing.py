"""Will it fit? A profile and an SGLang version → a memory plan with its reasons.

    >>> plan(profile("h200x8")).max_running_requests
    39

Formulas are SGLang's own (`mem_cache/kv_cache_configurator.py`,
`model_executor/pool_configurator.py`); figures are computed, not measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.provenance import Provenance, computed

GIB = 2**30
MIB = 2**20
CONTEXT_GIB = 1.5  # CUDA context, NCCL buffers, libraries: before any weight is loaded
MM_RESERVE_GIB = 100 / 1024  # SGLANG_VLM_CACHE_SIZE_MB
STATE_RATIO = 0.9  # --mamba-full-memory-ratio
SPEC_MAX_RUNNING = 48  # what SGLang sets when speculative decoding leaves it unset
FITS_TOKENS = 131_072


@dataclass(frozen=True)
class RankLedger:
    """What one rank's memory goes to, in GiB; together the entries are `limit_gib`, or more."""

    rank: int
    entries: tuple[tuple[str, float], ...]
    limit_gib: float

    @property
    def total_gib(self) -> float:
        return sum(gib for _, gib in self.entries)


@dataclass(frozen=True)
class MemoryPlan:
    """What fits, and why. `state_mib_per_request` is one GDN state over the whole model."""

    profile: Profile
    sglang: str
    weights_gb: float
    kv_bytes_per_token: int
    kv_bytes_per_token_per_rank: int
    state_mib_per_request: float
    fits: bool
    max_running_requests: int
    kv_tokens: int
    slots: int
    slots_per_request: int
    reasons: tuple[str, ...]
    ranks: tuple[RankLedger, ...]
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        return {
            "profile": self.profile.name,
            "sglang": self.sglang,
            "weights_gb": round(self.weights_gb, 1),
            "kv_bytes_per_token": self.kv_bytes_per_token,
            "kv_bytes_per_token_per_rank": self.kv_bytes_per_token_per_rank,
            "state_mib_per_request": round(self.state_mib_per_request, 1),
            "fits": self.fits,
            "max_running_requests": self.max_running_requests,
            "kv_tokens": self.kv_tokens,
            "reasons": list(self.reasons),
            "ranks": [
                {"rank": r.rank, "entries": dict(r.entries), "limit_gib": r.limit_gib}
                for r in self.ranks
            ],
            "provenance": self.provenance.to_json(),
        }


def plan(profile: Profile, sglang: str = SGLANG) -> MemoryPlan:
    """The memory plan of `profile` under SGLang `sglang`."""
    p, m = profile, profile.model
    old = _version(sglang) < (0, 5, 15)
    mtp = p.mtp is not None
    drafts = p.mtp.num_draft_tokens if p.mtp else 0
    loaded = m.weights_bytes(p.precision) - (0 if mtp else 2 * m.parameters().mtp)
    weights_gib = loaded / p.tp_size / GIB
    free_gib = p.gpu.memory_gib - CONTEXT_GIB
    fraction = p.mem_fraction_static or 0.8
    rest_gib = free_gib * fraction - weights_gib - MM_RESERVE_GIB
    cell = m.kv_bytes_per_token_per_rank(p.tp_size, mtp)
    state_gib = m.state_bytes_per_request(p.ssm_dtype) / p.tp_size / GIB
    radix = p.radix_cache and not (old and mtp)
    per_request = (3 if old else 5) if radix else 1
    wanted = p.max_running_requests or (SPEC_MAX_RUNNING if mtp else None)
    budget_gib = rest_gib * STATE_RATIO / (1 + STATE_RATIO)
    if not radix and wanted:
        slots = wanted
    elif mtp:
        slots = int(
            (budget_gib - state_gib * (1 + drafts)) // (state_gib * (1 + drafts / per_request))
        )
    else:
        slots = int((budget_gib - state_gib) // state_gib)
    slots = max(slots, 0)
    snapshots = min(wanted or slots, slots // per_request) + 1 if mtp else 0
    kv_gib = rest_gib - snapshots * drafts * state_gib - (slots + 1) * state_gib
    tokens = max(int(kv_gib * GIB // cell), 0)
    ceiling = wanted or max(2048, min(4096, int(tokens / m.max_position_embeddings * 512)))
    running = max(min(ceiling, tokens // 2, slots // per_request), 0)
    entries = (
        ("weights", weights_gib),
        ("context", CONTEXT_GIB),
        ("multimodal reserve", MM_RESERVE_GIB),
        ("GDN states", max((slots + 1) * state_gib, 0.0)),
        ("MTP snapshots", snapshots * drafts * state_gib),
        ("KV cache", max(tokens * cell / GIB, 0.0)),
    )
    fits = running >= 1 and tokens >= FITS_TOKENS
    reasons = (
        f"weights take {weights_gib:.1f} GiB a rank "
        f"against {p.gpu.memory_gib:.1f} on a {p.gpu.name}",
        f"{slots} state slots, {per_request} a request, cap it at {slots // per_request} requests",
    )
    return MemoryPlan(
        profile=p,
        sglang=sglang,
        weights_gb=m.weights_bytes(p.precision) / 1e9,
        kv_bytes_per_token=m.kv_bytes_per_token(mtp),
        kv_bytes_per_token_per_rank=cell,
        state_mib_per_request=m.state_bytes_per_request(p.ssm_dtype) / MIB,
        fits=fits,
        max_running_requests=running,
        kv_tokens=tokens,
        slots=slots,
        slots_per_request=per_request,
        reasons=reasons,
        ranks=tuple(RankLedger(i, entries, p.gpu.memory_gib) for i in range(p.tp_size)),
        provenance=computed(f"formulas of SGLang {sglang}; context overhead estimated"),
    )


def _version(text: str) -> tuple[int, ...]:
    parts = re.findall(r"\d+", text)[:3]
    if len(parts) < 2:
        raise InvalidValue(f"{text!r} is no SGLang version", "give one like 0.5.23")
    return tuple(int(n) for n in parts)
