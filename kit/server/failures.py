"""A server's log → what went wrong, and what to change, flag by flag.

    >>> diagnose(Path("server.log").read_text())[0].remedies[0]
    'raise --mem-fraction-static: at the start it is too low, not too high'

Pure. What is known is data (data/failures.toml): for each failure the line that shows it, and
the released file in which that line stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data
from kit.server.log import events, lines

_FILE = "failures.toml"


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
    after: str | None = None
    before: str | None = None
    unless: re.Pattern[str] | None = None
    serves: bool = False
    stays: bool = False


@dataclass(frozen=True)
class Finding:
    """A failure found in a log: its cause in words, the line that shows it, what to change."""

    id: str
    cause: str
    line: str
    remedies: tuple[str, ...]
    source: str
    serves: bool
    stays: bool

    def __str__(self) -> str:
        steps = "\n".join(f"  → {remedy}" for remedy in self.remedies)
        return f"{self.cause}\n{steps}\n  log: {self.line}\n  source: {self.source}"


@cache
def failures() -> tuple[Failure, ...]:
    """All that is known, the more telling first."""
    data = load_data.toml(_FILE)
    load_data.known_keys(_FILE, data, ["failure"])
    return tuple(_failure(row) for row in data["failure"])


def _failure(row: Mapping[str, Any]) -> Failure:
    """A row of the file; a key that `Failure` does not have is a TypeError."""
    patterns = {name: re.compile(row[name]) for name in ("pattern", "unless") if name in row}
    return Failure(**{**row, **patterns, "remedies": tuple(row["remedies"])})


def diagnose(log: str | Iterable[str]) -> tuple[Finding, ...]:
    """The failures that a log shows, those that ended the server first; each once.

    Empty where none is known: then the last lines are what there is to read.
    """
    read = tuple(lines(log) if isinstance(log, str) else log)
    seen: set[str] = set()
    found: dict[str, Finding] = {}
    for line in read:
        seen.update(event.phase for event in events([line]))
        for failure in failures():
            if failure.id not in found and _possible(failure, seen):
                match = failure.pattern.search(line)
                if match:
                    found[failure.id] = _finding(failure, match, line)
    stands = [f for f in failures() if f.id in found and not _excused(f, read)]
    return tuple(found[f.id] for f in sorted(stands, key=lambda f: f.serves))


def _possible(failure: Failure, seen: set[str]) -> bool:
    return (failure.after is None or failure.after in seen) and (
        failure.before is None or failure.before not in seen
    )


def _excused(failure: Failure, log: Iterable[str]) -> bool:
    return failure.unless is not None and any(failure.unless.search(line) for line in log)


def _finding(failure: Failure, match: re.Match[str], line: str) -> Finding:
    figures = {name: value or "?" for name, value in match.groupdict().items()}
    return Finding(
        id=failure.id,
        cause=failure.cause.format(**figures),
        line=line.strip()[:300],
        remedies=tuple(remedy.format(**figures) for remedy in failure.remedies),
        source=failure.source,
        serves=failure.serves,
        stays=failure.stays,
    )
