"""All checks within a time limit, and what they mean for each lesson."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from kit import page
from kit.course.doctor import checks, gpus, in_page, packages
from kit.course.doctor.machine import COMPUTED, EVERY, Finding, Machine, Serves
from kit.course.lessons import lessons
from kit.endpoint import TWIN
from kit.errors import KitError, visible
from kit.provenance import Provenance, measured

if TYPE_CHECKING:
    from kit.views.figure import FigureTable

Check = Callable[[Machine], Finding]
Runs = Literal["here", "twin", "server", "no"]

WITHIN_S = 3.5  # the whole of it; the interpreter's start comes on top
QUICK_S = 0.7
REPORT = "this check is at fault: report the line to the course's authors, and go on"
NEEDED = ("Python", "packages", "loopback", "disk", "memory", "server")  # by lessons
MARKS = {"ok": "✓", "warn": "!", "fail": "✗", "unknown": "?"}
WORST_FIRST = ("fail", "unknown", "warn", "ok")
_RUNS: Mapping[str, Runs] = {"live": "server", "twin": "twin"}
WHERE = {"here": "here, computed", "twin": "on the twin", "server": "on your server"}

QUICK: Mapping[str, Check] = {
    "Python": packages.python,
    "packages": partial(packages.packages, beneath=False),
    "loopback": checks.loopback,
    "notebooks": checks.notebooks,
    "disk": checks.disk,
    "memory": checks.memory,
    "proxies": checks.proxies,
    **{f"port {number}": partial(checks.port, number=number) for number in checks.PORTS},
}
FULL: Mapping[str, Check] = {
    **QUICK,
    "packages": packages.packages,
    "server": checks.endpoint,
    "GPU": gpus.gpus,
    "SGLang": checks.sglang,
    "pocket model": checks.pocket,
    "checkpoints": checks.checkpoints,
    "docker": checks.docker,
    "browser for tests": checks.browser,
}


@dataclass(frozen=True)
class Lesson:
    """Where a lesson runs: computed here, on the twin, on the reader's server, or not at all.
    `needs` is what it lacks where it does not run, or shows less than it could."""

    lesson: str
    runs: Runs
    needs: str = ""

    def to_json(self) -> dict[str, str]:
        return {"lesson": self.lesson, "runs": self.runs, "needs": self.needs}


@dataclass(frozen=True)
class Report:
    """What was found, and which lessons run. Shows itself as text."""

    checks: tuple[Finding, ...]
    lessons: tuple[Lesson, ...]

    @property
    def provenance(self) -> Provenance:
        return measured("this machine, looked at by kit doctor")

    @property
    def fine(self) -> bool:
        """Whether every lesson runs."""
        return all(lesson.runs != "no" for lesson in self.lessons)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is not as it should be, the worst first."""
        found = [one for one in self.checks if one.status != "ok"]
        return tuple(sorted(found, key=lambda one: WORST_FIRST.index(one.status)))

    @property
    def summary(self) -> str:
        """One line: do the lessons run, and on what."""
        stopped = [one.lesson[:2] for one in self.lessons if one.runs == "no"]
        if stopped:
            return f"{len(stopped)} of {len(self.lessons)} lessons do not run: {', '.join(stopped)}"
        on = "your server" if any(one.runs == "server" for one in self.lessons) else "the twin"
        unsure = any(one.status == "unknown" and one.name in NEEDED for one in self.checks)
        sure = ", as far as could be checked" if unsure else ""
        return f"all {len(self.lessons)} lessons run here, on {on}{sure}"

    def first_lines(self) -> str:
        """The problems, or one line that says that there are none."""
        failed = [line for one in self.problems for line in _lines(one)]
        return "\n".join([*failed, self.summary])

    def to_json(self) -> dict[str, Any]:
        return {
            "checks": [one.to_json() for one in self.checks],
            "lessons": [one.to_json() for one in self.lessons],
            "provenance": self.provenance.to_json(),
        }

    def __str__(self) -> str:
        good = [line for one in self.checks if one.status == "ok" for line in _lines(one)]
        return "\n".join([self.first_lines(), "", *good, "", *self._where(), f"{self.provenance}"])

    __repr__ = __str__

    def _where(self) -> Iterator[str]:
        """The lessons by where they run, and each that needs something."""
        for runs, words in WHERE.items():
            if numbers := [one.lesson[:2] for one in self.lessons if one.runs == runs]:
                yield f"{words}: lessons {', '.join(numbers)}"
        for one in self.lessons:
            if one.needs:
                yield f"lesson {one.lesson[:2]}: {one.needs}"

    def table(self) -> FigureTable:
        """The same for a page."""
        from kit.views.figure import FigureTable

        ordered = (*self.problems, *(one for one in self.checks if one.status == "ok"))
        return FigureTable(
            f"{self.summary[0].upper()}{self.summary[1:]}.",
            ("status", "what", "found", "to type"),
            tuple((one.status, one.name, one.found, one.remedy) for one in ordered),
            self.provenance,
            folded=self.fine,
        )


