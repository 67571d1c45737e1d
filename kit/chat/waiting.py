"""Waiting for a server, and not for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from kit import page

if TYPE_CHECKING:
    import openai

_DRAIN_S = 0.5


def in_time(post: Callable[[], openai.Stream[object]], seconds: float) -> openai.Stream[object]:
    """What `post` returns, waited for in another thread: a head that comes byte by byte would keep
    this one for ever. Raises TimeoutError; what comes too late is closed."""
    if page.HERE:  # the transport keeps the time
        return post()
    coming: Future[openai.Stream[object]] = Future()

    def target() -> None:
        try:
            coming.set_result(post())
        except BaseException as problem:  # noqa: BLE001 - raised where it is waited for
            coming.set_exception(problem)

    Thread(target=target, name="ask", daemon=True).start()
    try:
        return coming.result(seconds)
    except BaseException:  # too late, or interrupted
        coming.add_done_callback(_close)
        raise


def _close(late: Future[openai.Stream[object]]) -> None:
    if late.exception() is None:
        late.result().close()


async def drain(body: AsyncIterator[bytes]) -> None:
    """Read what is left, so that the connection can serve the next question; not for long."""
    import asyncio

    import httpx2

    async def rest() -> None:
        async for _ in body:
            pass

    with suppress(TimeoutError, httpx2.HTTPError):
        await asyncio.wait_for(rest(), _DRAIN_S)
