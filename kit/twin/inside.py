"""A twin in this process: for a browser's page, which can start no other.

    twin = start("h200x8", 1.0, "0.5.23")
    twin.url            # an address that this process alone knows: kit.page.apps has its server

The same application, scheduler and replies as in a process of its own; `kit.asgi_client` asks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from kit import page
from kit.page import App

_PORT = 30000  # that /server_info names, for SGLang's own; nothing listens there


class InsideTwin:
    """A twin that runs in the event loop of `kit.page`. `url` is without /v1."""

    def __init__(self, app: App, url: str) -> None:
        self.url = url
        self._app = app
        self._told: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._task: asyncio.Future[None] | None = None

    @property
    def alive(self) -> bool:
        return self.url in page.apps

    async def begin(self) -> None:
        """Start its engine: the lifespan of an ASGI application."""
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

        async def live() -> None:
            await self._app(scope, self._told.get, self._said.put)

        self._task = asyncio.ensure_future(live())
        await self._told.put({"type": "lifespan.startup"})
        await self._said.get()
        page.apps[self.url] = self._app

    def close(self) -> None:
        """End it."""
        if page.apps.pop(self.url, None) is not None:
            self._told.put_nowait({"type": "lifespan.shutdown"})


def start(profile: str, speed: float, sglang: str, **options: Any) -> InsideTwin:
    """Start a twin here; `options` are those of `Twin`. Raises KitErrors as `Twin` does."""
    from kit.twin.app import app
    from kit.twin.server import Twin

    async def begin() -> InsideTwin:
        number = len(_started) + 1
        url = f"http://twin{f'-{number}' if number > 1 else ''}.localhost"
        twin = InsideTwin(app(Twin(profile, speed, sglang, _PORT, **options)), url)
        await twin.begin()
        _started.append(url)
        return twin

    return page.wait_for(begin())


_started: list[str] = []
