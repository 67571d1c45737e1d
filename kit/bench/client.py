"""The measuring client: a workload against a server, every byte stamped as it comes.

    report = await run(endpoint, Workload(1000, 1000, 10, max_concurrency=1))

Requests are written out before the run, connections opened before it, and answers understood
after it; while it goes, the client only sends, stamps and keeps. Requests that fail are counted
by kind and averaged into nothing. A run that is stopped (Ctrl-C, a cancelled task) gives a report
of what had finished, which says what it is missing.

Against the twin, whose clock may run `endpoint.speed` times faster than life, requests go out and
times are read by the twin's clock: the figures are in its own seconds, and simulated.
"""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

from kit.bench import protocol, server_stats
from kit.bench.metrics import report
from kit.bench.protocol import BACKENDS, PATHS, WORDINGS, Dialect, Keep, Wording
from kit.bench.record import Record
from kit.bench.report import Report
from kit.bench.runner import OnSample, Progress, Race
from kit.bench.server_stats import Speculation
from kit.bench.transport import Connection, Origin, Pool
from kit.bench.workload import Workload
from kit.errors import EndpointError, InvalidValue
from kit.provenance import Provenance

WARMUP_TOKENS = 32  # as bench_serving: one request before the clock starts, this long at most
STALL_S = 300.0  # without a byte for so long, a request has failed
_PREOPENED = 512  # connections opened ahead; a burst above that opens the rest as it goes


