"""How an SGLang version counts memory: the rows of data/accounting.toml, as objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data
from kit.errors import InvalidValue


@dataclass(frozen=True)
class Accounting:
    """The rules of one range of versions; the fields are explained in data/accounting.toml."""

    since: str
    auto_mtp: str
    auto: str
    snapshots: str
    padding: bool
    counts_mtp: bool
    mm_reserve: bool
    source: str


@dataclass(frozen=True)
class Capacity:
    """SGLang's defaults for a card below so many GiB. `decode_batch_tp4` holds from TP 4 on."""

    below_gib: float
    chunked_prefill_size: int
    decode_batch: int
    decode_batch_tp4: int


@cache
def table() -> dict[str, Any]:
    """The file as it is."""
    return load_data.toml("accounting.toml")


@cache
def accounting(version: str) -> Accounting:
    """The rules that SGLang `version` follows.

    Raises InvalidValue for what is no version, and for those before the first that was read.
    """
    wanted = parse(version)
    rows = [Accounting(**row) for row in table()["version"]]
    known = [row for row in rows if parse(row.since) <= wanted]
    if not known:
        raise InvalidValue(
            f"SGLang {version} is older than {rows[0].since}, the first read for Qwen3.5",
            f"give one from {rows[0].since} to {table()['read_up_to']}",
        )
    return known[-1]


def is_unread(version: str) -> bool:
    """Newer than the newest version whose source was read."""
    return parse(version) > parse(table()["read_up_to"])


def parse(version: str) -> tuple[int, ...]:
    """ "0.5.12.post1" → (0, 5, 12). Raises InvalidValue."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?([.\-+]?[a-z].*)?", version.strip())
    if match is None:
        raise InvalidValue(f"{version!r} is no SGLang version", "give one like 0.5.23")
    return tuple(int(n or 0) for n in match.groups()[:3])


def capacity(memory_gib: float) -> Capacity:
    """SGLang's capacity defaults for a card of `memory_gib`."""
    rows = [Capacity(**row) for row in table()["capacity"]]
    return next(row for row in rows if memory_gib < row.below_gib)
