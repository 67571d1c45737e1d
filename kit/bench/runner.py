"""The run itself: requests go out, bytes are stamped, and samples are taken of what has come."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from kit.bench import server_stats
from kit.bench.protocol import PreparedRequest
from kit.bench.sampler import INTERVAL_S, Sample, Sampler
from kit.bench.transport import Pool, Response
from kit.bench.workload import Workload

OnProgress = Callable[[int, int], None]
OnSample = Callable[[Sample], None]
_PREOPENED = 512  # connections opened ahead; a burst above that opens the rest as it goes
_AT_A_TIME = 50  # answers sampled before the loop gets its turn again


@dataclass(frozen=True)
class RecordedRun:
    """What came back of a run. Times are those of `perf_counter`; responses by request number."""

    responses: dict[int, Response]
    sent: int
    start_s: float
    end_s: float
    stopped: bool


class Runner:
    """Sends requests at the pace of a workload over `pool`, and keeps what comes back.

    `clock` is the endpoint's speed, `counted` whether the server counts tokens in every chunk.
    A response silent for `stall_s` has failed. `questions` goes to the server for its queue.
    """

    def __init__(
        self,
        workload: Workload,
        pool: Pool,
        questions: Pool,
        clock: float,
        counted: bool,
        stall_s: float,
        on_progress: OnProgress | None = None,
        on_sample: OnSample | None = None,
    ) -> None:
        self._send_s = workload.send_s
        self._limit = workload.max_concurrency or workload.num_prompts
        self._slots = asyncio.Semaphore(self._limit)
        self._pool = pool
        self._questions = questions
        self._clock = clock
        self._stall_s = stall_s
        self._on_progress = on_progress
        self._on_sample = on_sample
        self._sampler = Sampler(clock, counted)
        self._responses: dict[int, Response] = {}
        self._ended: list[Response] = []  # since the last sample
        self._sent = 0
        self._start_s = 0.0

    async def run(self, requests: Sequence[PreparedRequest]) -> RecordedRun:
        """Send everything; return when all has ended, or when the task is cancelled."""
        stopped = False
        tasks: list[asyncio.Task[None]] = []
        await self._pool.warm(min(self._limit, _PREOPENED))
        async with self._background_tasks():
            self._start_s = perf_counter()
            try:
                for index, request in enumerate(requests):
                    await self._slots.acquire()
                    await self._until(self._send_s[index])
                    tasks.append(asyncio.create_task(self._one(index, request.data, len(requests))))
                    self._sent += 1
                await asyncio.gather(*tasks)
            except asyncio.CancelledError:
                stopped = True
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()  # a stopped run has a result: what came until then
            finally:
                end_s = perf_counter()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._on_sample is not None:
            await self._sample(self._on_sample)
        return RecordedRun(self._responses, self._sent, self._start_s, end_s, stopped)

    @contextlib.asynccontextmanager
    async def _background_tasks(self) -> AsyncIterator[None]:
        """What runs next to the requests, from the first to the last of them."""
        collecting = gc.isenabled()
        gc.disable()  # a collection over thousands of recorded parts would delay the stamps
        tasks = [asyncio.create_task(self._close_stalled())]
        if self._on_sample is not None:
            tasks.append(asyncio.create_task(self._keep_sampling(self._on_sample)))
            tasks.append(asyncio.create_task(self._keep_asking_load()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            if collecting:
                gc.enable()
        for problem in ends:
            if isinstance(problem, Exception):
                raise problem

    async def _one(self, index: int, request: bytes, total: int) -> None:
        try:
            response = self._responses[index] = await self._pool.ask(request)
            self._ended.append(response)
        finally:
            self._slots.release()
        if self._on_progress is not None:
            self._on_progress(len(self._responses), total)

    async def _until(self, send_s: float) -> None:
        delay_s = self._start_s + send_s / self._clock - perf_counter()
        if delay_s > 0:
            await asyncio.sleep(delay_s)

    async def _close_stalled(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._stall_s / 4))
            late = perf_counter() - self._stall_s
            for connection in [c for c in self._pool.busy if c.last < late]:
                connection.close(f"stalled: no byte for {self._stall_s:g} s")

    async def _keep_sampling(self, on_sample: OnSample) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._sample(on_sample)

    async def _sample(self, on_sample: OnSample) -> None:
        """Look at every answer, a few at a time, and give the sample to `on_sample`."""
        for number, (response, ended) in enumerate(self._changed(), 1):
            self._sampler.look(response, ended)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        since_start_s = perf_counter() - self._start_s
        on_sample(self._sampler.sample(since_start_s, self._sent, len(self._pool.busy)))

    def _changed(self) -> Iterator[tuple[Response, bool]]:
        """(answer, whether it has ended) of all that may have changed."""
        while self._ended:
            yield self._ended.pop(), True
        for connection in list(self._pool.busy):
            yield connection.response, False

    async def _keep_asking_load(self) -> None:
        """Ask the server for its queue, as long as it says."""
        while True:
            load = await server_stats.load(self._questions)
            if load == (None, None):
                return
            self._sampler.running, self._sampler.queued = load
            await asyncio.sleep(server_stats.POLL_S)
