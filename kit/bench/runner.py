"""The run itself: requests go out, bytes are stamped, and now and then somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter

from kit.bench import server_stats
from kit.bench.sampler import INTERVAL_S, Sample, Sampler
from kit.bench.transport import Pool, Response
from kit.bench.workload import Workload

Progress = Callable[[int, int], None]
OnSample = Callable[[Sample], None]
_AT_A_TIME = 50  # answers looked at before the stamps get their turn again


class Race:
    """Who is out, what has come back. `side` is asked for the server's queue while it goes."""

    def __init__(
        self,
        pool: Pool,
        workload: Workload,
        clock: float,
        stall_s: float,
        on_progress: Progress | None = None,
        on_sample: OnSample | None = None,
        side: Pool | None = None,
        counted: bool = True,
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
        self._on_sample = on_sample
        self._side = side
        self._room = asyncio.Semaphore(workload.max_concurrency or workload.num_prompts)
        self._sampler = Sampler(clock, counted)
        self._ended: list[Response] = []  # since the last look

    async def run(self, requests: list[bytes]) -> None:
        """Send everything; return when all has ended, or when the task is cancelled."""
        tasks: list[asyncio.Task[None]] = []
        async with self._company():
            self.start_s = perf_counter()
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
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._on_sample is not None:
            await self._look(self._on_sample)

    @contextlib.asynccontextmanager
    async def _company(self) -> AsyncIterator[None]:
        """What runs beside the requests, from the first to the last of them."""
        collecting = gc.isenabled()
        gc.disable()  # a collection among thousands of recorded parts would stop the clock reader
        beside = [asyncio.create_task(self._watch())]
        if self._on_sample is not None:
            beside.append(asyncio.create_task(self._sample(self._on_sample)))
            if self._side is not None:
                beside.append(asyncio.create_task(self._gauge(self._side)))
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            ends = await asyncio.gather(*beside, return_exceptions=True)
            if collecting:
                gc.enable()
        for problem in ends:
            if isinstance(problem, Exception):
                raise problem

    async def _one(self, index: int, request: bytes) -> None:
        try:
            response = self.responses[index] = await self._pool.ask(request)
            self._ended.append(response)
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

    async def _sample(self, on_sample: OnSample) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._look(on_sample)

    async def _look(self, on_sample: OnSample) -> None:
        """Look at every answer, a few at a time, and hand over what there is."""
        for number, (response, ended) in enumerate(self._turns(), 1):
            self._sampler.look(response, ended)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        on_sample(
            self._sampler.sample(perf_counter() - self.start_s, self.sent, len(self._pool.busy))
        )

    def _turns(self) -> Iterator[tuple[Response, bool]]:
        """(answer, whether it has ended) of all that may have changed."""
        while self._ended:
            yield self._ended.pop(), True
        for connection in list(self._pool.busy):
            yield connection.response, False

    async def _gauge(self, side: Pool) -> None:
        """Ask the server for its queue, as long as it tells."""
        while True:
            load = await server_stats.load(side)
            if load == (None, None):
                return
            self._sampler.running, self._sampler.queued = load
            await asyncio.sleep(server_stats.GAUGE_S)
