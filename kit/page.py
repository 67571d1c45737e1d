"""A browser's page as a place to run: Python in WebAssembly, with one thread, no processes and no
sockets. No other module knows of Pyodide.

    HERE                       whether this is such a page
    wait_for(answer())         a coroutine's result, in plain code; the page's event loop goes on
    await in_thread(work)      work beside the event loop; in a page the loop waits for it
    apps["http://…"] = app     servers of this process, asked without a socket (kit.asgi_client)

Elsewhere `wait_for` has an event loop in a thread of its own, so that all of it can be tested.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from functools import cache
from typing import Any, TypeVar, cast

from kit.errors import KitError

T = TypeVar("T")
App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]
"""An ASGI application."""

BROWSERS = "open the page in Chrome, Edge or another Chromium browser, version 137 or newer"
NO_SHELL = "not here: a page has no shell → the kit's functions; or, on a computer: make lab"
HERE = sys.platform == "emscripten"
apps: dict[str, App] = {}
"""The servers of this process by their URL, without a path."""


def can_wait() -> bool:
    """Whether plain code can wait for a coroutine: in a page, whether the browser has JSPI."""
    if not HERE:
        return True
    from pyodide.ffi import can_run_sync  # type: ignore[import-not-found,unused-ignore]

    return bool(can_run_sync())


def wait_for(coming: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, or what it raises. Raises KitError in a browser that cannot wait
    in plain code."""
    if not HERE:
        return asyncio.run_coroutine_threadsafe(coming, _loop()).result()
    from pyodide.ffi import run_sync  # type: ignore[import-not-found,unused-ignore]

    if not can_wait():
        coming.close()
        what = "this browser cannot wait for an answer in a plain cell (it has no JSPI)"
        raise KitError(what, BROWSERS)

    async def outcome() -> tuple[T | None, BaseException | None]:
        try:
            return await coming, None
        except BaseException as problem:  # noqa: BLE001 - raised where it is waited for
            return None, problem

    result, problem = run_sync(outcome())  # it would show an error that is caught, too
    if problem is not None:
        raise problem
    return cast(T, result)


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """`asyncio.to_thread`; in a page, where there are no threads, the loop waits meanwhile."""
    return work(*args) if HERE else await asyncio.to_thread(work, *args)


def origin() -> str:
    """Where the page comes from: "https://example.org"; empty outside a page."""
    if not HERE:
        return ""
    import js  # type: ignore[import-not-found,unused-ignore]

    return str(js.location.origin)


def excuse_shells() -> None:
    """Let `!curl …` in a cell say that a page has no shell and give no lines, so that the cells
    after it go on. Nothing elsewhere."""
    if HERE:
        from IPython.core.getipython import get_ipython

        def no_lines(command: str, *_: object, **__: object) -> list[str]:
            print(NO_SHELL)
            return []

        vars(get_ipython()).update(system=lambda command: print(NO_SHELL), getoutput=no_lines)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="kit.page", daemon=True).start()
    return loop
