"""A server whose wire is written byte by byte, and the measuring client run against it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from kit.bench import Workload, measure
from kit.endpoint import Endpoint
from kit.provenance import Provenance, measured

Wire = AsyncIterator[bytes]
A_TEST = measured("a test")


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: dict
    number: int  # of the posts, from 0: the warm-up
    nth: int  # on its connection, from 0
    at: float


@dataclass
class Server:
    """Answers each request with the bytes that `answer` yields; None closes the connection."""

    answer: Callable[[Asked], AsyncIterator[bytes | None]]
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    in_flight: int = 0
    most: int = 0
    written: list[float] = field(default_factory=list)

    @property
    def posts(self) -> list[Asked]:
        return [a for a in self.asked if a.method == "POST"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        nth = -1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b" ", 2)
                lines = head.decode().split("\r\n")[1:-2]
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
                length = int(headers.get("content-length", 0))
                body = json.loads(await reader.readexactly(length)) if length else {}
                nth += 1
                asked = Asked(
                    method.decode(),
                    path.decode(),
                    headers,
                    body,
                    len(self.posts),
                    nth,
                    perf_counter(),
                )
                self.asked.append(asked)
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
                try:
                    async for data in self.answer(asked):
                        if data is None:
                            writer.close()
                            return
                        if asked.method == "POST":
                            self.written.append(perf_counter())
                        writer.write(data)
                        await writer.drain()
                finally:
                    self.in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def endpoint(
    base_url: str,
    kind: str = "live",
    key: str | None = None,
    speed: float = 1.0,
    provenance: Provenance = A_TEST,
) -> Endpoint:
    return Endpoint(base_url, "qwen", key, kind, None, speed, None, provenance)


@asynccontextmanager
async def serving(answer, tls: ssl.SSLContext | None = None, **options):
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    url = f"{'https' if tls else 'http'}://localhost:{port}{options.pop('prefix', '')}"
    server.listener = listener
    try:
        yield server, endpoint(url, **options)
    finally:
        listener.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def status(code: int, reason: str, answer: dict) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 %d %s\r\ncontent-length: %d\r\n\r\n%s" % (
        code,
        reason.encode(),
        len(body),
        body,
    )


def event(total: int, asked: Asked, finish=None) -> bytes:
    meta = {
        "finish_reason": finish,
        "prompt_tokens": len(asked.body["input_ids"]),
        "completion_tokens": total,
    }
    return b"data: %s\n\n" % json.dumps({"text": "ab" * total, "meta_info": meta}).encode()


def native_events(asked: Asked, tokens_per_chunk: int = 3) -> list[bytes]:
    """The first token alone, then up to three per chunk, as with MTP."""
    wanted = asked.body["sampling_params"]["max_new_tokens"]
    totals = [*range(1, wanted, tokens_per_chunk), wanted] if wanted > 1 else [1]
    ends = {"type": "length", "length": wanted}
    return [event(total, asked, ends if total == wanted else None) for total in totals]


def told(asked: Asked, state: dict, metrics: str = "") -> bytes:
    """What an SGLang says of itself: its state, and /metrics where that is on."""
    if asked.path.endswith("/server_info"):
        return status(
            200,
            "OK",
            {
                "version": "0.5.23",
                "model_path": "Qwen/Qwen3.5-397B-A17B",
                "internal_states": [state],
            },
        )
    if asked.path.endswith("/metrics") and metrics:
        page = metrics.encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page)
    return status(404, "Not Found", {"detail": "Not Found"})


async def native(asked: Asked, pause_s: float = 0.0) -> Wire:
    if asked.method == "GET":
        yield told(asked, {"avg_spec_accept_length": 2.75})
        return
    yield OK
    for data in native_events(asked):
        if pause_s:
            await asyncio.sleep(pause_s)
        yield chunked(data)
    yield chunked(DONE) + END


def chat_delta(delta: dict, usage: int | None = None, finish: str | None = None) -> bytes:
    chunk: dict = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    if usage is not None:
        chunk["usage"] = {"prompt_tokens": 77, "completion_tokens": usage}
    return b"data: %s\n\n" % json.dumps(chunk).encode()


WORK = Workload(40, 20, 6, max_concurrency=2, seed=1)


def go(answer, workload=WORK, then=None, **options):
    """Run the client against `answer`; (report, server)."""
    tls = options.pop("tls", None)
    names = ("dialect", "stall_s", "on_progress", "on_sample")
    client = {name: options.pop(name) for name in names if name in options}

    async def main():
        async with serving(answer, tls, **options) as (server, target):
            return await measure(target, workload, **client), server

    return asyncio.run(main())


async def chat(asked: Asked) -> Wire:
    """An OpenAI-compatible server that is no SGLang: usage in each chunk, thinking first."""
    if asked.method == "GET":
        yield status(404, "Not Found", {"detail": "Not Found"})
        return
    wanted = asked.body["max_tokens"]
    yield OK + chunked(chat_delta({"role": "assistant", "content": ""}, 0))
    for total in range(1, wanted + 1):
        key = "reasoning_content" if total <= wanted // 2 else "content"
        yield chunked(chat_delta({key: "word "}, total))
    yield chunked(chat_delta({}, wanted, "length"))
    yield chunked(b'data: {"choices": [], "usage": {"prompt_tokens": 77, "completion_tokens": ')
    yield chunked(b"%d}}\n\n" % wanted) + chunked(DONE) + END
