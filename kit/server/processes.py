"""Commands, process groups and ports of this machine.

SGLang serves on Linux; psutil reads its processes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.errors import KitError

if TYPE_CHECKING:
    import psutil  # in the functions that need it: 20 ms, and a browser's Python has none

GRACE_S = 3.0
_POLL_S = 0.05
_MAX_OUTPUT = 2**20  # bytes of a command's output that are read


def started(pid: int) -> str | None:
    """When a process began, in hundredths of a second since the machine did; None when it is gone.

    With the id it names one process: a later one of the same id began later, and setting the
    clock changes nothing.
    """
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(round(100 * (process.create_time() - psutil.boot_time())))
    return None


def members(group: int) -> list[psutil.Process]:
    """The processes of a group that run; those that only wait to be reaped do not."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_group(group: int, patience_s: float, spare: int | None = None) -> bool:
    """End the processes of a group, its first one first. True if none is left.

    SGLang's first process on SIGTERM lets its running requests finish and then ends
    the others: it is given `patience_s`. What is left is asked as well, and then killed.
    `spare` is left alone: a process of the group that ends it from within.
    """

    def rest() -> list[psutil.Process]:
        return [process for process in members(group) if process.pid != spare]

    def head() -> list[psutil.Process]:
        return [process for process in rest() if process.pid == group]

    _send(signal.SIGTERM, head())
    _until(lambda: not head(), patience_s)
    for number in (signal.SIGTERM, signal.SIGKILL):
        _send(number, rest())
        _until(lambda: not rest(), GRACE_S)
    return not rest()


def _send(number: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    """psutil sends it to the process that was seen, and to no later one of the same id."""
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


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


def free_port() -> int:
    """A port that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status."""

    code: int
    text: str
    errors: str


def run(argv: Sequence[str], within_s: float) -> Output:
    """Run a command. Raises KitError where it does not end in time; OSError where there is none.

    It writes into files: a child that it leaves behind would keep a pipe open.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        running = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
        )
        try:
            code = running.wait(within_s)
        except subprocess.TimeoutExpired:
            _kill(running)
            raise KitError(f"{argv[0]} gave no answer within {within_s:g} s") from None
        texts = []
        for file in (out, errors):
            file.seek(0)
            texts.append(file.read(_MAX_OUTPUT).decode("utf-8", "replace"))
    return Output(code, *texts)


def _kill(running: subprocess.Popen[bytes]) -> None:
    """Kill a command with what it started, and do not wait: a driver may hold it."""
    with suppress(OSError):
        if sys.platform == "win32":
            running.kill()
        else:
            os.killpg(running.pid, 9)
    with suppress(subprocess.TimeoutExpired):
        running.wait(0.2)


async def finished(argv: Sequence[str], timeout_s: float) -> tuple[str, int]:
    """What a command printed, and its exit status. It ends with the task that waits for it.

    Raises KitError when it takes longer than `timeout_s`.
    """
    running = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            printed, _ = await running.communicate()
    except TimeoutError:
        raise KitError(f"{argv[0]} took longer than {timeout_s:g} s", "ask for less") from None
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return printed.decode(errors="replace"), running.returncode or 0
