"""One twin for all processes of a user that ask for the same, for as long as one of them lives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from kit import endpoint
from kit.endpoint import connect
from kit.hardware import SGLANG
from kit.twin import holders, process, shared
from kit.twin.shared import Hold

SETTINGS = ("h200x8", 60.0, "0.5.23")
posix = pytest.mark.skipif(os.name != "posix", reason="users and forks of POSIX")
OTHER = """
import os, sys, time
from kit.twin.shared import held
print(held("h200x8", 60.0, "0.5.23").url, flush=True)
if "fork" in sys.argv and os.fork() == 0:
    os.setsid()
time.sleep(60)
"""


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hold]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(shared.FOLDER, str(tmp_path_factory.mktemp("twins") / "own"))
        taken = shared._take(*SETTINGS)
        assert isinstance(taken, Hold)
        yield taken
        taken.close()
        assert not psutil.pid_exists(taken.pid) or until(lambda: not psutil.pid_exists(taken.pid))


def until(true: Callable[[], bool], within_s: float = 5) -> bool:
    deadline = time.monotonic() + within_s
    while not (said := true()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return said


def another() -> Hold:
    """As a second process would hold it: over a connection of its own."""
    taken = shared._take(*SETTINGS)
    assert isinstance(taken, Hold)
    return taken


def test_who_comes_later_joins_and_who_goes_leaves_it_to_the_others(hold: Hold) -> None:
    second = another()
    assert (second.url, second.pid) == (hold.url, hold.pid)
    assert until(lambda: hold.holders() == 2)
    second.close()
    assert until(lambda: hold.holders() == 1)
    assert not second.alive
    assert hold.alive


@posix
@pytest.mark.parametrize("forks", [False, True], ids=["alone", "with a fork that lives on"])
def test_a_process_that_is_killed_holds_nothing(hold: Hold, forks: bool) -> None:
    argv = [sys.executable, "-c", OTHER, *(["fork"] if forks else [])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == hold.url
        assert until(lambda: hold.holders() == 2)
        children = psutil.Process(other.pid).children()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert until(lambda: hold.holders() == 1)
        for child in children:
            child.kill()


def test_those_that_start_at_once_start_one_and_it_ends_when_nobody_asks_it_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(shared.FOLDER, str(tmp_path / "own"))
    monkeypatch.setenv(process.IDLE_MINUTES, "0.005")
    started = []
    start = process.start_shared
    monkeypatch.setattr(
        process, "start_shared", lambda *settings: started.append(1) or start(*settings)
    )
    with ThreadPoolExecutor(4) as pool:
        holds = list(pool.map(lambda _: another(), range(4)))
    assert len({one.url for one in holds}) == len(started) == 1
    assert until(lambda: not any(one.alive for one in holds))


def test_another_program_cannot_pose_as_the_twin(hold: Hold) -> None:
    """It took the port of one that died: it does not know the key."""
    [record] = shared.private_folder().glob("*.json")
    told = json.loads(record.read_text())
    assert record.stat().st_mode & 0o077 == 0 or record.parent.stat().st_mode & 0o077 == 0
    with socket.create_server(("127.0.0.1", 0)) as port:

        def pose() -> None:
            connection, _ = port.accept()
            asked = connection.recv(4096).decode()
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\ntwin " + asked.split()[-1].encode())
            connection.close()

        threading.Thread(target=pose).start()
        url = f"http://127.0.0.1:{port.getsockname()[1]}"
        record.write_text(json.dumps({**told, "url": url}))
        try:
            assert shared._join(record, record) is None
        finally:
            record.write_text(json.dumps(told))


def test_nobody_holds_it_without_the_key(hold: Hold) -> None:
    for told in ("", f"{os.getpid()} abc {'0' * 64}", "é"):
        request = urllib.request.Request(hold.url + holders.PATH)
        request.add_header("x-kit-hold", told)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(request)
    assert hold.holders() == 1


@posix
def test_a_folder_that_others_may_open_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setenv(shared.FOLDER, str(folder))
    assert shared.private_folder() is None
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv(shared.FOLDER, str(tmp_path / "link"))
    assert shared.private_folder() is None


def test_a_benchmark_waits_for_another_process(
    hold: Hold, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(shared._held, SETTINGS, hold)
    twin = connect("twin", speed=SETTINGS[1], quiet=True)
    other = another()
    theirs = other.measure()
    assert theirs is not None

    async def measure() -> None:
        asyncio.get_running_loop().call_later(0.1, theirs.close)
        with await twin.measuring():
            assert other.measure() is None

    asyncio.run(measure())
    assert capsys.readouterr().out == (
        "another notebook measures on this twin: waiting until it is done\n"
    )
    other.close()


def test_a_twin_of_something_else_on_a_usual_port_is_left_alone(
    hold: Hold, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = int(hold.url.rpartition(":")[2])
    monkeypatch.setattr(endpoint, "_LOCAL_PORTS", (port,))
    for asked in ({}, {"profile": "h200x8"}, {"speed": 60}):
        assert connect(**asked).base_url == hold.url
    capsys.readouterr()
    taken = []
    monkeypatch.setattr(endpoint, "held", lambda *settings: taken.append(settings) or hold)
    connect(profile="b200x8", speed=60)
    assert taken == [("b200x8", 60.0, SGLANG)]
    assert (
        f"because the server on localhost:{port} is a twin of SGLang 0.5.23 on h200x8, clock ×60, "
        f"not SGLang {SGLANG} on b200x8, clock ×60"
    ) in capsys.readouterr().out
