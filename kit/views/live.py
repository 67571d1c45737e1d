"""Output that changes while a cell runs, and what stays of it.

Where a page watches, a widget is shown, and what it shows grows in coalesced messages. At the end
text stands under the widget, or a figure in its place: that is what a saved notebook keeps, and
all that a headless run shows.

    live = LiveOutput()
    widget = await live.open(lambda: StreamWidget(...))      # None where no page watches
    await live.wait(task, KitError("interrupted …", "run the cell again"))
    live.end(bundle)
"""

from __future__ import annotations

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

from kit.errors import KitError
from kit.views.frontend import has_page, has_reader, widget_bundle, widgets_are_off

T = TypeVar("T")
W = TypeVar("W")
Bundle = dict[str, Any]
"""A MIME bundle: MIME type → data."""

EVERY_S = 0.08
"""Time between two messages to a page: twelve per second look fluent. jupyter_server drops
messages above 1,000 per second for good."""
_WAKE_S = 0.2


class Output:
    """One output of a cell, under a display_id: shown once, then replaced in place."""

    def __init__(self) -> None:
        self._display_id = uuid.uuid4().hex
        self._shown = False

    def show(self, what: Any) -> None:
        """Show a MIME bundle, or any object that displays itself. In a script, nothing."""
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if get_ipython() is None:
            return
        raw = isinstance(what, dict)
        display(what, raw=raw, display_id=self._display_id, update=self._shown)
        self._shown = True


class ControlledOutput(ABC):
    """An output that controls above it redraw.

    The output is an ordinary one: it stays in a saved notebook, where controls are dead. Where
    no reader can be asked (papermill, nbconvert) the controls are left out, and so is their state.
    """

    _output: Output | None = None
    _controls_text = "Controls of what follows, in a page that draws widgets."
    _own_widget = False  # whether they are one of ours, with JavaScript of its own

    @abstractmethod
    def controls(self) -> Any:
        """The widget: controls with a label on each."""

    @abstractmethod
    def bundle(self) -> Bundle:
        """What stands under the controls now."""

    def redraw(self) -> None:
        """After a change: the output anew, where it is shown."""
        if self._output is not None:
            self._output.show(self.bundle())

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_reader() and not (self._own_widget and widgets_are_off()):
            display(widget_bundle(self.controls(), self._controls_text), raw=True)
        self._output = Output()
        self.redraw()


class LiveOutput:
    """A widget while a cell waits, and what the cell keeps.

    Two ways to end: `end` puts text under a widget that stays in use, hidden while the widget
    lives; `replace` puts something in its place, and closes it.
    """

    def __init__(self) -> None:
        self.widget: Any = None  # only where a page can draw it
        self._place, self._text = Output(), Output()

    async def open(self, make: Callable[[], W]) -> W | None:
        """Make the widget and show it, where a page watches; a headless run would save its
        state, 320 kB of it, closed or not."""
        if not await has_page():
            return None
        widget = make()
        self.widget = widget
        self._place.show(widget)
        return widget

    async def wait(self, work: Awaitable[T], interrupted: KitError) -> T:
        """Wait for `work`. An interrupt of the kernel cancels it and ends the cell in two lines.

        Raises `interrupted` where a page watches, CancelledError elsewhere, and what `work` raises.
        """
        waking = asyncio.create_task(_keep_waking())
        try:
            return await work
        except asyncio.CancelledError:
            if self.widget is None:
                raise
            raise interrupted from None
        finally:
            waking.cancel()

    def end(self, text: Bundle) -> None:
        """The text that stays. Called again, it takes the place of the earlier text."""
        self._text.show(text)

    def replace(self, what: Any) -> None:
        """Put `what` in the widget's place, and close the widget."""
        self._place.show(what)
        if self.widget is not None:
            self.widget.close()
            self.widget = None


class Throttle:
    """Calls `send` at most once per EVERY_S. A call that comes too early is made by a timer:
    a stream may pause, and what has come must not wait for more. Needs a running event loop."""

    def __init__(
        self, send: Callable[[], None], now_s: Callable[[], float] = time.perf_counter
    ) -> None:
        self._send = send
        self._now_s = now_s
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        """Send now if it is due, else soon."""
        if self._now_s() >= self._due_s:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.flush)

    def flush(self) -> None:
        """Send at once."""
        self.cancel()
        self._due_s = self._now_s() + EVERY_S
        self._send()

    def cancel(self) -> None:
        """Forget a call that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def progress(what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that shows "3 of 10 requests" in this cell, as a bar.

    report = await bench.measure(endpoint, workload, on_progress=progress("requests"))
    """
    output = Output()

    def show(done: int, total: int) -> None:
        text = f"{done:,} of {total:,} {what}"
        bar = f'<progress value="{done}" max="{total}" aria-label="{what}"></progress> {text}'
        output.show({"text/html": bar, "text/plain": text})

    return show


@cache
def say_that_figures_load() -> None:
    """Once per kernel and where a reader watches: a line that stands until the page has loaded
    what draws its first figure. Its style takes it away then."""
    if not has_reader():
        return
    text = "The first figure of a page takes some seconds to appear."
    child, sign = ".jp-OutputArea-child", ".kit-figures-load"
    gone = f"{child}:has({sign}):has(~ {child} .main-svg) {{display: none}}"
    html = f'<p class="{sign[1:]}" role="status">{text}</p><style>{gone}</style>'
    Output().show({"text/html": html, "text/plain": text})


async def _keep_waking() -> None:
    """ipykernel takes an interrupt when its loop next wakes, and a stalled stream wakes nothing."""
    while True:
        await asyncio.sleep(_WAKE_S)
