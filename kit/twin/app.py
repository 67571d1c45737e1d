"""The twin's HTTP: SGLang's paths, answered by one `Twin`.

Every answer carries `x-kit-twin` (what is played, and how fast), and generated text
`x-kit-author`: who wrote it, `authored`, `notice`, or `pocket; ` and the model's name. What had to
be written first carries `x-kit-held-s`: how long that took; the played time began after it. A
client that sends `x-kit-schedule: 1` gets, before the events of a step, an SSE comment with the
time at which they were due on the monotonic clock: that is how the twin's punctuality is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kit.twin import faults, server_info
from kit.twin import request as incoming
from kit.twin.authored import Said, completion_of, filler, notice, reply_to
from kit.twin.chat_completions import ChatResponse
from kit.twin.chat_format import TURN
from kit.twin.completions import CompletionResponse, GenerateResponse
from kit.twin.errors import Refused, bad_request, error, native, not_served
from kit.twin.fallback import MEASURED, UNSEEN
from kit.twin.media import look, vision_tokens
from kit.twin.protocol import AbortReq, TokenizeRequest
from kit.twin.server import Twin
from kit.twin.sse import DONE, Outlet, dumps
from kit.twin.tokenizer import vocabulary

Handler = Callable[[Twin, Request], Awaitable[Any]]  # an ASGI response

_FLUSHED = (
    "Cache flushed.\nPlease check backend logs for more details. "
    "(When there are running or waiting requests, the operation will not be performed.)\n"
)
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_NO_EMBEDDINGS = (
    "This model does not appear to be an embedding model by default. Please add `--is-embedding` "
    "when launching the server or try another model."
)


def app(twin: Twin) -> Starlette:
    """The ASGI application; its engine runs as long as it does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(twin.engine.run())
        running.add_done_callback(_crash)
        yield
        running.cancel()
        twin.writer.close()

    def not_here(_: Request, problem: Exception) -> Response:
        status = problem.status_code if isinstance(problem, HTTPException) else 500
        detail = problem.detail if isinstance(problem, HTTPException) else "Internal Server Error"
        return _json(twin, {"detail": detail}, status)

    routes = [
        Route(path, _served(twin, handler, path in _QUESTIONS), methods=methods.split())
        for path, (methods, handler) in _PATHS.items()
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: not_here})


def _crash(engine: asyncio.Task[None]) -> None:
    """A server whose engine is dead would take requests and never answer: better none at all."""
    if not engine.cancelled() and (problem := engine.exception()) is not None:
        traceback.print_exception(problem)
        os._exit(1)


def _served(twin: Twin, handler: Handler, question: bool) -> Callable[[Request], Awaitable[Any]]:
    async def serve(request: Request) -> Any:
        request.state.arrived_s = monotonic()
        try:
            refused = faults.refusal(twin.fault, question)
            if refused is not None:
                raise refused
            return await handler(twin, request)
        except Refused as refusal:
            return _json(twin, refusal.body, refusal.status)

    return serve


def _json(twin: Twin, body: Any, status: int = 200) -> Response:
    return _answer(twin, dumps(body), status, "application/json")


def _answer(
    twin: Twin, content: bytes | str = b"", status: int = 200, media: str | None = None
) -> Response:
    headers = {"x-kit-twin": twin.label}
    if status == 429:
        headers["retry-after"] = "1"
    return Response(content, status, headers, media)


async def _chat(twin: Twin, request: Request) -> Any:
    asked = incoming.chat(incoming.parse(await request.body()), twin.context_length)
    wrong = incoming.bad_regex(asked.regex)
    if wrong is not None:
        return _bad_regex(twin, wrong, asked.stream)
    messages, tools = incoming.conversation(asked), asked.callable_tools
    thinking, sampling = asked.thinking(twin.thinks), incoming.sampling(asked)
    shown = await look(messages)
    text, prompt = await twin.prompt(messages, tools, thinking, [one.text for one in shown])
    prompt += sum(one.hidden for one in shown)
    incoming.check_length(prompt, sampling, twin.context_length)
    said = reply_to(messages, thinking, tools, asked.must_call, shown)
    if said is None and shown:
        said = notice(thinking, UNSEEN)
    elif said is None and sampling.ignore_eos:
        said = notice(thinking, MEASURED)
    elif said is None:
        said = await twin.writer.write(text, thinking, tools, asked.must_call)
    else:
        twin.writer.warm_up()
    script = twin.script(said, sampling)
    outlet = _outlet(twin, request, asked.stream)
    counts = vision_tokens(shown)
    response = ChatResponse(asked, script, prompt, outlet, counts)
    return twin.run(
        response.choices,
        outlet,
        script,
        prompt,
        asked.stream,
        request.state.arrived_s + said.held_s,
        sum(counts.values()),
        sum(one.pieces for one in shown),
    )


def _bad_regex(twin: Twin, wrong: str, stream: bool) -> Response:
    """SGLang compiles it late: when a stream has begun, the error is inside it."""
    if not stream:
        raise bad_request(wrong)
    return _stream_of(twin, {"error": error(wrong, kind="BAD_REQUEST")})


def _stream_of(twin: Twin, body: Any) -> Response:
    """A stream of this one event."""
    event = f"data: {json.dumps(body)}\n\n".encode()
    return _answer(twin, event + DONE, media="text/event-stream; charset=utf-8")


async def _completion(twin: Twin, request: Request) -> Any:
    ask = incoming.completion(incoming.parse(await request.body()))
    prompt = await twin.count(ask.prompt)
    incoming.check_length(prompt, ask.sampling, twin.context_length)
    said = await _said(twin, ask)
    script = twin.script(said, ask.sampling)
    outlet = _outlet(twin, request, ask.stream)
    response = CompletionResponse(ask, script, prompt, outlet)
    arrived_s = request.state.arrived_s + said.held_s
    return twin.run([response], outlet, script, prompt, ask.stream, arrived_s)


