"""A server as it comes up: each phase of its log, when it was reached, and what it told.

startup(server)               # follows it until it is ready
startup(recorded("start"))    # the same, of a log
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kit.course.sample_logs import Recording, recorded
from kit.errors import LaunchError
from kit.hardware import profile
from kit.launch import LaunchPlan, launch_plan
from kit.provenance import Provenance
from kit.server import Server, command_for, cpu, launch
from kit.server.command import ServerCommand
from kit.server.log import events, lines, phases
from kit.server.processes import free_port
from kit.views.figure import FigureTable
from kit.views.widgets.sliders import _Raw, somebody_is_there

Startable = LaunchPlan | ServerCommand | Recording
RECORDED = "recorded"

_TIME = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_SAYS = {
    "files": "{} files",
    "before_load_gib": "{} GiB free before loading",
    "architecture": "{}",
    "weights_gib": "{} GiB of weights",
    "slots": "{} state slots",
    "ssm_gib": "{} GiB of states",
    "snapshots_gib": "{} GiB of MTP snapshots",
    "kv_tokens": "{} tokens of KV cache",
    "graphs_gib": "{} GiB of graphs",
    "max_running_requests": "{} requests at once",
    "context_len": "contexts of {} tokens",
    "left_gib": "{} GiB left",
    "address": "{}",
}


@dataclass(frozen=True)
class Reached:
    """A phase. `at_s` is since the log's first line, None where it was not reached."""

    about: str
    at_s: float | None = None
    told: tuple[str, ...] = ()

    def __str__(self) -> str:
        when = "–" if self.at_s is None else f"{self.at_s:.0f} s"
        return f"{when:>6}  {self.about:<40} {', '.join(self.told)}".rstrip()


def reached(log: str) -> tuple[Reached, ...]:
    """Every phase that SGLang's log has, in order, with what this one shows of it."""
    first: datetime | None = None
    now_s = 0.0
    seen: dict[str, Reached] = {p.name: Reached(p.about) for p in phases()}
    for line in lines(log):
        if match := _TIME.match(line):
            now = datetime.fromisoformat(match[1])
            first = first or now
            now_s = (now - first).total_seconds()
        for event in events([line]):
            before = seen[event.phase]
            told = dict.fromkeys((*before.told, *_told(event.figures)))
            at_s = now_s if before.at_s is None else before.at_s
            seen[event.phase] = Reached(before.about, at_s, tuple(told))
    return tuple(seen.values())


def what_to_start(asked: str = "") -> Startable:
    """What a lesson can start here, and why: said in a line.

    `asked` is a profile, "cpu-pocket", "cpu-tiny" or "recorded"; empty, the pocket model where
    SGLang for CPUs is installed and somebody is there to watch, else a recording. Raises
    UnknownName; LaunchError where it cannot be started.
    """
    if asked == RECORDED:
        print("A recorded start, as asked.")
        return recorded("start")
    name = asked or (cpu.POCKET if cpu.installed() and somebody_is_there() else "")
    if name in cpu.MODELS:
        print(f"{name}: {cpu.MODELS[name]}.")
        return command_for(name, port=free_port())
    if name:
        print(f"{name}, as asked: the real thing.")
        return launch_plan(profile(name), metrics=True)
    why = "nobody watches" if cpu.installed() else "make sglang-cpu has not been run"
    print(f'A recorded start: {why}. Start the real SGLang with serve = "{cpu.POCKET}".')
    return recorded("start")


def startup(what: Startable | Server) -> Server | None:
    """Start it and show how it comes up; a recording is shown alone, and gives None.

    Raises LaunchError, with what the log tells, where it does not come up.
    """
    from IPython.display import display

    if isinstance(what, Recording):
        display(_Raw(_bundle(reached(what.text), what.provenance)))
        return None
    server = what if isinstance(what, Server) else launch(what)
    label = server.provenance
    shown = display(_Raw(_bundle(reached(""), label)), display_id=True)

    def redraw(_: Any = None, ended: bool = False) -> None:
        shown.update(_Raw(_bundle(reached(server.log_text()), label, ended)))

    try:
        server.wait(redraw)
    except LaunchError:
        server.stop()
        redraw(ended=True)
        raise
    redraw()
    return server


def words(phases: Iterable[Reached], provenance: Provenance, ended: bool = False) -> FigureTable:
    """The phases as a table, under a sentence that says how far it has come, or came."""
    phases = tuple(phases)
    done = [phase for phase in phases if phase.at_s is not None]
    rows = [
        ("✓" if p.at_s is not None else "·", p.about, _at(p.at_s), ", ".join(p.told) or " ")
        for p in phases
    ]
    head = ("", "phase", "after", "it says")
    return FigureTable(_far(done, ended), head, tuple(rows), provenance, folded=False)


def _far(done: list[Reached], ended: bool) -> str:
    if not done:
        return "It ended before its first phase." if ended else "Starting: nothing printed yet."
    last = done[-1]
    if ended:
        return f"It ended after this phase: {last.about}."
    return f"{last.about.capitalize()}, {last.at_s:.0f} s after the first line of its log."


def _at(at_s: float | None) -> str:
    return "–" if at_s is None else f"{at_s:.0f} s"


def _told(figures: dict[str, str]) -> Iterable[str]:
    for name, form in _SAYS.items():
        if name in figures:
            yield form.format(_figure(figures[name]))


def _figure(value: str) -> str:
    """As SGLang printed it, but for thousands and for a toy's 0.00."""
    if value.isdigit():
        return f"{int(value):,}"
    return "under 0.01" if value.lstrip("-") == "0.00" else value


def _bundle(
    phases: tuple[Reached, ...], provenance: Provenance, ended: bool = False
) -> dict[str, str]:
    told = words(phases, provenance, ended)
    plain = "\n".join([*map(str, phases), str(provenance)])
    return {
        "text/html": told._repr_html_(),
        "text/markdown": told._repr_markdown_(),
        "text/plain": plain,
    }
