"""Events of a tool loop become rows on a timeline: thinking, call, result, answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from kit.chat import Answer, Finish, Thinking, ToolCall, Usage, WasThinking
from kit.tools import StepLimit, ToolEvent, ToolResult, ToolStarted
from kit.views.reply import TRUSTED_SPEED

_SHOWN_CHARS = 4000  # of arguments and results; the conversation has them whole


@dataclass
class TraceRow:
    """One thing that happened. `kind` is thinking, said (words before a call), call, tool, answer
    or limit; times are seconds since the question, `end_s` None while it goes on.
    """

    kind: str
    step: int
    title: str
    start_s: float
    end_s: float | None = None
    text: str = ""
    problem: str = ""

    @property
    def took_s(self) -> float | None:
        return None if self.end_s is None else self.end_s - self.start_s


@dataclass
class TraceRows:
    """The rows that events add up to. The model's times are by a twin's own clock where it says
    them, else this computer's, scaled by the twin's `speed`; a tool takes the time that it takes.
    """

    speed: float = 1.0
    now_s: Callable[[], float] = time.perf_counter
    rows: list[TraceRow] = field(default_factory=list)
    steps: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _clock_s: float = 0.0
    _stamp_s: float | None = None
    _asked_s: float = 0.0  # when the present turn was asked for, since the question
    _by_twin: bool = False
    _turn_over: bool = False
    _current: TraceRow | None = None  # thinking or answer that goes on
    _calls: dict[int, TraceRow] = field(default_factory=dict)
    _running: dict[tuple[int, str], TraceRow] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        """Whether the times mean anything."""
        return self._by_twin or self.speed <= TRUSTED_SPEED

    @property
    def rate(self) -> float:
        """How fast the clock runs now, against this machine's."""
        return 1.0 if self._running else self.speed

    def start(self, asked_s: float) -> None:
        """When the question went out, by the clock that `now_s` reads."""
        self._stamp_s = asked_s

    def leave_out(self, held_s: float) -> None:
        """Time that the simulated machine does not take: a twin's text had to be written first."""
        if self._stamp_s is not None:
            self._stamp_s += held_s

    @property
    def started(self) -> bool:
        return self._stamp_s is not None

    def time_s(self) -> float:
        """Seconds since the question."""
        if self._stamp_s is not None:
            now = self.now_s()
            self._clock_s += (now - self._stamp_s) * self.rate
            self._stamp_s = now
        return self._clock_s

    def _set(self, twin_s: float) -> float:
        """It is `twin_s` after the turn was asked for, says the twin."""
        self._by_twin = True
        self._clock_s = self._asked_s + twin_s
        self._stamp_s = self.now_s()
        return self._clock_s

    def add(self, event: ToolEvent, twin_s: float | None = None) -> bool:
        """Take an event; True where a row began, ended or changed its kind. `twin_s` is when it
        was due by a twin's clock, in seconds since its turn was asked for."""
        of_tool = isinstance(event, ToolStarted | ToolResult | StepLimit)
        at = self.time_s() if of_tool or twin_s is None else self._set(twin_s)
        match event:
            case Thinking(text) | Answer(text):
                return self._grow("thinking" if isinstance(event, Thinking) else "answer", text, at)
            case WasThinking():
                if self._current:
                    self._current.kind = self._current.title = "thinking"
                    self._end_text(at)
            case ToolCall():
                return self._call(event, at)
            case Finish():
                self._end_text(at)
                self._calls.clear()
                self._turn_over = True
            case Usage():
                self.prompt_tokens += event.prompt_tokens
                self.completion_tokens += event.completion_tokens
                return False
            case ToolStarted():
                row = self._open("tool", event.name, at)
                self._running[event.step, event.id] = row
            case ToolResult():
                self._result(event, at)
            case StepLimit(steps):
                self._open("limit", f"stopped after {steps} rounds of calls", at).end_s = at
        return True

    def stop(self) -> None:
        """Nothing more comes: what was going on ends here."""
        at = self.time_s()
        for row in self.rows:
            if row.end_s is None:
                row.end_s = at

    def snapshot(self) -> list[dict[str, Any]]:
        """The rows for a page."""
        return [asdict(row) | {"text": _clipped(row)} for row in self.rows]

    def _grow(self, kind: str, text: str, at: float) -> bool:
        self._next_turn()
        if self._current and self._current.kind == kind:
            self._current.text += text
            return False
        if not text.strip():  # the blank lines between the parts
            return False
        self._end_text(at)
        self._current = self._open(kind, kind, at)
        self._current.text = text.lstrip()
        return True

    def _call(self, call: ToolCall, at: float) -> bool:
        self._next_turn()
        self._end_text(at)
        row = self._calls.get(call.index)
        is_new = row is None
        if row is None:
            for earlier in self.rows:
                if earlier.kind == "answer" and earlier.step == self.steps:
                    earlier.kind = "said"
            row = self._calls[call.index] = self._open("call", call.name, at)
        row.title, row.text = call.name, call.arguments
        if call.done and row.end_s is None:
            row.end_s = at
        return is_new or call.done

    def _result(self, result: ToolResult, at: float) -> None:
        row = self._running.pop((result.step, result.id), None)
        row = row or self._open("tool", result.name, at)
        row.end_s, row.text = at, result.content
        self._asked_s = at  # the next turn is asked for when all of them are here
        row.problem = str(result.problem or "")

    def _next_turn(self) -> None:
        if self._turn_over:
            self.steps += 1
            self._turn_over = False

    def _open(self, kind: str, title: str, at: float) -> TraceRow:
        row = TraceRow(kind, self.steps, title, at)
        self.rows.append(row)
        return row

    def _end_text(self, at: float) -> None:
        if self._current:
            self._current.end_s = at
            self._current = None


def _clipped(row: TraceRow) -> str:
    if row.kind not in ("call", "tool") or len(row.text) <= _SHOWN_CHARS:
        return row.text
    return f"{row.text[:_SHOWN_CHARS]}… ({len(row.text):,} characters)"
