"""What a run gave: as a result line with bench_serving's keys, and as the table that it prints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from kit.bench.goodput import Goodput, Slo
from kit.bench.metric_list import METRICS, PRINTED, Metric
from kit.bench.record import Record
from kit.bench.without_numpy import percentile
from kit.bench.workload import Workload
from kit.errors import InvalidValue
from kit.provenance import Provenance

ItlBasis = Literal["token", "chunk"]

# Of a result line: the arguments of bench_serving, in its order; and those that we add, which draw
# the same requests again.
ARGUMENTS = (
    "tag",
    "backend",
    "dataset_name",
    "request_rate",
    "max_concurrency",
    "sharegpt_output_len",
    "random_input_len",
    "random_output_len",
    "random_range_ratio",
    "server_info",
)
OUR_ARGUMENTS = ("seed", "num_prompts", "image_count", "image_resolution", "ramp")

BANDS = "P10–P90 of published cells of this kind"

_WIDTH = 50  # of the printed table


@dataclass(frozen=True)
class Stats:
    """Of one quantity in milliseconds; None where the source does not say."""

    mean: float | None = None
    median: float | None = None
    std: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Stats:
        """Percentiles interpolate; the standard deviation is the population's."""
        counts = Counter(seconds)  # a batch shares its steps: far fewer values than gaps
        if not counts:
            return cls()
        each = [(1e3 * value, counts[value]) for value in sorted(counts)]
        values = [value for value, count in each for _ in range(count)]
        mean = math.fsum(value * count for value, count in each) / len(values)
        square = math.fsum((value - mean) ** 2 * count for value, count in each)
        return cls(
            mean=mean,
            median=percentile(values, 50),
            std=math.sqrt(square / len(values)),
            p90=percentile(values, 90),
            p95=percentile(values, 95),
            p99=percentile(values, 99),
            max=values[-1],
        )