async def _generate(twin: Twin, request: Request) -> Any:
    stream = False
    try:
        ask = incoming.generate(incoming.parse(await request.body()))
        stream = ask.stream
        prompt = await twin.count(ask.prompt)
        incoming.check_length(prompt, ask.sampling, twin.context_length)
        said = await _said(twin, ask)
        script = twin.script(said, ask.sampling)
        outlet = _outlet(twin, request, ask.stream)
        arrived_s = request.state.arrived_s + said.held_s
        response = GenerateResponse(ask, script, prompt, outlet, twin.draft_tokens, arrived_s)
        return twin.run([response], outlet, script, prompt, ask.stream, arrived_s)
    except Refused as problem:
        refused = native(problem, stream)
        if refused.status == 200:
            return _stream_of(twin, refused.body)
        raise refused from problem


async def _said(twin: Twin, ask: incoming.TextRequest) -> Said:
    """What follows a bare prompt: no model is asked but where it is a conversation."""
    if not isinstance(ask.prompt, str):
        return filler()
    said = completion_of(ask.prompt)
    if said is not None:
        return said
    thinking = "</think>" not in ask.prompt.rpartition(TURN)[2]
    if ask.sampling.ignore_eos:
        return notice(thinking, MEASURED)
    return await twin.writer.write(ask.prompt, thinking)


def _outlet(twin: Twin, request: Request, stream: bool) -> Outlet:
    outlet = faults.outlet(twin.fault, stream)
    outlet.scheduled = stream and "x-kit-schedule" in request.headers
    return outlet


async def _models(twin: Twin, _: Request) -> Response:
    card = server_info.model_card(twin.model, twin.context_length)
    return _json(twin, {"object": "list", "data": [card]})


async def _model(twin: Twin, request: Request) -> Response:
    name = request.path_params["name"]
    if name == twin.model:
        return _json(twin, server_info.model_card(twin.model, twin.context_length))
    said = {
        "message": f"The model '{name}' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    return _json(twin, {"error": said}, 404)


async def _tokenize(twin: Twin, request: Request) -> Response:
    prompt = incoming.checked(TokenizeRequest, incoming.parse(await request.body())).prompt
    if not isinstance(prompt, str):
        raise not_served("batches in one request")
    tokens = vocabulary().encode(prompt)
    counted = {"tokens": tokens, "count": len(tokens), "max_model_len": twin.context_length}
    return _json(twin, counted)


async def _embeddings(twin: Twin, _: Request) -> Response:
    return _json(twin, error(_NO_EMBEDDINGS), 400)


async def _server_info(twin: Twin, _: Request) -> Response:
    told = server_info.server_info(twin.engine, twin.launch, twin.context_length, twin.port)
    return _json(twin, told)


async def _model_info(twin: Twin, _: Request) -> Response:
    return _json(twin, server_info.model_info(twin.engine.scheduler.memory, twin.model))


async def _metrics(twin: Twin, _: Request) -> Response:
    from prometheus_client import generate_latest  # heavy, and not before somebody asks

    return _answer(twin, generate_latest(twin.metrics), media=_PROMETHEUS)


async def _alive(twin: Twin, _: Request) -> Response:
    return _answer(twin)


async def _root(twin: Twin, _: Request) -> Response:
    return _json(twin, "SGLang is running")


async def _health_generate(twin: Twin, request: Request) -> Response:
    """Healthy is who can say one token."""
    ask = incoming.generate({"text": "", "sampling_params": {"max_new_tokens": 1}})
    script = twin.script(filler(), ask.sampling)
    outlet = Outlet()
    arrived_s = request.state.arrived_s
    probe = GenerateResponse(ask, script, 1, outlet, twin.draft_tokens, arrived_s)
    twin.run([probe], outlet, script, 1, False, arrived_s)
    await outlet.take()
    return _answer(twin)


async def _flush_cache(twin: Twin, _: Request) -> Response:
    """There is no prefix cache to flush; while requests run, SGLang would not either."""
    if twin.engine.busy:
        return _answer(twin, "Flush cache failed.\n", 400)
    return _answer(twin, _FLUSHED)


async def _abort(twin: Twin, request: Request) -> Response:
    asked = incoming.checked(AbortReq, incoming.parse(await request.body()))
    if asked.abort_all:
        twin.engine.abort_all()
    else:
        twin.engine.abort(asked.rid)
    return _answer(twin)


_QUESTIONS = ("/v1/chat/completions", "/v1/completions", "/generate")
_PATHS: dict[str, tuple[str, Handler]] = {
    "/": ("GET", _root),
    "/ping": ("GET POST", _alive),
    "/health": ("GET", _alive),
    "/health_generate": ("GET", _health_generate),
    "/v1/models": ("GET", _models),
    "/v1/models/{name:path}": ("GET", _model),
    "/v1/chat/completions": ("POST", _chat),
    "/v1/completions": ("POST", _completion),
    "/v1/embeddings": ("POST", _embeddings),
    "/generate": ("POST PUT", _generate),
    "/tokenize": ("POST", _tokenize),
    "/server_info": ("GET", _server_info),
    "/get_server_info": ("GET", _server_info),
    "/model_info": ("GET", _model_info),
    "/get_model_info": ("GET", _model_info),
    "/metrics": ("GET", _metrics),
    "/flush_cache": ("GET POST", _flush_cache),
    "/abort_request": ("GET POST", _abort),
}
