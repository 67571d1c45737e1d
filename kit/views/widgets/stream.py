"""Watch a model answer: one card, or two modes side by side.

    reply = await StreamView(endpoint, "What is 15 % of 240?", thinking=True).run()
    thinking, instruct = await compare(endpoint, "What is 15 % of 240?")

While the cell waits, the card streams, and Stop works; afterwards it stays usable (Ask again).
What is left in a saved notebook, and all that a headless run shows, is the text.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit import chat
from kit.chat import Answer, Event, Thinking, ToolCall, WasThinking
from kit.errors import KitError
from kit.views.frontend import has_page
from kit.views.widgets.reply import Reply, Tally
from kit.views.widgets.stream_widget import Outbox, StreamWidget
from kit.views.widgets.transcript import bundle

if TYPE_CHECKING:
    from kit.endpoint import Endpoint
    from kit.vision import ImagePart, VideoPart

STOPPED = "stopped"


@dataclass
class Pane:
    """One answer's place in a card, and what is asked there."""

    endpoint: Endpoint
    title: str
    thinking: bool | None = None
    history: Sequence[Mapping[str, Any]] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    show: Sequence[Mapping[str, Any]] = ()
    status: str = "idle"
    tally: Tally | None = None
    error: KitError | None = None

    def snapshot(self) -> dict[str, Any]:
        """Everything the front end shows of it."""
        tally = self.tally or Tally("", self.endpoint.provenance)
        thinking, answer = tally.tokens
        return {
            "status": self.status,
            "thinking": tally.thinking,
            "answer": tally.answer,
            "tools": [
                {"name": call.name, "arguments": call.arguments}
                for _, call in sorted(tally.tool_calls.items())
            ],
            "thinking_tokens": thinking if self.tally else None,
            "answer_tokens": answer if self.tally else None,
            "exact": tally.exact or self.status == "waiting",
            "ttft_ms": tally.ttft_ms,
            "rate": tally.tokens_per_s,
            "finish": tally.finish_reason,
            "kind": str(tally.provenance.kind),
            "source": str(tally.provenance),
            "author": str(tally.author) if tally.author else "",
            "error": [self.error.what, self.error.hint] if self.error else None,
        }


