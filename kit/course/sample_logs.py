"""Logs of a real SGLang, recorded: for whoever cannot start one here.

    >>> recorded("flag-gone").lines()[-1]
    'sglang serve: error: unrecognized arguments: --mamba-scheduler-strategy extra_buffer'

They are of the released 0.5.23 on a CPU (deploy/sglang-cpu), serving a toy: the words are
SGLang's, the sizes and times are the toy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kit import load_data
from kit.errors import UnknownName
from kit.provenance import Provenance, measured
from kit.server import log

_WHERE = "SGLang 0.5.23 on a CPU with a toy model, recorded 2026-11-22"


@dataclass(frozen=True)
class Recording:
    """One log. `flags` are what differed from the usual start of `cpu-tiny`."""

    name: str
    title: str
    flags: tuple[str, ...]
    text: str

    @property
    def provenance(self) -> Provenance:
        """What its sizes and times are worth."""
        return measured(_WHERE)

    def lines(self) -> list[str]:
        """Its lines, a progress bar's redraws one by one."""
        return list(log.lines(self.text))

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
    index = load_data.toml("recorded/index.toml")
    return {
        name: Recording(
            name, row["title"], tuple(row["flags"]), (folder / f"{name}.log").read_text("utf-8")
        )
        for name, row in index.items()
    }