def examine(
    machine: Machine | None = None, quick: bool = False, within_s: float | None = None
) -> Report:
    """Look at the machine. `quick` leaves out what may take longer than a second.

    Each check runs in a thread of its own: one that hangs, or breaks, becomes a row that says so.
    """
    here = machine or Machine()
    if page.HERE:
        found_here: dict[str, Finding] = {}
        for name, check in in_page.CHECKS.items():
            _look(name, check, here, found_here)
        rows = tuple(found_here.values())
        return Report(rows, tuple(_lessons(rows, here)))
    chosen = QUICK if quick else FULL
    found: dict[str, Finding] = {}
    threads = {
        name: threading.Thread(target=_look, args=(name, check, here, found), daemon=True)
        for name, check in chosen.items()
    }
    for thread in threads.values():
        thread.start()
    limit_s = within_s or (QUICK_S if quick else WITHIN_S)
    until_s = time.monotonic() + limit_s
    for thread in threads.values():
        thread.join(max(0.0, until_s - time.monotonic()))
    late = f"could not be checked: no answer within {limit_s:g} s"
    again = "kit doctor" + ("" if quick else ", when the machine is less busy")
    rows = tuple(found.get(name) or Finding(name, "unknown", late, again) for name in chosen)
    return Report(rows, tuple(_lessons(rows, here)))


def panel() -> FigureTable | Report:
    """What `kit doctor` finds, as a table for a page; as text where a table cannot be drawn."""
    report = examine()
    try:
        return report.table()
    except ImportError:
        return report


def _look(name: str, check: Check, machine: Machine, found: dict[str, Finding]) -> None:
    try:
        found[name] = check(machine)
    except KitError as problem:
        what = f"could not be checked: {problem.what}"
        found[name] = Finding(name, "unknown", what, problem.hint)
    except Exception as problem:  # noqa: BLE001, whatever it is: it is what this row says
        said = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
        found[name] = Finding(name, "unknown", f"could not be checked: {said}", REPORT)


def _lessons(rows: tuple[Finding, ...], machine: Machine) -> Iterator[Lesson]:
    """What the findings mean for each lesson."""
    on = _taken(rows, machine.environ.get("KIT_BASE_URL", ""))
    for lesson in _names():
        number = lesson[:2]
        bad = [one for one in rows if one.status == "fail" and number in one.stops]
        if bad:
            needs = "; ".join(f"{one.name}: {one.remedy}" for one in bad)
            yield Lesson(lesson, "no", needs)
        else:
            more = " ".join(one.more for one in rows if number in one.shows_more)
            yield Lesson(lesson, "here" if number in COMPUTED else on, more)


def _taken(rows: tuple[Finding, ...], named: str) -> Runs:
    """The server that lessons take, by `connect`'s order: the one that is named, then a port."""
    if named:
        return "twin" if named == TWIN else _RUNS[_serves(rows, "server") or "live"]
    first = next(filter(None, (_serves(rows, f"port {n}") for n in checks.PORTS)), "")
    return _RUNS[first or "twin"]


def _serves(rows: tuple[Finding, ...], name: str) -> Serves:
    return next((one.serves for one in rows if one.name == name), "")


def _names() -> list[str]:
    """The lessons by name; by number where their notebooks are not here."""
    try:
        return [lesson.stem for lesson in lessons()]
    except KitError:
        return list(EVERY)


def _lines(one: Finding) -> Iterator[str]:
    """A finding in a line, and what to type under it."""
    yield visible(f"{MARKS[one.status]} {one.name}: {one.found}")
    for line in one.remedy.splitlines():
        yield f"  → {visible(line)}"
