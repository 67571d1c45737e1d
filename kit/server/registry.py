"""The servers that this kit started on this machine, for another process to find and end.

One JSON file per port, under $XDG_STATE_HOME/qwen35-kit. A file whose process is gone is deleted
when it is next read.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from kit.server.processes import started
from kit.text_file import write_text


@dataclass(frozen=True)
class Entry:
    """A running server: the first process of its group, when that began, and how to end it."""

    title: str
    url: str
    port: int
    group: int
    group_started: str
    log: str
    stop_argv: tuple[str, ...]

    @property
    def alive(self) -> bool:
        return started(self.group) == self.group_started


def folder() -> Path:
    """Where the entries and the logs are kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "qwen35-kit"


def note(entry: Entry) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    write_text(_file(entry.port), json.dumps(asdict(entry), indent=1))


def forget(port: int) -> None:
    _file(port).unlink(missing_ok=True)


def running() -> tuple[Entry, ...]:
    """The noted servers that still run, by port."""
    found = []
    for file in sorted(folder().glob("server-*.json")):
        entry = _read(file)
        if entry is not None and entry.alive:
            found.append(entry)
        else:
            file.unlink(missing_ok=True)
    return tuple(found)


def _file(port: int) -> Path:
    return folder() / f"server-{port}.json"


def _read(file: Path) -> Entry | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        held = json.loads(file.read_text(encoding="utf-8"))
        entry = Entry(**{**held, "stop_argv": tuple(held["stop_argv"])})
        if isinstance(entry.port, int) and isinstance(entry.group, int) and entry.group > 1:
            return entry
    return None
