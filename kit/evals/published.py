"""The cookbook's two accuracy runs of Qwen3.5-397B-A17B, and what their printed lines give away.

run = published("gsm8k")
run.right, run.asked          195 of 200, out of 0.975
run.tokens_per_answer         998.166 tokens/s × 31.784 s / 200: too few for thinking
published("mmmu").rows        subjects, groups and the overall row, as printed
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data
from kit.errors import UnknownName
from kit.intervals import wilson
from kit.provenance import Provenance
from kit.provenance import published as published_by


@dataclass(frozen=True)
class PublishedRow:
    """One printed row: `accuracy` (0 to 1, as printed) of `asked` problems. `kind` is "overall",
    "group" or "subject"; `group` is the subject's."""

    name: str
    asked: int
    accuracy: float
    kind: str = "overall"
    group: str = ""

    @property
    def right(self) -> int:
        """The whole number of right answers that the printed share is rounded from."""
        return round(self.accuracy * self.asked)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(self.right, self.asked)


@dataclass(frozen=True)
class PublishedEval:
    """A published accuracy run. `rows` begin with the overall one; the last three figures are None
    where they were not printed."""

    name: str
    command: str
    rows: tuple[PublishedRow, ...]
    provenance: Provenance
    invalid: int | None = None
    latency_s: float | None = None
    output_throughput: float | None = None

    @property
    def asked(self) -> int:
        return self.rows[0].asked

    @property
    def right(self) -> int:
        return self.rows[0].right

    @property
    def interval(self) -> tuple[float, float]:
        return self.rows[0].interval

    @property
    def tokens_per_answer(self) -> float | None:
        """Output tokens per question: throughput times latency, over the questions."""
        if self.latency_s is None or self.output_throughput is None:
            return None
        return self.output_throughput * self.latency_s / self.asked


@cache
def published(name: str) -> PublishedEval:
    """ "gsm8k" or "mmmu". Raises UnknownName."""
    from kit.evals.mmmu import groups

    data = load_data.toml("evals/published.toml")
    if name not in data or name == "source":
        raise UnknownName("published evaluation", name, set(data) - {"source"})
    run, source = data[name], published_by(data["source"])
    if name == "gsm8k":
        row = PublishedRow("Overall", run["questions"], run["accuracy"])
        return PublishedEval(
            name, run["command"], (row,), source,
            round(run["invalid"] * row.asked), run["latency_s"], run["output_throughput"],
        )  # fmt: skip
    of = groups()
    rows = [_row("Overall", run["overall"])]
    rows += [_row(group, row, "group", group) for group, row in run["groups"].items()]
    rows += [_row(one, row, "subject", of[one]) for one, row in run["subjects"].items()]
    return PublishedEval(name, run["command"], tuple(rows), source)


def _row(name: str, row: dict[str, Any], kind: str = "overall", group: str = "") -> PublishedRow:
    return PublishedRow(name, row["num"], row["acc"], kind, group)
