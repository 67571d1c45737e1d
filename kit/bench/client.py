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
import gc
import json
from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal, Protocol

from kit.bench import streams
from kit.bench.metrics import Record, Report, report
from kit.bench.streams import BACKENDS, PATHS, WORDINGS, Dialect, Keep, Wording
from kit.bench.wire import Connection, Origin, Pool, Response
from kit.bench.workload import Workload
from kit.errors import EndpointError
from kit.provenance import Provenance

WARMUP_TOKENS = 32  # as bench_serving: one request before the clock starts, this long at most
QUESTION_S = 10.0  # for a question beside the run
STALL_S = 300.0  # without a byte for so long, a request has failed
_PREOPENED = 512  # connections opened ahead; a burst above that opens the rest as it goes

Progress = Callable[[int, int], None]


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
    dialect: Literal["native", "chat", "auto"] = "auto",
    stall_s: float = STALL_S,
) -> Report:
    """Send `workload` to `endpoint` and report what came back.

    `on_progress(finished, total)` is called after each request. `dialect` "auto" takes SGLang's
    /generate where the server is an SGLang (or the twin), else chat completions.
    Raises EndpointError when the warm-up request fails: then nothing was measured.
    """
    origin = Origin.of(endpoint.base_url, endpoint.key)
    side = Pool(origin)  # questions about the server, beside the measured connections
    try:
        chosen = await _dialect(side, endpoint) if dialect == "auto" else dialect
        pool = Pool(origin, lambda: Connection(Keep() if chosen == "native" else None))
        try:
            wording = await _warm_up(pool, endpoint, workload, chosen, stall_s)
            requests = [
                origin.request(
                    "POST",
                    PATHS[chosen],
                    streams.body(chosen, workload, i, endpoint.model, wording),
                )
                for i in range(workload.num_prompts)
            ]
            await pool.warm(min(workload.max_concurrency or workload.num_prompts, _PREOPENED))
            race = _Race(pool, workload, endpoint.speed, stall_s, on_progress)
            await race.run(requests)
        finally:
            pool.close()
        accept_length = await _accept_length(side)
    finally:
        side.close()
    records = [
        streams.record(response, chosen, workload.lengths[i], race.start_s, endpoint.speed)
        for i, response in sorted(race.responses.items())
    ]
    return report(
        records,
        duration_s=_duration_s(records, race, endpoint.speed),
        provenance=endpoint.provenance,
        workload=workload,
        backend=BACKENDS[chosen],
        accept_length=accept_length,
        missing=(*_unfinished(race, workload), *wording.missing),
    )


class _Race:
    """The run itself: who is out, what has come back."""

    def __init__(
        self,
        pool: Pool,
        workload: Workload,
        clock: float,
        stall_s: float,
        on_progress: Progress | None,
    ) -> None:
        self.responses: dict[int, Response] = {}
        self.start_s = 0.0
        self.end_s = 0.0
        self.sent = 0
        self.stopped = False
        self._pool = pool
        self._workload = workload
        self._clock = clock
        self._stall_s = stall_s
        self._on_progress = on_progress
        self._room = asyncio.Semaphore(workload.max_concurrency or workload.num_prompts)

    async def run(self, requests: list[bytes]) -> None:
        """Send everything; return when all has ended, or when the task is cancelled."""
        collecting = gc.isenabled()
        gc.disable()  # a collection among thousands of recorded parts would stop the clock reader
        self.start_s = perf_counter()
        watch = asyncio.create_task(self._watch())
        tasks: list[asyncio.Task[None]] = []
        try:
            for index, request in enumerate(requests):
                await self._room.acquire()
                await self._until(self._workload.send_s[index])
                tasks.append(asyncio.create_task(self._one(index, request)))
                self.sent += 1
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            self.stopped = True
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()  # being stopped is an answer: the report of what there is
        finally:
            self.end_s = perf_counter()
            watch.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(watch, *tasks, return_exceptions=True)
            if collecting:
                gc.enable()

    async def _one(self, index: int, request: bytes) -> None:
        try:
            self.responses[index] = await self._pool.ask(request)
        finally:
            self._room.release()
        if self._on_progress is not None:
            self._on_progress(len(self.responses), self._workload.num_prompts)

    async def _until(self, send_s: float) -> None:
        delay_s = self.start_s + send_s / self._clock - perf_counter()
        if delay_s > 0:
            await asyncio.sleep(delay_s)

    async def _watch(self) -> None:
        """Hang up on what has been silent for too long."""
        while True:
            await asyncio.sleep(min(1.0, self._stall_s / 4))
            late = perf_counter() - self._stall_s
            for connection in [c for c in self._pool.busy if c.last < late]:
                connection.close(f"stalled: no byte for {self._stall_s:g} s")


async def _warm_up(
    pool: Pool, endpoint: Target, workload: Workload, dialect: Dialect, stall_s: float
) -> Wording:
    """Send the first request, shortened, outside the measurement; learn what the server takes."""
    tokens = min(workload.lengths[0][1], WARMUP_TOKENS)
    wordings = WORDINGS if dialect == "chat" else WORDINGS[:1]
    for wording in wordings:
        body = streams.body(dialect, workload, 0, endpoint.model, wording, tokens)
        request = pool.origin.request("POST", PATHS[dialect], body)
        try:
            async with asyncio.timeout(stall_s):
                response = await pool.ask(request)
        except TimeoutError:
            raise EndpointError(
                f"{endpoint.base_url}: the warm-up request got no answer within {stall_s:g} s",
                "look at the server's log: it may still be loading, or hang",
            ) from None
        first = streams.record(response, dialect, workload.lengths[0], 0.0)
        if first.ok:
            return wording
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
    if failed.error.startswith("HTTP 404"):
        return "is this the URL of a model server, without /v1 at its end?"
    return "mend that first: nothing was measured"


async def _dialect(side: Pool, endpoint: Target) -> Dialect:
    """Native where the server is an SGLang: only those have /server_info with its states."""
    if endpoint.kind == "twin":
        return "native"
    return "native" if "internal_states" in await _server_info(side) else "chat"


async def _server_info(side: Pool) -> dict[str, Any]:
    """SGLang's /server_info; empty where there is none."""
    try:
        async with asyncio.timeout(QUESTION_S):
            response = await side.ask(side.origin.request("GET", "/server_info"))
    except TimeoutError:
        return {}
    if response.error or response.status != 200:
        return {}
    try:
        info = json.loads(response.body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return info if isinstance(info, dict) else {}


async def _accept_length(side: Pool) -> float | None:
    """SGLang's own mean since it started, where it speculates."""
    states = (await _server_info(side)).get("internal_states")
    if not isinstance(states, list) or not states:
        return None
    found = states[0].get("avg_spec_accept_length")
    return float(found) if found else None


def _duration_s(records: list[Record], race: _Race, clock: float) -> float:
    """From the start to the last token, or to the stop; failures take their time as well."""
    if race.stopped or not any(r.ok for r in records):
        return (race.end_s - race.start_s) * clock
    last_s = max(r.ended_s for r in records if r.ok)
    return last_s if all(r.ok for r in records) else (race.end_s - race.start_s) * clock


def _unfinished(race: _Race, workload: Workload) -> tuple[str, ...]:
    if not race.stopped:
        return ()
    done, total = len(race.responses), workload.num_prompts
    return (
        f"{total - done} of {total} requests: stopped with {race.sent - done} in flight "
        f"and {total - race.sent} not sent",
    )
