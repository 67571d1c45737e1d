"""The measuring client: a workload against a server, every byte stamped as it comes.

    report = await run(endpoint, Workload(1000, 1000, 10, max_concurrency=1))

A workload goes one way: `request_writer` writes its requests, `runner` sends them over `transport`
and keeps the bytes with their times, `answer_reader` reads the answers, `metrics` makes the
report. While the run is going, the client only sends, stamps and keeps. Requests that fail are
counted by kind and averaged into nothing. A run that is stopped (Ctrl-C, a cancelled task) gives a
report of what had finished, which says what it is missing.

Against the twin, whose clock may run `endpoint.speed` times faster than real time, the figures are
by that clock (kit.bench.twin_clock), and simulated: how busy this computer is does not show in
them. Where a twin cannot say its times, behind a router, they are this computer's times the speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Literal

from kit import page
from kit.bench import answer_reader, server_stats
from kit.bench.answer_reader import Shortener
from kit.bench.metrics import report
from kit.bench.pools import open_pool
from kit.bench.progress import close_stalled
from kit.bench.record import Record
from kit.bench.report import Report
from kit.bench.request_writer import BACKENDS, EXTENSIONS, PATHS, Dialect, RequestWriter
from kit.bench.runner import OnProgress, OnSample, Runner
from kit.bench.sampler import Sampler
from kit.bench.server_stats import SpeculationCounters
from kit.bench.transport import Origin, Pool, Response
from kit.bench.twin_clock import TwinTimes, in_own_time, run_headers
from kit.bench.workload import Workload
from kit.endpoint import Endpoint
from kit.errors import EndpointError, InvalidValue
from kit.http import hidden

STALL_S = 300.0  # without a token for so long, a request has failed
WARMUP_STALL_S = 30.0  # the same for the warm-up, which waits for nobody
WARMUP_TOKENS = 32  # as bench_serving: one request before the clock starts, this long at most
_KEY = "give its API key: key=… or KIT_API_KEY"
_HINTS = {  # by how the error of a failed warm-up begins
    "no connection": "is the server up, and the URL right?",
    "HTTP 401": _KEY,
    "HTTP 403": _KEY,
    "HTTP 404": "is this the URL of a model server, without /v1 at its end?",
    "HTTP 429": "it is at its limit: wait until others are done, or raise the limit",
    "HTTP 5": "read its log: it fails by itself",
}
_MEND = "mend that first: nothing was measured"


async def run(
    endpoint: Endpoint,
    workload: Workload,
    on_progress: OnProgress | None = None,
    *,
    on_sample: OnSample | None = None,
    dialect: Literal["native", "chat", "auto"] = "auto",
    stall_s: float | None = None,
) -> Report:
    """Send `workload` to `endpoint` and report what came back.

    `on_progress(finished, total)` is called after each request, `on_sample(sample)` about five
    times per second and once at the end, both in the loop that measures: they must be quick.
    `dialect` "auto" takes SGLang's /generate where the server is an SGLang (or the twin), else
    chat completions; for images always these. A request without a token for `stall_s` has failed
    (300, the warm-up 30); what only keeps a connection alive does not count.
    Raises EndpointError when the warm-up request fails: then nothing was measured. Raises
    InvalidValue for images by /generate.
    """
    origin = Origin.of(endpoint.base_url, endpoint.key)
    # `questions` go to the server next to the measured connections
    with await endpoint.measuring(), closing(open_pool(origin)) as questions:
        chosen = await _dialect(questions, endpoint, workload) if dialect == "auto" else dialect
        if chosen == "native" and workload.image_tokens:
            raise InvalidValue("images by /generate", 'they go by chat: leave out dialect="native"')
        shortener = Shortener if chosen == "native" else lambda: None
        with closing(open_pool(origin, shortener)) as pool:
            writer, counted = await _warm_up(
                pool, endpoint, workload, chosen, stall_s or WARMUP_STALL_S
            )
            if endpoint.kind == "twin":
                writer = replace(writer, headers=run_headers(workload))
            requests = [  # in a thread: those with images take their time
                await page.in_thread(writer.request, index) for index in range(workload.num_prompts)
            ]
            before = await SpeculationCounters.of(questions)
            sampler = Sampler(endpoint.speed, counted, endpoint.kind == "twin")
            runner = Runner(
                workload, pool, questions, sampler, stall_s or STALL_S, on_progress, on_sample
            )
            await runner.run(requests)
        own = _own_times(runner, endpoint)
        records = [
            _record(response, chosen, lengths, runner.start_s, endpoint, own.get(index))
            for index, lengths in enumerate(workload.lengths)
            if (response := runner.responses.get(index))
        ]
        accept_length, caveat = await _accept_length(questions, before, records)
    found = report(
        records,
        duration_s=_duration_s(records, runner, endpoint.speed, own),
        provenance=endpoint.provenance,
        workload=workload,
        backend=BACKENDS[chosen],
        accept_length=accept_length,
        missing=(*_unfinished(runner, len(requests)), *writer.extensions.missing, *caveat),
    )
    return in_own_time(found, own.values(), endpoint) if own else found


def _own_times(runner: Runner, endpoint: Endpoint) -> dict[int, TwinTimes]:
    """Of the answers of a twin that says its times, by request number."""
    if endpoint.kind != "twin":
        return {}
    each = ((index, TwinTimes.of(response)) for index, response in runner.responses.items())
    return {index: times for index, times in each if times is not None}


def _record(
    response: Response,
    dialect: Dialect,
    lengths: tuple[int, int],
    start_s: float,
    of: Endpoint,
    own: TwinTimes | None = None,
) -> Record:
    """The record of a response. A server's error may repeat the key: it is not kept."""
    if own is not None:
        made = answer_reader.record(own.response, dialect, lengths, 0.0)
    else:
        made = answer_reader.record(response, dialect, lengths, start_s, of.speed)
    return replace(made, error=hidden(made.error, of.key)) if made.error else made


