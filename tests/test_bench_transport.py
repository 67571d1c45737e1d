"""HTTP as it really comes: cut anywhere, kept alive or not, with a key, through TLS."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
import time
from itertools import pairwise

import pytest
from wired import DONE, END, OK, chunked, go, native, native_events

from kit.bench import Workload, epoll_reader, measure
from kit.endpoint import connect
from kit.errors import EndpointError
from kit.twin.process import start


@pytest.fixture(params=["the reader's thread", "the loop's transports"])
def way(request, monkeypatch):
    """Both ways of reading; the second is that of machines without epoll, and of TLS."""
    monkeypatch.setattr(epoll_reader, "AVAILABLE", request.param == "the reader's thread")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("piece", [1, 7, 64, 1000, 1_000_000])
def test_chunks_split_anywhere_say_the_same(piece):
    """A read may end inside an event, a chunk's length, or a header; or hold everything."""

    async def pieces(asked):
        if asked.method == "GET":
            async for data in native(asked):
                yield data
            return
        wire = OK + b"".join(chunked(e) for e in (*native_events(asked), DONE)) + END
        for begin in range(0, len(wire), piece):
            yield wire[begin : begin + piece]
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
        for data in native_events(asked, tokens_per_chunk=4):
            middle = len(data) // 2
            yield chunked(data[:middle])
            await asyncio.sleep(0.01)
            yield chunked(data[middle:])
        yield chunked(DONE) + END

    report, _ = go(halves)
    assert report.completed == 6
    assert report.ttft.mean >= 10


def test_connections_are_opened_before_and_used_again():
    _, server = go(native, Workload(10, 6, 30, max_concurrency=4))
    assert server.connections <= 6  # four, one for the questions, and the warm-up's


@pytest.mark.usefixtures("way")
def test_a_server_that_hangs_up_after_each_answer_is_no_error():
    async def closing(asked):
        async for data in native(asked):
            yield data
        yield None

    report, server = go(closing, Workload(10, 6, 12, max_concurrency=2))
    assert report.errors == {}
    assert report.completed == 12
    assert server.connections >= 13


@pytest.mark.usefixtures("way")
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


@pytest.mark.usefixtures("way")
def test_an_answer_that_ends_with_its_connection_is_whole():
    async def old(asked):
        if asked.method == "GET":
            async for data in native(asked):
                yield data
            return
        yield b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
        for data in (*native_events(asked), DONE):
            yield data
        yield None

    report, _ = go(old)
    assert report.errors == {}
    assert report.completed == 6


def test_the_key_and_the_prefix_go_along():
    _, server = go(native, key="sk-1", prefix="/gateway")
    assert all(a.headers["authorization"] == "Bearer sk-1" for a in server.asked)
    assert all(a.path.startswith("/gateway/") for a in server.asked)


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


@pytest.mark.usefixtures("way")
def test_a_large_request_goes_out_in_parts():
    """Megabytes, as images are, do not fit into a socket at once."""
    report, server = go(native, Workload(400_000, 2, 2, range_ratio=1.0))
    assert report.errors == {}
    assert [len(a.body["input_ids"]) for a in server.posts] == [400_000] * 3


@pytest.mark.skipif(not epoll_reader.AVAILABLE, reason="no epoll here")
def test_a_busy_loop_does_not_make_the_server_look_slow():
    """While a notebook draws, chunks wait in no queue: each is stamped by itself."""
    twin = start("b200x8")
    try:
        endpoint = connect(twin.url)
        busy = measure(
            endpoint, Workload(5, 150, 2, range_ratio=1.0), on_sample=lambda _: time.sleep(0.6)
        )
        report = asyncio.run(busy)
    finally:
        twin.close()
    gaps = [b - a for r in report.records for a, b in pairwise(r.times_s)]
    assert sum(gap < 1e-4 for gap in gaps) < 0.3 * len(gaps)  # in a queue, three of four


def test_the_reader_ends_with_its_run():
    go(native)
    assert not [thread for thread in threading.enumerate() if thread.name == "kit.bench"]
