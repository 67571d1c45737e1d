"""A twin in this process, as a browser's page has it: asked by both of openai's clients, without a
socket, a thread of the client's or a process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2
import openai
import pytest

import kit
from kit import bench, chat, page
from kit.endpoint import Endpoint, open_endpoint
from kit.errors import EndpointError
from kit.http import fetch
from kit.twin.inside import InsideTwin, start

ASK = [{"role": "user", "content": "What is 15% of 240?"}]


@pytest.fixture(scope="module")
def twin() -> Iterator[InsideTwin]:
    inside = start("h200x8", 4.0, "0.5.23")
    yield inside
    inside.close()


@pytest.fixture(scope="module")
def endpoint(twin: InsideTwin) -> Endpoint:
    return open_endpoint(twin.url, None, None, "")


def test_it_is_a_twin_like_any_other(endpoint: Endpoint) -> None:
    assert (endpoint.kind, endpoint.profile, endpoint.speed) == ("twin", "h200x8", 4.0)
    assert endpoint.server_info()["version"] == "0.5.23"
    assert fetch(f"{endpoint.base_url}/no-such-path").status == 404


def test_the_plain_client_streams_part_by_part(endpoint: Endpoint) -> None:
    stream = endpoint.client().chat.completions.create(
        model=endpoint.model, messages=ASK, stream=True
    )
    stamps, text = [], ""
    for chunk in stream:
        stamps.append(time.monotonic())
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert "36" in text
    assert len(set(stamps)) > 20
    assert stamps[-1] - stamps[0] > 0.2  # it takes the twin's time, at four times life


def test_the_asynchronous_client_in_the_loop_of_the_twin(endpoint: Endpoint) -> None:
    async def ask() -> tuple[str, int]:
        events = chat.stream(endpoint, "What is 15% of 240?", thinking=True)
        kinds = [type(event).__name__ async for event in events]
        return events.answer, len(kinds)

    answer, count = page.wait_for(ask())
    assert "36" in answer
    assert count > 20


def test_what_the_twin_refuses_is_an_error_as_over_a_socket(endpoint: Endpoint) -> None:
    with pytest.raises(openai.BadRequestError):
        endpoint.client().chat.completions.create(
            model=endpoint.model, messages=[{"role": "nobody", "content": "Hi"}]
        )


def test_a_client_that_leaves_ends_the_generation(endpoint: Endpoint) -> None:
    events = chat.stream(endpoint, "What is 15% of 240?")
    next(iter(events))
    events.close()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if _idle(endpoint):
            return
        time.sleep(0.05)
    pytest.fail("the twin goes on")


def _idle(endpoint: Endpoint) -> bool:
    metrics = fetch(f"{endpoint.base_url}/metrics", accept="*/*").content.decode()
    running = [line for line in metrics.splitlines() if line.startswith("sglang:num_running_reqs")]
    return all(line.rstrip().endswith(" 0.0") for line in running)


@pytest.mark.parametrize("fault", ["cut:9", "reset:9"])
def test_a_stream_that_is_cut_is_an_error_of_the_kit(endpoint: Endpoint, fault: str) -> None:
    events = chat.stream(
        endpoint, "What is 15% of 240?", extra_headers={"x-kit-fault": fault}, stall_s=2
    )
    with pytest.raises(EndpointError):
        list(events)
    assert events.arrived


def test_two_twins_have_addresses_of_their_own_and_an_ended_one_is_gone() -> None:
    other = start("b200x8", 10.0, "0.5.23")
    assert other.alive
    assert open_endpoint(other.url, None, None, "").profile == "b200x8"
    other.close()
    assert not other.alive
    with pytest.raises(kit.KitError):
        open_endpoint(other.url, None, None, "", timeout_s=1)


def test_a_silent_server_is_given_up_in_the_time_that_the_client_allows(twin: InsideTwin) -> None:
    from kit.asgi_client import AsgiTransport

    with httpx2.Client(transport=AsgiTransport(page.apps[twin.url])) as client:
        began = time.monotonic()
        with pytest.raises(httpx2.ReadTimeout):
            client.post(
                f"{twin.url}/v1/chat/completions",
                json={"model": "default", "messages": ASK, "stream": True},
                headers={"x-kit-fault": "stall-start"},
                timeout=0.3,
            )
        assert time.monotonic() - began < 2


def test_a_benchmark_needs_no_socket_and_its_rows_are_the_simulated_ones(
    endpoint: Endpoint,
) -> None:
    load = bench.Workload(200, 40, 10, max_concurrency=4)
    report = page.wait_for(bench.measure(endpoint, load))
    assert report.completed == 10
    simulated = bench.predict("h200x8", load, "0.5.23")
    for row in ("mean_ttft_ms", "mean_tpot_ms", "p99_itl_ms", "output_throughput"):
        assert report[row] == pytest.approx(simulated[row], rel=1e-3), row
