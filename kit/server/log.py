"""SGLang's start-up log, read as it grows: which phase, how far, and the sizes it printed.

    >>> events = read("[…] Load weight end. … type=Qwen3_5MoeForConditionalGeneration, …")

Pure: text in, events out, of a running server or of a recorded log. The lines are data
(data/startup_log.toml), each with the file that prints it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache
from typing import Any

from kit import load_data
from kit.server.log_text import numbered, seen
from kit.sizing import MemoryPlan

_FILE = "startup_log.toml"
_LATER_RANK = re.compile(r"\[\d{4}-\d\d-\d\d [^\]]*\b(?:TP|PP|DP|EP)[1-9]")


class Stage(IntEnum):
    """How far a server has come, in order: what an error means depends on it."""

    UNKNOWN = -1
    START = 0
    WEIGHTS = 1
    LOADED = 2
    DRAFT = 3
    POOLS = 4
    GRAPHS = 5
    WARMUP = 6
    SERVING = 7

    @property
    def about(self) -> str:
        """In words."""
        return _ABOUT[self]


_ABOUT = {
    Stage.UNKNOWN: "the log does not say how far it came",
    Stage.START: "starting, before the weights",
    Stage.WEIGHTS: "loading the weights",
    Stage.LOADED: "weights loaded, memory for states and KV not yet set aside",
    Stage.DRAFT: "loading the MTP head",
    Stage.POOLS: "memory for states and KV set aside",
    Stage.GRAPHS: "capturing CUDA graphs",
    Stage.WARMUP: "warming up, not ready yet",
    Stage.SERVING: "serving",
}


@dataclass(frozen=True)
class Phase:
    """One line that SGLang prints while it starts, the phase it belongs to, the stage it begins."""

    name: str
    about: str
    key: str
    pattern: re.Pattern[str]
    where: str
    stage: Stage | None = None


@dataclass(frozen=True)
class Frame:
    """Functions that a traceback passes through, by the stage in which SGLang calls them."""

    stage: Stage
    pattern: re.Pattern[str]
    key: str
    where: str


@dataclass(frozen=True)
class LogEvent:
    """A line of the log that says something: its phase, how far in percent, its figures."""

    phase: str
    about: str
    line: str
    percent: int | None = None
    figures: dict[str, str] = field(default_factory=dict)
    stage: Stage | None = None

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{self.about}: {self.percent} %"
        return self.about


@cache
def phases() -> tuple[Phase, ...]:
    """What SGLang prints, in the order in which it prints it."""
    return tuple(Phase(**_compiled(row)) for row in _rows("phase"))


@cache
def frames() -> tuple[Frame, ...]:
    """The functions by which a traceback says in which stage it arose."""
    return tuple(Frame(**_compiled(row)) for row in _rows("frame"))


def _rows(table: str) -> list[dict[str, str]]:
    data = load_data.toml(_FILE)
    load_data.known_keys(_FILE, data, ["phase", "frame"])
    rows: list[dict[str, str]] = data[table]
    return rows


def _compiled(row: dict[str, str]) -> dict[str, Any]:
    staged = {"stage": Stage[row["stage"].upper()]} if "stage" in row else {}
    return {**row, "pattern": re.compile(row["pattern"]), **staged}


def lines(text: str) -> Iterator[str]:
    """The lines of a log, colours taken out, a progress bar's redraws one line each."""
    return (line.text for line in numbered([text]))


def events(log: Iterable[str]) -> Iterator[LogEvent]:
    """The lines that say something. Of several ranks only the first counts."""
    for line in log:
        if not of_later_rank(line) and (event := event_in(line)):
            yield event


def of_later_rank(line: str) -> bool:
    """Whether a rank wrote it that is not the first: what it says, the first says too."""
    return bool(_LATER_RANK.search(line))


def read(text: str) -> list[LogEvent]:
    """All events of a log."""
    return list(events(lines(text)))


