"""The card in the page: what it knows, and how news of a stream reach it.

Two ways lead to the front end. `state` is a synced trait: everything about every pane, sent when
something begins or ends. Between, what arrives goes as small messages, because a trait would
send the whole text each time, and because jupyter_server drops messages above 1,000 per second
for good: the full text at the end repairs whatever was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parents[1] / "static"

EVERY_S = 0.08
"""A message is due when this much time has passed …"""
EVERY_TOKENS = 20
"""… or this many pieces have come, whichever is first: twelve per second look fluent."""


class StreamWidget(anywidget.AnyWidget):
    """The widget. `deck`: prompt, thinking, fixed (no toggle), panes. `state`: a dict a pane.

    Made in the cell's event loop, and there its handlers run: JupyterLab sends what widgets say
    to a thread of its own (a subshell), from which no task can be cancelled or begun.
    """

    _esm = STATIC / "card.js"
    _css = STATIC / "card.css"

    deck = traitlets.Dict().tag(sync=True)
    state: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, deck: dict[str, Any], state: list[dict[str, Any]]) -> None:
        super().__init__(deck=deck, state=state)
        self._loop = asyncio.get_running_loop()
        self.on_ask: Callable[[str, bool | None], None] | None = None
        self.on_stop: Callable[[], None] | None = None
        self.on_ready: Callable[[], None] | None = None
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        return "A live card; its text follows."

    def _heard(self, _: object, content: dict[str, Any], __: object) -> None:
        self._loop.call_soon_threadsafe(self._act, content)

    def _act(self, content: dict[str, Any]) -> None:
        match content:
            case {"kind": "ready"} if self.on_ready:
                self.on_ready()
            case {"kind": "ask", "prompt": str(prompt), "thinking": thinking} if self.on_ask:
                self.on_ask(prompt, thinking)
            case {"kind": "stop"} if self.on_stop:
                self.on_stop()


class Outbox:
    """Gathers what streams into one pane, and sends it when it is due.

    `figures()` gives (thinking tokens, answer tokens, TTFT in ms, tokens/s) for the message.
    """

    def __init__(
        self,
        card: StreamWidget,
        pane: int,
        figures: Callable[[], tuple[int, int, float | None, float | None]],
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._card = card
        self._pane = pane
        self._figures = figures
        self._now_s = now_s
        self._thinking: list[str] = []
        self._answer: list[str] = []
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def thinking(self, text: str) -> None:
        self._thinking.append(text)
        self._maybe()

    def answer(self, text: str) -> None:
        self._answer.append(text)
        self._maybe()

    def _maybe(self) -> None:
        waiting = len(self._thinking) + len(self._answer)
        if waiting >= EVERY_TOKENS or self._now_s() >= self._due_s:
            self.flush()
        elif self._timer is None:  # the stream may pause: what has come must not wait for more
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Send what has gathered."""
        if not (self._thinking or self._answer):
            return
        thinking, answer, ttft_ms, rate = self._figures()
        message: dict[str, Any] = {"p": self._pane}
        if self._thinking:
            message["t"] = "".join(self._thinking)
        if self._answer:
            message["a"] = "".join(self._answer)
        message["n"] = [thinking, answer]
        message["r"] = [ttft_ms and round(ttft_ms), rate and round(rate, 1)]
        self.clear()
        self._due_s = self._now_s() + EVERY_S
        self._card.send(message)

    def clear(self) -> None:
        """Forget what has gathered: the full state that is sent now contains it."""
        self._thinking.clear()
        self._answer.clear()
