"""The widgets as the page knows them: their JavaScript, what is synced, what they send.

Two ways lead to the page. A synced trait holds everything, and is sent when something begins or
ends. Between, what has grown goes as small messages: a trait would send the whole text each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from kit.views.frontend import STATIC

OnMessage = Callable[[dict[str, Any]], None]


class LiveWidget(anywidget.AnyWidget):
    """A widget that is made in a cell's event loop, and calls `on_message` there: JupyterLab sends
    what widgets send to a thread of its own (a subshell), from which no task can be cancelled.
    """

    _text = ""

    def __init__(self, on_message: OnMessage, **traits: Any) -> None:
        super().__init__(**traits)
        loop = asyncio.get_running_loop()
        self.on_msg(lambda _, content, __: loop.call_soon_threadsafe(on_message, content))

    def __repr__(self) -> str:
        return self._text


class StreamWidget(LiveWidget):
    """`config`: prompt, thinking, fixed (no toggle), panes. `state`: a dict per pane; messages
    {p, t, a, n, r} bring what a pane has grown by. Sends ready, ask and stop.
    """

    _esm = STATIC / "stream.js"
    _css = STATIC / "stream.css"
    _text = "A live widget; its text follows."

    config = traitlets.Dict().tag(sync=True)
    state: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)


class TraceWidget(LiveWidget):
    """`state`: the whole timeline; messages {row, text, now_s} bring what a row has grown by.
    Sends stop.
    """

    _esm = STATIC / "trace.js"
    _css = STATIC / "trace.css"
    _text = "A live timeline; its text follows."

    state = traitlets.Dict().tag(sync=True)


class BenchWidget(LiveWidget):
    """`config`: what runs; messages are those of `live_bench.Feed`. Sends ready and stop."""

    _esm = STATIC / "bench.js"
    _css = STATIC / "bench.css"
    _text = "A benchmark is running; its figure comes at the end."

    config = traitlets.Dict().tag(sync=True)


class BuilderWidget(anywidget.AnyWidget):
    """`form`: the fields with their choices, and the verdict; `command`: what Copy copies.
    `on_choose` is called with the name and the value of a choice, in the thread that receives it:
    no running cell has to end first.
    """

    _esm = STATIC / "builder.js"
    _css = STATIC / "builder.css"

    form = traitlets.Dict().tag(sync=True)
    command = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, form: dict[str, Any], command: str, on_choose: Callable[[str, Any], None]
    ) -> None:
        super().__init__(form=form, command=command)
        self._on_choose = on_choose
        self.on_msg(self._receive)

    def _receive(self, _: object, content: dict[str, Any], __: object) -> None:
        if content.get("kind") == "choose":
            self._on_choose(content["name"], content["value"])
