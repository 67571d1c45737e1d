"""An event loop that wakes on time.

epoll counts in whole milliseconds, and asyncio rounds up: a step of 8.2 ms would end at 9.
select counts in microseconds, but knows only 1024 connections. An epoll object can itself be
waited for, so one `select` on it has both.
"""

from __future__ import annotations

import asyncio
import select
import selectors


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A selector loop with timers to some 0.1 ms, where the system has epoll; else its own."""
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.new_event_loop()
    return asyncio.SelectorEventLoop(_PreciseSelector())


if hasattr(selectors, "EpollSelector"):

    class _PreciseSelector(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)
