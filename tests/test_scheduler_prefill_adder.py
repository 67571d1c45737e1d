"""What SGLang reserves, whom it retracts, and what comes back: small cases counted by hand."""

from dataclasses import replace

import pytest
from test_scheduler import drain, given

from kit.errors import InvalidValue
from kit.hardware import profile
from kit.scheduler import Request, Scheduler
from kit.scheduler.config import Rules
from kit.sizing import plan
from kit.speed import Constants, SpeedModel

ROUND = Constants(
    0.44, 0.53, 117.0, 1370.0, 55.7, draft_floor_us=117.0
)  # whatever the kit's are fitted to next
B200 = profile("b200x8")  # no MTP: a step is a token
H200 = profile("h200x8")


def server(machine=B200, kv_tokens=1000, running=64, sglang="0.5.23", **options):
    """A scheduler whose KV cache holds `kv_tokens`, with slots enough."""
    machine = replace(machine, **options)
    memory = plan(machine, sglang)
    slots = running * memory.slots_per_request
    memory = replace(
        memory, kv_tokens=kv_tokens, max_running_requests=running, slots=max(slots, memory.slots)
    )
    accept = Scheduler.of(machine, sglang).acceptance
    return Scheduler(memory, SpeedModel.of(machine, sglang, ROUND), accept)


def crowd(limit=400):
    """A server of 20,000 tokens, and 80 requests whose ends it does not know. A new one is let in
    where its 400 fit beside 0.7 of what the others may still take: 65 run, and want 27,000."""
    scheduler = server(kv_tokens=20_000, running=200)
    for i in range(80):
        scheduler.submit(Request(str(i), 20, limit, i * 0.12, max_tokens=limit))
    return scheduler


def steps_until(scheduler, reached, now=0.0, limit=20_000):
    """Steps up to and with the one after which `reached(step)`."""
    out = []
    for _ in range(limit):
        step = scheduler.step(now)
        if step is None:
            now = scheduler.wake_s()
            continue
        now += step.duration_s
        out.append((now, step))
        if reached(step):
            return out
    raise AssertionError("never")


def retracted(steps):
    return [rid for _, step in steps for rid in step.retracted]


def test_known_ends_are_reserved_in_full_and_never_retracted():
    """Two of 300 + 300 do not fit into 1,000 tokens; one at a time they do."""
    scheduler = server()
    for rid in "ab":
        scheduler.submit(Request(rid, 300, 300))
    steps = drain(scheduler)
    assert max(step.running for _, step in steps) == 1
    assert retracted(steps) == []


def test_ends_that_are_played_through_let_the_second_in_when_the_first_leaves_in_time():
    """Without radix cache SGLang plays the ends through. 300 + 100 ends first and leaves 400
    tokens, so 300 + 350 fits beside it though 1,050 are asked for of 1,000."""
    scheduler = server(radix_cache=False)
    scheduler.submit(Request("short", 300, 100))
    scheduler.submit(Request("long", 300, 350))
    steps = drain(scheduler)
    assert max(step.running for _, step in steps) == 2
    assert retracted(steps) == []
    same = server()  # with radix cache: 1,050 do not fit
    same.submit(Request("short", 300, 100))
    same.submit(Request("long", 300, 350))
    assert max(step.running for _, step in drain(same)) == 1


def test_unknown_ends_are_overcommitted_and_retracted():
    scheduler = crowd()
    steps = drain(scheduler)
    assert retracted(steps)
    assert scheduler.retractions == len(retracted(steps))
    tokens, finishes = given(steps)
    assert tokens == dict.fromkeys(map(str, range(80)), 400)
    assert len(finishes) == 80
    assert scheduler.kv_tokens_used == 0


@pytest.mark.parametrize("machine", [H200, B200], ids=lambda p: p.name)
@pytest.mark.parametrize("radix_cache", [True, False])
def test_memory_is_never_overdrawn(machine, radix_cache):
    scheduler = server(machine, kv_tokens=3000, running=200, radix_cache=radix_cache)
    for i in range(60):
        request = Request(str(i), 10 + i % 37, 300 + i % 90, i * 0.09, max_tokens=390)
        scheduler.submit(request)
    now, most = 0.0, 0
    while scheduler.wake_s() is not None or scheduler.running or scheduler.queued:
        step = scheduler.step(now)
        if step is None:
            now = scheduler.wake_s()
            continue
        now += step.duration_s
        most = max(most, scheduler.kv_tokens_used)
    assert 2500 < most <= 3000
    assert scheduler.retractions > 0
    assert scheduler.kv_tokens_used == 0


