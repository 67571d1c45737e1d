"""Run a command in a network namespace that has only loopback, and count what it tries to send out.

    python tests/trust/loopback_only.py kit run 04

The kernel counts: each connect() or datagram to an address without a route adds one to OutNoRoutes,
of whichever process of the namespace, in whichever language. The name server is one beyond
loopback, so looking up a name counts as well. (Linux; needs user namespaces or root.)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1/8"
NAME_SERVER = "nameserver 192.0.2.1\n"  # TEST-NET-1 of RFC 5737: nobody has it
_ALONE = ("unshare", "--map-root-user", "--net", "--mount")
_LAST = "attempts beyond loopback: "


def possible() -> bool:
    """Whether this system lets us make such a namespace."""
    tools = all(map(shutil.which, ("unshare", "mount", "ip")))
    return tools and subprocess.run([*_ALONE, "true"], capture_output=True).returncode == 0


def run(command: Sequence[str], timeout_s: float = 150) -> tuple[int, int, str]:
    """Exit code, attempts to reach something beyond loopback, and what the command printed."""
    done = subprocess.run(
        [*_ALONE, sys.executable, __file__, "--inside", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    said, _, attempts = done.stdout.rpartition(_LAST)
    return done.returncode, int(attempts), said


def _inside(command: Sequence[str]) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as names:
        names.write(NAME_SERVER)
        names.flush()
        subprocess.run(["mount", "--bind", names.name, "/etc/resolv.conf"], check=True)
        code = subprocess.run(command).returncode
        print(f"{_LAST}{_without_route()}", flush=True)
    return code


def _without_route() -> int:
    """How many packets or connections of this namespace had no route."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    names, values = (line for line in lines if line[0] == "Ip:")
    found = re.search(r"^Ip6OutNoRoutes\s+(\d+)", Path("/proc/net/snmp6").read_text(), re.M)
    return int(values[names.index("OutNoRoutes")]) + int(found[1] if found else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(_inside(sys.argv[2:]))
    os.execvp(_ALONE[0], [*_ALONE, sys.executable, __file__, "--inside", *sys.argv[1:]])
