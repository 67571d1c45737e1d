"""Questions about the server, asked beside the measured connections and never in their way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.bench.sampler import gauges
from kit.bench.transport import Pool, Response

QUESTION_S = 10.0  # for an answer to one question
GAUGE_S = 0.5  # between two looks at the server's queue
_VERIFY_STEPS = b"spec_verify_calls_total"
_COUNTER = re.compile(rb"^sglang:(\w+_total)\b.* (\S+)$", re.M)


async def get(side: Pool, path: str) -> Response | None:
    """The answer to GET `path`; None where there is none, or none in time."""
    try:
        async with asyncio.timeout(QUESTION_S):
            response = await side.ask(side.origin.request("GET", path))
    except TimeoutError:
        return None
    return None if response.error or response.status != 200 else response


async def server_info(side: Pool) -> dict[str, Any]:
    """SGLang's /server_info; empty where there is none."""
    return _object(await get(side, "/server_info"))


async def load(side: Pool) -> tuple[int | None, int | None]:
    """(running, queued) as the server tells: by /metrics where it is on, else by SGLang's
    /v1/loads. (None, None) where it tells neither."""
    page = await get(side, "/metrics")
    found = gauges(page.body) if page else (None, None)
    if found != (None, None):
        return found
    loads = _object(await get(side, "/v1/loads")).get("loads")
    if not isinstance(loads, list) or not loads:
        return None, None
    running, queued = ("num_running_reqs", "num_waiting_reqs")
    return sum(one.get(running, 0) for one in loads), sum(one.get(queued, 0) for one in loads)


@dataclass(frozen=True)
class Speculation:
    """What a server had speculated when it was asked: SGLang's own mean accept length since it
    started, and its counters, empty where /metrics is off."""

    since_start: float | None
    counters: Mapping[bytes, float]

    @classmethod
    async def of(cls, side: Pool) -> Speculation:
        page = await get(side, "/metrics")
        counters: dict[bytes, float] = {}
        for name, value in _COUNTER.findall(page.body if page else b""):
            counters[name] = counters.get(name, 0.0) + float(value)
        states = (await server_info(side)).get("internal_states")
        state = states[0] if isinstance(states, list) and states else {}
        return cls(state.get("avg_spec_accept_length"), counters)

    def until(self, later: Speculation) -> float | None:
        """The accept length between the two looks: tokens a verify step gave, bonus included.

        None without the counters. The first token of an answer comes out of its prefill.
        """
        steps, tokens, requests = (
            later.counters.get(name, 0.0) - self.counters.get(name, 0.0)
            for name in (_VERIFY_STEPS, b"generation_tokens_total", b"num_requests_total")
        )
        return (tokens - requests) / steps if steps > 0 else None


def _object(response: Response | None) -> dict[str, Any]:
    try:
        found = json.loads(response.body) if response else {}
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
