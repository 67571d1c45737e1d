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
    provenance, sentence = report.provenance, "What was printed, row by row."
    kind, beside = str(provenance.kind), list[str]()
    if other is not None:
        sentence = f"Ratios are {kind} / {other.provenance.kind}."
        beside = [str(other.provenance.kind), "ratio"]
        source = f"{provenance.source}; beside {other.provenance}"
        provenance = Provenance(provenance.kind, source)
    if report.bands:
        sentence += f" In brackets: {BANDS}."
    head = ("row", kind, *beside, "what it is")
    return FigureTable(sentence, head, rows, provenance, folded=False)


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
