"""SGLang's scheduling constants, and what its versions do differently."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kit import load_data
from kit.hardware import Profile
from kit.sizing import MemoryPlan
from kit.sizing.accounting import capacity, parse


class VersionRules(NamedTuple):
    """What SGLang does from version `since` on; `data/scheduler.toml` explains the fields."""

    since: str
    fixed_in_full: bool
    full_lag: int
    overlap_mtp: bool

    @classmethod
    def of(cls, sglang: str) -> VersionRules:
        """The row that holds for SGLang `sglang`."""
        rows = [cls(**row) for row in load_data.toml("scheduler.toml")["version"]]
        return [row for row in rows if parse(row.since) <= parse(sglang)][-1]


def overlaps(memory: MemoryPlan) -> bool:
    """Whether the host schedules a step while the GPU runs the one before it."""
    p = memory.profile
    return (
        p.overlap
        and memory.strategy not in ("no_buffer", "extra_buffer_no_overlap")
        and (p.mtp is None or VersionRules.of(memory.sglang).overlap_mtp)
    )


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How one server schedules; `data/scheduler.toml` explains the constants.

    `decode_reserve` are KV tokens that a request needs free ahead of a step, `refill_lag` the
    decode steps between an end in a full batch and the prefill that takes the slot.
    """

    max_prefill_tokens: int
    clip_max_new_tokens: int
    ignore_eos_reserve_tokens: int
    init_new_token_ratio: float
    min_new_token_ratio_factor: float
    new_token_ratio_decay_steps: int
    retract_decode_steps: int
    state_chunk_tokens: int

    chunk_tokens: int
    page_size: int
    decode_reserve: int
    fixed_in_full: bool
    refill_lag: int
    radix_cache: bool
    branches: bool  # a state is kept where prompts part, not only where one ends

    @classmethod
    def of(cls, memory: MemoryPlan) -> Rules:
        """The rules of the server that `memory` plans."""
        data, p = load_data.toml("scheduler.toml"), memory.profile
        version = VersionRules.of(memory.sglang)
        return cls(
            **{name: value for name, value in data.items() if name != "version"},
            chunk_tokens=default_chunk_tokens(p),
            page_size=memory.page_size,
            decode_reserve=2 * max(p.mtp.num_steps, p.mtp.num_draft_tokens) if p.mtp else 1,
            fixed_in_full=version.fixed_in_full,
            refill_lag=version.full_lag + overlaps(memory),
            radix_cache=memory.strategy != "radix_off",
            branches=memory.strategy.startswith("extra_buffer"),
        )

    @property
    def prefill_tokens(self) -> int:
        """Prompt tokens of one batch."""
        return max(self.chunk_tokens, self.max_prefill_tokens)

    @cached_property
    def min_new_token_ratio(self) -> float:
        return self.init_new_token_ratio * self.min_new_token_ratio_factor

    @cached_property
    def new_token_ratio_decay(self) -> float:
        """By how much the ratio falls in a decode step."""
        fall = self.init_new_token_ratio - self.min_new_token_ratio
        return fall / self.new_token_ratio_decay_steps

    def paged(self, tokens: int) -> int:
        """`tokens`, rounded up to whole pages."""
        return -(-tokens // self.page_size) * self.page_size


def default_chunk_tokens(profile: Profile) -> int:
    """Tokens of a prefill chunk: the profile's, or SGLang's default for its GPU's memory."""
    return profile.chunked_prefill_size or capacity(profile.gpu.memory_gib).chunked_prefill_size
