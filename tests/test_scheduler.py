"""The scheduler keeps SGLang's rules, loses no token, and forgets the clock."""

import random
from dataclasses import replace

import pytest

from kit.errors import InvalidValue
from kit.hardware import profile
from kit.models import model
from kit.scheduler import Acceptance, Request, Scheduler, default_accept_length

H200 = profile("h200x8")
B200 = profile("b200x8")  # no MTP


def drain(scheduler, now=0.0, limit=100_000):
    """Run to the end; [(time, step)]."""
    out = []
    for _ in range(limit):
        step = scheduler.step(now)
        if step is None:
            wake = scheduler.wake_s()
            if wake is None:
                return out
            now = wake
            continue
        now += step.duration_s
        out.append((now, step))
    raise AssertionError("does not end")


def given(steps):
    """Tokens and finishes by rid."""
    tokens, finishes = {}, {}
    for _, step in steps:
        for rid, count, finished in step.emissions:
            assert rid not in finishes, "a token after the end"
            tokens[rid] = tokens.get(rid, 0) + count
            if finished:
                finishes[rid] = len(finishes)
    return tokens, finishes


@pytest.mark.parametrize("machine", [H200, B200], ids=lambda p: p.name)
def test_every_request_gets_exactly_its_tokens(machine):
    rng = random.Random(0)
    scheduler = Scheduler.of(machine)
    asked = {}
    for i in range(120):
        asked[str(i)] = rng.randint(1, 90)
        scheduler.submit(Request(str(i), rng.randint(1, 20_000), asked[str(i)], rng.random()))
    tokens, finishes = given(drain(scheduler))
    assert tokens == asked
    assert set(finishes) == set(asked)
    assert scheduler.generated_tokens == sum(asked.values())
    assert scheduler.kv_tokens_used == scheduler.running == scheduler.queued == 0


def test_first_come_first_served():
    scheduler = Scheduler.of(H200)
    arrivals = [0.3, 0.1, 0.2, 0.0]
    for i, arrival_s in enumerate(arrivals):
        scheduler.submit(Request(str(i), 8192, 5, arrival_s))
    first_tokens = [e.rid for _, s in drain(scheduler) if s.kind == "prefill" for e in s.emissions]
    assert first_tokens == ["3", "1", "2", "0"]


def test_speculation_runs_48_at_most_and_queues_the_rest():
    scheduler = Scheduler.of(replace(H200, radix_cache=False), "0.5.9")
    for i in range(100):
        scheduler.submit(Request(str(i), 10, 200))
    steps = [step for _, step in drain(scheduler)]
    assert max(s.running for s in steps) == 48
    assert max(s.queued for s in steps) == 52


def test_the_cap_follows_the_version():
    """With radix cache a request takes five state slots on 0.5.23: 39 run, not 48."""
    scheduler = Scheduler.of(replace(H200, max_running_requests=128), "0.5.23")
    for i in range(100):
        scheduler.submit(Request(str(i), 10, 200))
    assert max(s.running for _, s in drain(scheduler)) == scheduler.memory.max_running_requests < 48


def test_prefill_comes_before_decode():
    scheduler = Scheduler.of(H200)
    scheduler.submit(Request("old", 100, 400))
    scheduler.submit(Request("new", 100, 4, arrival_s=0.5))
    steps = drain(scheduler)
    kinds = [step.kind for _, step in steps]
    assert kinds.count("prefill") == 2
    ready_s = 0.5 + scheduler.speed.request_overhead_s
    second = [i for i, kind in enumerate(kinds) if kind == "prefill"][1]
    started_s = steps[second][0] - steps[second][1].duration_s
    step_before_s = steps[second - 1][1].duration_s
    assert ready_s <= started_s <= ready_s + step_before_s


def test_a_long_prompt_is_prefilled_in_chunks_without_a_decode_between():
    scheduler = Scheduler.of(H200)
    scheduler.submit(Request("running", 100, 4000))
    scheduler.submit(Request("long", 20_000, 2, arrival_s=1.0))
    steps = [step for _, step in drain(scheduler)]
    prefills = [i for i, s in enumerate(steps) if s.kind == "prefill"]
    assert len(prefills) == 1 + 3  # 8192 + 8192 + 3616
    assert prefills[-1] - prefills[1] == 2
    assert not steps[prefills[1]].emissions
    assert [e.rid for e in steps[prefills[-1]].emissions] == ["long"]


def test_short_prompts_share_a_prefill():
    scheduler = Scheduler.of(H200)
    for i in range(10):
        scheduler.submit(Request(str(i), 800, 2))
    prefills = [step for _, step in drain(scheduler) if step.kind == "prefill"]
    assert [s.running for s in prefills] == [10]
    assert len(prefills[0].emissions) == 10


def test_a_request_waits_until_its_kv_tokens_are_free():
    scheduler = Scheduler.of(H200)
    room = scheduler.memory.kv_tokens
    scheduler.submit(Request("big", room - 1000, 500))
    scheduler.submit(Request("next", 600, 10))
    _, finishes = given(steps := drain(scheduler))
    assert finishes == {"big": 0, "next": 1}
    assert max(step.queued for _, step in steps) == 1


def test_what_can_never_fit_is_refused_at_once():
    scheduler = Scheduler.of(H200)
    with pytest.raises(InvalidValue, match="KV cache holds"):
        scheduler.submit(Request("huge", scheduler.memory.kv_tokens, 1))
    with pytest.raises(InvalidValue):
        scheduler.submit(Request("none", 0, 10))


