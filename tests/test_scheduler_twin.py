"""The scheduler that retracts, under the twin's clock: a stream goes on where it stood."""

import asyncio
from dataclasses import replace

from test_scheduler_prefill_adder import server
from test_twin_engine import Recorded, run

from kit.twin.engine import Clock, Engine


def test_a_retracted_stream_gets_every_token_once():
    """Reserving for 100 tokens of 300 lets four of 100 + 300 into a cache of 1,000."""

    async def scenario():
        scheduler = server(kv_tokens=1000)
        scheduler.rules = replace(scheduler.rules, clip_max_new_tokens=100)
        engine = Engine(scheduler, Clock(speed=500.0))
        streams = [Recorded(str(i)) for i in range(4)]
        await run(engine, *((stream, 100, 300) for stream in streams))
        assert scheduler.retractions > 0
        for stream in streams:
            assert sum(tokens for tokens, _ in stream.prepared) == 300
            assert len(stream.delivered) == len(stream.prepared)
            dues = [due_s for _, due_s in stream.prepared]
            assert dues == sorted(dues)
        assert scheduler.kv_tokens_used == 0
        assert not engine.busy

    asyncio.run(scenario())
