"""Watch a model answer: one widget, two modes side by side, or several servers.

    reply = await StreamView(endpoint, "What is 15 % of 240?", thinking=True).run()
    thinking, instruct = await compare(endpoint, "What is 15 % of 240?")
    replies = await versus("What is multi-token prediction?", {"MTP on": a, "MTP off": b})

While the cell waits, the widget streams, and Stop works; afterwards it stays usable (Ask again).
What is left in a saved notebook, and all that a headless run shows, is the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue
from kit.views.reply import Reply
from kit.views.widgets.stream_controller import AnswerPane, StreamController

if TYPE_CHECKING:
    from kit.endpoint import Endpoint
    from kit.vision import ImagePart, VideoPart


class StreamView:
    """One prompt, one answer, as it streams. `params` go into the request as they are.

    `history` is what comes before the prompt: a system message, earlier turns. `show` are the
    pictures and videos that come with it. Without a prompt the widget waits for the reader's.
    The heading is who wrote the answer, after `title` where one is given.
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
        pane = AnswerPane(endpoint, title, thinking, tuple(history), params, parts)
        self.controller = StreamController(prompt, [pane], fixed=False)

    async def run(self) -> Reply | None:
        """Ask, and return the answer once it is whole; None where there was nothing to ask.

        Raises `EndpointError` or `StreamCut`; what had arrived stays on the screen.
        """
        replies = await self.controller.run()
        return replies[0] if replies else None

    def stop(self) -> None:
        """What the Stop button does."""
        self.controller.stop()

    def __repr__(self) -> str:
        return "An answer that is not asked for yet: await view.run()"


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
    Raises as `StreamView.run`.
    """
    sides = (("Thinking", True, thinking), ("Instruct", False, instruct))
    panes = [
        AnswerPane(endpoint, title, mode, tuple(history), {**params, **(own or {})})
        for title, mode, own in sides
    ]
    first, second = await StreamController(prompt, panes, fixed=True).run()
    return first, second


async def versus(
    prompt: str, endpoints: Mapping[str, Endpoint], *, thinking: bool | None = None, **params: Any
) -> tuple[Reply, ...]:
    """Ask every endpoint, and return their answers in order; the keys are the panes' titles,
    before who wrote the answer.

    `params` go into the requests as they are. Raises as `StreamView.run`, and InvalidValue for
    no endpoints.
    """
    if not endpoints:
        raise InvalidValue("no server to ask", 'give at least one: {"a title": endpoint}')
    panes = [
        AnswerPane(endpoint, title, thinking, (), params) for title, endpoint in endpoints.items()
    ]
    return await StreamController(prompt, panes, fixed=True).run()
