"""Published runs as data: what was run, on which version, and every row that was printed.

    >>> published("cookbook-latency").report["mean_ttft_ms"]
    190.4

A version is part of a run because SGLang's accounting changed: the same command gives other
slots, another cap, or no start at all on another release.

Cells are runs of which a page prints three figures: the medians of TTFT and TPOT, and tokens per
second and GPU. A group holds many of them, for many profiles:

    >>> [cell.workload.max_concurrency for cell in published_cells("cookbook-0516", h200x8)]
    [1, 16]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kit import load_data, provenance
from kit.bench.report import Report, Stats
from kit.bench.result_file import from_json
from kit.bench.workload import Workload
from kit.errors import InvalidValue, UnknownName
from kit.hardware import Profile, profile
from kit.hardware.cookbook import MatrixCell
from kit.hardware.cookbook import cells as matrix_cells
from kit.hardware.profile import from_cell

TODAY = "cookbook-0516"  # the newest group of cells

_GROUP_KEYS = [
    "source",
    "sglang",
    "fitted",
    "throughput",
    "cells",
    "changes",
    "workload",
    "prompts",
]


@dataclass(frozen=True)
class PublishedRun:
    """A published run. `accept_length` is None where nothing speculated, or it is not printed.

    `group` is that of a cell, or the rehearsal; `held_out` says whether a cell is kept from the
    fit of the speed constants, None where it is no matter of fitting.
    """

    name: str
    profile: Profile
    sglang: str
    accept_length: float | None
    workload: Workload
    command: str
    source: str
    report: Report
    group: str | None = None
    held_out: bool | None = None


@cache
def published_runs() -> tuple[PublishedRun, ...]:
    """The published runs that the kit carries row by row."""
    return tuple(_read(name, data) for name, data in _files().items() if "cells" not in data)


def published(name: str, on: Profile | None = None, concurrency: int | None = None) -> PublishedRun:
    """The published run called `name`, or a profile's cell of the group `name`: that of so many
    requests at once, or the one of fewest.

    Raises UnknownName, InvalidValue for a group without a profile.
    """
    found = {r.name: r for r in published_runs()}
    if name in found:
        return found[name]
    groups = [group for group, data in _files().items() if "cells" in data]
    if name not in groups:
        raise UnknownName("published run", name, [*found, *groups])
    if on is None:
        raise InvalidValue(f"{name} has cells of many profiles", "say which profile's")
    cells = published_cells(name, on)
    if not cells:
        has = sorted({c.profile.title for c in published_cells(name)})
        raise UnknownName(f"cell of {name} for the profile", _mtp_title(on), has)
    by_requests = {cell.workload.max_concurrency: cell for cell in cells}
    if concurrency not in (None, *by_requests):
        numbers = " and ".join(str(n) for n in by_requests)
        raise InvalidValue(
            f"no cell of {name} has {concurrency} requests at once",
            f"this profile's have {numbers}",
        )
    return cells[0] if concurrency is None else by_requests[concurrency]


@cache
def published_cells(group: str = TODAY, on: Profile | None = None) -> tuple[PublishedRun, ...]:
    """The cells of a group, of one profile where `on` is given (with or without MTP, as it is).

    A profile's come by concurrency. Raises UnknownName.
    """
    groups = {name: data for name, data in _files().items() if "cells" in data}
    if group not in groups:
        raise UnknownName("group of published cells", group, groups)
    if on is None:
        return tuple(_cells(group, groups[group]))
    same = (c for c in published_cells(group) if _machine(c.profile) == _machine(on))
    return tuple(sorted(same, key=lambda c: c.workload.max_concurrency or 0))


def held_out(gpu: str, model: str, precision: str) -> bool:
    """Whether a machine's cells are kept from the fit: a third of them, by a hash of the name."""
    digest = hashlib.sha256(f"{gpu} {model} {precision}".encode()).hexdigest()
    return int(digest, 16) % 3 == 0


def _machine(p: Profile) -> tuple[str, str, str, int, bool]:
    return (p.model.name, p.precision, p.gpu.key, p.tp_size, p.mtp is not None)


def _mtp_title(p: Profile) -> str:
    return p.title if p.mtp else f"{p.title} without MTP"


@cache
def _files() -> dict[str, dict[str, Any]]:
    folder = load_data.path("published")
    names = sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name[-5:] == ".toml")
    return {name: load_data.toml(f"published/{name}.toml") for name in names}


def _cells(group: str, data: dict[str, Any]) -> Iterator[PublishedRun]:
    load_data.known_keys(f"published/{group}.toml", data, _GROUP_KEYS)
    known = {_key(cell): cell for cell in matrix_cells()}
    for gpu, model, precision, mtp, concurrency, ttft_ms, tpot_ms, rate in data["cells"]:
        p = _changed(known[model, precision, gpu, mtp], data)
        prompts = data["prompts"][str(concurrency)]
        work = Workload(**data["workload"], num_prompts=prompts, max_concurrency=concurrency)
        output_rate = rate * p.tp_size
        if data.get("throughput", "total") == "total":
            output_rate *= work.output_len / (work.input_len + work.output_len)
        yield PublishedRun(
            name=f"{group} {p.title}{'' if mtp else ' no-mtp'} {concurrency}",
            profile=p,
            sglang=data["sglang"],
            accept_length=None,
            workload=work,
            command="",
            source=data["source"],
            report=Report(
                provenance.published(data["source"]),
                workload=work,
                output_throughput=output_rate,
                ttft=Stats(median=ttft_ms),
                tpot=Stats(median=tpot_ms),
            ),
            group=group,
            held_out=held_out(gpu, model, precision) if data["fitted"] else None,
        )


def _key(cell: MatrixCell) -> tuple[str, str, str, bool]:
    return (cell.model, cell.precision, cell.gpu, cell.mtp)


def _changed(cell: MatrixCell, data: dict[str, Any]) -> Profile:
    """The matrix's profile, with what the page of the cells has otherwise."""
    for change in data.get("changes", ()):
        facts = {"model": cell.model, "precision": cell.precision, "gpu": cell.gpu}
        if all(facts[key] in wanted for key, wanted in change["when"].items()):
            return replace(from_cell(cell), **change["set"])
    return from_cell(cell)


def _read(name: str, data: dict[str, Any]) -> PublishedRun:
    workload, rows = Workload(**data["workload"]), data["rows"]
    line = {"duration": None, **rows, "seed": None}
    return PublishedRun(
        name=name,
        profile=replace(profile(data["profile"]), radix_cache=data["radix_cache"]),
        sglang=data["sglang"],
        accept_length=data.get("accept_length"),
        workload=workload,
        command=" ".join(data["command"].split()),
        source=data["source"],
        report=replace(
            from_json(line, provenance.published(data["source"]), name), workload=workload
        ),
    )
