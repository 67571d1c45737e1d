"""Processes and ports of this machine, by the kernel's own means: SGLang serves on Linux."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kit.errors import KitError

GRACE_S = 3.0
_POLL_S = 0.05
_STATE, _GROUP, _STARTED = 0, 2, 19  # fields of /proc/PID/stat after the command's name


def _stat(pid: int) -> list[str]:
    """The fields of a process; none when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[_STATE] == "Z" else fields


def started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: tells it from a later one of the same id."""
    fields = _stat(pid)
    return fields[_STARTED] if fields else None


def members(group: int) -> list[int]:
    """The processes of a group that run."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if (f := _stat(pid)) and int(f[_GROUP]) == group]


def end_group(group: int, patience_s: float, spare: int | None = None) -> bool:
    """End the processes of a group, its first one first. True if none is left.

    SGLang's first process on SIGTERM lets its running requests finish and then ends
    the others: it is given `patience_s`. What is left is asked as well, and then killed.
    `spare` is left alone: a process of the group that ends it from within.
    """

    def rest() -> list[int]:
        return [pid for pid in members(group) if pid != spare]

    head = [group] if group != spare else []
    _signal(signal.SIGTERM, [pid for pid in head if started(pid)])
    _until(lambda: not any(started(pid) for pid in head), patience_s)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        _signal(sign, rest())
        _until(lambda: not rest(), GRACE_S)
    return not rest()


def _signal(sign: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def _until(done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(_POLL_S)


def port_taken(host: str, port: int) -> bool:
    """Whether something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


async def finished(argv: Sequence[str], timeout_s: float) -> tuple[str, int]:
    """What a command said, and its exit status. It is ended with the task that waits.

    Raises KitError when it takes longer than `timeout_s`.
    """
    running = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, _ = await running.communicate()
    except TimeoutError:
        raise KitError(f"{argv[0]} took longer than {timeout_s:g} s", "ask for less") from None
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return said.decode(errors="replace"), running.returncode or 0
