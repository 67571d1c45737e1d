"""How an SGLang version counts memory: the rows of data/accounting.toml, as objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from kit import load_data
from kit.errors import InvalidValue


@dataclass(frozen=True)
class Accounting:
    """The rules of one range of versions; data/accounting.toml explains the fields."""

    since: str
    auto_mtp: str
    auto: str
    snapshots: str
    padding: bool
    counts_mtp: bool
    mm_reserve: bool
    source: str


@dataclass(frozen=True)
class Defaults:
    """What SGLang takes where the command says nothing; sizes in MiB."""

    mamba_full_memory_ratio: float
    speculative_max_running: int
    vlm_cache_mib: int
    cuda_ipc_mib: int
    min_running: int
    max_running: int
    aiter_share: float
    aiter_context_tokens: int


@dataclass(frozen=True)
class Estimates:
    """What each rank takes before its weights load, and for graphs with MTP; read in start logs."""

    context_gib: float
    communication_gib: float
    communication_least_gib: float
    verify_graphs_gib: float
    draft_graphs_share: float
    draft_extend_graphs_share: float
    source: str


@dataclass(frozen=True)
class Capacity:
    """SGLang's defaults for a GPU below so many GiB. `decode_batch_tp4` holds from TP 4 on."""

    below_gib: float
    chunked_prefill_size: int
    decode_batch: int
    decode_batch_tp4: int


@dataclass(frozen=True)
class Table:
    """The whole of data/accounting.toml. `slots` are state slots per request, by strategy."""

    read_up_to: str
    version: tuple[Accounting, ...]
    slots: dict[str, int]
    defaults: Defaults
    estimates: Estimates
    capacity: tuple[Capacity, ...]


@cache
def table() -> Table:
    data = load_data.toml("accounting.toml")
    rows = {
        "version": tuple(Accounting(**row) for row in data["version"]),
        "defaults": Defaults(**data["defaults"]),
        "estimates": Estimates(**data["estimates"]),
        "capacity": tuple(Capacity(**row) for row in data["capacity"]),
    }
    return Table(**{**data, **rows})


@cache
def accounting(version: str) -> Accounting:
    """The rules that SGLang `version` follows.

    Raises InvalidValue for what is no version, and for those before the first that was read.
    """
    wanted = parse(version)
    rows = table().version
    known = [row for row in rows if parse(row.since) <= wanted]
    if not known:
        raise InvalidValue(
            f"SGLang {version} is older than {rows[0].since}, the first read for Qwen3.5",
            f"give one from {rows[0].since} to {table().read_up_to}",
        )
    return known[-1]


def is_unread(version: str) -> bool:
    """Newer than the newest version whose source was read."""
    return parse(version) > parse(table().read_up_to)


def parse(version: str) -> tuple[int, ...]:
    """ "0.5.12.post1" → (0, 5, 12). Raises InvalidValue."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?([.\-+]?[a-z].*)?", version.strip())
    if match is None:
        raise InvalidValue(f"{version!r} is no SGLang version", "give one like 0.5.23")
    return tuple(int(n or 0) for n in match.groups()[:3])


def capacity(memory_gib: float) -> Capacity:
    """SGLang's capacity defaults for a GPU of `memory_gib`."""
    return next(row for row in table().capacity if memory_gib < row.below_gib)
