"""`kit serve` and `kit stop`: a server in the foreground, followed line by line."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep as pause

from kit import server
from kit.server.command import ServerCommand
from kit.server.log import LogEvent
from kit.server.preflight import preflight

Say = Callable[[str], None]
WATCH_S = 0.5


def serve(what: ServerCommand, say: Say = print) -> int:
    """Start it, say how it comes up, and stay with it. Ctrl-C or SIGTERM ends it, and gives 0.

    Raises LaunchError where it does not come up, or ends by itself.
    """
    for check in preflight(what):
        say(str(check))
    begun = time.monotonic()
    last = ""

    def show(event: LogEvent) -> None:
        nonlocal last
        if str(event) != last:
            last = str(event)
            say(f"{time.monotonic() - begun:6.1f} s  {last}")

    with _signals_end_it():
        try:
            running = server.launch(what)
        except KeyboardInterrupt:
            say("\nnot started")
            return 0
        try:
            say(f"          its log: {running.log}")
            running.wait(show)
            came_up_s = time.monotonic() - begun
            say(f"{came_up_s:6.1f} s  answers at {running.url}/v1, model {running.model}")
            say(running.report())
            for finding in running.diagnose():
                say(str(finding))
            say("Ctrl-C ends it")
            while running.running:
                pause(WATCH_S)
            raise running.failed(f"{running.title} ended by itself")
        except KeyboardInterrupt:
            say("\nending it; Ctrl-C once more kills it")
            _end(running)
            say("ended")
            return 0
        except BaseException:
            _end(running)
            raise


def _end(running: server.Server) -> None:
    """Let its requests finish; at once where that takes too long for whoever waits."""
    try:
        running.stop()
    except KeyboardInterrupt:
        running.stop(patience_s=0.0)


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C; so does SIGINT in a shell's background job, which ignores it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def stop(port: int | None = None, say: Say = print) -> int:
    """End the servers of this kit, or the one on `port`."""
    ended = server.stop(port)
    for one in ended:
        say(f"ended {one}")
    if not ended:
        say("no server of this kit runs on this machine")
    return 0
