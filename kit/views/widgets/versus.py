"""One prompt to several servers at the same time, side by side.

replies = await versus("What is multi-token prediction?", {"MTP on": a, "MTP off": b})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kit.views.widgets.reply import Reply
from kit.views.widgets.stream import Board, Pane

if TYPE_CHECKING:
    from kit.endpoint import Endpoint


async def versus(
    prompt: str,
    endpoints: Mapping[str, Endpoint],
    *,
    thinking: bool | None = None,
    **params: Any,
) -> tuple[Reply, ...]:
    """Ask every endpoint, and return their answers in order; the keys are the panes' titles.

    `params` go into the requests as they are. Raises `EndpointError` or `StreamCut`; what had
    arrived stays on the screen. Raises ValueError for no endpoints.
    """
    if not endpoints:
        raise ValueError("nobody to ask: give at least one endpoint")
    panes = [Pane(endpoint, title, thinking, (), params) for title, endpoint in endpoints.items()]
    return await Board(prompt, panes, fixed=True).run()
