"""Threads for the work that no stream should wait for: long texts, images, addresses to fetch.

Each kind has its own, so that one request's images do not hold up another's text. tiktoken and
Pillow release the GIL while they work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from kit import page

T = TypeVar("T")

LONG_TEXT = 20_000  # characters; a shorter prompt is rendered and tokenized on the event loop
_HUGE_TEXT = 2_000_000  # more than most contexts hold: such a text waits for others of its kind

TEXTS = ThreadPoolExecutor(2, "texts")
HUGE_TEXTS = ThreadPoolExecutor(1, "huge-texts")
IMAGES = ThreadPoolExecutor(2, "images")
FETCHES = ThreadPoolExecutor(8, "fetches")
stopping = threading.Event()  # set at the end: long work stops at its next step


async def beside(size: int, work: Callable[[], T]) -> T:
    """Do work on a text of `size` characters here, or in a thread where it is long."""
    if size <= LONG_TEXT:
        return work()
    return await run_in(HUGE_TEXTS if size > _HUGE_TEXT else TEXTS, work)


async def run_in(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Do the work in a thread of `pool`; here, where there are no threads."""
    if page.HERE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def trim() -> None:
    """Give the memory of large images back to the system: glibc keeps what a thread has freed."""
    import ctypes

    with suppress(OSError, AttributeError, TypeError):  # another C library; Windows
        ctypes.CDLL(None).malloc_trim(0)


def stop() -> None:
    """Drop what waits, and let what runs end at its next step."""
    stopping.set()
    for pool in (TEXTS, HUGE_TEXTS, IMAGES, FETCHES):
        pool.shutdown(wait=False, cancel_futures=True)
