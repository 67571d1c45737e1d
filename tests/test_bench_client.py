"""The client against a real server whose wire is written byte by byte."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

import pytest

from kit.bench import Workload, measure
from kit.bench.streams import Keep, events, record
from kit.bench.wire import Response
from kit.errors import EndpointError
from kit.provenance import Provenance, measured, simulated

Wire = AsyncIterator[bytes]


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
                        self.written.append(perf_counter())
                        writer.write(data)
                        await writer.drain()
                finally:
                    self.in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@dataclass
class Target:
    base_url: str
    kind: str = "live"
    model: str = "qwen"
    key: str | None = None
    speed: float = 1.0
    provenance: Provenance = field(default_factory=lambda: measured("a test"))


@asynccontextmanager
async def serving(answer, tls: ssl.SSLContext | None = None, **options):
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    url = f"{'https' if tls else 'http'}://localhost:{port}{options.pop('prefix', '')}"
    server.listener = listener
    try:
        yield server, Target(url, **options)
    finally:
        listener.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


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


def native_events(asked: Asked, tokens_a_chunk: int = 3) -> list[bytes]:
    """The first token alone, then up to three a chunk, as with MTP."""
    wanted = asked.body["sampling_params"]["max_new_tokens"]
    totals = [*range(1, wanted, tokens_a_chunk), wanted] if wanted > 1 else [1]
    return [event(total, asked) for total in totals]


async def native(asked: Asked, pause_s: float = 0.0) -> Wire:
    if asked.method == "GET":
        states = [{"avg_spec_accept_length": 2.75}]
        yield status(200, "OK", {"version": "0.5.23", "internal_states": states})
        return
    yield OK
    for data in native_events(asked):
        if pause_s:
            await asyncio.sleep(pause_s)
        yield chunked(data)
    yield chunked(b"data: [DONE]\n\n") + END


def chat_delta(delta: dict, usage: int | None = None, asked: Asked | None = None) -> bytes:
    chunk: dict = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    if usage is not None:
        chunk["usage"] = {"prompt_tokens": 77, "completion_tokens": usage}
    return b"data: %s\n\n" % json.dumps(chunk).encode()


WORK = Workload(40, 20, 6, max_concurrency=2, seed=1)


def go(answer, workload=WORK, then=None, **options):
    """Run the client against `answer`; (report, server)."""
    tls = options.pop("tls", None)
    client = {k: options.pop(k) for k in ("dialect", "stall_s", "on_progress") if k in options}

    async def main():
        async with serving(answer, tls, **options) as (server, target):
            return await measure(target, workload, **client), server

    return asyncio.run(main())


def test_every_request_gets_its_tokens_counted():
    report, server = go(native)
    assert report.completed == 6
    assert report.total_input_tokens == WORK.total_input_tokens
    assert report.total_output_tokens == WORK.total_output_tokens
    assert [len(a.body["input_ids"]) for a in server.posts[1:]] == [i for i, _ in WORK.lengths]
    assert all(sum(r.tokens) == r.output_tokens for r in report.records)
    assert report.backend == "sglang"
    assert report.itl_basis == "token"
    assert report.accept_length == 2.75
    assert str(report.provenance) == "measured · a test"
    assert report.missing == ()


def test_the_warm_up_is_short_and_not_counted():
    report, server = go(native, Workload(10, 500, 3, seed=1))
    assert len(server.posts) == 4
    assert server.posts[0].body["sampling_params"]["max_new_tokens"] <= 32
    assert len(report.records) == 3


def test_no_byte_is_stamped_before_it_was_written():
    async def main():
        async with serving(lambda a: native(a, 0.002)) as (server, target):
            start = perf_counter()
            return await measure(target, Workload(10, 12, 1, seed=5)), server, start

    report, server, start = asyncio.run(main())
    (one,) = report.records
    written = [t - start for t in server.written]
    offset = one.sent_s - (server.posts[1].at - start)  # ours counts from the run's start
    assert offset <= 0
    stamps = [t - offset for t in one.times_s]
    chunks = written[-len(stamps) - 2 : -2]  # before DONE and the final /server_info
    assert all(w <= s + 1e-3 for w, s in zip(chunks, stamps, strict=True))
    assert list(one.times_s) == sorted(one.times_s)


@pytest.mark.parametrize("piece", [1, 7, 64, 1000, 1_000_000])
def test_chunks_split_anywhere_say_the_same(piece):
    """A read may end inside an event, a chunk's length, or a header; or hold everything."""

    async def pieces(asked):
        if asked.method == "GET":
            async for data in native(asked):
                yield data
            return
        wire = OK + b"".join(chunked(e) for e in native_events(asked)) + END
        for start in range(0, len(wire), piece):
            yield wire[start : start + piece]
            await asyncio.sleep(0)

    report, _ = go(pieces, Workload(10, 8, 2, max_concurrency=1, seed=2))
    whole, _ = go(native, Workload(10, 8, 2, max_concurrency=1, seed=2))
    assert report.errors == {}
    assert [r.tokens for r in report.records] == [r.tokens for r in whole.records]


