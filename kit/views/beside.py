"""Reports side by side: one column each, its provenance at the foot, ratios to the first."""

from __future__ import annotations

from dataclasses import dataclass

from kit.bench.metrics import Report

# key of the result line → how a table names it, and its decimals
ROWS = {
    "mean_ttft_ms": ("Mean TTFT (ms)", 0),
    "mean_tpot_ms": ("Mean TPOT (ms)", 2),
    "mean_itl_ms": ("Mean ITL (ms)", 2),
    "mean_e2e_latency_ms": ("Mean E2E latency (ms)", 0),
    "request_throughput": ("Requests (1/s)", 2),
    "output_throughput": ("Output tokens/s", 0),
    "total_throughput": ("Total tokens/s", 0),
    "accept_length": ("Accept length", 2),
    "duration": ("Duration (s)", 1),
}


@dataclass(frozen=True)
class Beside:
    """A table of reports. Markdown in a notebook, text anywhere else."""

    reports: tuple[Report, ...]

    def __post_init__(self) -> None:
        if not self.reports:
            raise ValueError("nothing to put side by side")

    @property
    def cells(self) -> list[list[str]]:
        """The table: a head, a row a figure (with its ratio to the first report), the labels."""
        head = ["", *(str(report.provenance.kind) for report in self.reports)]
        lines = [report.to_json() for report in self.reports]
        rows = []
        for key, (name, decimals) in ROWS.items():
            values = [line.get(key) for line in lines]
            if all(value is None for value in values):
                continue
            rows.append([name, *(_cell(value, values[0], decimals) for value in values)])
        return [head, *rows, ["from", *(report.provenance.source for report in self.reports)]]

    def _repr_markdown_(self) -> str:
        head, *rows = self.cells
        lines = [head, ["---"] + ["---:"] * len(self.reports), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def __str__(self) -> str:
        cells = self.cells
        *body, labels = cells
        widths = [max(len(line[i]) for line in body) for i in range(len(cells[0]))]
        text = [
            "  ".join(
                c.ljust(w) if i == 0 else c.rjust(w)
                for i, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in body
        ]
        return "\n".join(
            [*text, *(f"{h}: {s}" for h, s in zip(cells[0][1:], labels[1:], strict=True))]
        )

    __repr__ = __str__


def beside(*reports: Report) -> Beside:
    """Reports side by side; the first is what the others are compared with."""
    return Beside(reports)


def _cell(value: float | None, first: float | None, decimals: int) -> str:
    if value is None:
        return "–"
    text = f"{value:,.{decimals}f}"
    if first is None or value is first or not first:
        return text
    return f"{text} (×{value / first:.2f})"
