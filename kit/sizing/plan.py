"""Will it fit? A profile and an SGLang version → a memory plan, in figures.

    >>> plan(profile("h200x8")).max_running_requests
    39

SGLang loads the weights, sets aside a share of the memory, and divides what is
left of the rest into GDN states, MTP snapshots and KV cache (`kit/sizing/rank_memory.py`, from
sglang `mem_cache/kv_cache_configurator.py`). Figures are computed, not measured;
`kit.sizing.explain` says why they are what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.hardware.validate import GPU_TRANSPORTS, obstacle
from kit.provenance import Provenance, computed
from kit.sizing.accounting import Accounting, accounting, table
from kit.sizing.mem_fraction import context_gib, headroom, peers_share, static_fraction, uses_aiter
from kit.sizing.rank_memory import Demand, Pools, RankLedger, divide

GIB = 2**30
MIB = 2**20
FITS_TOKENS = 131_072  # the least context that the cookbook advises: thinking needs room
TIGHT_REQUESTS = 16
YARN_TOKENS = 1_010_000  # the longest context in Qwen's model cards, stretched by YaRN


@dataclass(frozen=True)
class MemoryPlan:
    """What fits, in figures.

    `weights_gb` is the whole checkpoint, `loaded_gb` what the ranks together load of it;
    `state_mib_per_request` is one GDN state over the whole model. `starts`: the server comes up
    and runs a request. `fits`: it holds the profile's users at its context at once, by default
    one request of 131,072 tokens. `loaded_twice_gib` per rank are counted while the memory is
    divided, and free afterwards.
    """

    profile: Profile
    sglang: str
    weights_gb: float
    loaded_gb: float
    kv_bytes_per_token: int
    kv_bytes_per_token_per_rank: int
    state_mib_per_request: float
    state_mib_per_request_per_rank: float
    mem_fraction_static: float
    minimum_fraction: float
    rest_gib: float
    loaded_twice_gib: float
    strategy: str
    refused: bool
    slots: int
    slots_per_request: int
    snapshots: int
    starts: bool
    max_running_requests: int
    kv_tokens: int
    ranks: tuple[RankLedger, ...]
    provenance: Provenance

    @property
    def asked_tokens(self) -> int:
        """The context that each of the asked users needs."""
        return self.profile.context_length or FITS_TOKENS

    @property
    def asked_users(self) -> int:
        return self.profile.users or 1

    @property
    def fits(self) -> bool:
        """The asked users run at once, each with the asked context."""
        wanted = self.asked_users
        return wanted <= self.max_running_requests and wanted * self.asked_tokens <= self.kv_tokens

    @property
    def verdict(self) -> str:
        """ "fits", "tight" (few requests, or less than one whole context), "short" (it starts, with
        room for less than was asked), or "no"."""
        if not self.fits:
            return "short" if self.starts else "no"
        whole = self.kv_tokens >= self.profile.context_tokens
        return "fits" if whole and self.max_running_requests >= TIGHT_REQUESTS else "tight"

    @property
    def page_size(self) -> int:
        """Tokens of a KV page."""
        return _page_size(self.profile)

    def requests_at(self, context_tokens: int) -> int:
        """How many requests of `context_tokens` run at once. Raises InvalidValue below 1."""
        if context_tokens < 1:
            raise InvalidValue(f"a context of {context_tokens} tokens", "give 1 or more")
        return min(self.max_running_requests, self.kv_tokens // context_tokens)

    def context_at(self, requests: int) -> int:
        """Tokens that each of `requests` can have, 0 where so many never run at once."""
        if requests < 1:
            raise InvalidValue(f"{requests} requests", "give 1 or more")
        if requests > self.max_running_requests:
            return 0
        return min(self.kv_tokens // requests, self.profile.context_tokens)

    def rank(self, number: int) -> RankLedger:
        """The ledger of rank `number`. Raises InvalidValue for one that does not exist."""
        if not 0 <= number < len(self.ranks):
            raise InvalidValue(
                f"there is no rank {number}", f"ranks are 0 to {len(self.ranks) - 1}"
            )
        return self.ranks[number]

    def __str__(self) -> str:
        where = f"{self.profile.name} on SGLang {self.sglang}"
        if not self.starts:
            return f"{where} does not fit"
        most = self.max_running_requests
        fits = "fits" if self.fits else "starts, short of what is asked"
        return f"{where} {fits}: {most} at once, {self.kv_tokens:,} tokens of KV cache"


@lru_cache(maxsize=4096)
def plan(profile: Profile, sglang: str = SGLANG) -> MemoryPlan:
    """The memory plan of `profile` under SGLang `sglang`.

    What does not fit is a plan too, with `fits` false; so is `starts` where nothing runs.
    Raises InvalidValue for a version that is none, or older than Qwen3.5.
    """
    p = profile
    rules = accounting(sglang)
    strategy, refused = _strategy(p, rules)
    fraction = static_fraction(p)
    held = HeldBytes.of(p, rules)
    budget = held.free * fraction - held.counted
    pools = divide(_demand(p, rules, strategy, budget), rules)
    runs = obstacle(p) is None
    return MemoryPlan(
        profile=p,
        sglang=sglang,
        weights_gb=p.model.weights_bytes(p.precision) / 1e9,
        loaded_gb=held.even * p.tp_size / 1e9,
        kv_bytes_per_token=p.model.kv_bytes_per_token(p.mtp is not None, p.kv_dtype),
        kv_bytes_per_token_per_rank=_cell(p, p.mtp is not None),
        state_mib_per_request=p.model.state_bytes_per_request(p.ssm_dtype) / MIB,
        state_mib_per_request_per_rank=p.model.state_bytes_per_rank(p.tp_size, p.ssm_dtype) / MIB,
        mem_fraction_static=fraction,
        minimum_fraction=held.counted / held.free,
        rest_gib=budget / GIB,
        loaded_twice_gib=held.twice / GIB,
        strategy=strategy,
        refused=refused,
        slots=pools.slots,
        slots_per_request=_slots_per_request(strategy),
        snapshots=pools.snapshots,
        starts=runs and pools.max_running_requests >= 1,
        max_running_requests=pools.max_running_requests if runs else 0,
        kv_tokens=pools.kv_tokens if runs else 0,
        ranks=_ledgers(p, held, pools, rules),
        provenance=computed(
            f"formulas of SGLang {sglang}; {context_gib(p):.1f} GiB per rank assumed for CUDA "
            f"context{' and communication' if peers_share(p) else ''}"
        ),
    )


@dataclass(frozen=True)
class HeldBytes:
    """Bytes on a rank before the pools: `free` before loading, `counted` in the budget.

    `twice`: the embedding and head that MTP loads again. SGLang divides the memory before it gives
    them back (wheels 0.5.14 to 0.5.23: `Scheduler.init_model_worker` loads both models and then
    makes the pools, `EagleDraftWorker.alloc_memory_pool` shares the two after that).
    """

    context: int
    free: int
    even: int
    copies: int
    reserve: int
    twice: int
    counted: int

    @classmethod
    def of(cls, p: Profile, rules: Accounting) -> HeldBytes:
        context = round(context_gib(p) * GIB)
        free = round(p.gpu.memory_gib * GIB) - context
        even, copies = p.model.rank_bytes(p.precision, p.tp_size, p.mtp is not None)
        reserve = _reserve(p, rules)
        counts_mtp = p.mtp is not None and rules.counts_mtp
        counted = sum(p.model.rank_bytes(p.precision, p.tp_size, counts_mtp))
        twice = p.model.shared_bytes(p.precision) // p.tp_size if counts_mtp else 0
        return cls(context, free, even, copies, reserve, twice, counted + reserve + twice)


def _reserve(p: Profile, rules: Accounting) -> int:
    """Bytes for multimodal features: the embedding cache, and CUDA IPC's pool where it is used."""
    if p.model.vision is None or not rules.mm_reserve:
        return 0
    defaults = table().defaults
    ipc = defaults.cuda_ipc_mib if p.mm_feature_transport in GPU_TRANSPORTS else 0
    return int((defaults.vlm_cache_mib + ipc) * MIB)


