"""A predicted report beside a published or measured one: every row that both have, by its ratio.

for ratio in ratios(predict("h200x8", like="cookbook-latency"), run("cookbook-latency").report):
    print(ratio.label, ratio.predicted, ratio.given, ratio.ratio)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit import load_data
from kit.bench.metrics import Report
from kit.bench.table import rows

HEADLINE = {
    "Mean TTFT (ms):": "mean_ttft_ms",
    "Mean TPOT (ms):": "mean_tpot_ms",
    "Output token throughput (tok/s):": "output_throughput",
}
# What the workload fixes, or the run was told: no prediction.
_GIVEN = (
    "Backend:",
    "Traffic request rate:",
    "Max request concurrency:",
    "Successful requests:",
    "Total input tokens:",
    "Total input text tokens:",
    "Total input vision tokens:",
    "Total generated tokens:",
    "Accept length:",
)
_PER_CHUNK = "Inter-Chunk Latency (as chunks arrive)"


@dataclass(frozen=True)
class Ratio:
    """One row, predicted and given."""

    label: str
    predicted: float
    given: float

    @property
    def ratio(self) -> float:
        return self.predicted / self.given

    @property
    def headline(self) -> bool:
        """One of the three rows that are fitted first: mean TTFT, mean TPOT, output tokens/s."""
        return self.label in HEADLINE


def ratios(predicted: Report, given: Report) -> list[Ratio]:
    """The rows that are a prediction and that both know, in bench_serving's order.

    Where `given` has its ITL per chunk, the predicted one is taken per chunk too.
    """
    known = {(section, label): value for section, label, value in rows(given)}
    found = []
    for section, label, value in rows(predicted):
        if given.itl_basis == "chunk":
            if section == "Inter-Token Latency":
                continue
            if section == _PER_CHUNK:
                section, label = "Inter-Token Latency", label.replace("chunk gap", "ITL")
        theirs = known.get((section, label))
        if label in _GIVEN or section == "Goodput":
            continue
        if isinstance(value, int | float) and isinstance(theirs, int | float) and theirs:
            found.append(Ratio(label, float(value), float(theirs)))
    return found


def beside(predicted: Report, given: Report) -> str:
    """The rows of `ratios` as a table, with both labels of origin."""
    kind = str(given.provenance.kind)
    lines = [f"{'':<38} {'predicted':>10} {kind:>10}  ratio"]
    lines += [
        f"{r.label:<38} {r.predicted:>10,.2f} {r.given:>10,.2f}  {r.ratio:.3f}"
        for r in ratios(predicted, given)
    ]
    return "\n".join(
        [*lines, f"predicted: {predicted.provenance}", f"beside it: {given.provenance}"]
    )


def off(found: Sequence[Ratio]) -> tuple[float, float]:
    """(mean, worst) distance of the ratios from 1."""
    distances = [abs(r.ratio - 1) for r in found]
    return sum(distances) / len(distances), max(distances)


@functools.cache
def other_tools() -> tuple[dict[str, Any], ...]:
    """`data/predictors.toml`: what other tools gave for the published runs, as ratios."""
    return tuple(load_data.toml("predictors.toml")["tool"])
