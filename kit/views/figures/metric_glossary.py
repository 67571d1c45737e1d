"""A printed benchmark table with the meaning of each of its rows, next to another report's.

explained(report, run.report)
"""

from __future__ import annotations

import math

from kit.bench.metric_list import Metric
from kit.bench.report import BANDS, Report
from kit.provenance import Provenance
from kit.views.figure import FigureTable


def explained(report: Report, other: Report | None = None, *, shared: bool = False) -> FigureTable:
    """Every row of `report`'s table in its order: its value, what it means, and next to it the same
    row of `other` with the ratio. A row that neither has is left out; with `shared`, one that
    `other` does not have.
    """
    others = {metric.label: value for metric, value in other.rows()} if other is not None else {}
    rows = tuple(
        _row(metric, value, report.band(metric.key, 2), others.get(metric.label), other is not None)
        for metric, value in report.rows()
        if others.get(metric.label) is not None or (value is not None and not shared)
    )
    head = ("row", str(report.provenance.kind))
    note = f" In brackets: {BANDS}." if report.bands else ""
    if other is None:
        return FigureTable(
            f"What was printed, row by row.{note}",
            (*head, "what it is"),
            rows,
            report.provenance,
            folded=False,
        )
    return FigureTable(
        f"Ratios are {report.provenance.kind} / {other.provenance.kind}.{note}",
        (*head, str(other.provenance.kind), "ratio", "what it is"),
        rows,
        Provenance(
            report.provenance.kind, f"{report.provenance.source}; beside {other.provenance}"
        ),
        folded=False,
    )


def _row(
    metric: Metric, value: object, band: str, other: object, compared: bool
) -> tuple[str, ...]:
    columns: tuple[str, ...] = (metric.label, f"{_shown(value)} {band}".rstrip())
    if compared:
        columns += (_shown(other), _ratio(value, other))
    return (*columns, metric.meaning)


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _ratio(value: object, other: object) -> str:
    if not isinstance(value, int | float) or not isinstance(other, int | float):
        return ""
    return f"{value / other:.2f}" if math.isfinite(value) and other else ""
