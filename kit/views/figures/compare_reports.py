"""Reports side by side: one column each, under its kind and version, ratios to the first;
and what each row of one means.

compare_reports(run.report, predicted, report)      # published, simulated, measured
explained(report, run.report)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kit.bench import published_cells, published_runs
from kit.bench.metric_list import BY_KEY, Metric
from kit.bench.report import BANDS, Report
from kit.errors import InvalidValue
from kit.provenance import Kind, Provenance
from kit.views.figure import FigureTable, provenance_html
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
    """A table of reports: HTML or Markdown in a notebook, text anywhere else.

    `names` stand over the columns, where the label of a column does not tell it from the next.
    """

    reports: tuple[Report, ...]
    names: tuple[str, ...] = ()

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
        if self.names and len(self.names) != len(self.reports):
            raise InvalidValue(
                f"{len(self.names)} names for {len(self.reports)} reports", "give one for each"
            )

    @property
    def cells(self) -> list[list[str]]:
        """The table: a head, one row per figure with its ratio to the first report, the labels."""
        return self._cells([str(report.provenance) for report in self.reports])

    def _cells(self, labels: Sequence[str]) -> list[list[str]]:
        marks = map(_mark, labels)
        names = self.names or ("",) * len(self.reports)
        kinds = ["", *(f"{name} {mark}".strip() for name, mark in zip(names, marks, strict=True))]
        versions = ["SGLang", *(version(report) or "–" for report in self.reports)]
        body = [
            [row.short, *(f"{text} ({ratio})" if ratio else text for text, ratio in pairs)]
            for row in self._rows()
            for pairs in [self._pairs(row)]
        ]
        sources = map(_source, labels)
        return [kinds, versions, *body, ["from", *sources]]

    def _labelled(self, labels: Sequence[str]) -> Iterator[tuple[Report, str]]:
        """Each report with what a notebook shows of its provenance, or all of it."""
        return zip(self.reports, labels, strict=True)

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

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        labels = [report.provenance.short for report in self.reports]
        return {
            "text/plain": self.text(labels),
            "text/html": self.html(labels),
            "text/markdown": self.markdown(labels),
        }

    def markdown(self, labels: Sequence[str] = ()) -> str:
        """The whole table; `labels` are in place of the whole provenances."""
        head, *rows = self._cells(labels) if labels else self.cells
        lines = [head, ["---"] + ["---:"] * len(self.reports), *rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return escape(f"{table}\n\n{self._note}" if self._note else table)

    def html(self, labels: Sequence[str] = ()) -> str:
        """The first rows open, all of them behind a click; each column under its label."""
        labels = labels or [str(report.provenance) for report in self.reports]
        rows = self._rows()
        first = self._open_rows()
        more = self._table(rows, labels) if len(rows) > len(first) else ""
        folded = f"<details><summary>All {len(rows)} rows</summary>{more}</details>" if more else ""
        return self._table(first, labels) + folded + self._sources(labels)

    def _table(self, rows: list[Metric], labels: Sequence[str]) -> str:
        names = self.names or ("",) * len(self.reports)
        heads = "".join(
            f'<th style="{_CELL}">{f"{html_text(name)}<br>" if name else ""}'
            f'<span style="{_BADGE}{_LINE[r.provenance.kind]}">'
            f"{html_text(_mark(label))}</span><br>"
            f'<span style="{_QUIET}">{html_text(_named(r, i, label))}</span></th>'
            for i, (name, (r, label)) in enumerate(
                zip(names, self._labelled(labels), strict=True), 1
            )
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

    def _sources(self, labels: Sequence[str]) -> str:
        """A source per column by its number, or each by the mark that a notebook gave it."""
        marked = any(_mark(label) != r.provenance.kind for r, label in self._labelled(labels))
        if marked:
            first: dict[Provenance, str] = {}
            for report, label in self._labelled(labels):
                first.setdefault(report.provenance, label)
            notes = "".join(provenance_html(*each) for each in first.items())
            sources = f'<div style="{_QUIET}">{notes}</div>'
        else:
            items = "".join(f"<li>{html_text(label)}</li>" for label in labels)
            sources = f'<ol style="{_QUIET}">{items}</ol>'
        return sources + (f'<p style="{_QUIET}">{self._note}</p>' if self._note else "")

    @property
    def _note(self) -> str:
        return f"In brackets: {BANDS}." if any(r.bands for r in self.reports) else ""

    def text(self, labels: Sequence[str] = ()) -> str:
        """The table as lines, and a line for the source of each column."""
        *body, sources = self._cells(labels) if labels else self.cells
        widths = [max(len(line[i]) for line in body) for i in range(len(sources))]
        text = [
            "  ".join(
                c.ljust(w) if i == 0 else c.rjust(w)
                for i, (c, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in body
        ]
        notes = (f"{h}: {s}" for h, s in zip(body[0][1:], sources[1:], strict=True) if s)
        return "\n".join([*text, *notes, *([self._note] if self._note else [])])

    def __str__(self) -> str:
        return self.text()

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


def compare_reports(*reports: Report, names: Sequence[str] = ()) -> ReportComparison:
    """Reports side by side; the first is what the others are compared with. `names` stand over the
    columns.

    Each column says its kind (published, simulated, measured) and the version of SGLang, where
    that is known; ITL is compared per token with per token, and per chunk with per chunk.
    Raises InvalidValue without a report, for something else, or for more or fewer names.
    """
    return ReportComparison(reports, tuple(names))


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


def _mark(label: str) -> str:
    """What a column says of its kind: "simulated", in a notebook with the number of its source."""
    return label.partition(" · ")[0]


def _source(label: str) -> str:
    """The source in full, or nothing where a notebook has shown it."""
    return label.partition(" · ")[2]


def _named(report: Report, number: int, label: str) -> str:
    """Under a column's kind: the version, and the number of its source below where the kind has
    none."""
    found = version(report)
    numbered = [str(number)] if _mark(label) == report.provenance.kind else []
    return " · ".join([*([f"SGLang {found}"] if found else []), *numbered])


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