def _strategy(p: Profile, rules: Accounting) -> tuple[str, bool]:
    """The cache strategy that SGLang chooses, and whether it refuses the command without one."""
    if not p.radix_cache:
        return "radix_off", False
    strategy, refused = p.mamba_radix_cache_strategy, False
    if strategy == "auto":
        strategy = rules.auto_mtp if p.mtp else rules.auto
        if strategy == "refused":
            refused = not p.gpu.is_amd
            strategy = "radix_off" if p.gpu.is_amd else "extra_buffer"
        if strategy == "extra_buffer" and not p.overlap:
            strategy = "no_buffer"
    if strategy == "extra_buffer" and not p.overlap:
        strategy = "extra_buffer_no_overlap"
    return strategy, refused


def _slots_per_request(strategy: str) -> int:
    return table().slots[strategy]


def _cell(p: Profile, mtp: bool) -> int:
    return p.model.kv_bytes_per_token_per_rank(p.tp_size, mtp, p.kv_dtype)


def _demand(p: Profile, rules: Accounting, strategy: str, budget: float) -> Demand:
    wanted = p.max_running_requests
    if wanted is None and p.mtp is not None:
        wanted = table().defaults.speculative_max_running
    return Demand(
        budget=int(budget),
        state=p.model.state_bytes_per_rank(p.tp_size, p.ssm_dtype),
        cell=_cell(p, p.mtp is not None and rules.counts_mtp),
        slots_per_request=_slots_per_request(strategy),
        drafts=p.mtp.num_draft_tokens if p.mtp else 0,
        radix_cache=strategy != "radix_off",
        wanted=wanted,
        context_tokens=p.context_tokens,
        page_size=_page_size(p),
    )


def _page_size(p: Profile) -> int:
    """Tokens of a KV page: 64 under trtllm_mha (Blackwell), 16 under AMD's aiter, else 1."""
    if uses_aiter(p):
        return 16
    paged = p.mtp is not None or not p.radix_cache
    return 64 if p.gpu.is_sm100 and paged else 1


def _ledgers(
    p: Profile, held: HeldBytes, pools: Pools, rules: Accounting
) -> tuple[RankLedger, ...]:
    """One ledger per rank. Graphs and activations take what they need of what the rest leaves."""
    outside = None
    if p.mtp is not None and not rules.counts_mtp:
        outside = pools.kv_tokens * (_cell(p, True) - _cell(p, False)) / GIB
    first = RankLedger(
        rank=0,
        limit_gib=p.gpu.memory_gib,
        weights_gib=held.even / GIB,
        weights_copied_gib=held.copies / GIB,
        context_gib=held.context / GIB,
        multimodal_reserve_gib=held.reserve / GIB,
        gdn_states_gib=pools.state_bytes / GIB,
        mtp_snapshots_gib=pools.snapshot_bytes / GIB,
        kv_cache_gib=pools.kv_bytes / GIB,
        mtp_kv_outside_gib=outside,
    )
    need = headroom(p)
    left = max(first.limit_gib - first.total_gib, 0.0)
    graphs = min(need.graphs_mib / 1024, left)
    activations = min(need.activations_mib / 1024, left - graphs)
    return tuple(
        replace(first, rank=n, cuda_graphs_gib=graphs, activations_gib=activations)
        for n in range(p.tp_size)
    )