async def _warm_up(
    pool: Pool, endpoint: Endpoint, workload: Workload, dialect: Dialect, stall_s: float
) -> tuple[RequestWriter, bool]:
    """Send the first request, shortened, outside the measurement.

    Returns a writer of requests as the server takes them, and whether it counts tokens in every
    chunk. Raises EndpointError.
    """
    for extensions in EXTENSIONS[dialect]:
        writer = RequestWriter(workload, pool.origin, dialect, endpoint.model, extensions)
        request = await page.in_thread(writer.request, 0, WARMUP_TOKENS)
        watching = asyncio.create_task(close_stalled(pool, stall_s, WARMUP_TOKENS))
        try:
            response = await pool.ask(request)
        finally:
            watching.cancel()
        if response.error.startswith("stalled"):
            raise EndpointError(
                f"{endpoint.base_url}: the warm-up request got no answer within {stall_s:g} s",
                "look at the server's log: it may still be loading, or hang; else --stall-s 300",
            )
        first = _record(response, dialect, workload.lengths[0], 0.0, endpoint)
        if first.ok:
            return writer, bool(first.tokens)
        if response.status not in (400, 422):
            break
    raise EndpointError(
        f"{endpoint.base_url}{PATHS[dialect]}: the warm-up request failed: {first.error}",
        next((hint for start, hint in _HINTS.items() if first.error.startswith(start)), _MEND),
    )


async def _dialect(questions: Pool, endpoint: Endpoint, workload: Workload) -> Dialect:
    """Native where the server is an SGLang with Qwen3.5's vocabulary: the prompts are its ids, and
    an id that a smaller vocabulary lacks would end the server.

    Images go by chat: there the server itself puts their place into the prompt.
    """
    if workload.image_tokens:
        return "chat"
    if endpoint.kind == "twin":
        return "native"
    info = await server_stats.server_info(questions)
    knows_ids = "qwen3.5" in str(info.get("model_path", "")).lower()
    return "native" if "internal_states" in info and knows_ids else "chat"


async def _accept_length(
    questions: Pool, before: SpeculationCounters, records: Sequence[Record]
) -> tuple[float | None, tuple[str, ...]]:
    """The server's accept length over the run, if the answers do not say theirs, and a caveat
    if the server only has its mean since it started."""
    if any(record.verify_steps for record in records):
        return None, ()
    after = await SpeculationCounters.of(questions)
    over_run = before.until(after)
    if over_run is not None or after.since_start is None:
        return over_run, ()
    return after.since_start, (
        "accept length of this run alone: the server gives its mean since it started",
    )


def _duration_s(
    records: Sequence[Record], runner: Runner, clock: float, own: Mapping[int, TwinTimes]
) -> float:
    """From the start to the last token, or to the stop; failures take their time as well."""
    if not runner.stopped and records and all(record.ok for record in records):
        return max(record.ended_s for record in records)
    if own:
        cut_off = filter(None, map(TwinTimes.of, runner.unfinished))
        return max(times.newest_s for times in (*own.values(), *cut_off))
    return (runner.end_s - runner.start_s) * clock


def _unfinished(runner: Runner, total: int) -> tuple[str, ...]:
    if not runner.stopped:
        return ()
    done, sent = len(runner.responses), runner.sent
    return (
        f"{total - done} of {total} requests: stopped with {sent - done} in flight "
        f"and {total - sent} not sent",
    )
