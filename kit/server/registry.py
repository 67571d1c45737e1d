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

_KEY = ".key.yaml"


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


def private_folder() -> Path:
    """The same, made where it is not there yet; only its owner looks into it: SGLang prints its
    key into its log."""
    made = folder()
    made.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # somebody else's, who lets us write there
        made.chmod(0o700)
    return made


def note(entry: Entry) -> None:
    private_folder()
    write_text(_file(entry.port), json.dumps(asdict(entry), indent=1))


def forget(port: int) -> None:
    _file(port).unlink(missing_ok=True)
    forget_key(port)


def keep_key(port: int, key: str) -> Path:
    """A file with the key that only its owner can read, for SGLang's `--config`."""
    forget_key(port)
    private_folder()
    file = _key_file(port)
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(opened, "w", encoding="utf-8") as out:
        out.write(f"api-key: {json.dumps(key)}\n")
    return file


def forget_key(port: int) -> None:
    """Once a server has read its key, nobody needs the file."""
    _key_file(port).unlink(missing_ok=True)


def running() -> tuple[Entry, ...]:
    """The noted servers that still run, by port."""
    found = []
    for file in sorted(folder().glob("server-*.json")):
        entry = _read(file)
        if entry is not None and entry.alive:
            found.append(entry)
        else:
            file.unlink(missing_ok=True)
            file.with_suffix(_KEY).unlink(missing_ok=True)
    return tuple(found)


def _file(port: int) -> Path:
    return folder() / f"server-{port}.json"


def _key_file(port: int) -> Path:
    return _file(port).with_suffix(_KEY)


def _read(file: Path) -> Entry | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        held = json.loads(file.read_text(encoding="utf-8"))
        entry = Entry(**{**held, "stop_argv": tuple(held["stop_argv"])})
        if isinstance(entry.port, int) and isinstance(entry.group, int) and entry.group > 1:
            return entry
    return None
