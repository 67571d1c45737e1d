"""A server's life, with a stand-in that logs and answers as SGLang does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit import server
from kit.cli.serve import serve
from kit.errors import LaunchError
from kit.hardware import profile
from kit.launch import launch_plan
from kit.server import log, preflight, registry
from kit.server.command import ServerCommand, of_plan
from kit.server.processes import end_group, free_port, members, started
from kit.sizing import plan

FAKE = Path(__file__).parent / "fake_sglang.py"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Servers are noted in a folder of the test; whatever still runs is ended."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    yield tmp_path
    server.stop()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    return folder


@pytest.fixture
def command(checkpoint: Path) -> Callable[..., ServerCommand]:
    def make(*wish: str, **given: object) -> ServerCommand:
        port = free_port()
        made = ServerCommand(
            title="fake", argv=(sys.executable, str(FAKE), str(port), *wish), host="127.0.0.1",
            port=port, sglang="0.5.23", checkpoint=str(checkpoint), weights_gb=0.0,
        )  # fmt: skip
        return replace(made, **given)

    return make


def test_its_phases_come_in_sglangs_order(command: Callable[..., ServerCommand]) -> None:
    seen: list[str] = []
    with server.start(command(), on_event=lambda e: seen.append(e.phase)) as running:
        assert running.ready
        assert running.model == "qwen"
    order = list(dict.fromkeys(phase.name for phase in log.phases()))
    assert list(dict.fromkeys(seen)) == [p for p in order if p in seen]
    assert {"weights", "pools", "graphs", "limits"} <= set(seen)


def test_loading_tells_how_far_it_is(command: Callable[..., ServerCommand]) -> None:
    seen: list[log.LogEvent] = []
    server.start(command(), on_event=seen.append).stop()
    assert [e.percent for e in seen if e.percent is not None] == [0, 50]


def test_the_ledger_stands_beside_the_plans(command: Callable[..., ServerCommand]) -> None:
    with server.start(command(memory=plan(profile("h200x8")))) as running:
        held = running.ledger()
        rows = {row.name: row for row in held.beside(running.command.memory)}
        text = running.report()
    assert held.weights_gib == 92.3
    assert held.slots == 196
    assert held.kv_tokens == 594_000
    assert held.max_running_requests == 39
    assert rows["weights"].ratio == pytest.approx(92.3 / rows["weights"].planned)
    assert "594,000" in text
    assert "measured · fake" in text


def test_what_it_was_is_written_beside_its_log(command: Callable[..., ServerCommand]) -> None:
    with server.start(command()) as running:
        record = json.loads(running.log.with_suffix(".json").read_text())
    assert record["server_info"]["version"] == "0.5.23"
    assert record["argv"] == list(running.command.argv)
    assert record["provenance"]["kind"] == "measured"


def test_stopping_leaves_no_process(command: Callable[..., ServerCommand]) -> None:
    running = server.start(command())
    assert len(members(running.group)) == 2  # the server and its child
    running.stop()
    assert members(running.group) == []
    assert server.running() == ()


def test_a_server_that_dies_while_starting_is_diagnosed(
    command: Callable[..., ServerCommand],
) -> None:
    with pytest.raises(LaunchError, match="the weights fill the static share") as failed:
        server.start(command("--die"))
    assert failed.value.hint == "--mem-fraction-static above 0.712"
    assert server.running() == ()


def test_a_server_that_is_never_ready_is_ended(command: Callable[..., ServerCommand]) -> None:
    with pytest.raises(LaunchError, match="not ready after"):
        server.start(command("--never"), deadline_s=0.6)
    assert server.running() == ()


def test_a_taken_port_is_refused_before_anything_starts(
    command: Callable[..., ServerCommand],
) -> None:
    first = command()
    with server.start(first):
        with pytest.raises(LaunchError, match="offers qwen") as refused:
            server.start(first)
        assert "adopt" in refused.value.hint


def test_a_running_server_is_adopted_by_another_process_and_stopped(
    command: Callable[..., ServerCommand],
) -> None:
    started = server.start(command())
    adopted = server.adopt(started.url + "/v1")
    assert adopted.running
    assert adopted.title == "fake"
    assert adopted.ledger().slots == 196
    code = "from kit import server; print(*server.stop())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.url in other.stdout
    assert members(started.group) == []


def test_somebody_elses_server_is_adopted_but_not_stopped(
    command: Callable[..., ServerCommand],
) -> None:
    theirs = command()
    process = subprocess.Popen(theirs.argv, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                adopted = server.adopt(theirs.url)
                break
            except LaunchError:
                time.sleep(0.1)
        assert adopted.model == "qwen"
        with pytest.raises(LaunchError, match="not started by this kit"):
            adopted.stop()
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


STARTER = """
import os, sys
from dataclasses import replace
from kit import server
from kit.cli.serve import serve
from kit.server.command import ServerCommand
command = ServerCommand(title="fake", argv=(sys.executable, sys.argv[1], sys.argv[2]),
    host="127.0.0.1", port=int(sys.argv[2]), sglang="0.5.23", checkpoint=sys.argv[3],
    weights_gb=0.0, outlives=sys.argv[4] == "outlives")
