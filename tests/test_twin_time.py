"""A figure of the twin is in the twin's time: a slow computer, client or loop changes none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import TypeVar

import pytest
import uvicorn
from wired import go, native

import kit
from kit import chat
from kit.bench import Report, Sample, Workload, predict
from kit.bench.client import run
from kit.bench.result_file import from_json
from kit.bench.transport import Origin, Pool, Response
from kit.bench.twin_clock import TwinTimes, newest, run_headers
from kit.endpoint import Endpoint
from kit.provenance import simulated
from kit.speed import SpeedModel
from kit.twin import engine as twin_engine
from kit.twin.app import app
from kit.twin.runs import Announced, Runs
from kit.twin.server import Twin
from kit.views.reply import Tally

T = TypeVar("T")
PROFILE = "h200x8"
ROWS = (
    *("mean_ttft_ms", "median_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "p99_tpot_ms"),
    *("mean_itl_ms", "p99_itl_ms", "mean_e2e_latency_ms", "p99_e2e_latency_ms", "duration"),
    *("request_throughput", "output_throughput", "concurrency", "accept_length"),
    *("max_output_tokens_per_s", "max_concurrent_requests"),
)


@asynccontextmanager
async def twin_in_this_loop(speed: float) -> AsyncIterator[tuple[Twin, Endpoint]]:
    """A twin, and whoever asks it, in one thread and one loop: as in a browser's page."""
    twin = Twin(PROFILE, speed)
    config = uvicorn.Config(app(twin), port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    url, label = f"http://127.0.0.1:{port}", simulated(f"twin of {PROFILE}")
    try:
        yield twin, Endpoint(url, twin.model, None, "twin", PROFILE, speed, "0.5.23", label)
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def busy_loop(block_s: float, free_s: float = 0.002) -> AsyncIterator[None]:
    """Something that keeps the loop to itself for most of the time."""

    async def hog() -> None:
        while True:
            time.sleep(block_s)
            await asyncio.sleep(free_s)

    task = asyncio.create_task(hog())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def measured_in_a_busy_loop(workload: Workload, speed: float, block_s: float = 0.01) -> Report:
    async def main() -> Report:
        async with twin_in_this_loop(speed) as (_, endpoint), busy_loop(block_s):
            return await run(endpoint, workload)

    return asyncio.run(main())


def with_a_twin(work: Callable[[Endpoint], Awaitable[T]], speed: float = 20.0) -> T:
    async def main() -> T:
        async with twin_in_this_loop(speed) as (_, endpoint):
            return await work(endpoint)

    return asyncio.run(main())


def assert_same_rows(found: Report, wanted: Report, within: float = 0.001) -> None:
    for row in ROWS:
        assert found[row] == pytest.approx(wanted[row], rel=within), row


@pytest.mark.parametrize(
    "workload",
    [
        Workload(500, 60, 4, max_concurrency=1),
        Workload(500, 60, 24, max_concurrency=8),
        Workload(500, 60, 12, request_rate=8.0),
        Workload(500, 60, 12, request_rate=20.0, max_concurrency=3),
    ],
    ids=["one at a time", "closed loop", "open loop", "both"],
)
def test_rows_in_a_busy_loop_are_those_of_the_simulation(workload: Workload) -> None:
    found = measured_in_a_busy_loop(workload, speed=10.0)
    assert found.completed == workload.num_prompts
    assert_same_rows(found, predict(PROFILE, workload))


async def no_wait(_: twin_engine.Engine) -> None:
    """In place of standing still."""


@pytest.mark.parametrize(
    ("name", "instead"),
    [("_wait_for_announced", no_wait), ("_announced_s", float("inf"))],
    ids=["does not stand still", "expects nobody"],
)
def test_the_proof_that_those_rows_differ_where_the_clock_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch, name: str, instead: object
) -> None:
    monkeypatch.setattr(twin_engine.Engine, name, instead)
    workload = Workload(500, 60, 16, max_concurrency=8)
    found = measured_in_a_busy_loop(workload, speed=10.0)
    with pytest.raises(AssertionError, match="_ms"):
        assert_same_rows(found, predict(PROFILE, workload))


def test_the_report_says_whose_time_it_is_and_how_late_this_computer_was() -> None:
    found = measured_in_a_busy_loop(Workload(200, 40, 2, max_concurrency=1), 10.0, block_s=0.03)
    assert str(found.provenance) == f"simulated · twin of {PROFILE}, in the twin's own time"
    assert found.late_ms is not None
    median_ms, p99_ms = found.late_ms
    assert 1 < median_ms < p99_ms
    assert f"this computer was {median_ms:.1f} ms late" in found.table()
    assert found.to_json()["wall_clock_late_ms"] == [median_ms, p99_ms]
    assert from_json(found.to_json()).late_ms == found.late_ms