@dataclass(frozen=True)
class Report:
    """What a run gave. None is what its source does not say; `missing` says so in words."""

    provenance: Provenance
    backend: str = "sglang"
    workload: Workload | None = None
    arguments: dict[str, Any] = field(default_factory=dict)  # of a line that another tool wrote
    duration_s: float | None = None
    completed: int | None = None
    total_input_tokens: int | None = None
    total_input_vision_tokens: int = 0
    total_output_tokens: int | None = None
    total_output_tokens_retokenized: int | None = None
    request_throughput: float | None = None
    input_throughput: float | None = None
    output_throughput: float | None = None
    total_throughput: float | None = None
    e2e_latency: Stats = Stats()
    ttft: Stats = Stats()
    tpot: Stats = Stats()
    itl: Stats = Stats()
    itl_basis: ItlBasis = "token"
    itl_per_chunk: Stats = Stats()
    concurrency: float | None = None
    accept_length: float | None = None
    max_output_tokens_per_s: float | None = None
    max_concurrent_requests: int | None = None
    errors: dict[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    records: tuple[Record, ...] = field(default=(), repr=False)
    bands: dict[str, tuple[float, float]] = field(default_factory=dict)  # key → (P10, P90)
    late_ms: tuple[float, float] | None = None  # a twin's bytes came so late here: median, P99
    judged: Goodput | None = None  # the goodput that the result line and the table show

    @property
    def total_input_text_tokens(self) -> int | None:
        if self.total_input_tokens is None:
            return None
        return self.total_input_tokens - self.total_input_vision_tokens

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def lateness(self) -> str:
        """How late this computer was, by the wall clock, in a sentence; empty where unknown."""
        if self.late_ms is None:
            return ""
        median, p99 = self.late_ms
        return (
            f"By the wall clock this computer was {median:.1f} ms late "
            f"(P99 {p99:.1f} ms); no row contains that."
        )

    @property
    def request_rate(self) -> float | str | None:
        """Requests per second that the client tries to send; "inf" for no limit."""
        if self.workload is None:
            return self.arguments.get("request_rate")
        return "inf" if math.isinf(self.workload.request_rate) else self.workload.request_rate

    @property
    def max_concurrency(self) -> int | None:
        if self.workload is not None:
            return self.workload.max_concurrency
        return self.arguments.get("max_concurrency")

    def __getitem__(self, key: str) -> Any:
        """A figure by its key in the result line: `report["mean_ttft_ms"]`.

        Raises KeyError for a key that the line does not have.
        """
        return self.to_json()[key]

    def band(self, key: str, decimals: int) -> str:
        """P10–P90 of a predicted figure, as "(2.1–2.9)"; "" where it has none."""
        if key not in self.bands:
            return ""
        low, high = self.bands[key]
        return f"({low:,.{decimals}f}–{high:,.{decimals}f})"

    def goodput(self, slo: Slo) -> float:
        """Requests per second that kept `slo`. Raises InvalidValue where no request is kept."""
        return self.judge(slo).requests_per_s

    def judge(self, slo: Slo) -> Goodput:
        """Goodput and the share of requests that kept each bound. Raises InvalidValue."""
        if not self.records or self.duration_s is None:
            raise InvalidValue(
                "goodput needs every request, and this report holds their averages only",
                "measure or simulate the run here",
            )
        return Goodput.of(self.records, slo, self.duration_s)

    def to_json(self) -> dict[str, Any]:
        """The keys of bench_serving's result line in its order, then ours."""
        arguments, ours = _arguments(self.workload) if self.workload else ({}, {})
        return {
            **dict.fromkeys(ARGUMENTS),
            **self.arguments,
            **arguments,
            **{metric.key: metric.of(self) for metric in METRICS},
            **(self.judged.to_json() if self.judged else {}),
            **ours,
            "itl_basis": self.itl_basis,
            **({"bands": {k: list(v) for k, v in self.bands.items()}} if self.bands else {}),
            "errors": self.errors,
            "missing": list(self.missing),
            **({"wall_clock_late_ms": list(self.late_ms)} if self.late_ms else {}),
            "provenance": self.provenance.to_json(),
        }

    def rows(self) -> list[tuple[Metric, float | int | str | None]]:
        """(metric, value) of every row of the printed table in its order; None where unknown.

        Behind bench_serving's rows stand the failed requests, by their error.
        """
        values = {metric.key: metric.of(self) for metric in METRICS}
        values |= self.judged.printed() if self.judged else {}
        if self.max_concurrency is None and self.request_rate is not None:
            values["max_concurrency"] = "not set"
        values["total_input_vision_tokens"] = self.total_input_vision_tokens or None
        per_token = self.itl_basis == "token"
        rows = [
            (metric, values.get(metric.key))
            for metric in PRINTED
            if per_token or not metric.attribute.startswith("itl_per_chunk")
        ]
        return rows + [(_failed(error), count) for error, count in self.errors.items()]

    def table(self) -> str:
        """The table that bench_serving prints: its rows, order and widths. Rows whose value is
        unknown are left out."""
        lines = [_rule(" Serving Benchmark Result ", "=")]
        section = ""
        for metric, value in self.rows():
            if value is None:
                continue
            if metric.section != section:
                section = metric.section
                lines.append(_rule(section, "-"))
            shown = f"{value:<10.2f}" if isinstance(value, float) else f"{value:<10}"
            if width := self.band(metric.key, 2):
                shown = f"{shown.rstrip()} {width}"
            lines.append(f"{metric.label + ':':<40} {shown}")
        lines.append("=" * _WIDTH)
        if self.itl_basis == "chunk" and self.itl.mean is not None:
            lines.append("ITL here is per chunk: tokens that come together count as one.")
        if self.bands:
            lines.append(f"In brackets: {BANDS}.")
        lines += [f"missing: {what}" for what in self.missing]
        lines += [self.lateness] if self.lateness else []
        lines.append(self.provenance.short)
        return "\n".join(lines)

    __str__ = table


def _arguments(w: Workload) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its arguments of bench_serving, and those that we add."""
    arguments = {
        "dataset_name": w.dataset,
        "random_input_len": w.input_len,
        "random_output_len": w.output_len,
        "random_range_ratio": w.range_ratio,
    }
    return arguments, {key: getattr(w, key) for key in OUR_ARGUMENTS}


def _failed(error: str) -> Metric:
    meaning = "requests that failed in this way; they are in no average"
    return Metric(error, error, meaning, section="Failed requests (in no average)")


def _rule(title: str, character: str) -> str:
    return f"{title:{character}^{_WIDTH}}"
