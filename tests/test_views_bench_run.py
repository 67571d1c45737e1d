"""live_bench where no page watches: the run itself, being stopped, and what a notebook keeps."""

from __future__ import annotations

import asyncio
import json

import nbformat
import pytest
from nbclient import NotebookClient
from wired import native, serving, status, told

from kit.bench import Workload
from kit.errors import EndpointError, KitError
from kit.views import live_bench

SMALL = Workload(10, 30, 8, max_concurrency=4)
STATE = {"avg_spec_accept_length": 3.0}


def sglang(pause_s: float):
    """An SGLang that answers each question and writes a chunk every `pause_s`."""

    async def answer(asked):
        if asked.method == "GET":
            yield told(asked, STATE)
            return
        async for part in native(asked, pause_s):
            yield part

    return answer


def test_the_report_is_that_of_the_run():
    async def main():
        async with serving(sglang(0.001)) as (_, target):
            return await live_bench(target, SMALL)

    report = asyncio.run(main())
    assert report.completed == 8
    assert report.total_output_tokens == SMALL.total_output_tokens
    assert len(report.records) == 8


def test_interrupting_the_cell_gives_a_partial_report_and_no_exception():
    async def main():
        async with serving(sglang(0.02)) as (server, target):
            running = asyncio.create_task(live_bench(target, Workload(10, 300, 40)))
            while len(server.posts) < 30:
                await asyncio.sleep(0.01)
            running.cancel()
            report = await running
            assert not running.cancelled()
            return report

    report = asyncio.run(main())
    assert report.completed < 40
    assert "stopped" in " ".join(report.missing)


def test_stopped_before_anything_came_it_says_so_in_two_lines():
    async def main():
        async with serving(sglang(5.0)) as (server, target):
            running = asyncio.create_task(live_bench(target, SMALL))
            while not server.posts:
                await asyncio.sleep(0.01)
            running.cancel()
            await running

    with pytest.raises(KitError, match="stopped before"):
        asyncio.run(main())


def test_a_server_that_refuses_is_an_error_of_the_endpoint():
    async def refuse(asked):
        yield status(401, "Unauthorized", {"error": "no"})

    async def main():
        async with serving(refuse) as (_, target):
            await live_bench(target, SMALL)

    with pytest.raises(EndpointError, match="401"):
        asyncio.run(main())


def test_a_run_in_which_all_fails_is_a_report_that_counts_the_failures():
    async def answer(asked):
        if asked.method == "GET":
            yield told(asked, STATE)
        elif asked.number == 0:  # the warm-up
            async for part in native(asked):
                yield part
        else:
            yield status(503, "Service Unavailable", {"error": "too busy"})

    async def main():
        async with serving(answer) as (_, target):
            return await live_bench(target, SMALL)

    report = asyncio.run(main())
    assert (report.completed, report.failed) == (0, 8)


def test_options_are_those_of_measure():
    counted = []

    async def main():
        async with serving(sglang(0.001)) as (_, target):
            return await live_bench(target, SMALL, on_progress=lambda *n: counted.append(n))

    asyncio.run(main())
    assert counted[-1] == (8, 8)


CELLS = [
    "import kit\nfrom kit import bench\nfrom kit.views import live_bench\n"
    "twin = kit.connect('twin', speed=20, quiet=True)",
    "report = await live_bench(twin, bench.Workload(1000, 200, 60, max_concurrency=64))",
    "import asyncio\n"
    "asyncio.get_running_loop().call_later(2, asyncio.current_task().cancel)\n"
    "partial = await live_bench(twin, bench.Workload(1000, 1000, 900, max_concurrency=64))\n"
    "print(len(partial.records), partial.missing)",
]


@pytest.mark.slow
def test_a_headless_notebook_keeps_one_figure_and_one_table_and_no_widget():
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    NotebookClient(node, timeout=120, kernel_name="python3").execute()
    _, whole, stopped = (cell["outputs"] for cell in node.cells)
    figure, table = (output["data"] for output in whole)
    assert set(figure) == {"application/vnd.plotly.v1+json", "text/plain"}
    assert "60 of 60 requests" in figure["text/plain"]
    assert {"text/html", "text/markdown", "text/plain"} <= set(table)
    assert "simulated · twin of SGLang" in table["text/html"]
    assert "widgets" not in node.metadata
    assert len(json.dumps(whole)) < 60_000
    assert len(nbformat.writes(node)) < 300_000
    assert "Missing" in stopped[1]["data"]["text/plain"]
    assert "of 900 requests: stopped" in stopped[-1]["text"]
