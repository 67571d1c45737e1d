"""A shared prompt in the radix cache, as deep as GDN states allow; images; counted by hand.

The rules are SGLang 0.5.23's: see kit/scheduler/radix_cache.py for where they stand.
"""

import random
from dataclasses import replace

import pytest
from test_scheduler import drain, given
from test_scheduler_prefill_adder import server

from kit.errors import InvalidValue
from kit.hardware import profile
from kit.scheduler import Request, Scheduler
from kit.sizing import plan
from kit.speed import SpeedModel

B200 = profile("b200x8")
H200 = profile("h200x8")
SYSTEM = ("system prompt", 1000)


def one_by_one(scheduler, requests):
    """Each request alone, after the one before; [(cached tokens, seconds of its prefills)]."""
    out, now = [], 0.0
    for request in requests:
        scheduler.submit(request._replace(arrival_s=now))
        steps = drain(scheduler, now)
        now = steps[-1][0] + 1.0
        cached = [tokens for _, step in steps for _, tokens in step.cached]
        seconds = sum(step.duration_s for _, step in steps if step.kind == "prefill")
        out.append((sum(cached), seconds))
    return out


def asking(count, prompt=1500, shared=SYSTEM):
    return [Request(str(i), prompt, 4, shared=shared) for i in range(count)]


def test_the_third_request_hits_what_the_second_kept():
    """The first keeps its state at 1472 = 23 · 64, inside its own question. The second finds KV
    up to 1000, but no state: it keeps one at 960 = 15 · 64. From the third on 960 tokens hit."""
    hits = [cached for cached, _ in one_by_one(Scheduler.of(H200), asking(5))]
    assert hits == [0, 0, 960, 960, 960]


def test_a_hit_is_a_shorter_prefill():
    scheduler = Scheduler.of(H200)
    (_, cold), _, (_, warm) = one_by_one(scheduler, asking(3))
    assert cold == pytest.approx(scheduler.speed.prefill_s(1500))
    assert warm == pytest.approx(scheduler.speed.prefill_s(540, 1, 960))


def test_short_prefixes_never_hit():
    """Below 64 tokens no state fits into them."""
    hits = one_by_one(Scheduler.of(H200), asking(4, shared=("short", 63)))
    assert [cached for cached, _ in hits] == [0, 0, 0, 0]


def test_where_the_question_is_short_the_second_hits():
    """1000 shared and 20 of its own: the state at 960 lies in the shared part at once."""
    hits = one_by_one(Scheduler.of(H200), asking(3, prompt=1020))
    assert [cached for cached, _ in hits] == [0, 960, 960]


def test_a_long_prefix_hits_at_the_end_of_a_chunk_already_for_the_second():
    """20,000 shared: chunks of 8192 keep states at 8192 and 16,384; then the branch at 19,968."""
    hits = one_by_one(Scheduler.of(H200), asking(3, 20_500, ("book", 20_000)))
    assert [cached for cached, _ in hits] == [0, 16_384, 19_968]


def test_without_radix_cache_nothing_hits():
    off = replace(H200, radix_cache=False)
    assert [cached for cached, _ in one_by_one(Scheduler.of(off), asking(4))] == [0, 0, 0, 0]
    old = Scheduler.of(H200, "0.5.9")  # there speculation switched the cache off
    assert [cached for cached, _ in one_by_one(old, asking(4))] == [0, 0, 0, 0]


def test_no_buffer_keeps_states_where_prompts_end_only():
    """0.5.9 without MTP, strategy no_buffer: nobody keeps a state where two prompts part."""
    assert plan(B200, "0.5.9").strategy == "no_buffer"
    hits = one_by_one(Scheduler.of(B200, "0.5.9"), asking(4))
    assert [cached for cached, _ in hits] == [0, 0, 0, 0]
    whole = one_by_one(Scheduler.of(B200, "0.5.9"), asking(1, 1000) + asking(2)[1:])
    assert [cached for cached, _ in whole] == [0, 1000]


def test_other_prefixes_do_not_hit():
    mixed = [Request(str(i), 1500, 4, shared=(name, 1000)) for i, name in enumerate("abababab")]
    hits = [cached for cached, _ in one_by_one(Scheduler.of(H200), mixed)]
    assert hits == [0, 0, 0, 0, 960, 960, 960, 960]