def test_an_event_over_two_chunks_comes_when_it_is_whole():
    async def halves(asked):
        if asked.method == "GET":
            async for data in native(asked):
                yield data
            return
        yield OK
        for data in native_events(asked, tokens_a_chunk=4):
            middle = len(data) // 2
            yield chunked(data[:middle])
            await asyncio.sleep(0.01)
            yield chunked(data[middle:])
        yield END

    report, _ = go(halves)
    assert report.completed == 6
    assert report.ttft.mean >= 10


def test_a_closed_loop_never_has_more_out():
    workload = Workload(10, 6, 30, max_concurrency=4)
    report, server = go(lambda a: native(a, 0.001), workload)
    assert server.most == 4
    assert report.completed == 30
    assert report.concurrency <= 4


def test_connections_are_opened_before_and_used_again():
    _, server = go(native, Workload(10, 6, 30, max_concurrency=4))
    assert server.connections <= 6  # four, one for the questions, and the warm-up's


def test_a_server_that_hangs_up_after_each_answer_is_no_error():
    async def closing(asked):
        async for data in native(asked):
            yield data
        yield None

    report, server = go(closing, Workload(10, 6, 12, max_concurrency=2))
    assert report.errors == {}
    assert report.completed == 12
    assert server.connections >= 13


def test_a_kept_connection_that_the_server_let_go_is_replaced():
    async def once(asked):
        if asked.nth > 0:
            yield None  # without a word: as a server whose keep-alive ran out at that moment
        async for data in native(asked):
            yield data

    report, server = go(once, Workload(10, 6, 12, max_concurrency=2))
    assert report.errors == {}
    assert report.completed == 12
    assert server.connections >= 13


def test_an_open_loop_sends_by_its_rate_whatever_comes_back():
    workload = Workload(10, 4, 12, request_rate=100.0)
    report, server = go(lambda a: native(a, 0.05), workload)
    sent = [r.sent_s for r in report.records]
    assert all(at >= s - 1e-3 for at, s in zip(sent, workload.send_s, strict=True))
    assert server.most > 2


def test_errors_are_counted_by_kind_and_averaged_into_nothing():
    async def busy(asked):
        if asked.method == "POST" and asked.number % 3 == 2:
            yield status(429, "Too Many", {"object": "error", "message": "queue full"})
            return
        async for data in native(asked):
            yield data

    report, _ = go(busy, Workload(30, 9, 9, max_concurrency=1))
    assert report.errors == {"HTTP 429: queue full": 3}
    assert report.completed == 6
    fine = [r for r in report.records if r.ok]
    assert report.total_output_tokens == sum(r.output_tokens for r in fine)
    assert report.ttft.mean == pytest.approx(1e3 * sum(r.ttft_s for r in fine) / 6)
    assert "HTTP 429: queue full" in report.table()


def test_a_server_that_dies_leaves_a_report_of_what_there_was():
    dead = []

    async def dying(asked):
        if asked.method == "POST" and asked.number == 4:
            yield OK + chunked(event(1, asked))
            dead.append(True)
            yield None
        if dead:
            yield None
        async for data in native(asked):
            yield data

    report, _ = go(dying, Workload(10, 5, 8, max_concurrency=1))
    assert report.completed == 3
    assert report.failed == 5
    assert all(error.startswith("cut") for error in report.errors)
    assert report.total_output_tokens == sum(r.output_tokens for r in report.records if r.ok)


