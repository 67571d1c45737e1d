"""The cookbook's deployment matrix as rows of fields, and what its profiles are called.

data/cookbook_matrix.toml holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kit import load_data
from kit.models import model

FILE = "cookbook_matrix.toml"
_TITLE = re.compile(r"([\d.]+b)-([a-z0-9-]+?)-([a-z0-9]+?)-?x(\d+)")


@dataclass(frozen=True)
class MatrixCell:
    """One cell under one strategy. `fields` are those of a `Profile`, names instead of objects.

    `default` marks the strategy whose profile has a name: MTP on, where the cell has it at
    those ranks. `pages` says where the cookbook disagrees with itself.
    """

    model: str
    precision: str
    gpu: str
    mtp: bool
    default: bool
    pages: str
    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class _Given:
    """A cell as the file has it; data/cookbook_matrix.toml explains the fields."""

    source: str  # of the whole file
    tp: int
    ep: int = 1
    nodes: int = 1
    mem: float | None = None
    mtp_tp: int | None = None
    mtp_mem: float | None = None
    name: str = ""
    pages: str = ""

    def fields(self, model_name: str, precision: str, gpu: str, mtp: bool) -> dict[str, Any]:
        """The fields of its profile under one strategy, before the rules."""
        tp_size, fraction = self.tp, self.mem
        if mtp and self.mtp_tp is not None:
            tp_size, fraction = self.mtp_tp, self.mtp_mem
        return {
            "name": self.name or title(model_name, precision, gpu, tp_size),
            "model": model_name,
            "precision": precision,
            "gpu": gpu,
            "tp_size": tp_size,
            "nodes": self.nodes,
            "ep_size": self.ep,
            "mem_fraction_static": fraction,
            "mtp": mtp,
            "source": self.source,
        }


def title(model_name: str, precision: str, gpu_key: str, count: int) -> str:
    """The long form of a profile's name: "27b-fp8-mi300x-x1"."""
    dash = "-" if gpu_key.endswith("x") else ""
    return f"{model_name}-{precision}-{gpu_key}{dash}x{count}"


def untitled(name: str) -> tuple[str, str, str, int] | None:
    """Model, precision, GPU and count of a long name; None for a name that is none."""
    parts = _TITLE.fullmatch(name)
    return (parts[1], parts[2], parts[3], int(parts[4])) if parts else None


@cache
def cells() -> tuple[MatrixCell, ...]:
    """Every cell of the matrix, under both strategies, in the page's order."""
    return tuple(_cells(load_data.toml(FILE)))


def _cells(matrix: dict[str, Any]) -> Iterator[MatrixCell]:
    load_data.known_keys(FILE, matrix, ("hardware", "source", "cells", "rules"))
    for rule in matrix["rules"]:
        load_data.known_keys(FILE, rule, ("when", "set"))
    for name, by_precision in matrix["cells"].items():
        for precision, row in by_precision.items():
            load_data.known_keys(FILE, row, ("all", *matrix["hardware"]))
            for gpu in matrix["hardware"]:
                cell = row.get(gpu, row.get("all"))
                if cell is not None:
                    given = _Given(source=matrix["source"], **cell)
                    yield from _strategies((name, precision, gpu), given, matrix["rules"])


def _strategies(
    place: tuple[str, str, str], given: _Given, rules: list[dict[str, Any]]
) -> Iterator[MatrixCell]:
    with_mtp, without = (
        _cell(given.fields(*place, mtp), given.pages, rules) for mtp in (True, False)
    )
    if with_mtp.mtp:
        yield with_mtp
    same_ranks = dict(with_mtp.fields)["tp_size"] == dict(without.fields)["tp_size"]
    yield replace(without, default=not with_mtp.mtp or not same_ranks)


def _cell(fields: dict[str, Any], pages: str, rules: list[dict[str, Any]]) -> MatrixCell:
    moe = model(fields["model"]).num_experts > 0
    for rule in rules:
        facts = {**fields, "several_ranks": fields["tp_size"] > 1, "moe": moe}
        if load_data.holds(rule["when"], facts):
            fields = {**fields, **rule["set"]}
    return MatrixCell(
        model=fields["model"],
        precision=fields["precision"],
        gpu=fields["gpu"],
        mtp=fields["mtp"],
        default=True,
        pages=pages,
        fields=tuple(fields.items()),
    )
