"""Watch a model use tools: thinking → call → result → answer, on a timeline, as it happens.

    run = await trace(endpoint, "What's the weather in Beijing?", [get_weather])

While the cell waits, the timeline fills, and Stop works. What is left in a saved notebook, and
all that a headless run shows, is a table and the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.tools import Tool, ToolRun, run_tools
from kit.views.live import LiveOutput, Throttle
from kit.views.safe_markdown import escape, inert
from kit.views.widgets.trace_rows import TraceRow, TraceRows

if TYPE_CHECKING:
    from kit.endpoint import Endpoint
    from kit.views.widgets.page_widgets import TraceWidget

STOPPED = "stopped"
_CELL_CHARS = 160
_NAMES = {
    "thinking": "thinks",
    "call": "calls",
    "tool": "result",
    "said": "says",
    "answer": "answers",
    "limit": "stops",
}


async def trace(
    endpoint: Endpoint,
    messages: str | Sequence[Mapping[str, Any]],
    tools: Sequence[Tool | Callable[..., Any]],
    **options: Any,
) -> ToolRun:
    """Run the tool loop and show it; give the run back, with its answer and its conversation.

    `options` go to `run_tools`: thinking, max_steps, timeout_s, approve, temperature, …
    Raises what `run_tools` raises; what had happened stays on the screen. After Stop the run's
    `ended` is None.
    """
    return await Trace(run_tools(endpoint, messages, tools, **options)).run()


class Trace:
    """One run on a timeline."""

    def __init__(self, run: ToolRun) -> None:
        self._run = run
        self.rows = TraceRows(run.endpoint.speed)
        self.question = _question(run.messages)
        self.status = "running"
        self.error: KitError | None = None
        self._live = LiveOutput()
        self._label = ""  # of the provenance, as it was first shown
        self._sent: dict[int, int] = {}  # row → characters that the page has
        self._growth = Throttle(self._send_growth)
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> ToolRun:
        await self._live.open(self._new_widget)
        self._task = asyncio.create_task(self._follow())
        again = "run the cell again"
        interrupted = KitError("interrupted while the tools were at work", again)
        try:
            await self._live.wait(self._task, interrupted)
        finally:
            self._live.end(bundle(self))
        if self.error:
            raise self.error
        return self._run

    def stop(self) -> None:
        """What the Stop button does."""
        if self._task and not self._task.done():
            self.status = STOPPED
            self._task.cancel()

    def _new_widget(self) -> TraceWidget:
        from kit.views.widgets.page_widgets import TraceWidget

        return TraceWidget(self._on_message, state=self.state())

    def _on_message(self, content: dict[str, Any]) -> None:
        if content.get("kind") == "stop":
            self.stop()

    @property
    def ended(self) -> str:
        """How it ended, in a word or two, or in a sentence where the answer is not whole."""
        return self._run.remark or self._run.ended or self.status

    @property
    def footing(self) -> str:
        """What the figures are worth, and who wrote the text."""
        self._label = self._label or self._run.provenance.short
        return f"{self._label} — {self.author or 'nobody answered'}"

    @property
    def author(self) -> str:
        """Who wrote the turns; where one followed another, each of them."""
        return ", then ".join(map(str, self._run.authors))

    def state(self) -> dict[str, Any]:
        """Everything that the page shows."""
        provenance = self._run.provenance
        return {
            "question": self.question,
            "status": self.status,
            "ended": self._run.ended or "",
            "remark": self._run.remark,
            "rows": self.rows.snapshot(),
            "now_s": self.rows.time_s(),
            "rate": self.rows.rate,
            "timed": self.rows.timed,
            "figures": self.figures,
            "kind": str(provenance.kind),
            "source": str(provenance),
            "author": self.author,
            "error": [self.error.what, self.error.hint] if self.error else None,
        }

    @property
    def figures(self) -> str:
        """The counts in a line."""
        requests, calls = len(self._run.turns), len(self._run.results)
        parts = [
            f"{requests} request{'s' * (requests != 1)}",
            f"{calls} tool call{'s' * (calls != 1)}",
        ]
        if self.rows.completion_tokens:
            parts.append(f"{self.rows.prompt_tokens:,} prompt tokens")
            parts.append(f"{self.rows.completion_tokens:,} generated")
        return " · ".join(parts)

    async def _follow(self) -> None:
        try:
            seen = 0
            async for event in self._run:
                turn = self._run.turns[-1]
                if not self.rows.started and turn.asked_s is not None:
                    self.rows.start(turn.asked_s)
                elif len(self._run.turns) > seen:
                    self.rows.leave_out(turn.held_s)
                seen = len(self._run.turns)
                if self.rows.add(event, turn.twin_s):
                    self._send_all()
                elif self._live.widget is not None:  # growing text gathers
                    self._growth()
            self.status = "done"
        except asyncio.CancelledError:
            if self.status != STOPPED:  # not the Stop button: the cell was interrupted
                self.status = STOPPED
                raise
        except KitError as error:
            self.error, self.status = error, "error"
        finally:
            self.rows.stop()
            self._send_all()

    def _send_growth(self) -> None:
        for number, row in enumerate(self.rows.rows):
            more = row.text[self._sent.get(number, 0) :]
            if more:
                self._sent[number] = len(row.text)
                self._live.widget.send({"row": number, "text": more, "now_s": self.rows.time_s()})

    def _send_all(self) -> None:
        self._growth.cancel()
        if self._live.widget is not None:
            self._sent = {number: len(row.text) for number, row in enumerate(self.rows.rows)}
            self._live.widget.state = self.state()


def _question(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last thing that the user said."""
    said = [m.get("content") for m in messages if m.get("role") == "user"]
    content = said[-1] if said else ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content or () if "text" in part)


