"""Published runs as data: what was run, on which version, and every row that was printed.

    >>> published("cookbook-latency").report["mean_ttft_ms"]
    190.4

A version is part of a run because SGLang's accounting changed: the same command gives other
slots, another cap, or no start at all on another release.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from kit import load_data, provenance
from kit.bench.metrics import Report
from kit.bench.result_file import from_json
from kit.bench.workload import Workload
from kit.errors import UnknownName
from kit.hardware import Profile, profile


@dataclass(frozen=True)
class PublishedRun:
    """A published run. `accept_length` is None where nothing speculated."""

    name: str
    profile: Profile
    sglang: str
    overlap: bool
    accept_length: float | None
    workload: Workload
    command: str
    source: str
    report: Report


@cache
def published_runs() -> tuple[PublishedRun, ...]:
    """Every published run that the kit carries."""
    folder = load_data.path("published")
    names = sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name[-5:] == ".toml")
    return tuple(_read(name) for name in names)


def published(name: str) -> PublishedRun:
    """The published run called `name`. Raises UnknownName."""
    found = {r.name: r for r in published_runs()}
    if name not in found:
        raise UnknownName("published run", name, found)
    return found[name]


def _read(name: str) -> PublishedRun:
    data = load_data.toml(f"published/{name}.toml")
    workload, rows = Workload(**data["workload"]), data["rows"]
    line = {"duration": None, **rows, "seed": None}
    return PublishedRun(
        name=name,
        profile=replace(profile(data["profile"]), radix_cache=data["radix_cache"]),
        sglang=data["sglang"],
        overlap=data["overlap"],
        accept_length=data.get("accept_length"),
        workload=workload,
        command=" ".join(data["command"].split()),
        source=data["source"],
        report=replace(
            from_json(line, provenance.published(data["source"]), name), workload=workload
        ),
    )
