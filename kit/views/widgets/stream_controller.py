"""Between the streams of a view and its widget: which servers are asked, what the page is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit import chat
from kit.chat import Answer, Event, Thinking, ToolCall, WasThinking
from kit.errors import KitError
from kit.views.live import LiveOutput, Throttle
from kit.views.reply import STOPPED, Reply, Tally
from kit.views.widgets.transcript import bundle

if TYPE_CHECKING:
    from kit.endpoint import Endpoint
    from kit.views.widgets.page_widgets import StreamWidget

EVERY_TOKENS = 20
"""A message goes at once where so many pieces of text wait."""
_COUNT_ALONG = {"include_usage": True, "continuous_usage_stats": True}


@dataclass
class AnswerPane:
    """One answer's place in the widget, and what is asked there."""

    endpoint: Endpoint
    title: str
    thinking: bool | None = None
    history: Sequence[Mapping[str, Any]] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    show: Sequence[Mapping[str, Any]] = ()
    status: str = "idle"
    tally: Tally | None = None
    error: KitError | None = None

    def ask(self, prompt: str) -> Tally:
        """A tally of the stream that asks `prompt`; nothing is sent yet."""
        text = {"type": "text", "text": prompt}
        content = [*self.show, text] if self.show else prompt
        messages = [*self.history, {"role": "user", "content": content}]
        params = dict(self.params)
        if self.endpoint.sglang is not None:  # counts along, chunk by chunk; others might refuse
            params.setdefault("stream_options", _COUNT_ALONG)
        stream = chat.stream(self.endpoint, messages, self.thinking, **params)
        self.tally, self.error = Tally(prompt, stream), None
        return self.tally

    @property
    def heading(self) -> str:
        """Who wrote the answer; until that is known, who is asked. After the title, if any."""
        author = self.tally.stream.author if self.tally else None
        twin = f"twin on {self.endpoint.profile}" if self.endpoint.kind == "twin" else ""
        who = author.title if author else twin or self.endpoint.model
        return f"{self.title} · {who}" if self.title else who

    def snapshot(self) -> dict[str, Any]:
        """Everything the page shows of it."""
        tally = self.tally or Tally("", chat.stream(self.endpoint, ""))
        stream, (thinking, answer) = tally.stream, tally.tokens
        return {
            "title": self.heading,
            "status": self.status,
            "thinking": stream.thinking,
            "answer": stream.answer,
            "tools": [
                {"name": call.name, "arguments": call.arguments} for call in tally.tool_calls
            ],
            "thinking_tokens": thinking if self.tally else None,
            "answer_tokens": answer if self.tally else None,
            "exact": tally.exact or self.status == "waiting",
            "ttft_ms": tally.ttft_ms,
            "rate": tally.tokens_per_s,
            "finish": tally.finish_reason,
            "remark": stream.remark if self.status == "done" else "",
            "kind": str(stream.provenance.kind),
            "source": str(stream.provenance),
            "author": str(stream.author or ""),
            "error": [self.error.what, self.error.hint] if self.error else None,
        }


