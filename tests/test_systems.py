"""A learner needs nothing that only Linux has; docs/where-it-runs.md lists what does."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit.cli import main

ROOT = Path(__file__).parents[1]
LIKE_WINDOWS = ROOT / "tests" / "windows_like"


def run(*arguments, check=True):
    """A Python as on Windows, with a console of code page 1252."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KIT_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(LIKE_WINDOWS), str(ROOT)]),
        "PYTHONIOENCODING": "cp1252",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment, capture_output=True, encoding="cp1252", timeout=120, check=check,
    )  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "import fcntl",
        "import os; os.fork",
        "import signal; signal.SIGKILL",
        "import select; select.epoll",
        "import ctypes; ctypes.CDLL(None)",
        "open('/proc/self/stat')",
        "from pathlib import Path; Path('/proc/cpuinfo').read_text()",
        "print('→' * 2)",
    ],
)
def test_what_windows_lacks_is_hidden(code):
    assert run("-c", code, check=False).returncode == 1


def test_a_question_is_answered():
    done = run("-m", "kit.cli", "chat", "--url", "twin", "--speed", "50", "What is 15% of 240?")
    assert "36" in done.stdout
    assert "simulated" in done.stdout


def test_a_large_picture_is_no_trouble():
    """Its memory is given back by a function that Windows has not."""
    done = run("-c", "from kit.twin.workers import trim; trim(); print('done')")
    assert done.stdout == "done\n"


def test_a_twin_is_measured_and_its_figures_are_those_of_fine_timers(capsys):
    """Its steps of 4 ms are shorter than a tick; what is reported is the twin's own time."""
    workload = ["--input-len", "64", "--output-len", "60", "--num-prompts", "4", "--seed", "1"]
    workload += ["--max-concurrency", "2", "--range-ratio", "1"]
    bench = ("bench", "--url", "twin", "--profile", "h200x8", *workload, "--json")
    found = json.loads(run("-m", "kit.cli", *bench).stdout)
    assert main(["predict", "h200x8", *workload, "--json"]) == 0
    wanted = json.loads(capsys.readouterr().out)
    assert found["completed"] == 4
    assert found["median_tpot_ms"] == pytest.approx(wanted["median_tpot_ms"], rel=0.25)


def attributes_that_windows_lacks():
    """Names like os.fork, and modules."""
    text = (LIKE_WINDOWS / "sitecustomize.py").read_text()
    lists = {
        name: set(words.split()) for name, words in re.findall(r'^(\w+) = "+([^"]*)"', text, re.M)
    }
    names = {f"os.{name}" for name in lists["OF_OS"]} | {"os.uname", "os.WNOHANG", "os.statvfs"}
    names |= {f"signal.{name}" for name in lists["OF_SIGNAL"]}
    names |= {"select.epoll", "select.poll", "selectors.EpollSelector", "socket.AF_UNIX"}
    names |= {"select.select"}  # there, for sockets alone
    return names, lists["MODULES"]


# Of asyncio's loop, where it is Windows' own; and of subprocess.
METHODS = {"add_reader", "add_writer", "add_signal_handler", "create_unix_server"}
KEYWORDS = {"preexec_fn", "pass_fds"}


def uses(path):
    """What a module names that Windows lacks."""
    names, modules = attributes_that_windows_lacks()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.attr
        if isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            yield node.arg
        if isinstance(node, ast.Call) and ast.unparse(node) == "ctypes.CDLL(None)":
            yield "ctypes.CDLL(None)"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (name := f"{node.value.id}.{node.attr}") in names:
                yield name
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            yield node.module
        elif isinstance(node, ast.Constant) and str(node.value).startswith("/proc/"):
            yield "/proc"


def test_what_only_linux_has_is_on_the_list():
    page = (ROOT / "docs" / "where-it-runs.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(kit/[\w/]+\.py)` \| (.+?) \|", page, re.M))
    used = {}
    for path in sorted((ROOT / "kit").rglob("*.py")):
        if found := set(uses(path)):
            used[path.relative_to(ROOT).as_posix()] = found
    assert set(used) == set(listed)
    for file, names in used.items():
        assert names == set(re.findall(r"`([^`]+)`", listed[file])), file


def test_every_text_file_is_opened_in_an_encoding_that_is_named():
    """The default is the system's: code page 1252 on many a Windows."""
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--preview", "--no-cache"]
    done = subprocess.run(
        [*ruff, "--select", "PLW1514", "kit", "notebooks"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
