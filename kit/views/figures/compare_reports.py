"""Reports side by side: one column each, under its kind and version, ratios to the first.

beside(run.report, predicted, report)      # published, simulated, measured
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from kit.bench import published_runs
from kit.bench.metrics import Report, Stats
from kit.provenance import Kind

_Value = Callable[[Report], float | None]


@dataclass(frozen=True)
class ComparedRow:
    """A figure of a report. `first` rows stand open, the others behind a click."""

    name: str
    value: _Value
    decimals: int = 0
    first: bool = False


def _of(name: str, stat: str) -> _Value:
    def value(report: Report) -> float | None:
        stats: Stats = getattr(report, name)
        found: float | None = getattr(stats, stat)
        return found

    return value


def _itl_per_token(stat: str) -> _Value:
    def value(report: Report) -> float | None:
        found: float | None = getattr(report.itl, stat)
        return found if report.itl_basis == "token" else None

    return value


def _latencies() -> tuple[ComparedRow, ...]:
    rows = []
    for stat in ("mean", "median", "p99"):
        label, first = stat.capitalize(), stat == "mean"
        rows += [
            ComparedRow(f"{label} TTFT (ms)", _of("ttft", stat), 0, first or stat == "p99"),
            ComparedRow(f"{label} TPOT (ms)", _of("tpot", stat), 2, first),
            ComparedRow(f"{label} ITL per token (ms)", _itl_per_token(stat), 2, first),
            ComparedRow(f"{label} ITL per chunk (ms)", _of("itl_per_chunk", stat), 2),
            ComparedRow(f"{label} E2E latency (ms)", _of("e2e_latency", stat), 0, first),
        ]
    return tuple(rows)


ROWS = (
    ComparedRow("Output tokens/s", lambda r: r.output_throughput, 0, first=True),
    ComparedRow("Requests/s", lambda r: r.request_throughput, 2, first=True),
    ComparedRow("Total tokens/s", lambda r: r.total_throughput),
    ComparedRow("Peak output tokens/s", lambda r: r.max_output_tokens_per_s),
    ComparedRow("In flight on average", lambda r: r.concurrency, 1, first=True),
    ComparedRow("Accept length", lambda r: r.accept_length, 2, first=True),
    *_latencies(),
    ComparedRow("Requests answered", lambda r: r.completed),
    ComparedRow("Requests failed", lambda r: r.failed or None),
    ComparedRow("Tokens in", lambda r: r.total_input_tokens),
    ComparedRow("Tokens out", lambda r: r.total_output_tokens),
    ComparedRow("Duration (s)", lambda r: r.duration_s, 1, first=True),
)


@dataclass(frozen=True)
class Beside:
    """A table of reports: HTML or Markdown in a notebook, text anywhere else."""

    reports: tuple[Report, ...]

    def __post_init__(self) -> None:
        if not self.reports:
            raise ValueError("nothing to put side by side")

    @property
    def cells(self) -> list[list[str]]:
        """The table: a head, a row a figure (with its ratio to the first report), the labels."""
        kinds = ["", *(str(report.provenance.kind) for report in self.reports)]
        versions = ["SGLang", *(version(report) or "–" for report in self.reports)]
        body = [self._texts(row) for row in self._rows()]
        return [kinds, versions, *body, ["from", *(r.provenance.source for r in self.reports)]]

    def _rows(self) -> list[ComparedRow]:
        """Those that at least one report has."""
        return [row for row in ROWS if any(row.value(r) is not None for r in self.reports)]

    def _pairs(self, row: ComparedRow) -> list[tuple[str, str]]:
        """(figure, ratio to the first) of each report; "" where there is nothing to compare."""
        values = [row.value(report) for report in self.reports]
        return [
            (
                "–" if value is None else f"{value:,.{row.decimals}f}",
                f"×{value / values[0]:.2f}" if i and values[0] and value is not None else "",
            )
            for i, value in enumerate(values)
        ]

    def _texts(self, row: ComparedRow) -> list[str]:
        return [
            row.name,
            *(f"{text} ({ratio})" if ratio else text for text, ratio in self._pairs(row)),
        ]

    def _repr_markdown_(self) -> str:
        head, *rows = self.cells
        lines = [head, ["---"] + ["---:"] * len(self.reports), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def _repr_html_(self) -> str:
        """The first rows open, all of them behind a click; each column under its label."""
        rows = self._rows()
        first = [row for row in rows if row.first]
        more = self._table(rows) if len(rows) > len(first) else ""
        folded = f"<details><summary>All {len(rows)} rows</summary>{more}</details>" if more else ""
        return self._table(first) + folded + self._sources()

    def _table(self, rows: list[ComparedRow]) -> str:
        heads = "".join(
            f'<th style="{_CELL}"><span style="{_BADGE}{_LINE[r.provenance.kind]}">'
            f"{escape(str(r.provenance.kind))}</span><br>"
            f'<span style="{_QUIET}">{escape(_named(r, i))}</span></th>'
            for i, r in enumerate(self.reports, 1)
        )
        body = "".join(
            f'<tr><th scope="row" style="{_NAME}">{escape(row.name)}</th>'
            + "".join(
                f'<td style="{_CELL}"><b>{text}</b>'
                + (f' <span style="{_RATIO}">{ratio}</span>' if ratio else "")
                + "</td>"
                for text, ratio in self._pairs(row)
            )
            + "</tr>"
            for row in rows
        )
        return (
            f'<table style="font-size:16px"><thead><tr><th style="{_NAME}"></th>{heads}</tr>'
            f"</thead><tbody>{body}</tbody></table>"
        )

    def _sources(self) -> str:
        items = "".join(f"<li>{escape(str(r.provenance))}</li>" for r in self.reports)
        return f'<ol style="{_QUIET}">{items}</ol>'

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
        return "\n".join([*text, *sources])

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


def beside(*reports: Report) -> Beside:
    """Reports side by side; the first is what the others are compared with.

    Each column says its kind (published, simulated, measured) and the version of SGLang, where
    that is known; ITL is compared per token with per token, and per chunk with per chunk.
    """
    return Beside(reports)


def version(report: Report) -> str | None:
    """The version of SGLang behind a report: of the published run that it is, or as its source
    says; None where neither does."""
    for run in published_runs():
        if run.report.provenance == report.provenance:
            return run.sglang
    found = re.search(r"\bSGLang v?(\d+\.\d+[\w.+]*\w)", report.provenance.source)
    return found[1] if found else None


def _named(report: Report, number: int) -> str:
    """Under a column's kind: the version, and the number of its source below."""
    told = version(report)
    return f"SGLang {told} · {number}" if told else str(number)
