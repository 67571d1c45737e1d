"""What conda, Binder and Docker install, from the lock: environment.yml, binder/requirements.txt.

    python deploy/pins.py        # `make lock` does it too; a test fails where the two differ

Both hold what the course runs on, without the tools of its tests. binder/requirements.txt keeps the
lock's hashes; conda's pip part has none, since it ends with the course itself.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = "qwen35-serving-kit"
BUILDS = ("hatchling", "editables")  # of the tests' tools; they install the course from its clone
CONDA = """\
# conda, mamba or micromamba: `conda env create -f environment.yml`, then `kit lab`.
# Written by deploy/pins.py from requirements.txt: the lock's versions, and what each is for.
# The real SGLang on a GPU has an environment of its own: environment-sglang.yml.
name: qwen35-serving-kit
channels:
  - conda-forge
dependencies:
  - python=3.12  # the version that Binder and the Docker image have too
  - pip          # installs the rest
  - pip:
"""
BINDER = """\
# Written by deploy/pins.py from requirements.txt: the lock, without the tools of the tests.
"""


def purposes(pyproject: str) -> dict[str, str]:
    """Our own dependencies and what each is for, by the comments of pyproject.toml."""
    found = tomllib.loads(pyproject)["project"]
    extras = found["optional-dependencies"]
    wanted = [*found["dependencies"], *extras["pocket"]]
    wanted += [text for text in extras["test"] if text.startswith(BUILDS)]
    comments = dict(re.findall(r'^  "(.+?)",? +# (.+)$', pyproject, re.M))
    return {re.split(r"[^\w.-]", text)[0]: comments[text] for text in wanted}


def locked(lock: str) -> dict[str, list[str]]:
    """Name → the lock's entries of it: one, or one a Python version."""
    entries: dict[str, list[str]] = {}
    for entry in re.split(r"^(?=[a-z0-9])", lock, flags=re.M)[1:]:
        entries.setdefault(entry.split("==")[0], []).append(entry)
    return entries


def wanted_by(entry: str) -> set[str]:
    """The packages that an entry's `# via` names."""
    return set(re.findall(r"^    #(?: via|  ) *([a-z0-9][\w.-]*)", entry, re.M))


def course(entries: dict[str, list[str]], roots: dict[str, str]) -> dict[str, str]:
    """Name → what it is for, of everything that the course needs to run."""
    by = {name: set().union(*map(wanted_by, versions)) for name, versions in entries.items()}
    needed = set(roots)
    while grown := {name for name in by if by[name] & needed} - needed:
        needed |= grown
    return {name: f"for {', '.join(sorted(by[name] & needed))}" for name in needed} | roots


def written() -> dict[str, str]:
    """File name → its text."""
    entries = locked((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    roots = purposes((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = course(entries, roots)
    lines = []
    for name in [*roots, *sorted(needed.keys() - roots.keys())]:
        for entry in entries[name]:
            pin = entry.split(" \\\n")[0]
            quoted = f'"{pin}"' if ";" in pin else pin
            lines.append(f"      - {quoted}  # {needed[name]}\n")
    conda = f"{CONDA}{''.join(lines)}      - --editable .  # the course: the package kit\n"
    kept = "".join("".join(entries[name]) for name in entries if name in needed)
    return {"environment.yml": conda, "binder/requirements.txt": BINDER + kept}


if __name__ == "__main__":
    for file, text in written().items():
        (ROOT / file).write_text(text, encoding="utf-8", newline="\n")
