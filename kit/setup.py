"""What `make setup` does, where there is no make: `python -m kit.setup`, in the clone.

Step 1 makes `.venv` with uv in it, step 2 fills it from the hashed lock and adds the course. Only
Python's own library is imported: nothing else is installed yet.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if sys.platform == "win32" else "bin")
PYTHON = str(BIN / "python")
SOURCES = ("requirements.txt", "pyproject.toml")


def main() -> int:
    """0 when the environment is ready; says what it does."""
    if not (ROOT / "requirements.txt").is_file():
        print(f"kit: no lock in {ROOT}\n→ run this in a clone of the course", file=sys.stderr)
        return 2
    if sys.version_info < (3, 11):  # noqa: UP036  no installer has checked it before this one
        print("kit: Python 3.11 or newer is needed\n→ py -3.12 -m kit.setup", file=sys.stderr)
        return 2
    ready = VENV / ".ready"
    newest = max((ROOT / name).stat().st_mtime for name in SOURCES)
    if not ready.exists() or ready.stat().st_mtime < newest:
        try:
            install()
        except subprocess.CalledProcessError as error:
            print(f"kit: {error}\n→ delete {VENV} and run this again", file=sys.stderr)
            return 2
        ready.touch()
    print(f"Ready. Open the course:  {BIN / 'kit'} lab")
    return 0


def install() -> None:
    """Make the environment. Raises CalledProcessError."""
    print(f"1/2 an environment in {VENV}, with uv", flush=True)
    if not BIN.is_dir():
        venv.create(VENV, with_pip=True)
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (found,) = re.findall(r"^uv==(?:.*\\\n)*.*", lock, re.M)
    uv_lock = VENV / "uv.txt"
    uv_lock.write_text(found + "\n", encoding="utf-8")
    quiet = ("--quiet", "--disable-pip-version-check")
    _run(PYTHON, "-m", "pip", "install", *quiet, "--require-hashes", "--no-deps", "-r", uv_lock)
    print("2/2 the packages of requirements.txt, by their hashes, and the course", flush=True)
    uv, into = BIN / "uv", ("--quiet", "--python", PYTHON)
    lock_file = ROOT / "requirements.txt"
    _run(uv, "pip", "sync", *into, "--require-hashes", "--compile-bytecode", lock_file)
    _run(uv, "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable", ROOT)


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
