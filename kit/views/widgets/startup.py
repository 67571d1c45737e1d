"""A server as it comes up: each phase of its log, when it was reached, and what it printed.

startup(server)               # follows it until it is ready
startup(recorded("start"))    # the same, of a log
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from kit.errors import LaunchError
from kit.launch import LaunchPlan
from kit.provenance import Provenance
from kit.server import Server, launch
from kit.server.command import ServerCommand
from kit.server.log import events, lines, phases
from kit.views.figure import FigureTable
from kit.views.live import Bundle, Output

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


class RecordedLog(Protocol):
    """A log of a server that ran elsewhere."""

    @property
    def text(self) -> str: ...

    @property
    def provenance(self) -> Provenance: ...


@dataclass(frozen=True)
class PhaseProgress:
    """A phase. `at_s` is since the log's first line, None where it was not reached."""

    about: str
    at_s: float | None = None
    printed: tuple[str, ...] = ()

    @property
    def after(self) -> str:
        return "–" if self.at_s is None else f"{self.at_s:.0f} s"

    def __str__(self) -> str:
        return f"{self.after:>6}  {self.about:<40} {', '.join(self.printed)}".rstrip()


def startup_phases(log: str) -> tuple[PhaseProgress, ...]:
    """Every phase that SGLang's log has, in order, with what this one shows of it."""
    first: datetime | None = None
    now_s = 0.0
    seen: dict[str, PhaseProgress] = {p.name: PhaseProgress(p.about) for p in phases()}
    for line in lines(log):
        if match := _TIME.match(line):
            now = datetime.fromisoformat(match[1])
            first = first or now
            now_s = (now - first).total_seconds()
        for event in events([line]):
            before = seen[event.phase]
            printed = dict.fromkeys((*before.printed, *_printed(event.figures)))
            at_s = now_s if before.at_s is None else before.at_s
            seen[event.phase] = PhaseProgress(before.about, at_s, tuple(printed))
    return tuple(seen.values())


def startup(what: LaunchPlan | ServerCommand | RecordedLog | Server) -> Server | None:
    """Start it and show how it comes up; a recording is shown alone, and gives None.

    Raises LaunchError, with what the log says, where it does not come up.
    """
    output = Output()
    if not isinstance(what, Server | LaunchPlan | ServerCommand):
        output.show(_bundle(startup_phases(what.text), what.provenance, what.provenance.short))
        return None
    server = what if isinstance(what, Server) else launch(what)
    whence, label = server.provenance, server.provenance.short  # the label once, for every redraw
    output.show(_bundle(startup_phases(""), whence, label))

    def redraw(_: Any = None, ended: bool = False) -> None:
        output.show(_bundle(startup_phases(server.log_text()), whence, label, ended))

    try:
        server.wait(redraw)
    except LaunchError:
        server.stop()
        redraw(ended=True)
        raise
    redraw()
    return server


def _far(done: list[PhaseProgress], ended: bool) -> str:
    if not done:
        return "It ended before its first phase." if ended else "Starting: nothing printed yet."
    last = done[-1]
    if ended:
        return f"It ended after this phase: {last.about}."
    return f"{last.about.capitalize()}, {last.at_s:.0f} s after the first line of its log."


def _printed(figures: dict[str, str]) -> list[str]:
    return [form.format(_figure(figures[name])) for name, form in _SAYS.items() if name in figures]


def _figure(value: str) -> str:
    """As SGLang printed it, but for thousands and for a toy's 0.00."""
    if value.isdigit():
        return f"{int(value):,}"
    return "under 0.01" if value.lstrip("-") == "0.00" else value


def _bundle(
    phases: tuple[PhaseProgress, ...], provenance: Provenance, label: str, ended: bool = False
) -> Bundle:
    """The phases as a table, under a sentence that says how far it has come, or came."""
    done = [phase for phase in phases if phase.at_s is not None]
    rows = tuple(
        ("·" if p.at_s is None else "✓", p.about, p.after, ", ".join(p.printed) or " ")
        for p in phases
    )
    head = ("", "phase", "after", "it says")
    table = FigureTable(_far(done, ended), head, rows, provenance, folded=False)
    return {
        "text/html": table.html(label),
        "text/markdown": table.in_markdown(label),
        "text/plain": "\n".join([*map(str, phases), label]),
    }