def test_who_has_the_least_is_retracted_and_its_prompt_and_answer_are_read_again():
    """Page 1, a decode reserves one token each: with 100 tokens, 40 + 40 prompts and answers under
    way, the step that would need the 101st token retracts the younger."""
    scheduler = server(kv_tokens=100)
    scheduler.submit(Request("old", 40, 40, 0.0, max_tokens=41))
    scheduler.submit(Request("young", 30, 15, 0.1, max_tokens=16))
    scheduler._ratio = 0.1  # as after a long time without a retraction
    scheduler.rules = replace(scheduler.rules, init_new_token_ratio=0.1)
    steps = drain(scheduler)
    assert retracted(steps) == ["young"]
    tokens, finishes = given(steps)
    assert tokens == {"old": 40, "young": 15}
    assert list(finishes) == ["old", "young"]
    at = next(i for i, (_, step) in enumerate(steps) if step.retracted)
    had = sum(e.tokens for _, step in steps[:at] for e in step.emissions if e.rid == "young")
    again = next(s for _, s in steps[at:] if s.kind == "prefill")
    assert again.emissions[0].rid == "young"
    # 30 prompt tokens and the ones it had, no hit: fewer than 64 keep no state
    assert again.cached == ()
    assert again.duration_s == pytest.approx(scheduler.speed.prefill_s(30 + had))


def test_a_retraction_raises_the_guess():
    """SGLang's estimate: (given + 20 per request) / limits, of those who stay."""
    scheduler = server(kv_tokens=100)
    scheduler.submit(Request("old", 40, 40, 0.0, max_tokens=41))
    scheduler.submit(Request("young", 30, 15, 0.1, max_tokens=16))
    scheduler._ratio = 0.1
    scheduler.rules = replace(scheduler.rules, init_new_token_ratio=0.1)
    *before, _ = steps_until(scheduler, lambda step: step.retracted)
    had = sum(e.tokens for _, step in before for e in step.emissions if e.rid == "old")
    assert scheduler._ratio == pytest.approx((had + 20) / (41 + 1))


def test_the_guess_falls_from_0_7_to_a_seventh_of_it_in_600_steps():
    rules = Rules.of(plan(B200))
    assert rules.init_new_token_ratio == 0.7
    assert rules.min_new_token_ratio == pytest.approx(0.098)
    assert rules.new_token_ratio_decay * 600 == pytest.approx(0.7 - 0.098)
    scheduler = server(kv_tokens=10_000)
    scheduler.submit(Request("a", 10, 301, max_tokens=1000))
    decoded = iter(range(1000))
    steps_until(scheduler, lambda step: step.kind == "decode" and next(decoded) == 298)
    assert scheduler._ratio == pytest.approx(0.7 - 299 * rules.new_token_ratio_decay)


def test_outputs_above_4096_are_reserved_for_4096():
    """CLIP_MAX_NEW_TOKENS: five of 100 + 8,000 are let in where 5 × 4,196 fit, and two of them are
    retracted when they grow past it."""
    scheduler = server(kv_tokens=22_000)
    for i in range(5):
        scheduler.submit(Request(str(i), 100, 8000))
    steps = drain(scheduler)
    assert steps[0][1].running == 5
    assert len(set(retracted(steps))) >= 2
    assert given(steps)[0] == dict.fromkeys(map(str, range(5)), 8000)


def test_a_full_batch_sees_one_step_late_that_a_request_has_left():
    """0.5.9 looks only when it prepares the next decode; 0.5.23 looks first, but its overlap
    scheduler learns of the end a step late; without overlap it refills at once."""

    def decodes_between(machine, sglang):
        scheduler = server(machine, kv_tokens=100_000, running=2, sglang=sglang)
        for rid, out in (("a", 5), ("b", 50), ("c", 5)):
            scheduler.submit(Request(rid, 10, out))
        steps = [step for _, step in drain(scheduler)]
        end = next(i for i, s in enumerate(steps) if any(e.finished for e in s.emissions))
        return next(i for i, s in enumerate(steps[end + 1 :]) if s.kind == "prefill")

    assert decodes_between(replace(B200, radix_cache=False, overlap=False), "0.5.9") == 1
    assert decodes_between(B200, "0.5.23") == 1
    assert decodes_between(replace(B200, overlap=False), "0.5.23") == 0


def test_a_step_says_who_was_retracted_before_it_and_gives_them_nothing():
    for _, step in drain(crowd()):
        assert not set(step.retracted) & {e.rid for e in step.emissions}


def test_a_retracted_request_can_be_aborted():
    scheduler = crowd()
    now, last = steps_until(scheduler, lambda step: step.retracted)[-1]
    victim = last.retracted[0]
    assert scheduler.abort(victim)
    tokens, _ = given(drain(scheduler, now))
    assert victim not in tokens
    assert scheduler.kv_tokens_used == 0


def test_impossible_requests_are_refused():
    scheduler = server()
    for wrong in (
        Request("a", 10, 10, max_tokens=9),
        Request("a", 10, 10, image_tokens=11),
        Request("a", 10, 10, shared=("p", 11)),
        Request("a", 500, 499),
    ):
        with pytest.raises(InvalidValue, match="request a"):
            scheduler.submit(wrong)
