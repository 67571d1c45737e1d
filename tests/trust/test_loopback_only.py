"""Where nothing is beyond loopback, the course runs, and tries to reach nothing there.

The kernel of the namespace counts the attempts, of every process in it: see loopback_only.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from . import loopback_only

pytestmark = [
    pytest.mark.trust_long,
    pytest.mark.skipif(not loopback_only.possible(), reason="no network namespaces here"),
]
KIT = (sys.executable, "-m", "kit.cli")
OPENS = """
import subprocess, sys, time, urllib.request
port, url = sys.argv[1], f"http://127.0.0.1:{sys.argv[1]}/lab?token=t"
lab = subprocess.Popen([
    sys.executable, "-m", "kit.cli", "lab", sys.argv[2], "--", "--no-browser", f"--port={port}",
    "--ServerApp.port_retries=0", "--IdentityProvider.token=t",
])
try:
    for _ in range(120):
        try:
            assert b"jupyter-config-data" in urllib.request.urlopen(url, timeout=5).read()
            break
        except OSError:
            assert lab.poll() is None
            time.sleep(0.5)
    else:
        sys.exit("it did not open")
finally:
    lab.terminate()
    lab.wait(20)
"""


def test_an_attempt_counts_whoever_makes_it() -> None:
    tries = (
        "import socket\n"
        "for family, address in ((2, '203.0.113.7'), (10, '2001:db8::7')):\n"
        "    socket.socket(family).connect_ex((address, 443))\n"
        "socket.socket(2, 2).connect_ex(('203.0.113.7', 53))\n"
    )
    assert loopback_only.run([sys.executable, "-c", tries])[:2] == (0, 3)
    assert loopback_only.run([sys.executable, "-c", "pass"])[:2] == (0, 0)
    _, attempts, _ = loopback_only.run(["getent", "hosts", "example.org"])  # not Python's doing
    assert attempts > 0


@pytest.mark.parametrize("command", [("doctor", "--json"), ("chat", "What is 15% of 240?")])
def test_the_command_line_asks_nobody(command: tuple[str, ...]) -> None:
    _, attempts, said = loopback_only.run([*KIT, *command])
    assert attempts == 0, said
    assert "Traceback" not in said


def test_the_lab_opens_and_asks_nobody(tmp_path: Path) -> None:
    code, attempts, said = loopback_only.run(
        [sys.executable, "-c", OPENS, "8899", str(tmp_path / "course")], timeout_s=120
    )
    assert code == 0, said
    assert attempts == 0, said


def test_a_lesson_runs_and_asks_nobody(tmp_path: Path) -> None:
    """The one with pictures: they could come from the web."""
    code, attempts, said = loopback_only.run([*KIT, "run", "05", "--out", str(tmp_path)])
    assert code == 0, said
    assert attempts == 0, said
