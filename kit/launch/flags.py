"""SGLang's flags by version, and what follows from the machine; flags.toml and flag_rules.toml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from kit import load_data
from kit.errors import InvalidValue
from kit.hardware import Profile
from kit.sizing.accounting import parse
from kit.sizing.mem_fraction import uses_aiter


@dataclass(frozen=True)
class Spelling:
    """What a flag is called, since when and until when, and why one would give it."""

    key: str
    names: tuple[tuple[str, str], ...]
    reason: str
    source: str
    page: str | None = None
    alias: bool = False
    until: str | None = None

    def name(self, sglang: str) -> str | None:
        """Its name in this version; None where the version does not have it."""
        if self.until and parse(sglang) > parse(self.until):
            return None
        known = [name for since, name in self.names if parse(since) <= parse(sglang)]
        return known[-1] if known else None

    def named(self, sglang: str) -> str:
        """Its name. Raises InvalidValue where the version does not have it."""
        name = self.name(sglang)
        if name is None:
            first, spelt = self.names[0]
            raise InvalidValue(
                f"SGLang {sglang} has no {spelt}",
                f"it is there from {first}" + (f" to {self.until}" if self.until else " on"),
            )
        return name

    def versions(self) -> str:
        """Where the name holds: "0.5.14 on", "0.5.9 to 0.5.14"."""
        since = self.names[-1][0]
        return f"{since} to {self.until}" if self.until else f"{since} on"


@cache
def spellings() -> dict[str, Spelling]:
    """Every flag that a plan may hold, by the kit's own key."""
    return {
        key: Spelling(key=key, **{**row, "names": tuple((s, n) for s, n in row["names"])})
        for key, row in load_data.toml("flags.toml").items()
    }


@dataclass(frozen=True)
class LeftOut:
    """A flag of the source pages that a plan leaves out, and why."""

    flag: str
    reason: str
    source: str

    def to_json(self) -> dict[str, str]:
        return {"flag": self.flag, "reason": self.reason, "source": self.source}


@dataclass(frozen=True)
class Variable:
    """A variable of the environment that the server needs."""

    name: str
    value: str
    reason: str
    source: str


class Change(NamedTuple):
    """What one version changed."""

    since: str
    what: str


@dataclass(frozen=True)
class FlagRule:
    """A rule of data/flag_rules.toml, which explains the fields."""

    when: dict[str, Any]
    set: dict[str, Any] = field(default_factory=dict)
    since: str = ""
    to: str = ""
    recipe: bool = False
    flag: str = ""
    reason: str = ""
    source: str = ""

    def holds(self, profile: Profile, sglang: str) -> bool:
        version = parse(sglang)
        if self.since and version < parse(self.since):
            return False
        if self.to and version > parse(self.to):
            return False
        if self.recipe and profile.source.startswith("Lambda"):
            return False
        return load_data.holds(self.when, _facts(profile))


@cache
def flag_rules(kind: str) -> tuple[FlagRule, ...]:
    """The rules of one kind: "rule", "env" or "left_out"."""
    data = load_data.toml("flag_rules.toml")
    known = ("rule", "env", "left_out", "change", "vision_backends")
    load_data.known_keys("flag_rules.toml", data, known)
    return tuple(FlagRule(**row) for row in data[kind])


def rule_flags(profile: Profile, sglang: str) -> Iterator[tuple[str, str | None]]:
    """(key, value) of the flags that follow from the machine and the checkpoint."""
    for rule in flag_rules("rule"):
        if rule.holds(profile, sglang):
            for key, value in rule.set.items():
                yield key, None if value is True else value


def rule_env(profile: Profile, sglang: str) -> Iterator[Variable]:
    """The variables that follow from the machine."""
    for rule in flag_rules("env"):
        if rule.holds(profile, sglang):
            for name, value in rule.set.items():
                yield Variable(name, value, rule.reason, rule.source)


def left_out(profile: Profile, sglang: str, given: set[str]) -> Iterator[LeftOut]:
    """What the source pages' commands have and this version does not need."""
    for rule in flag_rules("left_out"):
        if rule.flag not in given and rule.holds(profile, sglang):
            yield LeftOut(rule.flag, rule.reason, rule.source)


def changes(since: str, until: str) -> tuple[Change, ...]:
    """(version, what changed) between two versions, the first excluded."""
    first, last = parse(since), parse(until)
    rows = [Change(**row) for row in load_data.toml("flag_rules.toml")["change"]]
    return tuple(row for row in rows if first < parse(row.since) <= last)


def _facts(p: Profile) -> dict[str, Any]:
    return {
        "gpu": p.gpu.key,
        "arch": p.gpu.arch,
        "maker": p.gpu.maker,
        "precision": p.precision,
        "mtp": p.mtp is not None,
        "moe": p.model.num_experts > 0,
        "several_ranks": p.tp_size > 1,
        # experts or feed-forward in four bits, attention in eight: SGLang finds that by itself
        "mixed": p.model.storage(p.precision).is_mixed,
        "uses_aiter": uses_aiter(p),
        # SGLang's is_sm90 and is_sm100; over two nodes the second only
        "fuses": p.gpu.is_sm90 or p.gpu.is_sm100,
        "fuses_by_itself": p.gpu.is_sm100 or (p.gpu.is_sm90 and p.nodes == 1),
        # trtllm_mha: decided before `auto` is known to keep snapshots
        "pages_by_itself": p.mtp is not None or not p.radix_cache,
        "strategy_auto": p.mamba_radix_cache_strategy == "auto",
        "radix_cache": p.radix_cache,
        "ssm_fp32": p.ssm_dtype == "float32",
        "running_unset": p.max_running_requests is None,
        # the one cell whose figures the cookbook measured has nothing extra
        "measured_cell": p.title == "397b-bf16-h200x8" and p.mtp is not None,
    }