class Board:
    """The answers of one card. `StreamView` has one pane, `compare` two."""

    def __init__(self, prompt: str, panes: Sequence[Pane], *, fixed: bool) -> None:
        self.prompt = prompt
        self.panes = list(panes)
        self._fixed = fixed
        self._card: StreamWidget | None = None  # only where a page can draw it
        self._outboxes: dict[int, Outbox] = {}
        self._streams: list[asyncio.Task[None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._text_id = uuid.uuid4().hex

    async def run(self) -> tuple[Reply, ...]:
        """Show the card, ask, and return the answers once they are whole.

        Raises `EndpointError` or `StreamCut`; what had arrived stays on the screen.
        """
        if await has_page():
            self._card = self._new_card()
            _display(self._card)
        try:
            if self.prompt.strip():
                await self._ask()
        except asyncio.CancelledError:  # the reader interrupted the cell
            if self._card is None:
                raise
            again = "press Ask again in the card, or run the cell again"
            raise KitError("interrupted while the answer was streaming", again) from None
        finally:  # hidden while the card lives; all that a saved notebook keeps
            _display(self._bundle(), self._text_id)
        for pane in self.panes:
            if pane.error:
                raise pane.error
        return tuple(pane.tally.reply() for pane in self.panes if pane.tally)

    def stop(self) -> None:
        """Cancel what is being generated; the server sees the connection close."""
        for stream in self._streams:
            stream.cancel()

    def _deck(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "thinking": self.panes[0].thinking is not False,
            "fixed": self._fixed,
            "panes": [{"title": pane.title} for pane in self.panes],
        }

    def _new_card(self) -> StreamWidget:
        card = StreamWidget(self._deck(), [pane.snapshot() for pane in self.panes])
        card.on_ready = self._send_all
        card.on_ask = self._ask_again
        card.on_stop = self.stop
        return card

    def _ask_again(self, prompt: str, thinking: bool | None) -> None:
        """From the card's button: nobody awaits it, so its errors stand in the card alone."""
        if self._card is None or (self._asking and not self._asking.done()):
            return
        self.prompt = prompt
        if thinking is not None:
            self.panes[0].thinking = thinking
        self._card.deck = self._deck()
        self._asking = asyncio.get_running_loop().create_task(self._ask_and_keep())

    async def _ask_and_keep(self) -> None:
        await self._ask()
        _display(self._bundle(), self._text_id, update=True)

    async def _ask(self) -> None:
        streams = [self._open(number, pane) for number, pane in enumerate(self.panes)]
        for stream in streams:
            stream.prepare()
        loop = asyncio.get_running_loop()
        self._streams = [loop.create_task(self._answer(*each)) for each in enumerate(streams)]
        waking = loop.create_task(_keep_waking())
        try:
            await asyncio.gather(*self._streams)
        finally:
            waking.cancel()

    def _open(self, number: int, pane: Pane) -> chat.Stream:
        text = {"type": "text", "text": self.prompt}
        content = [*pane.show, text] if pane.show else self.prompt
        messages = [*pane.history, {"role": "user", "content": content}]
        params = {**_counting(pane.endpoint), **pane.params}
        stream = chat.stream(pane.endpoint, messages, pane.thinking, **params)
        tally = pane.tally = Tally(self.prompt, stream.provenance, pane.endpoint.speed)
        pane.error = None
        if self._card:
            self._outboxes[number] = Outbox(
                self._card, number, lambda: (*tally.tokens, tally.ttft_ms, tally.tokens_per_s)
            )
        self._show(number, "waiting")
        return stream

    async def _answer(self, number: int, stream: chat.Stream) -> None:
        pane = self.panes[number]
        tally = pane.tally
        assert tally is not None
        try:
            async for event in stream:
                if tally.asked_s is None:
                    tally.author, tally.asked_s = stream.author, stream.asked_s
                    self._show(number, pane.status)
                tally.add(event)
                self._tell(number, event)
        except asyncio.CancelledError:
            tally.finish_reason = STOPPED
        except KitError as error:
            pane.error = error
        ended = "error" if pane.error else STOPPED if tally.finish_reason == STOPPED else "done"
        self._show(number, ended)

    def _tell(self, number: int, event: Event) -> None:
        """News for the page: pieces of text gather, everything else is worth the full state."""
        pane, outbox = self.panes[number], self._outboxes.get(number)
        match event:
            case Thinking(text):
                pane.status = "thinking"
                if outbox:
                    outbox.thinking(text)
            case Answer(text):
                pane.status = "answering"
                if outbox:
                    outbox.answer(text)
            case WasThinking() | ToolCall(done=True):
                self._show(number, "answering")

    def _show(self, number: int, status: str) -> None:
        self.panes[number].status = status
        self._send_all()

    def _send_all(self) -> None:
        """Everything about every pane, and with it what waited in the outboxes."""
        if self._card:
            for outbox in self._outboxes.values():
                outbox.clear()
            self._card.state = [pane.snapshot() for pane in self.panes]

    def _bundle(self) -> dict[str, str]:
        answers = [(p.title, p.tally.reply(), p.error) for p in self.panes if p.tally]
        if not answers:
            note = "A card to type in: it comes alive in JupyterLab."
            return {"text/markdown": f"*{note}*", "text/plain": note}
        return bundle(answers)


class StreamView:
    """One prompt, one answer, as it streams. `params` go into the request as they are.

    `history` is what comes before the prompt: a system message, earlier turns. `show` are the
    pictures and videos that come with it. Without a prompt the card waits for
    the reader's.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        prompt: str = "",
        *,
        thinking: bool | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        show: Sequence[ImagePart | VideoPart] = (),
        title: str = "",
        **params: Any,
    ) -> None:
        parts = [part.to_part() for part in show]
        title = title or (
            f"the twin of {endpoint.model}" if endpoint.kind == "twin" else endpoint.model
        )
        pane = Pane(endpoint, title, thinking, tuple(history), params, parts)
        self.board = Board(prompt, [pane], fixed=False)

    async def run(self) -> Reply | None:
        """Ask, and return the answer once it is whole; None where there was nothing to ask.

        Raises `EndpointError` or `StreamCut`; what had arrived stays on the screen.
        """
        replies = await self.board.run()
        return replies[0] if replies else None

    def stop(self) -> None:
        """What the Stop button does."""
        self.board.stop()


async def compare(
    endpoint: Endpoint,
    prompt: str,
    *,
    thinking: Mapping[str, Any] | None = None,
    instruct: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    **params: Any,
) -> tuple[Reply, Reply]:
    """The same prompt with thinking and without, asked at the same time, side by side.

    `thinking` and `instruct` are request parameters of one side, `params` those of both.
    """
    sides = (("Thinking", True, thinking), ("Instruct", False, instruct))
    panes = [
        Pane(endpoint, title, mode, tuple(history), {**params, **(own or {})})
        for title, mode, own in sides
    ]
    first, second = await Board(prompt, panes, fixed=True).run()
    return first, second


async def _keep_waking() -> None:
    """ipykernel takes an interrupt when its loop next wakes, and a stalled stream wakes nothing."""
    while True:
        await asyncio.sleep(0.2)


def _counting(endpoint: Endpoint) -> dict[str, Any]:
    """SGLang counts along, chunk by chunk, when asked to; others might refuse."""
    if endpoint.sglang is None:
        return {}
    return {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}


def _display(
    what: StreamWidget | dict[str, str], display_id: str | None = None, **how: bool
) -> None:
    """An output of the cell: a widget, or a MIME bundle."""
    from IPython.display import display

    raw = isinstance(what, dict)
    display(what, raw=raw, display_id=display_id, **how)
