"""The twin's process: it starts, prints its address, and ends with the process that started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import psutil
import pytest

from kit.errors import InvalidValue, LaunchError, UnknownName
from kit.twin.faults import Fault
from kit.twin.process import TwinProcess, serve_here, start


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def refused(port: int, within_s: float = 10) -> bool:
    """A process counts as ended a moment before the system has closed what it listened on."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.02)
    return False


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")


@needs_proc
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_no_twin_outlives_the_only_process_that_uses_it(
    sig: signal.Signals, tmp_path: Path
) -> None:
    script = textwrap.dedent("""
        import kit, time
        endpoint = kit.connect("twin", quiet=True)
        print(endpoint.server_info()["port"], flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "KIT_TWIN_FOLDER": str(tmp_path / "twins")},  # shared with nobody
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    (pid,) = {
        one.pid
        for one in psutil.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    }
    assert is_running(pid)
    parent.send_signal(sig)
    parent.wait()
    assert gone(pid)
    assert refused(port)


@needs_proc
def test_a_stopped_cell_does_not_stop_the_twin() -> None:
    twin = start(speed=100)
    assert os.getsid(twin.pid) != os.getsid(0)  # Jupyter interrupts a kernel's whole group
    os.kill(twin.pid, signal.SIGINT)
    with urllib.request.urlopen(twin.url + "/health") as answer:
        assert answer.status == 200
    twin.close()
    assert gone(twin.pid)
    assert not twin.alive


def test_it_says_where_it_serves_in_a_line_of_json() -> None:
    argv = [sys.executable, "-m", "kit.twin", "--profile", "b200x8", "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["url"] == f"http://127.0.0.1:{told['port']}"
    assert told["pid"] == process.pid
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_a_port_that_is_taken_is_named_with_a_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for begin in (start, serve_here):
            with pytest.raises(LaunchError) as caught:
                begin(port=port)
            assert str(caught.value).splitlines() == [
                f"port {port} is taken by another program",
                "→ take a free one: kit twin --port 0",
            ]


def test_what_kept_it_from_starting_is_told() -> None:
    with pytest.raises(LaunchError) as caught:
        start("h200x9")
    what, hint = str(caught.value).splitlines()
    assert what == "the twin did not start: no profile called 'h200x9'"
    assert "h200x8" in hint
    with pytest.raises(LaunchError, match="0 times as fast"):
        start(speed=0)


def test_faults_have_names() -> None:
    assert Fault.parse("cut:12") == Fault("cut", 12)
    assert str(Fault.parse("stall")) == "stall:5"
    with pytest.raises(UnknownName, match="no fault called 'cutt'"):
        Fault.parse("cutt")
    with pytest.raises(InvalidValue):
        Fault.parse("cut:soon")


@pytest.fixture(scope="module")
def faulty() -> Iterator[dict[str, TwinProcess]]:
    names = ("refuse", "rate429", "error500", "stall", "cut", "broken")
    with ThreadPoolExecutor() as pool:
        running = dict(zip(names, pool.map(lambda n: start(speed=50, fault=n), names), strict=True))
    yield running
    for twin in running.values():
        twin.close()


def ask(twin: TwinProcess) -> tuple[list[str], Exception | None]:
    """Stream an answer: the pieces that came, and what it failed with."""
    client = openai.OpenAI(base_url=f"{twin.url}/v1", api_key="x", max_retries=0, timeout=1.5)
    pieces: list[str] = []
    try:
        for chunk in client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
        ):
            text = getattr(chunk.choices[0].delta, "reasoning_content", None)
            pieces += [text] if text else []
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        return pieces, error
    return pieces, None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("refuse", openai.AuthenticationError),
        ("rate429", openai.RateLimitError),
        ("error500", openai.InternalServerError),
    ],
)
def test_some_faults_come_before_the_first_word(
    faulty: dict[str, TwinProcess], fault: str, error: type[Exception]
) -> None:
    pieces, failed = ask(faulty[fault])
    assert isinstance(failed, error)
    assert pieces == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("broken", openai.APIError),
        ("cut", httpx2.RemoteProtocolError),
        ("stall", httpx2.ReadTimeout),
    ],
)
def test_others_come_in_the_middle_of_an_answer(
    faulty: dict[str, TwinProcess], fault: str, error: type[Exception]
) -> None:
    pieces, failed = ask(faulty[fault])
    causes = (failed, failed.__cause__ if failed else None)
    assert any(isinstance(cause, error) for cause in causes)
    assert len(pieces) == 5  # steps; the default of a fault that does not say


def test_a_refused_key_is_refused_on_every_path(faulty: dict[str, TwinProcess]) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(faulty["refuse"].url + "/v1/models")
    assert caught.value.code == 401
    assert json.load(caught.value) == {"error": "Unauthorized"}


def test_a_limit_says_when_to_come_back(faulty: dict[str, TwinProcess]) -> None:
    url, headers = faulty["rate429"].url, {"content-type": "application/json"}
    request = urllib.request.Request(url + "/v1/chat/completions", b"{}", headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.headers["retry-after"] == "1"
