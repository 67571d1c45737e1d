"""A server in trouble, or a reader who has seen enough: a report of what there is, and what not."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from wired import END, OK, WORK, chunked, endpoint, event, go, native, serving, status

from kit.bench import Workload, measure
from kit.errors import EndpointError


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
    what = report.missing[0]
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
        (status(500, "No", {"error": {"message": "boom"}}), "HTTP 500: boom", "its log"),
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
        asyncio.run(measure(endpoint("localhost:30000"), WORK))
