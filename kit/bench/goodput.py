"""Goodput: the requests per second that kept every bound of a service level objective (SLO).

    report.goodput(Slo(ttft_ms=200, tpot_ms=20))  →  requests per second

A server can raise its throughput by making everybody wait; its goodput falls when it does. The
definitions are those of sglang 0.5.23, benchmark/goodput.py: a request that failed is not good, and
an answer of one token has no TPOT to miss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.bench.record import Record
from kit.errors import InvalidValue

METRICS = ("ttft", "tpot", "e2el")


@dataclass(frozen=True)
class Slo:
    """The longest times in milliseconds that a request may take; None is no bound.

    Raises InvalidValue when nothing is bounded, or a bound is not above 0.
    """

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2el_ms: float | None = None

    def __post_init__(self) -> None:
        if not self.bounds_ms:
            raise InvalidValue("an SLO without a bound", "give one, as in Slo(ttft_ms=200)")
        for name, bound_ms in self.bounds_ms.items():
            if not (bound_ms > 0 and math.isfinite(bound_ms)):
                raise InvalidValue(f"{name}_ms is {bound_ms:g}", "give milliseconds above 0")

    @property
    def bounds_ms(self) -> dict[str, float]:
        given = {name: getattr(self, f"{name}_ms") for name in METRICS}
        return {name: bound for name, bound in given.items() if bound is not None}

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Slo:
        """From `ttft:200 tpot:20`, as bench_serving takes them. Raises InvalidValue."""
        bounds: dict[str, float] = {}
        for pair in pairs:
            name, _, bound = pair.partition(":")
            try:
                bounds[f"{name}_ms"] = float(bound)
            except ValueError:
                name = ""
            if name not in METRICS:
                raise InvalidValue(
                    f"{pair!r} is no bound", f"write it like ttft:200; one of {', '.join(METRICS)}"
                )
        return cls(**bounds)

    def met(self, record: Record) -> dict[str, bool]:
        """Which of its bounds a request kept; none when it failed."""
        if not record.ok:
            return dict.fromkeys(self.bounds_ms, False)
        took_s = {"ttft": record.ttft_s, "tpot": record.tpot_s or 0.0, "e2el": record.latency_s}
        return {name: took_s[name] * 1e3 <= bound for name, bound in self.bounds_ms.items()}


@dataclass(frozen=True)
class Goodput:
    """How much of a run was good. Shares are of all requests that were answered or failed."""

    slo: Slo
    requests_per_s: float
    attainment: float
    attainment_by_metric: dict[str, float]

    @classmethod
    def of(cls, records: Sequence[Record], slo: Slo, duration_s: float) -> Goodput:
        met = [slo.met(record) for record in records]
        good = sum(all(one.values()) for one in met)
        count = len(met) or 1
        return cls(
            slo,
            good / duration_s if duration_s > 0 else 0.0,
            good / count,
            {name: sum(one[name] for one in met) / count for name in slo.bounds_ms},
        )

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Goodput | None:
        """What a result line says of it; None where it was not asked for."""
        bounds = line.get("goodput_slos_ms")
        if not bounds:
            return None
        return cls(
            Slo(**{f"{name}_ms": bound for name, bound in bounds.items()}),
            line["request_goodput"],
            line["slo_attainment"],
            line["slo_attainment_by_metric"],
        )

    def to_json(self) -> dict[str, Any]:
        """bench_serving's keys for it."""
        return {
            "goodput_slos_ms": self.slo.bounds_ms,
            "request_goodput": self.requests_per_s,
            "slo_attainment": self.attainment,
            "slo_attainment_by_metric": self.attainment_by_metric,
        }

    def printed(self) -> dict[str, Any]:
        """The values of its rows in the printed table, by their keys; shares in percent."""
        bounds = " ".join(f"{name}:{bound:g}" for name, bound in self.slo.bounds_ms.items())
        by_metric = self.attainment_by_metric.items()
        return {
            "goodput_slos_ms": bounds,
            "request_goodput": self.requests_per_s,
            "slo_attainment": self.attainment * 100,
            **{f"{name}_slo_attainment": share * 100 for name, share in by_metric},
        }
