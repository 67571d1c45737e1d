"""Watch a model use tools: thinking → call → result → answer, on a timeline, as it happens.

    run = await trace(endpoint, "What's the weather in Beijing?", [get_weather])

While the cell waits, the timeline fills, and Stop works. What is left in a saved notebook, and
all that a headless run shows, is a table and the answer.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from kit.errors import KitError
from kit.tools import Tool, ToolRun, run_tools
from kit.views.frontend import has_page
from kit.views.widgets.stream_widget import EVERY_S
from kit.views.widgets.trace_rows import Rows
from kit.views.widgets.trace_text import bundle

if TYPE_CHECKING:
    from kit.endpoint import Endpoint

STATIC = Path(__file__).parents[1] / "static"


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


class TraceWidget(anywidget.AnyWidget):
    """The timeline in the page. `state` is all of it, sent when a row begins or ends; between,
    messages {row, text, now_s} bring what a row has grown by.
    """

    _esm = STATIC / "trace.js"
    _css = STATIC / "trace.css"

    state = traitlets.Dict().tag(sync=True)

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__(state=state)
        self._loop = asyncio.get_running_loop()
        self.on_stop: Callable[[], None] | None = None
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        return "A live timeline; its text follows."

    def _heard(self, _: object, content: dict[str, Any], __: object) -> None:
        if content.get("kind") == "stop" and self.on_stop:
            self._loop.call_soon_threadsafe(self.on_stop)


class Trace:
    """One run on a timeline."""

    def __init__(self, run: ToolRun) -> None:
        self._run = run
        self.rows = Rows(run.endpoint.speed)
        self.question = _question(run.messages)
        self.status = "running"
        self.error: KitError | None = None
        self._card: TraceWidget | None = None  # only where a page can draw it
        self._sent: dict[int, int] = {}  # row → characters that the page has
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> ToolRun:
        text_id = uuid.uuid4().hex
        if await has_page():
            self._card = TraceWidget(self.state())
            self._card.on_stop = self.stop
            _display(self._card)
        self._task = asyncio.get_running_loop().create_task(self._follow())
        waking = asyncio.get_running_loop().create_task(_keep_waking())
        try:
            await self._task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # the cell, not the Stop button
                if self._card is None:
                    raise
                again = "run the cell again"
                raise KitError("interrupted while the tools were at work", again) from None
        finally:
            waking.cancel()
            _display(bundle(self), text_id)
        if self.error:
            raise self.error
        return self._run

    def stop(self) -> None:
        """What the Stop button does."""
        if self._task:
            self._task.cancel()

    @property
    def ended(self) -> str:
        """How it ended, in a word or two."""
        return self._run.ended or self.status

    @property
    def footing(self) -> str:
        """What the figures are worth, and who wrote the text."""
        return f"{self._run.provenance} — {self.author or 'nobody answered'}"

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
            told = 0
            async for event in self._run:
                turn = self._run.turns[-1]
                if not self.rows.started and turn.asked_s is not None:
                    self.rows.start(turn.asked_s)
                elif len(self._run.turns) > told:
                    self.rows.leave_out(turn.held_s)
                told = len(self._run.turns)
                self._tell(self.rows.add(event))
            self.status = "done"
        except asyncio.CancelledError:
            self.status = "stopped"
            raise
        except KitError as error:
            self.error, self.status = error, "error"
        finally:
            self.rows.stop()
            self._send_all()

    def _tell(self, changed: bool) -> None:
        """News for the page: growing text gathers, everything else is worth the full state."""
        if self._card is None:
            return
        if changed:
            self._send_all()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._send_growth)

    def _send_growth(self) -> None:
        self._timer = None
        for number, row in enumerate(self.rows.rows):
            more = row.text[self._sent.get(number, 0) :]
            if more and self._card:
                self._sent[number] = len(row.text)
                self._card.send({"row": number, "text": more, "now_s": self.rows.time_s()})

    def _send_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._card:
            self._sent = {number: len(row.text) for number, row in enumerate(self.rows.rows)}
            self._card.state = self.state()


def _question(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last thing that the user said."""
    said = [m.get("content") for m in messages if m.get("role") == "user"]
    content = said[-1] if said else ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content or () if "text" in part)


async def _keep_waking() -> None:
    """ipykernel takes an interrupt when its loop next wakes, and a stalled stream wakes nothing."""
    while True:
        await asyncio.sleep(0.2)


def _display(what: TraceWidget | dict[str, str], display_id: str | None = None) -> None:
    from IPython.display import display

    display(what, raw=isinstance(what, dict), display_id=display_id)
