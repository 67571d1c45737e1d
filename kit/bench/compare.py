"""A predicted report against a published or measured one: the ratio of each metric in both.

for one in prediction_ratios(predict("h200x8", like=run.name), run.report):
    print(one.metric.label, one.predicted, one.given, one.ratio)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit import load_data
from kit.bench.metric_list import BY_KEY, Metric
from kit.bench.report import BANDS, Report


@dataclass(frozen=True)
class Ratio:
    """One metric, predicted and given."""

    metric: Metric
    predicted: float
    given: float

    @property
    def ratio(self) -> float:
        return self.predicted / self.given


def prediction_ratios(predicted: Report, given: Report) -> list[Ratio]:
    """The metrics that can be predicted and that both have, in the order of the printed table.

    Where `given` has its ITL per chunk, the predicted one is taken per chunk too.
    """
    known = {metric.key: value for metric, value in given.rows()}
    found = []
    for metric, value in predicted.rows():
        if given.itl_basis == "chunk":
            if metric.attribute.startswith("itl."):
                continue
            metric = BY_KEY.get(metric.key.replace("itl_per_chunk", "itl"), metric)
        other = known.get(metric.key)
        if metric.given or metric.key not in BY_KEY:
            continue
        if isinstance(value, int | float) and isinstance(other, int | float) and other:
            found.append(Ratio(metric, float(value), float(other)))
    return found


def prediction_table(predicted: Report, given: Report) -> str:
    """The metrics of `prediction_ratios` as a table, with the provenance of both reports."""
    kind = str(given.provenance.kind)
    lines = [f"{'':<38} {'predicted':>10} {kind:>10}  ratio"]
    for one in prediction_ratios(predicted, given):
        line = f"{one.metric.label + ':':<38} {one.predicted:>10,.2f} {one.given:>10,.2f}"
        width = predicted.band(one.metric.key, 2)
        lines.append(f"{line}  {one.ratio:.3f}  {width}".rstrip())
    return "\n".join(
        [
            *lines,
            *([f"in brackets: {BANDS}, of what is predicted"] if predicted.bands else []),
            f"predicted: {predicted.provenance}",
            f"beside it: {given.provenance}",
        ]
    )


def mean_and_worst_error(found: Sequence[Ratio]) -> tuple[float, float]:
    """The mean and the largest distance of the ratios from 1."""
    errors = [abs(one.ratio - 1) for one in found]
    return sum(errors) / len(errors), max(errors)


@functools.cache
def other_predictors() -> tuple[dict[str, Any], ...]:
    """`data/predictors.toml`: what other tools predicted for the published runs, as ratios."""
    return tuple(load_data.toml("predictors.toml")["tool"])
