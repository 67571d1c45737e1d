"""`kit serve` and `kit stop`: a server in the foreground, told in lines."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import sleep as pause

from kit import server
from kit.hardware import SGLANG, profile
from kit.launch import HTTP_PORT, launch_plan
from kit.server import cpu_pocket, cpu_tiny, on_cpu
from kit.server.command import ServerCommand, of_plan
from kit.server.log import Event
from kit.server.preflight import preflight

Say = Callable[[str], None]
WATCH_S = 0.5


def command(
    name: str,
    *,
    sglang: str | None = None,
    port: int = HTTP_PORT,
    docker: bool = False,
    mtp: bool = True,
) -> ServerCommand:
    """What is started for a profile's name, `cpu-pocket` and `cpu-tiny` among them.

    The toy has no MTP to leave out. Raises InvalidValue where a CPU is to run another SGLang, or
    a container.
    """
    if name in on_cpu.ON_CPU:
        on_cpu.insist_on_usual(name, sglang, docker)
    if name == cpu_pocket.NAME:
        return cpu_pocket.command(port, steps=cpu_pocket.STEPS if mtp else 0)
    if name == cpu_tiny.NAME:
        return cpu_tiny.command(port)
    chosen = profile(name)
    if not mtp:
        chosen = replace(chosen, mtp=None)
    return of_plan(launch_plan(chosen, sglang=sglang or SGLANG, port=port), docker=docker)


def serve(what: ServerCommand, say: Say = print) -> int:
    """Start it, tell how it comes up, stay with it, end it on Ctrl-C or SIGTERM: 0 then.

    Raises LaunchError where it does not come up.
    """
    for check in preflight(what):
        say(str(check))
    begun = time.monotonic()
    told = ""

    def tell(event: Event) -> None:
        nonlocal told
        if str(event) != told:
            told = str(event)
            say(f"{time.monotonic() - begun:6.1f} s  {told}")

    try:
        with _heard(), server.launch(what) as running:
            say(f"          its log: {running.log}")
            running.wait(tell)
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
        say("\nended")
        return 0


@contextmanager
def _heard() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C, and a shell's background job, started deaf to it, hears both."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signs = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(sign, signal.default_int_handler) for sign in signs]
    try:
        yield
    finally:
        for sign, handler in zip(signs, before, strict=True):
            signal.signal(sign, handler)


def stop(port: int | None = None, say: Say = print) -> int:
    """End the servers of this kit, or the one on `port`."""
    ended = server.stop(port)
    for one in ended:
        say(f"ended {one}")
    if not ended:
        say("no server of this kit runs on this machine")
    return 0
