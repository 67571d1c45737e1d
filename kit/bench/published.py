"""Published runs as data: what was run, on which version, and every row that was printed.

    >>> run("cookbook-latency").report["mean_ttft_ms"]
    190.4

A version is part of a run because SGLang's accounting changed: the same command gives other
slots, another cap, or no start at all on another release.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from kit.bench.lines import from_json
from kit.bench.metrics import Report
from kit.bench.workload import Workload
from kit.errors import UnknownName
from kit.hardware import Profile, profile
from kit.provenance import published


@dataclass(frozen=True)
class Run:
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
def runs() -> tuple[Run, ...]:
    """Every published run that the kit carries."""
    folder = files("kit") / "data" / "published"
    names = sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name[-5:] == ".toml")
    return tuple(_read(name) for name in names)


def run(name: str) -> Run:
    """The published run called `name`. Raises UnknownName."""
    found = {r.name: r for r in runs()}
    if name not in found:
        raise UnknownName("published run", name, found)
    return found[name]


def _read(name: str) -> Run:
    text = (files("kit") / "data" / "published" / f"{name}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    workload, rows = Workload(**data["workload"]), data["rows"]
    line = {"duration": None, **rows, "seed": None}
    return Run(
        name=name,
        profile=replace(profile(data["profile"]), radix_cache=data["radix_cache"]),
        sglang=data["sglang"],
        overlap=data["overlap"],
        accept_length=data.get("accept_length"),
        workload=workload,
        command=" ".join(data["command"].split()),
        source=data["source"],
        report=replace(from_json(line, published(data["source"]), name), workload=workload),
    )
