"""A printed benchmark table with a meaning for each of its rows, beside somebody else's.

explained(report, run.report)
"""

from __future__ import annotations

import math
import re

from kit import load_data
from kit.bench.metrics import Report
from kit.bench.table import rows
from kit.provenance import Provenance
from kit.views.figure import FigureTable

_STAT = re.compile(r"(Mean|Median|P90|P95|P99|Max) (.+) \(ms\)")


def explained(report: Report, other: Report | None = None, *, shared: bool = False) -> FigureTable:
    """Every row of `report`'s table in its order: its value, what it means, and beside it the same
    row of `other` with the ratio. A row that neither has is left out; with `shared`, one that
    `other` does not have.
    """
    theirs = {label: value for _, label, value in rows(other)} if other is not None else {}
    told = tuple(
        _row(label, value, theirs.get(label), other is not None)
        for _, label, value in rows(report)
        if theirs.get(label) is not None or (value is not None and not shared)
    )
    head = ("row", str(report.provenance.kind))
    if other is None:
        return FigureTable(
            "What was printed, row by row.",
            (*head, "what it is"),
            told,
            report.provenance,
            folded=False,
        )
    return FigureTable(
        f"Ratios are {report.provenance.kind} / {other.provenance.kind}.",
        (*head, str(other.provenance.kind), "ratio", "what it is"),
        told,
        Provenance(
            report.provenance.kind, f"{report.provenance.source}; beside {other.provenance}"
        ),
        folded=False,
    )


def meaning(label: str) -> str:
    """What the row called `label` says; of an error, that it is one."""
    data = load_data.toml("rows.toml")
    name = label.removesuffix(":")
    if name in data["rows"]:
        return str(data["rows"][name])
    found = _STAT.fullmatch(name)
    if found is None:
        return "requests that failed in this way; they are in no average"
    stat, quantity = found.groups()
    said = data["stats"][stat]
    return f"{data['latencies'][quantity]}; {said}" if stat == "Mean" else str(said)


def _row(label: str, value: object, their: object, beside: bool) -> tuple[str, ...]:
    columns: tuple[str, ...] = (label.removesuffix(":"), _shown(value))
    if beside:
        columns += (_shown(their), _ratio(value, their))
    return (*columns, meaning(label))


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return "inf" if value == math.inf else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _ratio(value: object, their: object) -> str:
    numbers = isinstance(value, int | float) and isinstance(their, int | float)
    if not numbers or not their or not math.isfinite(float(str(value))):
        return ""
    return f"{float(str(value)) / float(str(their)):.2f}"
