"""One finding, and what the checks ask this machine: each question a field, so that a test can
answer it otherwise."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from kit.endpoint import Endpoint, open_endpoint
from kit.server.processes import Output, run

Status = Literal["ok", "warn", "fail", "unknown"]
Serves = Literal["", "live", "twin"]

CGROUP = Path("/sys/fs/cgroup")  # version 2: the limits of a container

COMPUTED = ("01", "02", "10")  # lessons that ask no server
SERVED = ("00", "03", "04", "05", "06", "07", "08", "09", "11")
EVERY = tuple(sorted(COMPUTED + SERVED))


@dataclass(frozen=True)
class Finding:
    """What one check found. `remedy` is what to type; `stops` are the lessons that do not run
    where it fails. `serves` says that a server was found that lessons would take. `more` is what
    the lessons in `shows_more` would need to show all that they can."""

    name: str
    status: Status
    found: str
    remedy: str = ""
    stops: tuple[str, ...] = ()
    serves: Serves = ""
    more: str = ""
    shows_more: tuple[str, ...] = ()

    def to_json(self) -> dict[str, str]:
        return {
            "name": self.name,
            "status": self.status,
            "found": self.found,
            "remedy": self.remedy,
        }


def installed(package: str) -> str | None:
    """The version of an installed package; None where it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def requires(package: str) -> list[str] | None:
    """What an installed package says that it needs; None where it is not installed."""
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return None


def memory_bytes() -> int:
    """Memory that programs can still take: of the machine, or of the container where less."""
    import psutil

    free: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit = int((CGROUP / "memory.max").read_text(encoding="utf-8"))
        used = int((CGROUP / "memory.current").read_text(encoding="utf-8"))
        rows = (CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
        cached = next(int(row.split()[1]) for row in rows if row.startswith("inactive_file "))
        return min(free, max(0, limit - used + cached))
    return free


def listens(port: int) -> bool:
    """Whether a program takes connections on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.3)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def loopback() -> None:
    """One connection to oneself. Raises OSError where that is not possible."""
    with socket.socket() as here, socket.socket() as there:
        here.bind(("127.0.0.1", 0))
        here.listen(1)
        there.settimeout(1.0)
        there.connect(here.getsockname())


@dataclass(frozen=True)
class Machine:
    """What the checks ask. The times are seconds, the sizes bytes."""

    python: tuple[int, ...] = tuple(sys.version_info[:3])
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    which: Callable[[str], str | None] = shutil.which
    run: Callable[[Sequence[str], float], Output] = run
    installed: Callable[[str], str | None] = installed
    requires: Callable[[str], list[str] | None] = requires
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    memory_bytes: Callable[[], int] = memory_bytes
    listens: Callable[[int], bool] = listens
    loopback: Callable[[], None] = loopback
    ask: Callable[[str, str | None, str | None, float], Endpoint] = (
        lambda url, key, model, within_s: open_endpoint(url, key, model, "", within_s)
    )