def test_an_error_inside_the_stream_fails_its_request_only():
    async def aborted(asked):
        if asked.method == "POST" and asked.number == 2:
            yield OK + chunked(event(1, asked))
            yield chunked(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n') + END
            return
        async for data in native(asked):
            yield data

    report, _ = go(aborted)
    assert report.errors == {"in the stream: out of memory": 1}
    assert report.completed == 5


def test_a_stall_is_an_error_and_not_a_wait():
    async def stalling(asked):
        if asked.method == "POST" and asked.number == 2:
            yield OK + chunked(event(1, asked))
            await asyncio.sleep(30)
        async for data in native(asked):
            yield data

    report, _ = go(stalling, stall_s=0.2)
    assert report.errors == {"stalled: no byte for 0.2 s": 1}
    assert report.completed == 5


def test_stopped_in_the_middle_it_says_what_is_missing():
    progress = []

    async def main():
        async with serving(lambda a: native(a, 0.01)) as (_, target):
            workload = Workload(10, 20, 50, max_concurrency=2)
            task = asyncio.create_task(
                measure(target, workload, lambda done, total: progress.append((done, total)))
            )
            while len(progress) < 4:
                await asyncio.sleep(0.005)
            task.cancel()
            return await task

    report = asyncio.run(main())
    assert 4 <= report.completed < 50
    assert progress[:4] == [(n, 50) for n in (1, 2, 3, 4)]
    (what,) = report.missing
    assert what.startswith(f"{50 - report.completed} of 50 requests: stopped")
    assert "missing: " in report.table()
    assert report.output_throughput > 0


def test_ctrl_c_gives_the_report_of_what_there_is():
    def progress(done: int, _total: int) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    report, _ = go(lambda a: native(a, 0.01), Workload(10, 20, 50, 2), on_progress=progress)
    assert 3 <= report.completed < 50
    assert "stopped" in report.missing[0]


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (status(401, "No", {"message": "invalid key"}), "HTTP 401: invalid key", "API key"),
        (status(404, "No", {"detail": "Not Found"}), "HTTP 404", "without /v1"),
        (status(500, "No", {"error": {"message": "boom"}}), "HTTP 500: boom", "nothing was"),
    ],
)
def test_a_failed_warm_up_measures_nothing_and_says_why(answer, says, hint):
    async def refusing(_asked):
        yield answer

    with pytest.raises(EndpointError) as caught:
        go(refusing, dialect="native")
    assert says in caught.value.what
    assert hint in caught.value.hint


def test_nobody_there_is_an_error_of_two_lines():
    async def main():
        async with serving(native) as (server, target):
            server.listener.close()
            await server.listener.wait_closed()
            await measure(target, WORK, dialect="native")

    with pytest.raises(EndpointError) as caught:
        asyncio.run(main())
    assert "no connection" in caught.value.what
    assert len(str(caught.value).splitlines()) == 2


def test_a_url_that_is_none_is_refused():
    with pytest.raises(EndpointError, match="is no URL"):
        asyncio.run(measure(Target("localhost:30000"), WORK))


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
    yield chunked(b'data: {"choices": [], "usage": {"prompt_tokens": 77, "completion_tokens": ')
    yield chunked(b"%d}}\n\n" % wanted) + chunked(b"data: [DONE]\n\n") + END


def test_any_openai_compatible_server_is_measured_by_its_own_counts():
    report, server = go(chat)
    assert report.backend == "sglang-oai-chat"
    assert report.total_output_tokens == WORK.total_output_tokens
    assert report.total_input_tokens == 77 * 6
    assert report.itl_basis == "token"
    assert report.accept_length is None
    words = [len(a.body["messages"][0]["content"].split()) for a in server.posts[1:]]
    assert words == [i for i, _ in WORK.lengths]
    assert all(a.body["ignore_eos"] for a in server.posts)


def test_a_server_without_the_extensions_is_asked_plainly_and_it_is_said():
    async def strict(asked):
        if asked.method == "POST" and {"ignore_eos", "stream_options"} & set(asked.body):
            yield status(400, "Bad", {"error": {"message": "unknown field"}})
            return
        if asked.method == "GET":
            yield status(404, "No", {})
            return
        yield OK
        for _ in range(4):
            yield chunked(chat_delta({"content": "word"}))
        yield chunked(b"data: [DONE]\n\n") + END

    report, _ = go(strict)
    assert report.completed == 6
    assert report.itl_basis == "chunk"
    assert report.total_output_tokens == WORK.total_output_tokens  # what was asked for
    said = " ".join(report.missing)
    assert "ignore_eos" in said
    assert "ITL per token" in said
    assert "output tokens" in said


