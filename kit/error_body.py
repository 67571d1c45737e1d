"""How much of an error's body an openai client reads: a server may send one without end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

MAX_ERROR_BYTES = 256 * 2**10  # of what a server says with a status of 400 or more


def cap_error_body(response: httpx2.Response) -> None:
    """A hook for openai's clients: of an error's body, MAX_ERROR_BYTES are read and no more."""
    if response.status_code >= 400:
        response.stream = _capped()(response.stream)


async def cap_error_body_async(response: httpx2.Response) -> None:
    """The same for the asynchronous client."""
    cap_error_body(response)


@cache
def _capped() -> Callable[[Any], httpx2.SyncByteStream]:
    """A stream of another's first MAX_ERROR_BYTES, for either kind of client."""
    import httpx2

    class Capped(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            left = MAX_ERROR_BYTES
            for piece in self._stream:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = MAX_ERROR_BYTES
            async for piece in self._stream:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

        def close(self) -> None:
            self._stream.close()

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Capped
