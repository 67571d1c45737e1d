"""What a server with MTP accepts over some questions: the difference of its own counters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from kit import chat
from kit.bench.server_stats import Speculation
from kit.bench.transport import Origin, Pool

if TYPE_CHECKING:
    from kit.endpoint import Endpoint

_THINKING_ENDS = "</think>"


async def accept_length(
    endpoint: Endpoint,
    questions: Iterable[str],
    part: Literal["thinking", "answer"],
    max_tokens: int = 200,
) -> float | None:
    """The accept length over the thinking about `questions`, or over answers without thinking;
    one at a time, greedy. Nobody else may ask meanwhile.

    None where the server does not count, or does not speculate. Raises EndpointError.
    """
    thinks = part == "thinking"
    until = [_THINKING_ENDS] if thinks else None
    side = Pool(Origin.of(endpoint.base_url, endpoint.key))
    try:
        before = await Speculation.of(side)
        for question in questions:
            given = chat.stream(
                endpoint, question, thinks, temperature=0, max_tokens=max_tokens, stop=until
            )
            async for _ in given:
                pass
        return before.until(await Speculation.of(side))
    finally:
        side.close()
