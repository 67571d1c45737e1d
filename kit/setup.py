"""What `make setup` and `make lab` do, and the way in where there is no make.

    python -m kit.setup            # what the course runs on, in .venv
    python -m kit.setup --tests    # the tools of its tests too

KIT_VENV names another folder than `.venv`. Step 1 makes it with uv in it, step 2 fills it from the
hashed lock and adds the course. Only Python's own library is imported: nothing else is there yet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / os.environ.get("KIT_VENV", ".venv")
BIN = VENV / ("Scripts" if sys.platform == "win32" else "bin")
PYTHON = str(BIN / "python")


@dataclass(frozen=True)
class Packages:
    """A lock, and what it takes on Linux x86-64 with Python 3.11 (measured), in MB."""

    lock: str
    ready: str
    download_mb: int
    disk_mb: int


COURSE = Packages("binder/requirements.txt", ".ready-course", download_mb=150, disk_mb=570)
TESTS = Packages("requirements.txt", ".ready", download_mb=230, disk_mb=825)


def main() -> int:
    """0 when the environment is ready; says what it does."""
    if not (ROOT / "requirements.txt").is_file():
        print(f"kit: no lock in {ROOT}\n→ run this in a clone of the course", file=sys.stderr)
        return 2
    packages = TESTS if "--tests" in sys.argv[1:] else COURSE
    if not any(_ready(has) for has in (packages, TESTS)):
        try:
            install(packages)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"kit: {error}\n→ delete {VENV} and run this again", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nkit: interrupted\n→ run this again: it goes on", file=sys.stderr)
            return 130
        (VENV / packages.ready).touch()
    print(f"Ready. Open the course:  {BIN / 'kit'} lab", flush=True)
    return 0


def install(packages: Packages) -> None:
    """Make the environment. Raises CalledProcessError, and OSError for a full disk."""
    print(f"1/2  an environment in {VENV}, with uv", flush=True)
    if not BIN.is_dir():
        venv.create(VENV, with_pip=True)
    uv_lock = VENV / "uv.txt"
    uv_lock.write_text(uv_entry(_text("requirements.txt")), encoding="utf-8")
    quiet = ("--quiet", "--disable-pip-version-check")
    _run(PYTHON, "-m", "pip", "install", *quiet, "--require-hashes", "--no-deps", "-r", uv_lock)
    count = len(re.findall(r"^[a-z0-9].*==", _text(packages.lock), re.M))
    print(
        f"2/2  about {count} packages, by their hashes: {packages.download_mb} MB to download, "
        f"{packages.disk_mb} MB on disk",
        flush=True,
    )
    uv, into = BIN / "uv", ("--quiet", "--python", PYTHON)
    # a sync would remove uv itself, which the lock of the course does not name
    fill = ("sync",) if packages is TESTS else ("install", "-r")
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(done, packages.disk_mb), daemon=True)
    watcher.start()
    try:
        compiled = ("--require-hashes", "--compile-bytecode")
        _run(uv, "pip", fill[0], *into, *compiled, *fill[1:], ROOT / packages.lock)
        _run(uv, "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    finally:
        done.set()
        watcher.join()


def uv_entry(lock: str) -> str:
    """The lock's lines for uv: its version and the hashes of its files."""
    (found,) = re.findall(r"^uv==(?:.*\\\n)*.*", lock, re.M)
    return f"{found}\n"


def _ready(packages: Packages) -> bool:
    """Whether the environment is newer than all that it is made from."""
    ready = VENV / packages.ready
    sources = [ROOT / name for name in (packages.lock, "pyproject.toml")]
    return ready.exists() and ready.stat().st_mtime >= max(s.stat().st_mtime for s in sources)


def _watch(done: threading.Event, expected_mb: int) -> None:
    """How much is there yet: in one line of a terminal, else a line every ten seconds."""
    start, end = ("\r", "") if sys.stdout.isatty() else ("", "\n")
    seconds = 2 if end == "" else 10
    while not done.wait(seconds):
        print(f"{start}     {size_mb(VENV):4} of about {expected_mb} MB", end=end, flush=True)
    if end == "":
        print(f"\r     {size_mb(VENV):4} MB in {VENV.name}" + " " * 20, flush=True)


def size_mb(folder: Path) -> int:
    """Bytes of all files below, in MB; a file that vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total // 10**6


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
