"""The run itself: requests go out, bytes are stamped, and samples are taken of what has come."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from kit.bench import server_stats
from kit.bench.progress import close_stalled
from kit.bench.sampler import INTERVAL_S, Sample, Sampler
from kit.bench.transport import Pool, Response
from kit.bench.workload import Workload

OnProgress = Callable[[int, int], None]
OnSample = Callable[[Sample], None]
_PREOPENED = 512  # connections opened ahead; a burst above that opens the rest as it goes
_AT_A_TIME = 50  # answers sampled before the loop gets its turn again


@dataclass
class Runner:
    """Sends requests at the pace of a workload over `pool`, and keeps what comes back.

    `questions` goes to the server for its queue. A response without a token for `stall_s` has
    failed. Times are those of `perf_counter`, `responses` by request number; `unfinished` are
    what had come of those in flight when the run was stopped.
    """

    workload: Workload
    pool: Pool
    questions: Pool
    sampler: Sampler
    stall_s: float
    on_progress: OnProgress | None = None
    on_sample: OnSample | None = None
    responses: dict[int, Response] = field(default_factory=dict)
    sent: int = 0
    start_s: float = 0.0
    end_s: float = 0.0
    stopped: bool = False
    unfinished: list[Response] = field(default_factory=list)
    _ended: list[Response] = field(default_factory=list)  # since the last sample

    async def run(self, requests: Sequence[bytes]) -> None:
        """Send everything; return when all has ended, or when the task is cancelled."""
        tasks: list[asyncio.Task[None]] = []
        limit = self.workload.max_concurrency or self.workload.num_prompts
        slots = asyncio.Semaphore(limit)
        await self.pool.warm(min(limit, _PREOPENED))
        async with self._background_tasks():
            self.start_s = perf_counter()
            try:
                for index, request in enumerate(requests):
                    await slots.acquire()
                    await self._until(self.workload.send_s[index])
                    tasks.append(asyncio.create_task(self._one(index, request, slots)))
                    self.sent += 1
                await asyncio.gather(*tasks)
            except asyncio.CancelledError:
                self.stopped = True
                self.unfinished = [connection.response for connection in self.pool.busy]
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()  # a stopped run has a result: what came until then
            finally:
                self.end_s = perf_counter()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        await self._sample()

    @contextlib.asynccontextmanager
    async def _background_tasks(self) -> AsyncIterator[None]:
        """What runs next to the requests, from the first to the last of them."""
        collecting = gc.isenabled()
        gc.disable()  # a collection over thousands of recorded parts would delay the stamps
        tasks = [
            asyncio.create_task(close_stalled(self.pool, self.stall_s, self.workload.output_len))
        ]
        if self.on_sample is not None:
            tasks.append(asyncio.create_task(self._keep_sampling()))
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

    async def _one(self, index: int, request: bytes, slots: asyncio.Semaphore) -> None:
        try:
            response = self.responses[index] = await self.pool.ask(request)
            self._ended.append(response)
        finally:
            slots.release()
        if self.on_progress is not None:
            self.on_progress(len(self.responses), self.workload.num_prompts)

    async def _until(self, send_s: float) -> None:
        delay_s = self.start_s + send_s / self.sampler.clock - perf_counter()
        if delay_s > 0:
            await asyncio.sleep(delay_s)

    async def _keep_sampling(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._sample()

    async def _sample(self) -> None:
        """Look at every answer, a few at a time, and give the sample to `on_sample`."""
        if self.on_sample is None:
            return
        for number, (response, ended) in enumerate(self._changed(), 1):
            self.sampler.look(response, ended)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        since_start_s = perf_counter() - self.start_s
        self.on_sample(self.sampler.sample(since_start_s, self.sent, len(self.pool.busy)))

    def _changed(self) -> Iterator[tuple[Response, bool]]:
        """(answer, whether it has ended) of all that may have changed."""
        while self._ended:
            yield self._ended.pop(), True
        for connection in list(self.pool.busy):
            yield connection.response, False

    async def _keep_asking_load(self) -> None:
        """Ask the server for its queue, as long as it says."""
        while True:
            load = await server_stats.load(self.questions)
            if load == (None, None):
                return
            self.sampler.running, self.sampler.queued = load
            await asyncio.sleep(server_stats.POLL_S)