def test_samples_of_a_run_are_by_the_same_clock() -> None:
    workload, seen, wanted = Workload(500, 400, 12, max_concurrency=4), list[Sample](), []
    found = with_a_twin(lambda endpoint: run(endpoint, workload, on_sample=seen.append))
    predict(PROFILE, workload, on_sample=wanted.append)
    assert seen[-1].t_s == pytest.approx(found.duration_s)
    assert [one.t_s for one in seen] == sorted(one.t_s for one in seen)

    def ttfts_s(samples: list[Sample]) -> list[float]:
        return sorted(round(ttft_s, 5) for one in samples for ttft_s in one.ttft_s)

    assert ttfts_s(seen) == pytest.approx(ttfts_s(wanted), abs=1e-4)
    step_s = SpeedModel.of(kit.profile(PROFILE), "0.5.23").step_s(4, 4 * 900)
    assert all(0 < itl_s < 3 * step_s for one in seen for itl_s in one.itl_s)


def test_a_chat_is_timed_by_the_twins_clock_however_late_it_is_read() -> None:
    async def main() -> list[tuple[float | None, float | None]]:
        async with twin_in_this_loop(5.0) as (_, endpoint):
            replies = []
            for block_s in (0.0, 0.08):
                async with busy_loop(block_s):
                    tally = Tally("?", chat.stream(endpoint, "Hi", False, max_tokens=40))
                    async for _ in tally.events():
                        pass
                    replies.append((tally.ttft_ms, tally.tokens_per_s))
            return replies

    (quiet, busy) = asyncio.run(main())
    assert all(quiet)
    assert busy[0] == pytest.approx(quiet[0], rel=0.05)
    assert busy[1] == pytest.approx(quiet[1], rel=0.25)  # other draws: MTP accepts as it likes


def test_times_do_not_change_what_openais_client_reads() -> None:
    async def said(endpoint: Endpoint, **headers: str) -> str:
        chunks = await endpoint.async_client().chat.completions.create(
            model=endpoint.model,
            messages=[{"role": "user", "content": "What is 15% of 240?"}],
            max_tokens=30,
            stream=True,
            extra_headers=headers,
        )
        deltas = [chunk.choices[0].delta async for chunk in chunks]
        return "".join(d.content or getattr(d, "reasoning_content", None) or "" for d in deltas)

    async def both(endpoint: Endpoint) -> tuple[str, str]:
        return await said(endpoint), await said(endpoint, **{"x-kit-clock": "1"})

    plain, timed = with_a_twin(both)
    assert plain == timed != ""


def test_an_answer_that_is_not_streamed_has_its_times_in_a_header() -> None:
    async def headers(endpoint: Endpoint) -> str:
        asked = endpoint.async_client().chat.completions.with_raw_response.create(
            model=endpoint.model,
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=20,
        )
        return (await asked).headers["x-kit-clock"]

    times = dict(pair.split("=") for pair in with_a_twin(headers).split("; "))
    assert float(times["of"]) == 0
    assert 0.05 < float(times["at"]) < 1


# --- what the twin waits for, and what not


async def ask(pool: Pool, header: str, tokens: int = 4, **more: object) -> Response:
    body = {"input_ids": [1, 2, 3], "stream": True, **more}
    body["sampling_params"] = {"max_new_tokens": tokens, "ignore_eos": True}
    request = pool.origin.request(
        "POST", "/generate", json.dumps(body).encode(), [("x-kit-run", header)]
    )
    return await pool.ask(request)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin_engine, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(twin_engine, "_GLANCE_S", 0.05)


def test_a_client_that_sends_no_more_is_not_waited_for(impatient: None) -> None:
    async def main() -> None:
        async with twin_in_this_loop(50.0) as (twin, endpoint):
            pool = Pool(Origin.of(endpoint.base_url))
            await ask(pool, "gone 0 0 0 1 7")
            other = await asyncio.wait_for(ask(pool, "no header"), 5)
            assert other.body.endswith(b"[DONE]\n\n")
            assert twin.engine.runs.expected_s == float("inf")
            pool.close()

    asyncio.run(main())


def test_a_client_that_hangs_up_is_not_waited_for() -> None:
    async def main() -> None:
        async with twin_in_this_loop(1.0) as (twin, endpoint):
            pool = Pool(Origin.of(endpoint.base_url))
            asking = asyncio.create_task(ask(pool, "gone 0 0 0 2 7", 5000))
            while not twin.engine.busy:
                await asyncio.sleep(0.01)
            asking.cancel()
            began_s = time.monotonic()
            await ask(pool, "other 0 0 - 1 7")
            assert time.monotonic() - began_s < 1.0
            pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [{"input_ids": "?"}, {"input_ids": [1] * 300_000}])
