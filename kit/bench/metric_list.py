"""The metrics of a benchmark report: key, label, unit, meaning (`data/report_metrics.toml`).

The result line, the printed table, the comparisons and the glossary all draw from this list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal

from kit import load_data


@dataclass(frozen=True)
class Metric:
    """One figure of a report; the fields are explained in data/report_metrics.toml."""

    key: str
    name: str
    meaning: str
    unit: str = ""
    attribute: str = ""
    section: str = ""
    short: str = ""
    decimals: int = 0
    better: Literal["higher", "lower", ""] = ""
    given: bool = False

    @property
    def label(self) -> str:
        """As bench_serving prints it, without the colon."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def headline(self) -> bool:
        """Whether a prediction is judged by it first."""
        return self.key in HEADLINE

    def of(self, report: object) -> Any:
        """The figure in a `Report`; None where its source does not say."""
        return attrgetter(self.attribute)(report)


def _statistics(latency: Metric) -> Iterator[Metric]:
    for statistic in _DATA["statistic"]:
        key, name, meaning = (statistic[field] for field in ("key", "name", "meaning"))
        yield replace(
            latency,
            key=f"{key}_{latency.key}_ms",
            name=f"{name} {latency.name}",
            meaning=f"{latency.meaning}; {meaning}" if key == "mean" else meaning,
            unit="ms",
            attribute=f"{latency.key}.{key}",
            short=f"{name} {latency.short} (ms)",
            better="lower",
        )


def _group(row: dict[str, Any]) -> tuple[Metric, ...]:
    """The metric of a row of the data file; of a latency, all of its statistics."""
    fields = {key: value for key, value in row.items() if key != "statistics"}
    metric = Metric(**{"attribute": row["key"], **fields})
    return tuple(_statistics(metric)) if row.get("statistics") else (metric,)


_DATA = load_data.toml("report_metrics.toml")
_GROUPS = {row["key"]: _group(row) for row in _DATA["metric"]}
_GOODPUT = {row["key"]: Metric(section="Goodput", **row) for row in _DATA["goodput"]}

HEADLINE: tuple[str, ...] = tuple(_DATA["headline"])
STATISTICS: tuple[str, ...] = tuple(statistic["key"] for statistic in _DATA["statistic"])

# In the order of a result line, and by key.
METRICS: tuple[Metric, ...] = tuple(metric for group in _GROUPS.values() for metric in group)
BY_KEY = {metric.key: metric for metric in METRICS}

# In the order of the printed table, with the rows of goodput.
PRINTED: tuple[Metric, ...] = tuple(
    metric
    for key in _DATA["printed"]
    for metric in (_GROUPS[key] if key in _GROUPS else (_GOODPUT[key],))
    if not metric.attribute.endswith(".std")
)
