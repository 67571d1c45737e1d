"""`kit bench` against twins that misbehave: real processes, real sockets, the real command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from kit.bench import Workload, measure, read
from kit.cli import main
from kit.endpoint import connect
from kit.errors import EndpointError
from kit.twin.process import TwinProcess, start

PROFILE = "b200x8"  # without MTP: a step, a token
SIZES = ["--input-len", "20", "--output-len", "60", "--num-prompts", "8", "--max-concurrency", "4"]
WORK = Workload(20, 60, 8, max_concurrency=4)
LONGEST = 40  # tokens that come before the fault; the warm-up's 32 are fewer
WHOLE = sum(out <= LONGEST for _, out in WORK.lengths)
assert 0 < WHOLE < 8


@pytest.fixture
def twin(request: pytest.FixtureRequest) -> Iterator[Callable[..., TwinProcess]]:
    started: list[TwinProcess] = []

    def play(fault: str | None = None, speed: float = 20.0) -> TwinProcess:
        started.append(start(PROFILE, speed, fault=fault))
        return started[-1]

    yield play
    for one in started:
        one.close()


@pytest.mark.parametrize(
    ("fault", "says", "advice"),
    [
        ("refuse", "refused the key (401)", "key"),
        ("rate429", "HTTP 429: Too many requests", "at its limit"),
        ("error500", "HTTP 500: The scheduler died", "log"),
        ("cut:3", "cut: the server closed the connection", "nothing was measured"),
        ("broken:3", "in the stream: Generation aborted", "nothing was measured"),
    ],
)
def test_where_nothing_can_be_measured_two_lines_say_why(twin, capsys, fault, says, advice):
    assert main(["bench", "--url", twin(fault).url, *SIZES]) == 2
    out, err = capsys.readouterr()
    what, todo = err.strip().splitlines()[-2:]
    assert says in what
    assert advice in todo
    assert "Result" not in out


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("cut", "cut: the server closed"), ("broken", "in the stream: Generation aborted")],
)
def test_what_breaks_midway_is_counted_and_the_rest_reported(twin, capsys, tmp_path, fault, kind):
    out = tmp_path / "run.jsonl"
    url = twin(f"{fault}:{LONGEST}").url
    assert main(["bench", "--url", url, "--out", str(out), *SIZES]) == 1
    printed = capsys.readouterr().out
    assert "Failed requests (in no average)" in printed
    (report,) = read(out)
    assert report.completed == WHOLE
    ((error, count),) = report.errors.items()
    assert error.startswith(kind)
    assert count == 8 - WHOLE
    assert report.total_output_tokens == sum(o for _, o in WORK.lengths if o <= LONGEST)


def test_a_stall_is_waited_for_as_long_as_was_said(twin):
    endpoint = connect(twin(f"stall:{LONGEST}").url)
    report = asyncio.run(measure(endpoint, WORK, stall_s=1.5))
    assert report.completed == WHOLE
    assert report.errors == {"stalled: no byte for 1.5 s": 8 - WHOLE}


def test_a_warm_up_that_stalls_is_an_error(twin):
    endpoint = connect(twin("stall:2").url)
    with pytest.raises(EndpointError, match=r"no answer within 0\.5 s"):
        asyncio.run(measure(endpoint, WORK, stall_s=0.5))


def test_a_server_killed_in_the_middle_leaves_a_report(twin):
    server = twin(speed=2.0)
    endpoint = connect(server.url)
    seen = []

    def kill(sample) -> None:
        seen.append(sample)
        if sample.finished >= 2 and server.alive:
            os.kill(server.pid, signal.SIGKILL)

    workload = Workload(20, 60, 40, max_concurrency=4)
    report = asyncio.run(measure(endpoint, workload, on_sample=kill))
    assert 2 <= report.completed < 40
    assert report.completed + report.failed == 40
    kinds = {error.partition(":")[0] for error in report.errors}
    assert kinds == {"cut", "no connection"}
    assert seen[-1].failed == report.failed
    fine = [r for r in report.records if r.ok]
    assert report.ttft.mean == pytest.approx(1e3 * sum(r.ttft_s for r in fine) / len(fine))


def test_when_all_requests_fail_there_is_a_table_without_a_single_average(twin, capsys):
    server = twin(speed=1.0)
    endpoint = connect(server.url)

    def kill(sample) -> None:
        if server.alive:
            os.kill(server.pid, signal.SIGKILL)

    report = asyncio.run(measure(endpoint, Workload(20, 900, 3, range_ratio=1.0), on_sample=kill))
    assert (report.completed, report.failed) == (0, 3)
    assert report.ttft.mean is None
    assert "Mean TTFT" not in report.table()
    assert json.loads(json.dumps(report.to_json()))["mean_ttft_ms"] is None


def requests_done(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as page:
        return sum(map(float, re.findall(r"num_requests_total{.*} (\S+)", page.read().decode())))


def test_ctrl_c_ends_with_the_report_of_what_there_is(twin, tmp_path):
    out = tmp_path / "run.jsonl"
    url = twin(speed=4.0).url
    argv = [sys.executable, "-m", "kit.cli", "bench", "--url", url]
    argv += ["--out", str(out), *SIZES[:4], "--num-prompts", "500", "--max-concurrency", "4"]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while requests_done(url) < 6:  # the warm-up and some more; all would take fifty seconds
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    printed, complained = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "missing: " in printed
    assert "stopped with 4 in flight" in printed
    assert "Traceback" not in complained
    (report,) = read(out)
    assert 0 < report.completed < 500
    assert report.workload.num_prompts == 500


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--num-prompts", "0"], "num_prompts is 0"),
        (["--input-len", "-5"], "input_len is -5"),
        (["--dataset", "image", "--image-resolution", "huge"], "image_resolution is 'huge'"),
        (["--goodput", "speed:5"], "'speed:5' is no bound"),
        (["--ramp", "1", "0"], "ramp is"),
        (["--out", "/no/such/folder/run.jsonl"], "/no/such/folder/run.jsonl: No such file"),
        (["--url", "localhost:1"], "localhost:1"),
    ],
)
def test_a_slip_on_the_command_line_is_told_before_anything_runs(capsys, options, says):
    assert main(["bench", "--url", "http://127.0.0.1:9", *options]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.strip().splitlines()) == 2


def test_a_prompt_longer_than_the_model_takes_is_the_servers_word(twin, capsys):
    url = twin().url
    options = ["--input-len", "300000", "--output-len", "4", "--num-prompts", "2"]
    assert main(["bench", "--url", url, *options, "--range-ratio", "1"]) == 2
    said = "The input (300000 tokens) is longer than the model's context length (262144 tokens)."
    assert f"in the stream: {said}\n" in capsys.readouterr().err


def test_the_progress_line_tells_rate_and_trouble():
    from kit.bench import Sample
    from kit.cli.bench import Progress

    line = Progress(40)
    line.line(Sample(0.0, 8, 0, 0, 8, 0))
    told = line.line(Sample(2.0, 20, 10, 2, 8, 3000, running=8, queued=5))
    assert told == "10/40 requests · 2 failed · 8 in flight · 5 queued · 1,500 tok/s · 2 s"
    assert "chunks/s" in line.line(Sample(3.0, 20, 10, 2, 8, 3000, counted=False))