def bundle(trace: Trace) -> dict[str, str]:
    """The MIME bundle: text/markdown and text/plain."""
    return {"text/markdown": _markdown(trace), "text/plain": _plain(trace)}


def _markdown(trace: Trace) -> str:
    timed = trace.rows.timed
    head = "| at (s) | took (s) | | |\n|---:|---:|---|---|" if timed else "| | |\n|---|---|"
    lines = []
    for row in trace.rows.rows:
        code = row.kind in ("call", "tool")
        what = f"<code>{inert(_cell(row))}</code>" if code else inert(_cell(row))
        times = f"| {row.start_s:.2f} | {row.took_s or 0:.2f} " if timed else ""
        lines.append(f"{times}| {_name(row)} | {what} |")
    parts = [f"**Tool trace** · {escape(_one_line(trace.question))}"]
    if lines:
        parts.append("\n".join([head, *lines]))
    if thoughts := [row.text.strip() for row in trace.rows.rows if row.kind == "thinking"]:
        quoted = "\n".join(f"> {line}" for line in escape("\n\n".join(thoughts)).splitlines())
        parts.append(f"<details><summary>Thinking</summary>\n\n{quoted}\n\n</details>")
    parts += [escape(answer) for answer in _answers(trace)]
    if trace.error:
        parts.append(escape(f"**{trace.error.what}**  \n→ {trace.error.hint}"))
    figures = f"{trace.figures} · ended: {trace.ended}"
    parts.append(f"{escape(figures)}  \n*{escape(trace.footing)}*")
    return "\n\n".join(parts)


def _plain(trace: Trace) -> str:
    lines = [f"Tool trace · {_one_line(trace.question)}"]
    for row in trace.rows.rows:
        at = f"{row.start_s:7.2f} s  {row.took_s or 0:6.2f} s  " if trace.rows.timed else ""
        lines.append(f"{at}{_name(row):<8} {_cell(row)}")
    lines += _answers(trace)
    if trace.error:
        lines.append(str(trace.error))
    lines.append(f"{trace.figures} · ended: {trace.ended}\n{trace.footing}")
    return "\n".join(lines)


def _answers(trace: Trace) -> list[str]:
    """The answers of the last turn, whole; the table has a line of each."""
    answers = (row for row in trace.rows.rows if row.kind == "answer")
    return [row.text.strip() for row in answers if row.step == trace.rows.steps]


def _name(row: TraceRow) -> str:
    return row.problem or _NAMES.get(row.kind, "")


def _cell(row: TraceRow) -> str:
    match row.kind:
        case "call":
            return _one_line(f"{row.title}({row.text})")
        case "tool":
            return _one_line(f"{row.title} → {row.text}")
        case "limit":
            return row.title
    return _one_line(row.text)


def _one_line(text: str) -> str:
    line = " ".join(text[: 4 * _CELL_CHARS].split())
    return line if len(line) <= _CELL_CHARS else line[: _CELL_CHARS - 1] + "…"
