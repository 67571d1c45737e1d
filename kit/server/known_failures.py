"""What is known to go wrong with a server, and whose log is whose: data/failures.toml, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data
from kit.server.log import Stage
from kit.sizing.accounting import parse

_FILE = "failures.toml"
_MOVED = (0, 5, 11)  # from this version on SGLang's documents lie in another folder
_RAISED = (
    r"(?<!raise)(?<!except)(?:^|[\s|])"
    r"(?P<what>(?:(?:[\w<>]+\.)*\w*(?:Error|Exception)\w*|\w+\.[\w.]+\.[A-Z]\w+)(?:: .{1,160}|$))"
)


@dataclass(frozen=True)
class Failure:
    """Something that is known to go wrong; the fields are explained in data/failures.toml."""

    id: str
    cause: str
    pattern: re.Pattern[str]
    key: str
    where: str
    remedies: tuple[str, ...]
    source: str
    docs: str = ""
    stage: frozenset[Stage] = frozenset()
    unless: re.Pattern[str] | None = None
    not_with: re.Pattern[str] | None = None
    within: re.Pattern[str] | None = None
    priority: int = 0
    machine: bool = False
    serves: bool = False
    stays: bool = False

    def match(self, line: str, stage: Stage) -> re.Match[str] | None:
        """Where the line shows this failure at that stage; None where it does not."""
        if not self.belongs(stage):
            return None
        found = self.pattern.search(line)
        return None if found and self.not_with and self.not_with.search(line) else found

    def belongs(self, stage: Stage) -> bool:
        """Whether it can happen where the server is."""
        return not self.stage or stage in self.stage

    def arose(self, frame: str, stage: Stage) -> bool:
        """Whether that frame of a traceback lies in the part of the server that this is about."""
        return bool(self.within and self.belongs(stage) and self.within.search(frame))


@dataclass(frozen=True)
class Engine:
    """A serving program, by the lines that only it prints; where its own troubles are explained."""

    name: str
    pattern: re.Pattern[str]
    docs: str


def sglang() -> Engine:
    """The first of them: ours."""
    return engines()[0]


def troubleshooting(version: str | None) -> str:
    """The address of SGLang's own page on troubles, of that version where it is known."""
    pages = _table("troubleshooting")
    if version is None:
        return str(pages["any"])
    return str(pages["new" if parse(version) >= _MOVED else "old"]).format(version=version)


def _table(name: str) -> Any:
    data = load_data.toml(_FILE)
    load_data.known_keys(_FILE, data, ["failure", "engine", "docs", "troubleshooting"])
    return data[name]


@cache
def failures() -> tuple[Failure, ...]:
    """All that is known, in the order of the file."""
    return tuple(_failure(row) for row in _table("failure"))


def _failure(row: dict[str, Any]) -> Failure:
    """A row of the file; a key that `Failure` does not have is a TypeError."""
    read: dict[str, Any] = {
        "stage": frozenset(Stage[name.upper()] for name in row.get("stage", ())),
        "remedies": tuple(row["remedies"]),
        "docs": _table("docs")[row["docs"]] if "docs" in row else "",
    }
    row = {"pattern": _RAISED, **row} if "within" in row else row
    for key in {"pattern", "unless", "not_with", "within"} & set(row):
        read[key] = re.compile(row[key])
    return Failure(**{**row, **read})


@cache
def engines() -> tuple[Engine, ...]:
    """The serving programs whose logs are told apart."""
    return tuple(
        Engine(**{**row, "pattern": re.compile(row["pattern"])}) for row in _table("engine")
    )


@cache
def specific_first() -> tuple[Failure, ...]:
    """What a line alone shows, the specific before the general."""
    alone = (failure for failure in failures() if not failure.within)
    return tuple(sorted(alone, key=lambda failure: -failure.priority))


@cache
def parts() -> dict[str, Failure]:
    """What the frames of a traceback show: in which part of the server an error arose."""
    return {failure.id: failure for failure in failures() if failure.within}


@cache
def excusable() -> tuple[Failure, ...]:
    """Those that another line of the log may explain away."""
    return tuple(failure for failure in failures() if failure.unless)
