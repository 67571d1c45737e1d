"""SGLang's own router before two twins: what it passes on, and what a replica's death costs.

The router has an environment of its own: `make test-router` makes it (140 MB) and runs this file;
without it the tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import start

from kit import bench
from kit.chat import StreamCut, stream
from kit.endpoint import Endpoint, connect
from kit.hardware import profile
from kit.http import get_json
from kit.launch.router import POLICIES, router_plan
from kit.server.processes import free_port
from kit.twin import process
from kit.twin.process import TwinProcess

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-router" / "bin" / "python"
START_S = 60.0
SPEED = 1.0  # its time is this computer's, through a router
QUESTION = "What is multi-token prediction?"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PYTHON.parents[1] / ".ready").is_file(),
        reason="the router's environment is not here: make test-router",
    ),
]


@dataclass
class Routed:
    """A router that runs, and the twins behind it."""

    url: str
    twins: list[TwinProcess]

    def connect(self) -> Endpoint:
        return connect(self.url, quiet=True)


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[Routed]:
    twins = [process.start(speed=SPEED) for _ in range(2)]
    port, metrics = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    plan = router_plan([twin.url for twin in twins], policy="round_robin", port=port)
    argv = plan.argv()
    argv[argv.index("--prometheus-port") + 1] = str(metrics)

    def ready() -> bool:
        found = get_json(url, "/readiness")
        return isinstance(found, dict) and found.get("healthy_workers") == 2

    log = tmp_path / "router.log"
    try:
        router = start([PYTHON, *argv[1:]], ready, log, START_S, start_new_session=True)
        try:
            yield Routed(url, twins)
        finally:
            router.kill()
            router.wait()
    finally:
        for twin in twins:
            twin.close()


def test_every_flag_of_the_plan_is_one_of_its_parser() -> None:
    plans = [
        router_plan(["http://10.0.0.1:30000", "http://10.0.0.2:30000"], policy=policy, api_key=True)
        for policy in POLICIES
    ]
    code = (
        "import json, sys\n"
        "from sglang_router.launch_router import parse_router_args\n"
        "for argv in json.load(sys.stdin):\n"
        "    a = parse_router_args(argv)\n"
        "    print('read:', json.dumps([a.worker_urls, a.policy, a.host, a.port, a.api_key]))\n"
    )
    words = [plan.argv()[3:] for plan in plans]
    done = subprocess.run(
        [str(PYTHON), "-c", code],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        check=True,
    )
    read = [
        json.loads(line.removeprefix("read: "))
        for line in done.stdout.splitlines()
        if line.startswith("read: ")
    ]
    assert read == [
        [list(plan.worker_urls), plan.policy, plan.host, plan.port, "$KIT_API_KEY"]
        for plan in plans
    ]


def test_twins_behind_it_are_still_called_simulated(routed: Routed) -> None:
    server = routed.connect()
    assert server.kind == "twin"
    assert server.profile == "h200x8"
    assert server.speed == SPEED
    assert str(server.provenance).startswith("simulated")
    assert "behind a router" in server.provenance.source
    asked = stream(server, QUESTION, thinking=False)
    list(asked)
    assert asked.answer
    assert asked.author is not None
    assert asked.author.kind == "authored"


def test_a_killed_replica_takes_its_streams_and_no_request_after_them(routed: Routed) -> None:
    server = routed.connect()
    results: dict[int, str] = {}
    said: list[str] = []
    began = threading.Barrier(5)

    def ask(number: int) -> None:
        events = iter(stream(server, QUESTION, thinking=False))
        try:
            next(events)
            began.wait(30)
            for _ in events:
                pass
            results[number] = "whole"
        except StreamCut as cut:
            results[number] = cut.arrived
            said.append(str(cut))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    began.wait(30)
    os.kill(routed.twins[0].pid, signal.SIGKILL)
    for thread in threads:
        thread.join(60)
    lost = [text for text in results.values() if text != "whole"]
    assert len(results) == 4
    assert len(lost) == 2, results
    assert all(lost), "what had arrived is kept"
    assert [len(text.splitlines()) for text in said] == [2, 2]

    for _ in range(6):
        asked = stream(server, QUESTION, thinking=False)
        list(asked)
        assert asked.answer


def test_a_benchmark_counts_what_died_with_a_replica_as_failed(routed: Routed) -> None:
    server = routed.connect()
    load = bench.Workload(200, 400, 8, max_concurrency=8, range_ratio=1)

    def kill(sample: bench.Sample) -> None:
        if sample.output_tokens > 200:
            os.kill(routed.twins[0].pid, signal.SIGKILL)

    report = asyncio.run(bench.measure(server, load, on_sample=kill))
    assert report.completed == 4
    assert report.failed == 4
    assert report.provenance.kind == "simulated"


def test_two_replicas_behind_it_serve_as_two_schedulers_do(routed: Routed) -> None:
    """The real router, and half the load on one scheduler in virtual time. The router does not
    pass on a twin's own clock, so that this computer's hiccups are in it: whole answers compare,
    the times of single tokens do not."""
    server = routed.connect()
    load = bench.Workload(800, 100, 48, max_concurrency=8, range_ratio=1)
    both = asyncio.run(bench.measure(server, load))
    one = bench.Workload(800, 100, 24, max_concurrency=4, range_ratio=1)
    half = bench.simulate(profile("h200x8"), one)
    assert both.e2e_latency.mean == pytest.approx(half.e2e_latency.mean, rel=0.3)
    assert both.output_throughput == pytest.approx(2 * half.output_throughput, rel=0.3)
