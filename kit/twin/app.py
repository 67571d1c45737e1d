"""The twin's HTTP: SGLang's paths, answered by one `Twin`.

Every response has the header `x-kit-twin` (profile, SGLang version, speed), and generated text
`x-kit-author`: `authored`, `notice`, or `pocket; ` and the model's name. Where a model had to
write it first, `x-kit-held-s` says how long that took; the simulated time began after it.

The twin's time is its own: a client that sends `x-kit-clock: 1` gets, before the events of a step,
an SSE comment with the step's end and the request's arrival in the twin's seconds, and the time at
which they were due on the monotonic clock. An answer that is not streamed has both in the header
`x-kit-clock`. `x-kit-run` is the same for a run of requests, for which the clock waits
(kit.twin.runs).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from inspect import isawaitable
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kit.twin import access, metrics
from kit.twin.errors import Refused, error
from kit.twin.faults import WithFaults
from kit.twin.holders import PATH as HOLD
from kit.twin.keys import WithKeys
from kit.twin.runs import RUN, RunRequest
from kit.twin.server import Twin
from kit.twin.server_info import model_card, model_info, server_info
from kit.twin.sse import dumps

Handler = Callable[[Twin, Request], Any]  # an ASGI response, or a wait for one

_FLUSHED = (
    "Cache flushed.\nPlease check backend logs for more details. "
    "(When there are running or waiting requests, the operation will not be performed.)\n"
)
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_NO_EMBEDDINGS = (
    "This model does not appear to be an embedding model by default. Please add `--is-embedding` "
    "when launching the server or try another model."
)


def app(twin: Twin) -> ASGIApp:
    """The ASGI application. Its engine runs as long as it does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(twin.engine.run())
        running.add_done_callback(_crash)
        yield
        running.cancel()
        twin.pocket.close()

    async def not_here(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        return twin.json_response({"detail": problem.detail}, problem.status_code)

    routes = [
        Route(path, _served(twin, handler), methods=methods.split())
        for path, (methods, handler) in _PATHS.items()
    ]
    served = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: not_here}
    )
    faulty: ASGIApp = WithFaults(served, twin.fault, twin.label)
    if twin.keys:
        refusal = lambda problem: twin.json_response(problem.body, problem.status)  # noqa: E731
        faulty = WithKeys(faulty, twin.keys, refusal)
    return _Access(faulty, twin)


class _Access:
    """Lets through what `kit.twin.access` allows, before any fault or route is looked for.

    A request of a run that is answered without a scheduler, by a refusal or a fault, is over then.
    """

    def __init__(self, app: ASGIApp, twin: Twin) -> None:
        self.app = app
        self.twin = twin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self.twin.holders:
                self.twin.holders.asked()
            try:
                access.check(scope["method"], scope["headers"], self.twin.allowed_hosts)
            except Refused as problem:
                refusal = self.twin.json_response(problem.body, problem.status)
                return await refusal(scope, receive, send)
        of_run = self._of_run(scope)
        if of_run is None:
            return await self.app(scope, receive, send)
        scope.setdefault("state", {})["of_run"] = of_run
        try:
            await self.app(scope, receive, send)
        finally:
            self.twin.engine.dismiss(of_run)

    def _of_run(self, scope: Scope) -> RunRequest | None:
        heads = scope["headers"] if scope["type"] == "http" else ()
        header = next((value for name, value in heads if name == RUN), None)
        return self.twin.engine.runs.request(header) if header else None


def _crash(engine: asyncio.Task[None]) -> None:
    """A server with a dead engine would accept requests and never answer: better none at all."""
    if not engine.cancelled() and (problem := engine.exception()) is not None:
        traceback.print_exception(problem)
        os._exit(1)


def _served(twin: Twin, handler: Handler) -> Callable[[Request], Awaitable[Any]]:
    async def serve(request: Request) -> Any:
        request.state.arrived_s = monotonic()
        try:
            answer = handler(twin, request)
            return await answer if isawaitable(answer) else answer
        except Refused as problem:
            if problem.status == 200:  # an error that SGLang finds when its stream has begun
                return twin.event_response(dumps(problem.body))
            return twin.json_response(problem.body, problem.status)

    return serve


def _later(module: str, name: str) -> Handler:
    """A handler that needs pydantic and jinja2: loaded by a twin's process after its start, or else
    by the first request."""

    async def handler(twin: Twin, request: Request) -> Any:
        return await getattr(import_module(f"kit.twin.{module}"), name)(twin, request)

    return handler


def _models(twin: Twin, _: Request) -> Response:
    return twin.json_response({"object": "list", "data": [model_card(twin)]})


def _model(twin: Twin, request: Request) -> Response:
    name = request.path_params["name"]
    if name == twin.model:
        return twin.json_response(model_card(twin))
    problem = {
        "message": f"The model '{name}' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    return twin.json_response({"error": problem}, 404)


def _metrics(twin: Twin, _: Request) -> Response:
    usage = twin.keys.usage() if twin.keys else ()
    shown = metrics.page(twin.engine, twin.model, twin.context_length, usage)
    return twin.response(shown, media=_PROMETHEUS)


def _flush_cache(twin: Twin, _: Request) -> Response:
    """There is no prefix cache to flush; SGLang refuses while requests run."""
    if twin.engine.busy:
        return twin.response("Flush cache failed.\n", 400)
    return twin.response(_FLUSHED)


def _hold(twin: Twin, request: Request) -> Any:
    told = request.headers.get("x-kit-hold", "")
    held = twin.holders.hold(told) if twin.holders else None
    return held or twin.json_response({"detail": "Not Found"}, 404)


_PATHS: dict[str, tuple[str, Handler]] = {
    "/": ("GET", lambda twin, _: twin.json_response("SGLang is running")),
    "/ping": ("GET POST", lambda twin, _: twin.response()),
    "/health": ("GET", lambda twin, _: twin.response()),
    "/health_generate": ("GET", _later("completions", "health_generate")),
    "/v1/models": ("GET", _models),
    "/v1/models/{name:path}": ("GET", _model),
    "/v1/chat/completions": ("POST", _later("chat_completions", "serve")),
    "/v1/completions": ("POST", _later("completions", "completions")),
    "/v1/embeddings": ("POST", lambda twin, _: twin.json_response(error(_NO_EMBEDDINGS), 400)),
    "/generate": ("POST PUT", _later("completions", "generate")),
    "/tokenize": ("POST", _later("completions", "tokenize")),
    "/server_info": ("GET", lambda twin, _: twin.json_response(server_info(twin))),
    "/get_server_info": ("GET", lambda twin, _: twin.json_response(server_info(twin))),
    "/model_info": ("GET", lambda twin, _: twin.json_response(model_info(twin))),
    "/get_model_info": ("GET", lambda twin, _: twin.json_response(model_info(twin))),
    "/metrics": ("GET", _metrics),
    "/flush_cache": ("GET POST", _flush_cache),
    "/abort_request": ("GET POST", _later("completions", "abort")),
    HOLD: ("GET", _hold),
}