def test_a_rid_is_used_once_at_a_time():
    scheduler = Scheduler.of(H200)
    scheduler.submit(Request("a", 10, 10))
    with pytest.raises(InvalidValue, match="in flight"):
        scheduler.submit(Request("a", 10, 10))
    drain(scheduler)
    scheduler.submit(Request("a", 10, 10))


@pytest.mark.parametrize("where", ["on its way", "queued", "in prefill", "running"])
def test_abort_frees_what_the_request_held(where):
    scheduler = Scheduler.of(H200)
    arrival_s = 1e9 if where == "on its way" else 0.0
    prompt = 50_000 if where == "in prefill" else 100
    if where == "queued":
        for i in range(scheduler.memory.max_running_requests):
            scheduler.submit(Request(f"before {i}", 10, 1000))
    scheduler.submit(Request("victim", prompt, 1000, arrival_s))
    now = scheduler.speed.request_overhead_s
    for _ in range(3):
        step = scheduler.step(now)
        now += step.duration_s if step else 0.0
    assert (scheduler.queued == 1) is (where == "queued")
    before = scheduler.running
    assert scheduler.abort("victim")
    assert scheduler.running == before - (where in ("in prefill", "running"))
    assert not scheduler.abort("victim")
    tokens, finishes = given(drain(scheduler, now))
    assert "victim" not in tokens
    assert "victim" not in finishes
    assert scheduler.kv_tokens_used == scheduler.queued == scheduler.running == 0
    assert scheduler.wake_s() is None
    scheduler.submit(Request("victim", prompt, 3))
    assert given(drain(scheduler, now))[0] == {"victim": 3}


def test_idle_says_when_it_wakes():
    scheduler = Scheduler.of(H200)
    assert scheduler.step(0.0) is None
    assert scheduler.wake_s() is None
    scheduler.submit(Request("a", 10, 1, arrival_s=2.0))
    assert scheduler.wake_s() == 2.0 + scheduler.speed.request_overhead_s
    assert scheduler.step(2.0) is None
    step = scheduler.step(scheduler.wake_s())
    assert step.kind == "prefill"
    assert step.emissions == (("a", 1, True),)


def test_the_clock_draws_no_tokens():
    """The same requests give the same chunks, whenever the steps happen to be taken."""

    def chunks(jitter):
        rng = random.Random(5)
        scheduler = Scheduler.of(H200, seed=3)
        for i in range(20):
            scheduler.submit(Request(str(i), 50 + i, 100, i * 0.2))
        out, now = {}, 0.0
        while scheduler.wake_s() is not None or scheduler.running or scheduler.queued:
            step = scheduler.step(now)
            if step is None:
                now = scheduler.wake_s()
                continue
            now += step.duration_s * (1 + jitter * rng.random())
            for rid, tokens, _ in step.emissions:
                out.setdefault(rid, []).append(tokens)
        return out

    assert chunks(0.0) == chunks(2.0)
    assert Scheduler.of(H200, seed=3).accept_length is None


def test_without_mtp_a_step_is_a_token():
    scheduler = Scheduler.of(B200)
    scheduler.submit(Request("a", 10, 50))
    steps = [step for _, step in drain(scheduler)]
    assert [s.kind for s in steps] == ["prefill"] + ["decode"] * 49
    assert all(e.tokens == 1 for s in steps for e in s.emissions)


@pytest.mark.parametrize("mean", [1.0, 1.5, 2.73, 3.12, 3.31, 3.9, 4.0])
def test_acceptance_has_the_mean_it_is_given(mean):
    acceptance = Acceptance.of(mean, 3)
    assert acceptance.accept_length == pytest.approx(mean, abs=1e-3)
    assert list(acceptance.survival) == sorted(acceptance.survival, reverse=True)
    rng = random.Random(1)
    drawn = [acceptance.tokens(rng.random()) for _ in range(40_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(mean, abs=0.02)
    assert set(drawn) <= {1, 2, 3, 4}


def test_the_published_curve_is_its_own_shape():
    """InferenceX prints 1.93, 2.73, 3.39 for one to three drafts: bent by nothing."""
    assert Acceptance.of(3.39, 3).survival == pytest.approx((0.93, 0.80, 0.66), abs=2e-3)


def test_a_simulated_run_has_the_accept_length_it_was_given():
    scheduler = Scheduler.of(H200, accept_length=3.31)
    for i in range(40):
        scheduler.submit(Request(str(i), 10, 1000))
    drain(scheduler)
    assert scheduler.accept_length == pytest.approx(3.31, abs=0.03)


def test_an_accept_length_that_cannot_be_is_refused():
    with pytest.raises(InvalidValue, match="between 1"):
        Scheduler.of(H200, accept_length=4.5)


def test_a_model_that_does_not_fit_does_not_run():
    small = replace(H200, gpu=profile("h100x16").gpu)
    with pytest.raises(InvalidValue, match="does not run"):
        Scheduler.of(small)


@pytest.mark.parametrize("mean", [1.2, 2.5, 3.3, 3.9])
def test_where_some_requests_accept_everything_the_mean_is_still_the_given(mean):
    """Tokens by steps over requests of one length: those that repeat themselves need fewest."""
    acceptance = Acceptance.of(mean, 3, repeating=0.6)
    assert acceptance.repeating <= 0.6
    assert acceptance.accept_length == pytest.approx(mean, abs=1e-3)
    assert acceptance.of_request(0.0) == (0.0, 0.0, 0.0)
    assert acceptance.of_request(0.99) == tuple(1 - p for p in acceptance.survival)


def test_small_models_repeat_themselves_more():
    lengths = [default_accept_length(model(name)) for name in ("0.8b", "9b", "397b")]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == pytest.approx(3.3, abs=0.2)  # the cookbook's two runs: 3.12 and 3.31
