"""The metrics of a benchmark report: key, label, unit, meaning (`data/report_metrics.toml`).

The result line, the printed table, the comparisons and the glossary all draw from this list.
"""

from __future__ import annotations

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


def _statistic(latency: Metric, key: str, name: str, meaning: str) -> Metric:
    """One figure that sums up a latency."""
    return replace(
        latency,
        key=f"{key}_{latency.key}_ms",
        name=f"{name} {latency.name}",
        meaning=f"{latency.meaning}; {meaning}" if key == "mean" else meaning,
        unit="ms",
        attribute=f"{latency.key}.{key}",
        short=f"{name} {latency.short} (ms)",
        better="lower",
    )


class MetricList:
    """The tables of data/report_metrics.toml."""

    def __init__(
        self,
        headline: list[str],
        printed: list[str],
        metric: list[dict[str, Any]],
        goodput: list[dict[str, Any]],
        statistic: list[dict[str, Any]],
    ) -> None:
        def group(statistics: bool = False, **row: Any) -> list[Metric]:
            """The metric of a row; of a latency, all of its statistics."""
            one = Metric(**{"attribute": row["key"], **row})
            return [_statistic(one, **each) for each in statistic] if statistics else [one]

        groups = {row["key"]: group(**row) for row in metric}
        of_goodput = {row["key"]: [Metric(section="Goodput", **row)] for row in goodput}
        self.headline = tuple(headline)
        self.statistics = tuple(row["key"] for row in statistic)
        self.metrics = tuple(one for found in groups.values() for one in found)
        self.printed = tuple(one for key in printed for one in (groups | of_goodput)[key])


def read() -> MetricList:
    return MetricList(**load_data.toml("report_metrics.toml"))


_LIST = read()
HEADLINE = _LIST.headline  # keys
STATISTICS = _LIST.statistics  # of a latency
METRICS = _LIST.metrics  # in the order of a result line
BY_KEY = {metric.key: metric for metric in METRICS}
PRINTED = tuple(  # in the order of the printed table, with the rows of goodput
    metric for metric in _LIST.printed if not metric.attribute.endswith(".std")
)
