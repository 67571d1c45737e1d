"""Logs of a real SGLang, recorded: for whoever cannot start one here.

    >>> recorded("flag-gone").lines()[-1]
    'sglang serve: error: unrecognized arguments: --mamba-scheduler-strategy extra_buffer'

Most are of the released 0.5.23 on a CPU (deploy/sglang-cpu), serving a toy: the words are
SGLang's, the sizes and times are the toy's. Two are of an H200, with dummy weights: a rank of the
397B (`kit rehearse`), and the 35B whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kit import load_data
from kit.bench.measured import measured_rank
from kit.bench.measured import recorded as rehearsals
from kit.errors import UnknownName
from kit.provenance import Provenance, measured
from kit.server import log

_WHERE = "SGLang 0.5.23 on a CPU with a toy model, recorded 2026-11-22"
_KEYS = ("title", "flags", "where", "went_well")


@dataclass(frozen=True)
class Recording:
    """One log. `flags` are what differed from the usual start of the toy, or of the plan.

    `went_well` where there is no failure to be found.
    """

    name: str
    title: str
    flags: tuple[str, ...]
    text: str
    where: str = _WHERE
    went_well: bool = False

    @property
    def provenance(self) -> Provenance:
        """What its sizes and times are worth."""
        return measured(self.where)

    def lines(self) -> list[str]:
        """Its lines, a progress bar's redraws one by one."""
        return list(log.lines(self.text))

    def log_text(self) -> str:
        """The whole log, as a running server gives its own."""
        return self.text

    def report(self) -> str:
        """The ledger that the log shows, beside the plan where it is of a rehearsal; and where
        both come from."""
        held = log.ledger(log.read(self.text))
        if self.name not in rehearsals():
            return f"{log.table(held.alone())}\n{self.provenance.short}"
        plan = measured_rank(self.name).rehearsal.memory
        graphs = log.LedgerRow("CUDA graphs", "GiB", plan.ranks[0].cuda_graphs_gib, held.graphs_gib)
        rows = log.table([*held.beside(plan), graphs])
        return f"{rows}\nplanned: {plan.provenance.short}\nreported: {self.provenance.short}"

    def __str__(self) -> str:
        return f"{self.title}: {len(self.lines())} lines · {self.provenance}"


def recorded(name: str) -> Recording:
    """The recording called `name` ("start", "flag-gone", …). Raises UnknownName."""
    found = recordings()
    if name not in found:
        raise UnknownName("recording", name, found)
    return found[name]


@cache
def recordings() -> dict[str, Recording]:
    """Every recording by name: the one that went well first."""
    folder = load_data.path("recorded")
    found = {}
    for name, row in load_data.toml("recorded/index.toml").items():
        load_data.known_keys("recorded/index.toml", row, _KEYS)
        text = (folder / f"{name}.log").read_text("utf-8")
        found[name] = Recording(name, text=text, **{**row, "flags": tuple(row["flags"])})
    return found