def test_a_request_that_is_refused_frees_its_place(wrong: dict[str, object]) -> None:
    async def main() -> None:
        async with twin_in_this_loop(50.0) as (twin, endpoint):
            pool = Pool(Origin.of(endpoint.base_url))
            refused = await ask(pool, "run 0 0 0 1 7", **wrong)
            assert b"[DONE]" in refused.body or refused.status == 400
            began_s = time.monotonic()
            answer = await ask(pool, "run 1 0 - 1 7")
            assert time.monotonic() - began_s < 1.0
            assert TwinTimes.of(answer) is not None
            assert not twin.engine.runs
            pool.close()

    asyncio.run(main())


def test_a_stopped_run_is_described_in_the_twins_time_and_holds_up_nobody() -> None:
    async def stop_and_go_on(endpoint: Endpoint) -> tuple[Report, Report, float]:
        measuring = asyncio.create_task(run(endpoint, Workload(100, 2000, 90, max_concurrency=2)))
        await asyncio.sleep(0.6)
        measuring.cancel()
        stopped, began_s = await measuring, time.monotonic()
        after = await run(endpoint, Workload(100, 20, 2, max_concurrency=1))
        return stopped, after, time.monotonic() - began_s

    stopped, after, took_s = with_a_twin(stop_and_go_on)
    assert (stopped.completed or 0) < 90
    assert stopped.missing
    assert 0.5 < (stopped.duration_s or 0) < 60
    assert after.completed == 2
    assert took_s < 2


def test_requests_of_a_run_arrive_as_in_the_simulation_in_whatever_order_they_come() -> None:
    runs = Runs(lambda: None)
    first, second, third, fourth = (
        runs.request(header.encode()) for _, header in run_headers(Workload(9, 9, 4, 2))
    )
    assert second.come(100.0) == 100.0
    assert runs.expected_s == 100.0  # the first is on its way
    assert first.come(100.3) == 100.0
    assert runs.expected_s == float("inf")  # the third has no place
    second.end(101.0)
    assert runs.expected_s == 101.0
    first.end(102.0)
    assert fourth.come(102.5) == 102.0
    assert runs.expected_s == 101.0
    assert third.come(103.0) == 101.0
    assert (runs.expected_s, bool(runs)) == (float("inf"), True)
    third.end(104.0)
    fourth.end(104.0)
    assert not runs


@pytest.mark.parametrize(
    "header",
    ["", "a", "a 0 0 0 1", "a -1 0 0 1 7", "a 0 nan 0 1 7", "a 0 0 inf 1 7", "a 0 -1 0 1 7",
     "a 0 0 0 0 7", "a 0 0 0 1 -7", "a x 0 0 1 7", "a 0 0 0 1 7 8"],
)  # fmt: skip
def test_what_is_no_such_header_is_a_request_like_any_other(header: str) -> None:
    assert Announced.parse(header) is None


# --- reading it


STREAM = (
    b": twin at 1.500000 of 1.250000 due 50.000000\ndata: {1}\n\n"
    b": twin at 1.750000 of 1.250000 due 50.250000\ndata: {2}\n\ndata: {3}\n\n"
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_times_are_read_however_the_bytes_were_cut(size: int, end: bytes) -> None:
    came, stream = Response(), STREAM.replace(b"\n", end)
    for at in range(0, len(stream), size):
        came.parts.append((60.0 + at, stream[at : at + size]))
    times = TwinTimes.of(came)
    assert times is not None
    assert times.response.sent == 1.25
    assert [at_s for at_s, _ in times.response.parts] == [1.5, 1.75]
    assert b"twin" not in times.response.body
    assert all(later >= one - 0.25 for one, later in pairwise(times.late_s))
    if size >= len(STREAM):
        assert newest(came.parts, 0) == (1.75, 1.25)


def test_another_servers_stream_has_no_such_times() -> None:
    came = Response()
    came.parts.append((1.0, b': a comment\ndata: {"text":": twin at 1.0 of 2.0 due 3.0\\n"}\n\n'))
    assert TwinTimes.of(came) is None
    assert newest(came.parts, 0) is None


def test_a_live_server_is_sent_no_header_of_ours() -> None:
    _, server = go(native)
    assert not any(name.startswith("x-kit") for asked in server.asked for name in asked.headers)


def test_a_twin_that_says_no_times_is_timed_by_this_computer() -> None:
    label = simulated("behind a router")
    found, _ = go(lambda a: native(a, 0.002), kind="twin", speed=5.0, provenance=label)
    assert found.provenance == label
    assert found.late_ms is None
    assert found.completed == 6
