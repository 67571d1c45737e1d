"""Clients end with the event loop that they were made in: no socket is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import time

import pytest
from scripted import DONE, Scripted, finish, say

from kit import chat
from kit.endpoint import Endpoint, connect
from kit.tools import run_tools

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in /proc")


def sockets() -> int:
    """The sockets that this process has open."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except FileNotFoundError:  # the folder's own
            continue
    return count


def settled(patience_s: float = 10) -> int:
    """The sockets open once nothing closes any more: the server's ends, which are of this process
    too, close a moment after the client's."""
    counts: list[int] = []
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        gc.collect()
        counts.append(sockets())
        if len(counts) >= 5 and len(set(counts[-5:])) == 1:
            break
        time.sleep(0.05)
    return counts[-1]


async def ask(endpoint: Endpoint) -> None:
    async for _ in chat.stream(endpoint, "Hello"):
        pass


def add(a: int = 0) -> int:
    """Add nothing."""
    return a


def run_the_tools(endpoint: Endpoint) -> None:
    for _ in run_tools(endpoint, "Hello", [add]):
        pass


@pytest.mark.parametrize("runs", [5, pytest.param(30, marks=pytest.mark.trust_long)])
@pytest.mark.parametrize("how", ["asyncio.run", "tool loop", "left open", "many loops, no end"])
def test_many_runs_leave_no_socket(how: str, runs: int) -> None:
    async def left_open() -> None:
        events = aiter(chat.stream(endpoint, "Hello"))
        await anext(events)

    def without_end() -> None:  # no asyncio.run around it: nothing ends its generators
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask(endpoint))
        loop.close()

    with Scripted([say("Hi"), finish(), DONE]) as server:
        endpoint = connect(server.url, quiet=True)
        once = {
            "asyncio.run": lambda: asyncio.run(ask(endpoint)),
            "tool loop": lambda: run_the_tools(endpoint),
            "left open": lambda: asyncio.run(left_open()),
            "many loops, no end": without_end,
        }[how]
        once()
        before = settled()
        for _ in range(runs):
            once()
        assert settled() <= before
