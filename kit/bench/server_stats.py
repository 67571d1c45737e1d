"""What the server says of itself, asked next to the measured connections and never in their way:
its queue, and how many tokens its verify steps accept."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeGuard

from kit import chat
from kit.bench.pools import open_pool
from kit.bench.transport import Origin, Pool, Response
from kit.endpoint import Endpoint

POLL_S = 0.5  # between two looks at the server's queue
_TIMEOUT_S = 10.0  # for the answer to one question
_RUNNING = re.compile(rb"^(?:sglang:num_running_reqs|vllm:num_requests_running)\b.* (\S+)$", re.M)
_QUEUED = re.compile(rb"^(?:sglang:num_queue_reqs|vllm:num_requests_waiting)\b.* (\S+)$", re.M)
_COUNTER = re.compile(rb"^sglang:(\w+_total)\b.* (\S+)$", re.M)
_VERIFY_STEPS = b"spec_verify_calls_total"
_THINKING_ENDS = "</think>"


async def server_info(pool: Pool) -> dict[str, Any]:
    """SGLang's /server_info; empty where there is none."""
    return _object(await _get(pool, "/server_info"))


async def load(pool: Pool) -> tuple[int | None, int | None]:
    """(running, queued) as the server says: by /metrics where it is on, else by SGLang's
    /v1/loads. (None, None) where it says neither."""
    page = await _get(pool, "/metrics")
    found = gauges(page.body) if page else (None, None)
    if found != (None, None):
        return found
    loads = _object(await _get(pool, "/v1/loads")).get("loads")
    if not isinstance(loads, list) or not loads:
        return None, None
    named = (
        [one.get(name, 0) if isinstance(one, dict) else None for one in loads]
        for name in ("num_running_reqs", "num_waiting_reqs")
    )
    running, queued = (sum(counts) if _all_counts(counts) else None for counts in named)
    return running, queued


def gauges(page: bytes) -> tuple[int | None, int | None]:
    """(running, queued) in a page of /metrics, SGLang's or vLLM's; ranks are summed."""
    return _total(_RUNNING.findall(page)), _total(_QUEUED.findall(page))


@dataclass(frozen=True)
class SpeculationCounters:
    """What a server had speculated when it was asked: SGLang's own mean accept length since it
    started, and its counters, empty where /metrics is off."""

    since_start: float | None
    counters: Mapping[bytes, float]

    @classmethod
    async def of(cls, pool: Pool) -> SpeculationCounters:
        page = await _get(pool, "/metrics")
        counters: dict[bytes, float] = {}
        for name, value in _COUNTER.findall(page.body if page else b""):
            counters[name] = counters.get(name, 0.0) + _number(value)
        states = (await server_info(pool)).get("internal_states")
        state = states[0] if isinstance(states, list) and states else None
        mean = state.get("avg_spec_accept_length") if isinstance(state, dict) else None
        return cls(float(mean) if isinstance(mean, int | float) else None, counters)

    def until(self, later: SpeculationCounters) -> float | None:
        """The accept length between the two: tokens per verify step, the bonus token included.

        None without the counters. The first token of an answer comes out of its prefill.
        """
        steps, tokens, requests = (
            later.counters.get(name, 0.0) - self.counters.get(name, 0.0)
            for name in (_VERIFY_STEPS, b"generation_tokens_total", b"num_requests_total")
        )
        return (tokens - requests) / steps if steps > 0 else None


async def accept_length(
    endpoint: Endpoint,
    questions: Iterable[str],
    part: Literal["thinking", "answer"],
    max_tokens: int = 200,
) -> float | None:
    """The accept length over the thinking about `questions`, or over answers without thinking;
    one at a time, greedy. Nobody else may use the server meanwhile.

    None where the server does not count, or does not speculate. Raises EndpointError.
    """
    thinks = part == "thinking"
    until = [_THINKING_ENDS] if thinks else None
    pool = open_pool(Origin.of(endpoint.base_url, endpoint.key))
    try:
        before = await SpeculationCounters.of(pool)
        for question in questions:
            answer = chat.stream(
                endpoint, question, thinks, temperature=0, max_tokens=max_tokens, stop=until
            )
            async for _ in answer:
                pass
        return before.until(await SpeculationCounters.of(pool))
    finally:
        pool.close()


async def _get(pool: Pool, path: str) -> Response | None:
    """The answer to GET `path`; None where there is none, or none in time."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            response = await pool.ask(pool.origin.request("GET", path))
    except TimeoutError:
        return None
    return None if response.error or response.status != 200 else response


def _object(response: Response | None) -> dict[str, Any]:
    try:
        found = json.loads(response.body) if response else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _total(values: Iterable[bytes]) -> int | None:
    numbers = [_number(value) for value in values]
    return int(sum(numbers)) if numbers else None


def _number(value: bytes) -> float:
    """A value of /metrics; 0 for what is no finite number."""
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return number if isfinite(number) else 0.0


def _all_counts(values: Sequence[Any]) -> TypeGuard[Sequence[int]]:
    return all(type(value) is int for value in values)
