"""Ctrl-C, kill and a full disk: what was started ends, at once, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kit.errors import LaunchError
from kit.server import preflight, registry, server
from kit.server.command import ServerCommand
from kit.server.processes import free_port, members
from kit.twin.shared import FOLDER

KIT = [sys.executable, "-m", "kit.cli"]
FELT_S = 1.0
SHORT = ["--speed", "100", "--input-len", "9", "--output-len", "900", "--num-prompts", "4000"]
COMMANDS = {
    "chat": [*KIT, "chat", "--url", "twin", "hi"],
    "bench": [*KIT, "bench", "--url", "twin", *SHORT, "--max-concurrency", "2"],
    "twin": [*KIT, "twin", "--port", "0"],
}


def until(what: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait for something; how long it took. A busy machine is given more time."""
    began_s = time.monotonic()
    while not what():
        busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert time.monotonic() - began_s < seconds * busy, "it did not come"
        time.sleep(0.01)
    return time.monotonic() - began_s


def started(argv: list[str], **more) -> subprocess.Popen[str]:
    """A process that shares its twin with no other test."""
    own = {**os.environ, FOLDER: tempfile.mkdtemp(dir=os.environ[FOLDER])}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **{"env": own, **more}
    )


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def alive(found: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def ended(argv: list[str], number: signal.Signals, after_s: float) -> tuple[int, str, float]:
    """Exit status, standard error and seconds from a signal to the end; nothing is left."""
    process = started(argv)
    if argv != COMMANDS["twin"]:
        until(lambda: descendants(process) or process.poll() is not None)
    else:
        until(lambda: process.stdout.readline())
    time.sleep(after_s)
    found = descendants(process)
    began_s = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    took_s = time.monotonic() - began_s
    until(lambda: not alive(found), 5)
    return process.returncode, said, took_s


@pytest.mark.parametrize("after_s", [0.0, 0.1], ids=["at once", "while it starts"])
def test_ctrl_c_is_felt_while_a_twin_starts(after_s):
    code, said, took_s = ended(COMMANDS["chat"], signal.SIGINT, after_s)
    assert code == 130
    assert said.strip().endswith("stopped")
    assert "Traceback" not in said
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert took_s < FELT_S * busy  # 20 s before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_command_that_is_killed(number):
    ended(COMMANDS["bench"], number, 0.5)


@pytest.mark.trust_long
def test_thirty_deaths_leave_nothing():
    """Commands × signals × moments."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    slowest: dict[str, float] = {}
    cycles = 0
    for name, argv in COMMANDS.items():
        for number in signals:
            for after_s in (0.0, 0.2, 1.0, 2.5):
                code, said, took_s = ended(argv, number, after_s)
                cycles += 1
                assert "Traceback" not in said, (name, number, after_s, said)
                assert code in (0, 130, -number, 1), (name, code)
                if number is signal.SIGINT:
                    slowest[name] = max(slowest.get(name, 0.0), took_s)
    told = ", ".join(f"kit {name} {took_s:.2f} s" for name, took_s in slowest.items())
    print(f"\n{cycles} deaths, nothing left; slowest from Ctrl-C to the end: {told}")


FORKS = """
import json, os, sys, time
from kit.twin.process import start
twin = start("b200x8")
if os.fork() == 0:  # as multiprocessing does: the child holds the pipe to the twin as well
    time.sleep(60)
    os._exit(0)
print(json.dumps({"twin": twin.pid}), flush=True)
time.sleep(60)
"""


def test_a_twin_ends_with_its_owner_though_a_fork_of_the_owner_lives():
    owner = started([sys.executable, "-c", FORKS])
    twin = psutil.Process(json.loads(owner.stdout.readline())["twin"])
    forks = [p for p in descendants(owner) if p.pid != twin.pid]
    owner.kill()
    owner.wait()
    try:
        until(lambda: not alive([twin]), 3)
        assert alive(forks)
    finally:
        for fork in forks:
            fork.kill()
        owner.communicate()


@pytest.fixture
def a_server(monkeypatch, tmp_path):
    """A command of a server that outlives its owner, as those on GPUs do."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(preflight, "preflight", lambda command: ())
    argv = (sys.executable, "-c", "import time; time.sleep(300)")
    return ServerCommand("fake", argv, "127.0.0.1", free_port(), "0.5.23", ".", 0.0)


def groups(argv: tuple[str, ...]) -> list[int]:
    found = psutil.process_iter(["cmdline"])
    return [p.pid for p in found if p.info["cmdline"] == list(argv)]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_server_that_cannot_be_noted_is_ended(a_server, monkeypatch, problem):
    """Eight GPUs would be held by a server that `kit stop` does not know."""

    def full(path: Path, text: str) -> None:
        raise problem

    a_server = ServerCommand(**{**vars(a_server), "argv": (*a_server.argv, str(os.getpid()))})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(problem))
    with pytest.raises((LaunchError, KeyboardInterrupt)) as caught:
        server.launch(a_server)
    assert len(str(caught.value).splitlines()) in (0, 2)
    assert groups(a_server.argv) == []
    assert server.running() == ()


def test_a_registry_of_any_bytes_is_no_error(a_server):
    folder = registry.folder()
    folder.mkdir(parents=True)
    for port, text in enumerate((b"\xff", b"[]", b"{", b"[" * 100_000, b"null", b'{"title": 1}')):
        (folder / f"server-{port}.json").write_bytes(text)
    entry = {"title": 1, "url": [], "port": "x", "group": "y", "group_started": 0, "log": 0}
    (folder / "server-99.json").write_text(json.dumps({**entry, "stop_argv": []}))
    assert server.running() == ()


def test_a_server_ends_with_what_it_started(a_server):
    with server.launch(a_server) as running:
        assert members(running.group)
    assert not members(running.group)