class Target(Protocol):
    """What the client needs to know of an endpoint."""

    @property
    def base_url(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def speed(self) -> float: ...
    @property
    def provenance(self) -> Provenance: ...


async def run(
    endpoint: Target,
    workload: Workload,
    on_progress: Progress | None = None,
    *,
    on_sample: OnSample | None = None,
    dialect: Literal["native", "chat", "auto"] = "auto",
    stall_s: float = STALL_S,
) -> Report:
    """Send `workload` to `endpoint` and report what came back.

    `on_progress(finished, total)` is called after each request, `on_sample(sample)` about five
    times per second and once at the end, both in the loop that measures: they must be quick.
    `dialect` "auto" takes SGLang's /generate where the server is an SGLang (or the twin), else
    chat completions; for images always these.
    Raises EndpointError when the warm-up request fails: then nothing was measured. Raises
    InvalidValue for images by /generate.
    """
    origin = Origin.of(endpoint.base_url, endpoint.key)
    side = Pool(origin)  # questions about the server, beside the measured connections
    try:
        chosen = await _dialect(side, endpoint, workload) if dialect == "auto" else dialect
        if chosen == "native" and workload.image_tokens:
            raise InvalidValue("images by /generate", 'they go by chat: leave out dialect="native"')
        pool = Pool(origin, lambda: Connection(Keep() if chosen == "native" else None))
        try:
            wording, counted = await _warm_up(pool, endpoint, workload, chosen, stall_s)
            requests = [
                await asyncio.to_thread(_written, origin, endpoint, workload, chosen, i, wording)
                for i in range(workload.num_prompts)
            ]
            await pool.warm(min(workload.max_concurrency or workload.num_prompts, _PREOPENED))
            before = await Speculation.of(side)
            race = Race(
                pool, workload, endpoint.speed, stall_s, on_progress, on_sample, side, counted
            )
            await race.run(requests)
        finally:
            pool.close()
        records = [
            protocol.record(response, chosen, workload.lengths[i], race.start_s, endpoint.speed)
            for i, response in sorted(race.responses.items())
        ]
        accept_length: float | None = None
        contaminated: tuple[str, ...] = ()
        if not any(record.verify_steps for record in records):
            accept_length, contaminated = await _accept_length(side, before)
    finally:
        side.close()
    return report(
        records,
        duration_s=_duration_s(records, race, endpoint.speed),
        provenance=endpoint.provenance,
        workload=workload,
        backend=BACKENDS[chosen],
        accept_length=accept_length,
        missing=(*_unfinished(race, workload), *wording.missing, *contaminated),
    )


def _written(
    origin: Origin,
    endpoint: Target,
    workload: Workload,
    dialect: Dialect,
    index: int,
    wording: Wording,
    tokens: int | None = None,
) -> bytes:
    """Request `index` as it goes over the wire; in a thread, for images take their time."""
    body = protocol.body(dialect, workload, index, endpoint.model, wording, tokens)
    return origin.request("POST", PATHS[dialect], body)


async def _warm_up(
    pool: Pool, endpoint: Target, workload: Workload, dialect: Dialect, stall_s: float
) -> tuple[Wording, bool]:
    """Send the first request, shortened, outside the measurement.

    Learn what the server takes, and whether it counts tokens chunk by chunk.
    """
    tokens = min(workload.lengths[0][1], WARMUP_TOKENS)
    wordings = WORDINGS if dialect == "chat" else WORDINGS[:1]
    for wording in wordings:
        request = _written(pool.origin, endpoint, workload, dialect, 0, wording, tokens)
        try:
            async with asyncio.timeout(stall_s):
                response = await pool.ask(request)
        except TimeoutError:
            raise EndpointError(
                f"{endpoint.base_url}: the warm-up request got no answer within {stall_s:g} s",
                "look at the server's log: it may still be loading, or hang",
            ) from None
        first = protocol.record(response, dialect, workload.lengths[0], 0.0)
        if first.ok:
            return wording, bool(first.tokens)
        if response.status not in (400, 422):
            break
    raise EndpointError(
        f"{endpoint.base_url}{PATHS[dialect]}: the warm-up request failed: {first.error}",
        _hint(first),
    )


def _hint(failed: Record) -> str:
    if failed.error.startswith("no connection"):
        return "is the server up, and the URL right?"
    if failed.error.startswith(("HTTP 401", "HTTP 403")):
        return "give its API key: key=… or KIT_API_KEY"
    if failed.error.startswith("HTTP 429"):
        return "it is at its limit: wait until others are done, or raise the limit"
    if failed.error.startswith("HTTP 5"):
        return "read its log: it fails by itself"
    if failed.error.startswith("HTTP 404"):
        return "is this the URL of a model server, without /v1 at its end?"
    return "mend that first: nothing was measured"


async def _dialect(side: Pool, endpoint: Target, workload: Workload) -> Dialect:
    """Native where the server is an SGLang with Qwen3.5's vocabulary: the prompts are its ids, and
    an id that a smaller vocabulary lacks would end the server.

    Images go by chat: there the server itself puts their place into the prompt.
    """
    if workload.image_tokens:
        return "chat"
    if endpoint.kind == "twin":
        return "native"
    info = await server_stats.server_info(side)
    knows_ids = "qwen3.5" in str(info.get("model_path", "")).lower()
    return "native" if "internal_states" in info and knows_ids else "chat"


async def _accept_length(side: Pool, before: Speculation) -> tuple[float | None, tuple[str, ...]]:
    """The server's accept length over the run, for answers that do not tell theirs; else since
    it started, and a word that says so."""
    after = await Speculation.of(side)
    over_run = before.until(after)
    if over_run is not None or after.since_start is None:
        return over_run, ()
    return after.since_start, (
        "accept length of this run alone: the server gives its mean since it started",
    )


def _duration_s(records: list[Record], race: Race, clock: float) -> float:
    """From the start to the last token, or to the stop; failures take their time as well."""
    if race.stopped or not any(r.ok for r in records):
        return (race.end_s - race.start_s) * clock
    last_s = max(r.ended_s for r in records if r.ok)
    return last_s if all(r.ok for r in records) else (race.end_s - race.start_s) * clock


def _unfinished(race: Race, workload: Workload) -> tuple[str, ...]:
    if not race.stopped:
        return ()
    done, total = len(race.responses), workload.num_prompts
    return (
        f"{total - done} of {total} requests: stopped with {race.sent - done} in flight "
        f"and {total - race.sent} not sent",
    )
