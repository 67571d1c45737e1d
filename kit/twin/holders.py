"""Who holds a shared twin: one open connection per process. It ends when nobody does, and when
nobody has asked it anything for long.

    GET /kit/hold, x-kit-hold: <pid> <challenge> <signature>   →   "twin <signature>", and then
    "holders <count>" whenever one comes or goes
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil
    from starlette.types import Receive, Scope, Send

PATH = "/kit/hold"
_LOOK_S = 0.5
_FIRST_S = 4.0  # for the first holder to come: who started it comes at once


def sign(key: str, side: str, challenge: str) -> str:
    """What proves that a `side` ("holder" or "twin") knows the key."""
    return hmac.new(key.encode(), f"{side} {challenge}".encode(), "sha256").hexdigest()


class Holders:
    """Those who hold this twin. `key` is for them alone; `idle_s` without a request ends it."""

    def __init__(self, idle_s: float) -> None:
        self.key = secrets.token_hex(32)
        self.end: Callable[[], None] = lambda: None
        self._idle_s = idle_s
        self._last_request_s = monotonic()
        self._sends: dict[Send, psutil.Process | None] = {}
        self._ended = False

    def asked(self) -> None:
        """A request has come."""
        self._last_request_s = monotonic()

    async def watch(self, busy: Callable[[], bool]) -> None:
        """Look again and again whether this twin is still wanted."""
        began_s = monotonic()
        while not self._ended:
            await asyncio.sleep(_LOOK_S)
            if busy():
                self.asked()
            for send, process in list(self._sends.items()):
                if process is not None and not _runs(process):  # a fork of it keeps the connection
                    await self._left(send)
            never = not self._sends and monotonic() - began_s > _FIRST_S
            if never or monotonic() - self._last_request_s > self._idle_s:
                self._finish()
                for send in list(self._sends):
                    await _say(send, "", more=False)

    def hold(self, told: str) -> Any:
        """The ASGI response to one who wants to hold it; None where he does not know the key."""
        pid, challenge, signature = ("", "", "", *told.split())[-3:]
        if self._ended or not secrets.compare_digest(
            signature.encode(), sign(self.key, "holder", challenge).encode()
        ):
            return None

        async def respond(_: Scope, receive: Receive, send: Send) -> None:
            headers = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            self._sends[send] = _process(pid)
            try:
                await _say(send, f"twin {sign(self.key, 'twin', challenge)}\n")
                await self._tell()
                while (await receive())["type"] != "http.disconnect":
                    pass
            finally:
                await self._left(send)

        return respond

    async def _left(self, send: Send) -> None:
        if self._sends.pop(send, self) is self:
            return
        if self._sends:
            await self._tell()
        else:
            self._finish()

    async def _tell(self) -> None:
        for send in list(self._sends):
            await _say(send, f"holders {len(self._sends)}\n")

    def _finish(self) -> None:
        self._ended = True
        self.end()


async def _say(send: Send, line: str, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": line.encode(), "more_body": more})


def _process(pid: str) -> psutil.Process | None:
    import psutil

    with suppress(psutil.Error, ValueError):
        return psutil.Process(int(pid))
    return None


def _runs(process: psutil.Process) -> bool:
    import psutil

    with suppress(psutil.Error):
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    return False
