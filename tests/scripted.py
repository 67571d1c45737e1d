"""A real HTTP server that streams what a test tells it to, oddities and accidents included."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kit.provenance import Provenance, simulated

DONE = "data: [DONE]\n\n"


class Drop(Exception):
    """Ends the connection without ending the stream."""


def chunk(delta: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of SGLang's shape. `finish` is the finish reason; `usage` an object."""
    base: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
    }
    if delta is None and "finish" not in more:
        return base | {"choices": [], "usage": more["usage"]}
    choice = {"index": 0, "delta": dict(delta or {}), "finish_reason": more.get("finish")}
    usage = {"usage": more["usage"]} if "usage" in more else {}
    return base | {"choices": [choice]} | usage


def think(text: str) -> dict[str, Any]:
    return chunk({"reasoning_content": text})


def say(text: str | None) -> dict[str, Any]:
    return chunk({"reasoning_content": None, "content": text})


def finish(reason: str = "stop") -> dict[str, Any]:
    return chunk({"reasoning_content": None}, finish=reason)


def usage(prompt: int, completion: int, reasoning: int = 0) -> dict[str, Any]:
    return chunk(
        usage={
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
            "completion_tokens": completion,
            "prompt_tokens_details": None,
            "reasoning_tokens": reasoning,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )


Step = dict[str, Any] | float | str | type[Drop]
Script = Iterable[Step]


@dataclass
class Scripted:
    """Serves `script` (or `script(body)`) on 127.0.0.1: a dict is a chunk, a number a pause in
    seconds, a string raw bytes of the wire, `Drop` a cut. `hung_up` is set when a client leaves.
    """

    script: Script | Callable[[dict[str, Any]], Script]
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    async def _chat(self, request: Request) -> Response:
        asked = await request.json()
        self.requests.append(asked | {"authorization": request.headers.get("authorization")})
        if self.body is not None or self.status != 200:
            if isinstance(self.body, str):
                return Response(self.body, self.status, self.headers, media_type="text/html")
            return JSONResponse(self.body, self.status, self.headers)
        steps = self.script(asked) if callable(self.script) else self.script
        return StreamingResponse(
            self._stream(steps), headers=self.headers, media_type="text/event-stream"
        )

    async def _stream(self, steps: Script) -> AsyncIterator[str]:
        try:
            for step in steps:
                if step is Drop:
                    raise Drop
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                elif isinstance(step, str):
                    yield step
                else:
                    yield f"data: {json.dumps(step)}\n\n"
        except asyncio.CancelledError:
            self.hung_up.set()
            raise

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def __enter__(self) -> Scripted:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def endpoint(self) -> Door:
        return Door(self.url)


@dataclass
class Door:
    """The least that chat and views ask of an endpoint."""

    base_url: str
    key: str = "a-key"
    model: str = "m"
    kind: str = "live"
    speed: float = 1.0
    sglang: str | None = None
    provenance: Provenance = field(default_factory=lambda: simulated("a script in a test"))

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.base_url}/v1", api_key=self.key)

    def async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.base_url}/v1", api_key=self.key)