def event_in(line: str) -> LogEvent | None:
    """What one line says, whichever rank wrote it."""
    line = seen(line)
    for phase in phases():
        if match := phase.pattern.search(line):
            figures = {k: v for k, v in match.groupdict().items() if v is not None}
            percent = figures.pop("percent", None)
            share = int(percent) if percent else None
            return LogEvent(phase.name, phase.about, line, share, figures, phase.stage)
    return None


@dataclass(frozen=True)
class Ledger:
    """What a server says it did with its memory: GiB per rank; counts are the server's.

    A field is None until the log has given it. With MTP the draft model prints its own lines
    after the main model's: weights and KV bytes are then sums.
    """

    weights_gib: float | None = None
    slots: int | None = None
    states_gib: float | None = None
    snapshots_gib: float | None = None
    kv_tokens: int | None = None
    kv_gib: float | None = None
    graphs_gib: float | None = None
    max_running_requests: int | None = None

    def beside(self, plan: MemoryPlan) -> tuple[LedgerRow, ...]:
        """What was planned and what the server reports, row by row."""
        rank = plan.ranks[0]
        planned = (
            rank.weights_gib + rank.weights_copied_gib,
            plan.slots,
            rank.gdn_states_gib,
            rank.mtp_snapshots_gib,
            plan.kv_tokens,
            rank.kv_cache_gib + (rank.mtp_kv_outside_gib or 0.0),
            plan.max_running_requests,
        )
        rows = zip(self._rows(), planned, strict=True)
        return tuple(replace(row, planned=value) for row, value in rows)

    def alone(self) -> tuple[LedgerRow, ...]:
        """What the server reports, where there was no plan."""
        return tuple(row for row in self._rows() if row.reported is not None)

    def _rows(self) -> tuple[LedgerRow, ...]:
        return (
            LedgerRow("weights", "GiB", None, self.weights_gib),
            LedgerRow("state slots", "", None, self.slots),
            LedgerRow("GDN states", "GiB", None, self.states_gib),
            LedgerRow("MTP snapshots", "GiB", None, self.snapshots_gib),
            LedgerRow("KV tokens", "", None, self.kv_tokens),
            LedgerRow("KV cache", "GiB", None, self.kv_gib),
            LedgerRow("max running requests", "", None, self.max_running_requests),
        )


@dataclass(frozen=True)
class LedgerRow:
    """One line of the comparison; `unit` is empty for counts."""

    name: str
    unit: str
    planned: float | None
    reported: float | None

    @property
    def ratio(self) -> float | None:
        """Reported over planned, where both are known and something was planned."""
        if not self.planned or self.reported is None:
            return None
        return self.reported / self.planned

    def __str__(self) -> str:
        def cell(value: float | None) -> str:
            if value is None:
                return "–"
            return f"{value:,.2f} {self.unit}" if self.unit else f"{value:,.0f}"

        times = "" if self.ratio is None else f"  ×{self.ratio:.2f}"
        return f"{self.name:<22}{cell(self.planned):>16}{cell(self.reported):>16}{times}"


def table(rows: Iterable[LedgerRow]) -> str:
    """The rows as text, under a heading."""
    return "\n".join([f"{'per rank':<22}{'planned':>16}{'reported':>16}", *map(str, rows)])


def ledger(seen: Iterable[LogEvent]) -> Ledger:
    """The sizes that the events carry, put together."""
    figures: defaultdict[str, list[str]] = defaultdict(list)
    for event in seen:
        for name, value in event.figures.items():
            figures[name].append(value)

    def total(*names: str) -> float | None:
        given = [float(value) for name in names for value in figures[name]]
        return sum(given) if given else None

    def last(name: str) -> int | None:
        return int(figures[name][-1]) if figures[name] else None

    return Ledger(
        weights_gib=total("weights_gib"),
        slots=max(map(int, figures["slots"]), default=None),
        states_gib=total("conv_gib", "ssm_gib"),
        snapshots_gib=total("snapshots_gib", "snapshots_conv_gib"),
        kv_tokens=last("max_total_num_tokens") or max(map(int, figures["kv_tokens"]), default=None),
        kv_gib=total("k_gib", "v_gib"),
        graphs_gib=total("graphs_gib"),
        max_running_requests=last("max_running_requests"),
    )