def test_a_shared_prefix_is_held_once():
    scheduler = Scheduler.of(B200)
    one_by_one(scheduler, asking(3))
    now = 100.0
    for i in range(3):
        scheduler.submit(Request(f"late {i}", 1500, 200, now, shared=SYSTEM))
    scheduler.step(now + 1)
    assert scheduler.kv_tokens_used == 960 + 3 * 540 + 3  # and a first token each
    assert given(drain(scheduler, now + 1))[1]
    assert scheduler.kv_tokens_used == 0


def test_a_prefix_long_unused_is_evicted():
    """Every request leaves a state; when the slots are full the longest unused goes."""
    scheduler = Scheduler.of(H200)
    strangers = [Request(f"x{i}", 200, 2) for i in range(scheduler.memory.slots + 10)]
    hits = one_by_one(scheduler, asking(3) + strangers + [r._replace(rid="z") for r in asking(1)])
    assert hits[2][0] == 960
    assert hits[-1][0] == 0


def test_the_cache_gives_way_to_running_requests():
    """KV that nobody uses is no reason to wait, or to be retracted."""
    memory = replace(plan(B200), kv_tokens=5000)
    scheduler = Scheduler(memory, SpeedModel.of(B200), None)
    for i in range(12):
        scheduler.submit(Request(str(i), 900, 100, i * 30.0))
    steps = drain(scheduler)
    assert max(step.queued for _, step in steps) == 0
    assert scheduler.retractions == 0


def test_images_add_the_vision_towers_time_once():
    scheduler = Scheduler.of(H200)
    plain, seen = Request("a", 2000, 2), Request("b", 2000, 2, image_tokens=1760, images=2)
    (_, without), (_, with_images) = one_by_one(scheduler, [plain, seen])
    assert with_images - without == pytest.approx(scheduler.speed.vision_s(1760, 2))


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InvalidValue, match="cannot hold"):
        Scheduler.of(H200).submit(Request("a", 100, 1, image_tokens=60, shared=("p", 50)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("machine", [H200, B200], ids=lambda p: p.name)
def test_the_books_balance_whatever_comes(machine, seed):
    """Shared and unshared prompts, guesses that fail, aborts: nothing is lost or counted twice."""
    rng = random.Random(seed)
    scheduler = server(machine, kv_tokens=6000, running=20)
    scheduler.rules = replace(scheduler.rules, clip_max_new_tokens=20)  # a guess that fails
    asked = {}
    for i in range(80):
        shared = rng.choice([None, ("a", 300), ("b", 1000), ("c", 70)])
        prompt = (shared[1] if shared else 0) + rng.randint(1, 900)
        out = rng.randint(1, 400)
        limit = rng.choice([None, 400])
        scheduler.submit(
            Request(str(i), prompt, out, i * rng.random() * 0.2, shared=shared, max_tokens=limit)
        )
        asked[str(i)] = out
    now, got, cache = 0.0, dict.fromkeys(asked, 0), scheduler._cache
    while scheduler.wake_s() is not None or scheduler.running or scheduler.queued:
        step = scheduler.step(now)
        if step is None:
            now = scheduler.wake_s()
            continue
        now += step.duration_s
        for rid, tokens, _ in step.emissions:
            got[rid] += tokens
        if rng.random() < 0.02 and scheduler._running:
            victim = rng.choice(scheduler._running).rid
            assert scheduler.abort(victim)
            del asked[victim]
        kept = list(cache._kept)
        assert cache.free_tokens == sum(state.tokens for state in kept if not state.locks)
        assert cache.locked_tokens == sum(state.tokens for state in kept if state.locks)
        own = sum(live.own_tokens for live in scheduler._running)
        own += scheduler._chunked.own_tokens if scheduler._chunked else 0
        assert scheduler.kv_tokens_used == own + cache.locked_tokens
        assert scheduler.kv_tokens_used + cache.free_tokens <= 6000 + 20 * 8
    assert scheduler.retractions > 0
    assert {rid: got[rid] for rid in asked} == asked
    assert scheduler.kv_tokens_used == cache.locked_tokens == 0
    assert all(state.locks == 0 for state in cache._kept)