print(server.start(command).group, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("outlives", [True, False])
def test_a_gpu_server_outlives_kill_9_of_its_starter_and_the_toy_does_not(
    outlives: bool, checkpoint: Path
) -> None:
    wish = "outlives" if outlives else "dies"
    port = str(free_port())
    done = subprocess.run(
        [sys.executable, "-c", STARTER, str(FAKE), port, str(checkpoint), wish],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    group = int(done.stdout)
    if outlives:
        assert len(members(group)) == 2
        assert server.adopt(f"http://127.0.0.1:{port}").ready
        return
    until = time.monotonic() + 10
    while members(group) and time.monotonic() < until:
        time.sleep(0.05)
    assert members(group) == []


def test_serve_tells_its_phases_and_ctrl_c_leaves_no_process(
    command: Callable[..., ServerCommand], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    groups: list[int] = []

    def ctrl_c(seconds: float) -> None:
        groups.extend(s.group for s in server.running())
        raise KeyboardInterrupt

    monkeypatch.setattr("kit.cli.serve.pause", ctrl_c)
    assert serve(command(), said.append) == 0
    text = "\n".join(said)
    assert "✓ port" in text
    assert "loading weights: 50 %" in text
    assert "max running requests" in text
    assert groups
    assert all(members(group) == [] for group in groups)


# --- processes


def test_a_process_is_known_by_its_id_and_the_kernels_ticks_at_its_start() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert started(os.getpid()) == fields[19]
    assert os.sysconf("SC_CLK_TCK") == 100


def test_a_later_process_of_the_same_id_is_not_taken_for_the_server(
    command: Callable[..., ServerCommand],
) -> None:
    ours = server.launch(command())
    noted = replace(registry.running()[0], group=os.getpid())
    registry.note(noted)  # as if the server had gone, and its id were this process's
    assert server.running() == ()
    assert server.stop() == ()
    ours.stop()


def test_a_process_that_only_waits_to_be_reaped_does_not_run() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert started(child.pid) is None
    assert members(child.pid) == []
    child.wait()


def test_one_that_will_not_end_is_killed_with_its_children() -> None:
    deaf = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork()"
    deaf += "; os.write(1, b'up\\n'); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == child.stdout.readline() == "up\n"
    assert len(members(child.pid)) == 2
    assert end_group(child.pid, patience_s=0.1)
    assert members(child.pid) == []
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()


# --- before the start


def found(what: ServerCommand, name: str) -> preflight.Check:
    (check,) = [c for c in preflight.preflight(what) if c.name == name]
    return check


def test_without_sglang_the_hint_is_to_install_it(command: Callable[..., ServerCommand]) -> None:
    check = found(command(argv=("no-such-sglang", "serve")), "program")
    assert not check.ok


def test_weights_that_do_not_fit_the_disk_are_refused(
    command: Callable[..., ServerCommand],
) -> None:
    check = found(command(checkpoint="Qwen/Qwen3.5-397B-A17B", weights_gb=1e6), "weights")
    assert not check.ok
    assert "HF_HOME" in check.hint


def test_an_unfinished_checkpoint_names_the_first_missing_file(
    command: Callable[..., ServerCommand], checkpoint: Path
) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    (checkpoint / "model-1.safetensors").write_bytes(b"x")
    check = found(command(), "weights")
    assert "1 of 2" in check.found
    assert "model-2.safetensors" in check.hint


def test_what_is_in_the_hub_cache_need_not_be_downloaded(
    command: Callable[..., ServerCommand], tmp_path: Path
) -> None:
    blobs = tmp_path / "hub" / "hub" / "models--Qwen--Qwen3.5-0.8B" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "one").write_bytes(b"x" * 2_000_000)
    wanted = command(checkpoint="Qwen/Qwen3.5-0.8B", weights_gb=0.002)
    assert found(wanted, "weights").found.endswith("on disk")


def test_too_few_gpus_are_refused(
    command: Callable[..., ServerCommand], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = preflight.Driver("580.10", ("NVIDIA H200",) * 4)
    monkeypatch.setattr(preflight, "driver", lambda: here)
    check = found(command(gpus=8), "GPUs")
    assert not check.ok
    assert "4× NVIDIA H200, driver 580.10" in check.found
    assert found(command(gpus=4), "GPUs").ok


# --- commands


def test_a_plan_becomes_a_process_or_a_container() -> None:
    made = launch_plan(profile("h200x8"))
    here, docker = of_plan(made), of_plan(made, docker=True)
    assert here.argv == tuple(made.argv())
    assert here.gpus == 8
    assert here.outlives
    assert docker.argv[:2] == ("docker", "run")
    assert docker.stop_argv[:2] == ("docker", "stop")
    assert docker.stop_argv[-1] in docker.argv
    assert here.url == docker.url == "http://127.0.0.1:30000"


def test_two_nodes_are_told_where_the_first_is() -> None:
    second = of_plan(launch_plan(profile("h100x16")), rank=1, node0="10.0.0.1")
    words = second.argv
    assert words[words.index("--node-rank") + 1] == "1"
    assert "10.0.0.1:20000" in words
    assert second.gpus == 8


def test_loading_800_gb_is_given_an_hour() -> None:
    assert of_plan(launch_plan(profile("h200x8"))).deadline_s > 3000


def test_an_nvidia_smi_that_hangs_is_two_lines(tmp_path, monkeypatch):
    hung = tmp_path / "nvidia-smi"
    hung.write_text("#!/bin/sh\nexec sleep 60\n")
    hung.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(preflight, "DRIVER_S", 0.1)
    preflight.driver.cache_clear()
    with pytest.raises(LaunchError, match="has said nothing") as told:
        preflight.driver()
    assert "reboot" in told.value.hint
