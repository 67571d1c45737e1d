"""The cookbook's deployment matrix as rows of fields; data/cookbook_matrix.toml holds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data
from kit.hardware.profile_names import title


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


@cache
def _matrix() -> dict[str, Any]:
    return load_data.toml("cookbook_matrix.toml")


@cache
def cells() -> tuple[MatrixCell, ...]:
    """Every cell of the matrix, under both strategies, in the page's order."""
    return tuple(_cells())


def _cells() -> Iterator[MatrixCell]:
    matrix = _matrix()
    for model, by_precision in matrix["cells"].items():
        for precision, row in by_precision.items():
            for gpu in matrix["hardware"]:
                given = row.get(gpu, row.get("all"))
                if given is None:
                    continue
                yield from _strategies(model, precision, gpu, given)


def _strategies(
    model: str, precision: str, gpu: str, given: dict[str, Any]
) -> Iterator[MatrixCell]:
    with_mtp = _cell(model, precision, gpu, given, True)
    without = _cell(model, precision, gpu, given, False)
    if with_mtp.mtp:
        yield with_mtp
    same_ranks = dict(with_mtp.fields)["tp_size"] == dict(without.fields)["tp_size"]
    named = not with_mtp.mtp or not same_ranks
    yield MatrixCell(**{**vars(without), "default": named})


def _cell(model: str, precision: str, gpu: str, given: dict[str, Any], mtp: bool) -> MatrixCell:
    other = mtp and "mtp_tp" in given
    tp_size = given["mtp_tp"] if other else given["tp"]
    fields = {
        "name": given.get("name") or title(model, precision, gpu, tp_size),
        "model": model,
        "precision": precision,
        "gpu": gpu,
        "tp_size": tp_size,
        "nodes": given.get("nodes", 1),
        "ep_size": given.get("ep", 1),
        "mem_fraction_static": given.get("mtp_mem" if other else "mem"),
        "mtp": mtp,
        "source": _matrix()["source"],
    }
    for rule in _matrix()["rules"]:
        if _holds(rule["when"], fields):
            fields |= rule["set"]
    return MatrixCell(
        model=model,
        precision=precision,
        gpu=gpu,
        mtp=bool(fields["mtp"]),
        default=True,
        pages=given.get("pages", ""),
        fields=tuple(fields.items()),
    )


def _holds(when: dict[str, Any], fields: dict[str, Any]) -> bool:
    facts = {
        **fields,
        "several_ranks": fields["tp_size"] > 1,
        "moe": fields["model"] in ("397b", "122b", "35b"),
    }
    return all(
        facts[key] in wanted if isinstance(wanted, list) else facts[key] == wanted
        for key, wanted in when.items()
    )