def test_an_answer_that_ends_with_its_connection_is_whole():
    async def old(asked):
        if asked.method == "GET":
            async for data in native(asked):
                yield data
            return
        yield b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
        for data in native_events(asked):
            yield data
        yield None

    report, _ = go(old)
    assert report.errors == {}
    assert report.completed == 6


def test_the_key_and_the_prefix_go_along():
    _, server = go(native, key="sk-1", prefix="/gateway")
    assert all(a.headers["authorization"] == "Bearer sk-1" for a in server.asked)
    assert {a.path for a in server.asked} == {"/gateway/generate", "/gateway/server_info"}


def test_a_twins_figures_are_in_its_own_seconds():
    label = simulated("twin of h200x8")
    workload = Workload(10, 20, 4, max_concurrency=1)
    slow, _ = go(lambda a: native(a, 0.002), workload, kind="twin", speed=1.0, provenance=label)
    fast, _ = go(lambda a: native(a, 0.002), workload, kind="twin", speed=50.0, provenance=label)
    assert fast.provenance == label
    chunks = sum(len(r.times_s) for r in slow.records)
    for report, clock in ((slow, 1), (fast, 50)):
        assert report.duration_s >= chunks * 0.002 * clock
        assert report.concurrency == pytest.approx(1, abs=0.2)
    assert fast.duration_s > 10 * slow.duration_s


def test_tls_works_and_distrust_is_an_error(tmp_path, monkeypatch):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with pytest.raises(EndpointError, match="certificate"):
        go(native, tls=tls, dialect="native")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    report, _ = go(native, tls=tls)
    assert report.completed == 6


def response(parts: list[tuple[float, bytes]], sent: float) -> Response:
    out = Response()
    out.sent, out.status, out.parts = sent, 200, parts
    return out


def meta(total: int) -> bytes:
    return b'data: {"text":"x","meta_info":{"prompt_tokens":9,"completion_tokens":%d}}\n\n' % total


def test_with_three_tokens_a_chunk_both_itls_are_exact():
    parts = [(10.5, meta(1)), (10.8, meta(4)), (11.1, meta(7)), (11.1, b"data: [DONE]\n\n")]
    one = record(response(parts, 10.0), "native", (9, 7), start_s=9.0)
    assert (one.sent_s, one.ttft_s) == pytest.approx((1.0, 0.5))
    assert one.tokens == [1, 3, 3]
    assert one.tpot_s == pytest.approx(0.1)
    from kit.bench.metrics import report

    r = report([one], 2.1, measured("a test"))
    assert r.itl.mean == pytest.approx(100)
    assert r.itl_per_chunk.mean == pytest.approx(300)


def test_kept_parts_say_what_the_whole_ones_said():
    """A text may hold anything, the very keys of the protocol too."""
    text = 'an "meta_info":{"completion_tokens":99} and a blank line\n\n and data: {'
    whole = []
    for i in range(1, 5):
        answer = {"text": text * i, "meta_info": {"prompt_tokens": 3, "completion_tokens": i}}
        text_line = json.dumps(answer, separators=(",", ":"))  # as SGLang writes it
        whole.append(b"data: " + text_line.encode() + b"\n\n")
    inside = whole[1].rindex(b"data: {")  # of its text: a read that looks like a new event
    reads = [whole[0], whole[1][:inside], whole[1][inside:], whole[2] + whole[3]]
    keep = Keep()
    kept = [(float(i), keep(part)) for i, part in enumerate(reads)]
    assert len(kept[0][1]) < len(reads[0])
    one = record(response(kept, 0.0), "native", (3, 4), 0.0)
    assert one.tokens == [1, 1, 1, 1]
    assert list(one.times_s) == [0.0, 2.0, 3.0, 3.0]


def test_events_end_in_either_newline():
    parts = [(1.0, b"data: a\r\n\r\ndata: b\n\nda"), (2.0, b"ta: c\r\n"), (3.0, b"\r\n")]
    assert list(events(parts)) == [(1.0, b"a"), (1.0, b"b"), (3.0, b"c")]
