"""The scheduler against the clock, and how its tokens reach the client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from time import monotonic, sleep
from typing import Any

import pytest

from kit.errors import InvalidValue
from kit.hardware import profile
from kit.scheduler import Scheduler
from kit.twin.engine import Clock, Engine
from kit.twin.sse import ResponseWriter, run_until_wait

SPEED = 200.0


class Recorded:
    """A generation that notes what it is given, and when it was due."""

    def __init__(self, rid: str) -> None:
        self.rid = rid
        self.prepared: list[tuple[int, float]] = []
        self.delivered: list[float] = []
        self.aborted = False
        self.ended = asyncio.Event()

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        self.prepared.append((tokens, due_s))
        self._last = finished

    def deliver(self, due_s: float) -> None:
        self.delivered.append(due_s)
        if self._last:
            self.ended.set()

    def abort(self) -> None:
        self.aborted = True


def engine_of(name: str) -> Engine:
    return Engine(Scheduler.of(profile(name)), Clock(SPEED))


async def run(engine: Engine, *generations: tuple[Recorded, int, int]) -> None:
    serving = asyncio.create_task(engine.run())
    for generation, tokens_in, tokens_out in generations:
        engine.submit(generation, tokens_in, tokens_out, streaming=True, arrived_s=monotonic())
    await asyncio.gather(*(generation.ended.wait() for generation, _, _ in generations))
    serving.cancel()


def test_steps_end_when_the_scheduler_says_whatever_the_machine_does() -> None:
    async def scenario() -> None:
        engine, one = engine_of("b200x8"), Recorded("one")
        await run(engine, (one, 100, 40))
        dues = [engine.clock.at_s(due_s) for _, due_s in one.prepared]
        gaps = [later - earlier for earlier, later in pairwise(dues)]
        speed = engine.scheduler.speed
        expected = [speed.step_s(1, 100 + given) for given in range(1, 40)]
        assert gaps == pytest.approx(expected, rel=1e-3)
        assert [due_s for _, due_s in one.prepared] == one.delivered

    asyncio.run(scenario())


def test_nothing_leaves_before_its_step_has_ended() -> None:
    class Stamped(Recorded):
        def deliver(self, due_s: float) -> None:
            assert monotonic() >= due_s
            super().deliver(due_s)

    async def scenario() -> None:
        one = Stamped("one")
        await run(engine_of("b200x8"), (one, 10, 30))
        assert len(one.delivered) == 30

    asyncio.run(scenario())


def test_a_step_gives_one_token_without_mtp_and_up_to_four_with_it() -> None:
    async def scenario() -> None:
        plain, drafted = Recorded("plain"), Recorded("drafted")
        await run(engine_of("b200x8"), (plain, 10, 100))
        engine = engine_of("h200x8")
        await run(engine, (drafted, 10, 100))
        assert [tokens for tokens, _ in plain.prepared] == [1] * 100
        counts = [tokens for tokens, _ in drafted.prepared]
        assert sum(counts) == 100
        assert set(counts[1:-1]) <= {1, 2, 3, 4}
        assert max(counts) == 4
        mean = engine.scheduler.accept_length
        assert mean == pytest.approx(99 / (len(counts) - 1))

    asyncio.run(scenario())


def test_an_aborted_request_frees_its_slot_and_says_no_more() -> None:
    async def scenario() -> None:
        engine, one = engine_of("b200x8"), Recorded("one")
        serving = asyncio.create_task(engine.run())
        engine.submit(one, 10, 100_000, streaming=True, arrived_s=monotonic())
        while len(one.delivered) < 3:
            await asyncio.sleep(0.001)
        assert engine.abort("one")
        said = len(one.delivered)
        await asyncio.sleep(0.05)
        assert len(one.delivered) == said
        assert one.aborted
        assert (engine.busy, engine.scheduler.running) == (False, 0)
        assert not engine.abort("one")
        serving.cancel()

    asyncio.run(scenario())


def test_a_machine_that_cannot_keep_up_stops_the_clock_and_newcomers_are_served() -> None:
    class Heavy(Recorded):
        def deliver(self, due_s: float) -> None:
            sleep(0.02)  # a hundred times what a step takes at this speed
            super().deliver(due_s)

    async def scenario() -> None:
        engine, heavy, late = engine_of("b200x8"), Heavy("heavy"), Recorded("late")
        serving = asyncio.create_task(engine.run())
        engine.submit(heavy, 10, 100_000, streaming=True, arrived_s=monotonic())
        while len(heavy.delivered) < 20:
            await asyncio.sleep(0.001)
        engine.submit(late, 10, 3, streaming=True, arrived_s=monotonic())
        await asyncio.wait_for(late.ended.wait(), 20)
        serving.cancel()

    asyncio.run(scenario())


def test_what_can_never_fit_is_refused_when_it_comes() -> None:
    async def scenario() -> None:
        engine = engine_of("b200x8")
        with pytest.raises(InvalidValue, match="KV cache"):
            engine.submit(Recorded("big"), 10**9, 1, streaming=True, arrived_s=monotonic())
        assert not engine.busy

    asyncio.run(scenario())


def test_counters_count_tokens_requests_and_times() -> None:
    async def scenario() -> None:
        engine = engine_of("h200x8")
        await run(engine, (Recorded("a"), 10, 20), (Recorded("b"), 30, 40))
        totals = engine.counters.totals
        assert totals["prompt_tokens_total", True] == 40
        assert totals["generation_tokens_total", True] == 60
        assert totals["num_requests_total", True] == 2
        ttft = engine.counters.histograms["time_to_first_token_seconds", True]
        itl = engine.counters.histograms["inter_token_latency_seconds", True]
        assert (sum(ttft.counts), sum(itl.counts)) == (2, 58)

    asyncio.run(scenario())


class Slow:
    """A client that takes nothing in until it is told to."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.gate = asyncio.Event()

    def write(self, part: bytes) -> Coroutine[Any, Any, None]:
        async def send() -> None:
            await self.gate.wait()
            self.got.append(part)

        return send()


def test_parts_keep_their_order_when_the_client_is_slow() -> None:
    async def scenario() -> None:
        writer, client = ResponseWriter(), Slow()
        writer.send = client.write

        async def respond() -> None:
            while part := await writer.take():
                await client.write(part)

        responding = asyncio.create_task(respond())
        await asyncio.sleep(0)
        for number in range(5):  # the first is written at once, and stuck
            writer.put(b"%d" % number)
        writer.close()
        await asyncio.sleep(0)
        assert client.got == []
        client.gate.set()
        await responding
        assert b"".join(client.got) == b"01234"

    asyncio.run(scenario())


def test_a_ready_client_gets_its_part_without_a_detour() -> None:
    async def scenario() -> None:
        writer, client = ResponseWriter(), Slow()
        client.gate.set()
        writer.send = client.write
        taking = asyncio.create_task(writer.take())
        await asyncio.sleep(0)
        writer.put(b"now")
        assert client.got == [b"now"]
        writer.close()
        assert await taking == b""

    asyncio.run(scenario())


def test_a_coroutine_that_waits_is_finished_later() -> None:
    async def scenario() -> None:
        gate, seen = asyncio.Event(), []

        async def work() -> None:
            seen.append("begun")
            await gate.wait()
            seen.append("ended")

        rest = run_until_wait(work())
        assert rest is not None
        assert seen == ["begun"]
        gate.set()
        await rest
        assert seen == ["begun", "ended"]

    asyncio.run(scenario())
