"""An async iterator read from ordinary code, in a notebook too, whose own loop is taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from kit import page

T = TypeVar("T")
_PATIENCE_S = 1.0  # with what does not end when it is cancelled


def iterate(events: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """The items of `events()`, which runs in an event loop of its own, in a thread; in a page's
    one loop, where there is no other."""
    if page.HERE:
        iterator = events()
        try:
            while item := page.wait_for(_next(iterator)):
                yield item[0]
        finally:
            if isinstance(iterator, AsyncGenerator):
                page.wait_for(iterator.aclose())
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="tool-loop", daemon=True)
    thread.start()
    iterator = events()
    try:
        while True:
            coming = asyncio.run_coroutine_threadsafe(_next(iterator), loop)
            try:
                item = coming.result()
            except BaseException:  # an interrupt: what is under way must end first
                coming.cancel()
                raise
            if not item:
                return
            yield item[0]
    finally:
        asyncio.run_coroutine_threadsafe(_close(iterator), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _next(iterator: AsyncIterator[T]) -> tuple[T] | None:
    try:
        return (await anext(iterator),)
    except StopAsyncIteration:
        return None


async def _close(iterator: AsyncIterator[T]) -> None:
    """End the iterator, and with it all that it left in the loop, as `asyncio.run` does."""
    close = getattr(iterator, "aclose", None)
    if close is not None:
        with suppress(RuntimeError):  # it is being cancelled already
            await close()
    await asyncio.get_running_loop().shutdown_asyncgens()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_PATIENCE_S)
