"""Reports side by side: one column each, under its kind and version, ratios to the first;
and what each row of one means.

compare_reports(run.report, predicted, report)      # published, simulated, measured
explained(report, run.report)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from kit.bench import published_cells, published_runs
from kit.bench.metric_list import BY_KEY, Metric
from kit.bench.report import BANDS, Report
from kit.errors import InvalidValue
from kit.provenance import Kind, Provenance
from kit.views.figure import FigureTable
from kit.views.safe_markdown import escape, html_text

ROWS = tuple(
    BY_KEY[key]
    for key in (
        "output_throughput",
        "request_throughput",
        "total_throughput",
        "max_output_tokens_per_s",
        "concurrency",
        "accept_length",
        *(
            f"{statistic}_{latency}_ms"
            for statistic in ("mean", "median", "p99")
            for latency in ("ttft", "tpot", "itl", "itl_per_chunk", "e2e_latency")
        ),
        "completed",
        "failed",
        "total_input_tokens",
        "total_output_tokens",
        "duration",
    )
)
OPEN = (  # the others are behind a click
    "output_throughput",
    "request_throughput",
    "concurrency",
    "accept_length",
    "mean_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "mean_itl_ms",
    "mean_e2e_latency_ms",
    "duration",
)


@dataclass(frozen=True)
class ReportComparison:
    """A table of reports: HTML or Markdown in a notebook, text anywhere else."""

    reports: tuple[Report, ...]

    def __post_init__(self) -> None:
        if not self.reports:
            raise InvalidValue(
                "no report to compare", "give one or more, as in compare_reports(a, b)"
            )
        for one in self.reports:
            if not isinstance(one, Report):
                raise InvalidValue(
                    f"{type(one).__name__} is no report", "of a published run, give its .report"
                )

    @property
    def cells(self) -> list[list[str]]:
        """The table: a head, one row per figure with its ratio to the first report, the labels."""
        kinds = ["", *(str(report.provenance.kind) for report in self.reports)]
        versions = ["SGLang", *(version(report) or "–" for report in self.reports)]
        body = [
            [row.short, *(f"{text} ({ratio})" if ratio else text for text, ratio in pairs)]
            for row in self._rows()
            for pairs in [self._pairs(row)]
        ]
        return [kinds, versions, *body, ["from", *(r.provenance.source for r in self.reports)]]

    def _rows(self) -> list[Metric]:
        """Those that at least one report has."""
        return [row for row in ROWS if any(_value(row, r) is not None for r in self.reports)]

    def _open_rows(self) -> list[Metric]:
        """The rows that matter and that the first report has, a median where it lacks the mean."""
        first, keys = self.reports[0], set(OPEN)
        for key in OPEN:
            median = BY_KEY.get(key.replace("mean_", "median_"), BY_KEY[key])
            if _value(BY_KEY[key], first) is None and _value(median, first) is not None:
                keys = keys - {key} | {median.key}
        rows = [row for row in self._rows() if row.key in keys]
        return [row for row in rows if _value(row, first) is not None] or rows

    def _pairs(self, row: Metric) -> list[tuple[str, str]]:
        """(figure, ratio to the first) of each report; "" where there is nothing to compare.

        A predicted figure has its band behind it.
        """
        values = [_value(row, report) for report in self.reports]
        bands = [report.band(row.key, row.decimals) for report in self.reports]
        return [
            (
                "–" if value is None else f"{value:,.{row.decimals}f} {bands[i]}".rstrip(),
                f"×{value / values[0]:.2f}" if i and values[0] and value is not None else "",
            )
            for i, value in enumerate(values)
        ]

    def _repr_markdown_(self) -> str:
        head, *rows = self.cells
        lines = [head, ["---"] + ["---:"] * len(self.reports), *rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return escape(f"{table}\n\n{self._note}" if self._note else table)

    def _repr_html_(self) -> str:
        """The first rows open, all of them behind a click; each column under its label."""
        rows = self._rows()
        first = self._open_rows()
        more = self._table(rows) if len(rows) > len(first) else ""
        folded = f"<details><summary>All {len(rows)} rows</summary>{more}</details>" if more else ""
        return self._table(first) + folded + self._sources()

    def _table(self, rows: list[Metric]) -> str:
        heads = "".join(
            f'<th style="{_CELL}"><span style="{_BADGE}{_LINE[r.provenance.kind]}">'
            f"{html_text(str(r.provenance.kind))}</span><br>"
            f'<span style="{_QUIET}">{html_text(_named(r, i))}</span></th>'
            for i, r in enumerate(self.reports, 1)
        )
        body = "".join(
            f'<tr><th scope="row" style="{_NAME}">{html_text(row.short)}</th>'
            + "".join(
                f'<td style="{_CELL}"><b>{value}</b>{space}{width}'
                + (f' <span style="{_RATIO}">{ratio}</span>' if ratio else "")
                + "</td>"
                for text, ratio in self._pairs(row)
                for value, space, width in [text.partition(" ")]
            )
            + "</tr>"
            for row in rows
        )
        return (
            f'<table style="font-size:16px"><thead><tr><th style="{_NAME}"></th>{heads}</tr>'
            f"</thead><tbody>{body}</tbody></table>"
        )

    def _sources(self) -> str:
        items = "".join(f"<li>{html_text(str(r.provenance))}</li>" for r in self.reports)
        return f'<ol style="{_QUIET}">{items}</ol>' + (
            f'<p style="{_QUIET}">{self._note}</p>' if self._note else ""
        )

    @property
    def _note(self) -> str:
        return f"In brackets: {BANDS}." if any(r.bands for r in self.reports) else ""

    def __str__(self) -> str:
        *body, labels = self.cells
        widths = [max(len(line[i]) for line in body) for i in range(len(labels))]
        text = [
            "  ".join(
                c.ljust(w) if i == 0 else c.rjust(w)
                for i, (c, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in body
        ]
        sources = (f"{h}: {s}" for h, s in zip(body[0][1:], labels[1:], strict=True))
        return "\n".join([*text, *sources, *([self._note] if self._note else [])])

    __repr__ = __str__


_CELL = "text-align:right;padding:5px 14px;white-space:nowrap;"
_NAME = "text-align:left;padding:5px 14px 5px 4px;white-space:nowrap;font-weight:normal;"
_QUIET = "font-size:14px;font-weight:normal;opacity:0.75;"
_RATIO = "display:inline-block;min-width:3.6em;opacity:0.75;"
_BADGE = "display:inline-block;padding:0 10px;border-width:1.5px;border-radius:99px;margin:1.5px 0;"
_LINE = {
    Kind.COMPUTED: "border-style:dotted;",
    Kind.SIMULATED: "border-style:dashed;",
    Kind.PUBLISHED: "border-style:double;border-width:3px;margin:0;",
    Kind.MEASURED: "border-style:solid;",
}


def compare_reports(*reports: Report) -> ReportComparison:
    """Reports side by side; the first is what the others are compared with.

    Each column says its kind (published, simulated, measured) and the version of SGLang, where
    that is known; ITL is compared per token with per token, and per chunk with per chunk.
    Raises InvalidValue without a report, or for something else.
    """
    return ReportComparison(reports)


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


def _value(metric: Metric, report: Report) -> float | None:
    """The figure of a report; no ITL per token where ITL is per chunk, no count of 0 failures."""
    if metric.key == "failed":
        return report.failed or None
    if report.itl_basis == "chunk" and metric.attribute.startswith("itl."):
        return None
    value: float | None = metric.of(report)
    return value


def version(report: Report) -> str | None:
    """The version of SGLang behind a report: of the published run that it is, or as its source
    says; None where neither does."""
    for run in (*published_runs(), *published_cells()):
        if run.report.provenance == report.provenance:
            return run.sglang
    found = re.search(r"\bSGLang v?(\d+\.\d+[\w.+]*\w)", report.provenance.source)
    return found[1] if found else None


def _named(report: Report, number: int) -> str:
    """Under a column's kind: the version, and the number of its source below."""
    found = version(report)
    return f"SGLang {found} · {number}" if found else str(number)


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
