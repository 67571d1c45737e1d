"""Rehearsals that ran: one rank of a plan measured on one GPU, beside what the kit predicts for it.

    >>> measured_rank("h200-rank397-mtp").steps[1]
    DecodeStep(requests=1, context=366, ms=10.411921650289582)

A folder holds `about.json` (what was started), `results.jsonl` (each result as it came) and the
server's log, which tells decode steps and memory. The kit carries those of its own H200.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kit import load_data
from kit.bench.metric_list import BY_KEY
from kit.bench.report import Report
from kit.bench.result_file import from_json
from kit.bench.simulated import simulate
from kit.bench.workload import Workload
from kit.errors import InvalidValue, KitError
from kit.hardware import profile
from kit.launch.rehearsal import TINY, Rehearsal, rehearsal, tiny
from kit.provenance import Provenance, measured
from kit.server.log import LedgerRow, ledger, read
from kit.speed import SpeedModel
from kit.text_file import json_values, read_text

RUN_ROWS = ("mean_ttft_ms", "median_ttft_ms", "mean_tpot_ms", "median_tpot_ms", "output_throughput")
CONTEXT_STEP = 250  # tokens: decode steps of requests about as long count as one kind
LEAST_LINES = 3  # of the log, for a decode step to be shown
_AGAIN = "give the folder as kit rehearse wrote it"
_READY = "The server is fired up"
_DECODE = re.compile(
    r"Decode batch.*?#running-req: (\d+), #(?:full )?token: (\d+),"
    r"(?:.*?accept len: ([\d.]+))?.*?gen throughput \(token/s\): ([\d.]+)"
)


@dataclass(frozen=True)
class Row:
    """One term: what one rank did, and what the kit says of it; None where there is no figure."""

    section: str
    term: str
    measured: float | None
    predicted: float | None

    @property
    def ratio(self) -> float | None:
        """Measured over predicted."""
        return self.measured / self.predicted if self.measured and self.predicted else None

    def __str__(self) -> str:
        ratio = "–" if self.ratio is None else f"{self.ratio:.2f}"
        cells = (_figure(self.measured), _figure(self.predicted), ratio)
        return f"| {self.term:<34} | " + " | ".join(f"{cell:>10}" for cell in cells) + " |"


@dataclass(frozen=True)
class DecodeStep:
    """The median step of a server with so many requests of `context` tokens each."""

    requests: int
    context: int
    ms: float


@dataclass(frozen=True)
class MeasuredRank:
    """A rehearsal that ran. `notes` say how it was done; `prefill_ms` are whole requests of one
    output token, by prompt length; `stopped` says where it was cut short."""

    name: str
    rehearsal: Rehearsal
    provenance: Provenance
    notes: tuple[str, ...]
    runs: dict[str, Report]
    prefill_ms: dict[int, list[float]]
    log: str
    stopped: str | None = None

    @cached_property
    def model(self) -> SpeedModel:
        """The kit's, of the same rank alone."""
        return SpeedModel.of(self.rehearsal.rank, self.rehearsal.plan.sglang)

    @cached_property
    def steps(self) -> tuple[DecodeStep, ...]:
        return tuple(decode_steps(self.log))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every term of the page."""
        return (*self._steps(), *self._runs(), *self._memory())

    def _steps(self) -> Iterator[Row]:
        for s in self.steps:
            term = f"{s.requests} × {s.context:,} tokens, ms"
            predicted = 1e3 * self.model.step_s(s.requests, s.requests * s.context)
            yield Row("a decode step: requests × context", term, s.ms, predicted)
        for tokens, times in self.prefill_ms.items():
            ms = self._simulated(Workload(tokens, 1, 1, range_ratio=1.0)).get("mean_ttft_ms")
            yield Row("one prompt, idle server, best", f"{tokens:,} tokens, ms", min(times), ms)

    def _runs(self) -> Iterator[Row]:
        for name, report in self.runs.items():
            line = report.to_json()
            predicted = self._simulated(report.workload, report.accept_length)
            for key in RUN_ROWS:
                yield Row(name, BY_KEY[key].label, line[key], predicted.get(key))

    def _simulated(
        self, work: Workload | None, accept_length: float | None = None
    ) -> dict[str, Any]:
        """The result line of the rank alone; empty where it cannot be drawn, or does not fit."""
        rank, sglang = self.rehearsal.rank, self.rehearsal.plan.sglang
        with suppress(InvalidValue):
            if work:
                report = simulate(rank, work, sglang, accept_length=accept_length, speed=self.model)
                return report.to_json()
        return {}

    def _memory(self) -> Iterator[Row]:
        found, plan = ledger(read(self.log)), self.rehearsal.memory
        graphs = LedgerRow("CUDA graphs", "GiB", plan.ranks[0].cuda_graphs_gib, found.graphs_gib)
        for row in (*found.beside(plan), graphs):
            term = ", ".join(filter(None, [row.name, row.unit]))
            yield Row("memory, by the start log", term, row.reported, row.planned)

    @property
    def missing(self) -> tuple[str, ...]:
        """What one rank alone does not show, and what was not measured."""
        cut = f"all from where it was stopped: {self.stopped}"
        return (*self.rehearsal.missing, *([cut] if self.stopped else []))

    def to_json(self) -> dict[str, Any]:
        """The page as data."""
        return {
            "name": self.name,
            "profile": self.rehearsal.name,
            "sglang": self.rehearsal.plan.sglang,
            "rows": [{**asdict(row), "ratio": row.ratio} for row in self.rows],
            "missing": list(self.missing),
            "notes": list(self.notes),
            "provenance": self.provenance.to_json(),
            "predicted_provenance": self.model.provenance.to_json(),
        }

    def __str__(self) -> str:
        """The page, in Markdown."""
        one = self.rehearsal
        parts = [
            f"# One rank of {one.ranks} of {one.name}",
            f"*{self.provenance}*",
            f"*predicted for the same rank alone: {self.model.provenance}*",
        ]
        for section in dict.fromkeys(row.section for row in self.rows):
            rows = [str(row) for row in self.rows if row.section == section]
            head = f"| {section:<34} |   measured |  predicted |      ratio |\n|---|---:|---:|---:|"
            parts.append("\n".join([head, *rows]))
        for title, said in (("Not in it", self.missing), ("How it was done", self.notes)):
            parts.append("\n".join([f"{title}:", "", *(f"- {line}" for line in said)]))
        return "\n\n".join(parts)


def decode_steps(text: str) -> Iterator[DecodeStep]:
    """Step times from a server's log: its rate per request, where line follows line with the same
    requests and no prefill between. SGLang prints a line every `--decode-log-interval` steps.
    """
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    before = 0
    for line in text.partition(_READY)[2].splitlines():
        if "Prefill batch" in line:
            before = 0
        if match := _DECODE.search(line):
            requests, held, rate = int(match[1]), int(match[2]), float(match[4])
            if requests == before and requests and rate:
                kind = (requests, held // requests // CONTEXT_STEP)
                ms = 1e3 * requests * float(match[3] or 1) / rate
                found.setdefault(kind, []).append((held / requests, ms))
            before = requests
    for (requests, _), lines in sorted(found.items()):
        if len(lines) >= LEAST_LINES:
            contexts, times = zip(*lines, strict=True)
            yield DecodeStep(requests, round(statistics.mean(contexts)), statistics.median(times))


def measured_rank(where: str | Path) -> MeasuredRank:
    """The rehearsal in a folder, or one of the kit's own by name.

    Raises KitError where there is none, or nothing was measured.
    """
    folder = Path(where) if Path(where).is_dir() else _own() / Path(where).name
    try:
        about = json.loads((folder / "about.json").read_text("utf-8"))
        kept = folder / "results.jsonl"
        results = list(json_values(read_text(kept, _AGAIN), str(kept), _AGAIN))
        text = (folder / about["log"]).read_text("utf-8", "replace")
    except (OSError, ValueError) as problem:
        raise KitError(
            f"{where} holds no rehearsal that ran: {problem}",
            f"kit rehearse PROFILE makes one; recorded: {', '.join(recorded())}",
        ) from problem
    p = tiny() if about["profile"] == TINY else profile(about["profile"])
    one = rehearsal(
        p if about["mtp"] else replace(p, mtp=None),
        about["sglang"],
        accept_length=about["accept_length"],
        random_ids=about["random_ids"],
        more_flags=tuple(about["more_flags"]),
    )
    label = measured(
        f"one rank of {one.ranks} of {one.name}, {about['machine']}, SGLang {about['sglang']}, "
        f"dummy weights, {about['attention_backend']} attention"
    )
    return MeasuredRank(
        name=folder.name,
        rehearsal=one,
        provenance=label,
        notes=tuple(about["notes"]),
        runs={
            r["name"]: replace(from_json(r), provenance=label)
            for r in results
            if r["kind"] == "run"
        },
        prefill_ms={r["tokens"]: r["ms"] for r in results if r["kind"] == "prefill"},
        log=text,
        stopped=next((r["at"] for r in results if r["kind"] == "stopped"), None),
    )


def recorded() -> list[str]:
    """Names of the rehearsals that the kit carries."""
    return sorted(one.name for one in _own().iterdir())


def _own() -> Path:
    return Path(str(load_data.path("measured")))


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.2f}"