class StreamController:
    """One prompt and the panes that answer it. `StreamView` has one pane, `compare` two."""

    def __init__(self, prompt: str, panes: Sequence[AnswerPane], *, fixed: bool) -> None:
        self.prompt = prompt
        self.panes = list(panes)
        self._fixed = fixed
        self._live = LiveOutput()
        self._labels: list[str] = []  # of the provenances, as they were first shown
        self._buffers: dict[int, DeltaBuffer] = {}
        self._streams: list[asyncio.Task[None]] = []
        self._asking: asyncio.Task[None] | None = None

    async def run(self) -> tuple[Reply, ...]:
        """Show the widget, ask, and return the answers once they are whole.

        Raises `EndpointError` or `StreamCut`; what had arrived stays on the screen.
        """
        await self._live.open(self.new_widget)
        again = "press Ask again in the widget, or run the cell again"
        interrupted = KitError("interrupted while the answer was streaming", again)
        try:
            if self.prompt.strip():
                await self._live.wait(self._ask(), interrupted)
        finally:
            self._live.end(self._bundle())
        for pane in self.panes:
            if pane.error:
                raise pane.error
        return tuple(pane.tally.reply() for pane in self.panes if pane.tally)

    def stop(self) -> None:
        """Cancel what is being generated; the server sees the connection close."""
        for stream in self._streams:
            stream.cancel()

    def new_widget(self) -> StreamWidget:
        """The widget, with everything that is known now."""
        from kit.views.widgets.page_widgets import StreamWidget

        state = [pane.snapshot() for pane in self.panes]
        return StreamWidget(self._on_message, config=self._config(), state=state)

    def _on_message(self, content: dict[str, Any]) -> None:
        match content:
            case {"kind": "ready"}:
                self._send_all()
            case {"kind": "ask", "prompt": str(prompt), "thinking": thinking}:
                self._ask_again(prompt, thinking)
            case {"kind": "stop"}:
                self.stop()

    def _config(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "thinking": self.panes[0].thinking is not False,
            "fixed": self._fixed,
            "panes": [{"title": pane.heading} for pane in self.panes],
        }

    def _ask_again(self, prompt: str, thinking: bool | None) -> None:
        """From the widget's button: no cell awaits it, so its errors stand in the widget alone."""
        if self._asking and not self._asking.done():
            return
        self.prompt = prompt
        if thinking is not None:
            self.panes[0].thinking = thinking
        self._live.widget.config = self._config()
        self._asking = asyncio.get_running_loop().create_task(self._ask_and_keep())

    async def _ask_and_keep(self) -> None:
        await self._ask()
        self._live.end(self._bundle())

    async def _ask(self) -> None:
        tallies = [self._open(number) for number in range(len(self.panes))]
        for tally in tallies:
            tally.stream.prepare()
        loop = asyncio.get_running_loop()
        self._streams = [loop.create_task(self._answer(*each)) for each in enumerate(tallies)]
        await asyncio.gather(*self._streams)

    def _open(self, number: int) -> Tally:
        tally = self.panes[number].ask(self.prompt)
        if self._live.widget:
            self._buffers[number] = DeltaBuffer(
                self._live.widget.send,
                number,
                lambda: (*tally.tokens, tally.ttft_ms, tally.tokens_per_s),
            )
        self._show(number, "waiting")
        return tally

    async def _answer(self, number: int, tally: Tally) -> None:
        pane = self.panes[number]
        try:
            async for event in tally.events():
                self._forward(number, event)
        except asyncio.CancelledError:
            tally.stopped = True
        except KitError as error:
            pane.error = error
        self._show(number, "error" if pane.error else STOPPED if tally.stopped else "done")

    def _forward(self, number: int, event: Event) -> None:
        """News for the page: pieces of text gather, everything else is worth the full state; so is
        the first event, with which it is known who writes."""
        status = "thinking" if isinstance(event, Thinking) else "answering"
        buffer = self._buffers.get(number)
        first = self.panes[number].status == "waiting"
        match event:
            case Thinking(text) | Answer(text) if not first:
                self.panes[number].status = status
                if buffer:
                    buffer.add(text, status == "thinking")
            case Thinking() | Answer() | WasThinking() | ToolCall(done=True):
                self._show(number, status)

    def _show(self, number: int, status: str) -> None:
        self.panes[number].status = status
        self._send_all()

    def _send_all(self) -> None:
        """Everything about every pane, and with it what waited in the buffers."""
        if self._live.widget:
            for buffer in self._buffers.values():
                buffer.clear()
            self._live.widget.state = [pane.snapshot() for pane in self.panes]

    def _bundle(self) -> dict[str, str]:
        answers = [(p.heading, p.tally.reply(), p.error) for p in self.panes if p.tally]
        if not answers:
            note = "A widget to type in: it comes alive in JupyterLab."
            return {"text/markdown": f"*{note}*", "text/plain": note}
        return bundle(answers, self._labels)


class DeltaBuffer:
    """Gathers what streams into one pane, and sends it when it is due.

    `figures()` gives (thinking tokens, answer tokens, TTFT in ms, tokens/s) for the message.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        pane: int,
        figures: Callable[[], tuple[int, int, float | None, float | None]],
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._send = send
        self._pane = pane
        self._figures = figures
        self._gathered: dict[str, list[str]] = {"t": [], "a": []}  # thinking, answer
        self._throttle = Throttle(self._send_gathered, now_s)

    def add(self, text: str, thinking: bool) -> None:
        """A piece of the thinking, or of the answer."""
        self._gathered["t" if thinking else "a"].append(text)
        if sum(map(len, self._gathered.values())) >= EVERY_TOKENS:
            self._throttle.flush()
        else:
            self._throttle()

    def flush(self) -> None:
        """Send what has gathered."""
        if any(self._gathered.values()):
            self._throttle.flush()

    def _send_gathered(self) -> None:
        thinking, answer, ttft_ms, rate = self._figures()
        text = {key: "".join(pieces) for key, pieces in self._gathered.items() if pieces}
        times = [ttft_ms and round(ttft_ms), rate and round(rate, 1)]
        self.clear()
        self._send({"p": self._pane, **text, "n": [thinking, answer], "r": times})

    def clear(self) -> None:
        """Forget what has gathered: the full state that is sent now contains it."""
        self._gathered = {"t": [], "a": []}
        self._throttle.cancel()
