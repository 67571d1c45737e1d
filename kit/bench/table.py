"""A report as `sglang.bench_serving` prints it: its rows, its order, its widths; then ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.bench.metrics import Report, Stats

WIDTH = 50
_LATENCIES = (
    ("End-to-End Latency", "E2E Latency", "e2e_latency"),
    ("Time to First Token", "TTFT", "ttft"),
    ("Time per Output Token (excl. 1st token)", "TPOT", "tpot"),
    ("Inter-Token Latency", "ITL", "itl"),
)
_STATS = ("mean", "median", "p90", "p95", "p99")


def rows(report: Report) -> list[tuple[str, str, float | int | str | None]]:
    """(section, label, value) of every row in bench_serving's order; None where unknown."""
    rate, limit = _asked(report)
    out: list[tuple[str, str, float | int | str | None]] = [
        ("", "Backend:", report.backend),
        ("", "Traffic request rate:", rate),
        ("", "Max request concurrency:", limit),
        ("", "Successful requests:", report.completed),
        ("", "Benchmark duration (s):", report.duration_s),
        ("", "Total input tokens:", report.total_input_tokens),
        ("", "Total input text tokens:", report.total_input_text_tokens),
        ("", "Total input vision tokens:", report.total_input_vision_tokens or None),
        ("", "Total generated tokens:", report.total_output_tokens),
        ("", "Total generated tokens (retokenized):", report.total_output_tokens_retokenized),
        ("", "Request throughput (req/s):", report.request_throughput),
        ("", "Input token throughput (tok/s):", report.input_throughput),
        ("", "Output token throughput (tok/s):", report.output_throughput),
        ("", "Peak output token throughput (tok/s):", report.max_output_tokens_per_s),
        ("", "Peak concurrent requests:", report.max_concurrent_requests),
        ("", "Total token throughput (tok/s):", report.total_throughput),
        ("", "Concurrency:", report.concurrency),
        ("", "Accept length:", report.accept_length),
    ]
    if report.judged is not None:
        judged = report.judged
        bounds = " ".join(f"{name}:{bound:g}" for name, bound in judged.slo.bounds_ms.items())
        out += [
            ("Goodput", "SLOs (ms):", bounds),
            ("Goodput", "Request goodput (req/s):", judged.requests_per_s),
            ("Goodput", "SLO attainment (%):", judged.attainment * 100),
        ]
        for name, share in judged.attainment_by_metric.items():
            out.append(("Goodput", f"{name.upper()} SLO attainment (%):", share * 100))
    for section, label, name in _LATENCIES:
        stats: Stats = getattr(report, name)
        out += [(section, _label(stat, label), getattr(stats, stat)) for stat in _STATS]
    out.append(("Inter-Token Latency", "Max ITL (ms):", report.itl.max))
    if report.itl_basis == "token":
        section = "Inter-Chunk Latency (as chunks arrive)"
        stats = report.itl_per_chunk
        out += [(section, _label(stat, "chunk gap"), getattr(stats, stat)) for stat in _STATS]
    for error, count in report.errors.items():
        out.append(("Failed requests (in no average)", f"{error}:", count))
    return out


def table(report: Report) -> str:
    """The printed table. Rows whose value the source does not give are left out."""
    lines = ["{s:{c}^{n}}".format(s=" Serving Benchmark Result ", n=WIDTH, c="=")]
    current = ""
    for section, label, value in rows(report):
        if value is None:
            continue
        if section != current:
            lines.append("{s:{c}^{n}}".format(s=section, n=WIDTH, c="-"))
            current = section
        shown = f"{value:<10.2f}" if isinstance(value, float) else f"{value:<10}"
        if value == math.inf:
            shown = f"{'inf':<10}"
        lines.append(f"{label:<40} {shown}")
    lines.append("=" * WIDTH)
    if report.itl_basis == "chunk" and report.itl.mean is not None:
        lines.append("ITL here is per chunk: tokens that come together count as one.")
    lines += [f"missing: {what}" for what in report.missing]
    lines.append(str(report.provenance))
    return "\n".join(lines)


def _label(stat: str, name: str) -> str:
    return f"{stat.capitalize()} {name} (ms):"


def _asked(report: Report) -> tuple[float | str | None, int | str | None]:
    """Request rate and concurrency limit as bench_serving prints them."""
    if report.workload is not None:
        return report.workload.request_rate, report.workload.max_concurrency or "not set"
    rate = report.arguments.get("request_rate")
    return rate, report.arguments.get("max_concurrency") or ("not set" if rate else None)
