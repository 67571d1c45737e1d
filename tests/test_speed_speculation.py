"""What a draft is worth and costs, against a published formula, drawn experts and the scheduler."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from kit import bench
from kit.errors import InvalidValue, UnknownName
from kit.hardware import Mtp, profile
from kit.models import model
from kit.speed.speculation import (
    accept_length,
    acceptance,
    crossings,
    experts_touched,
    published_lengths,
    speedup,
    step_cost,
)

H200 = profile("h200x8")
LARGE = model("397b")


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("drafts", [1, 3, 8])
def test_with_one_chance_for_all_it_is_leviathans_formula(chance, drafts):
    assert accept_length([chance] * drafts) == pytest.approx(
        (1 - chance ** (drafts + 1)) / (1 - chance)
    )


def test_nothing_accepted_still_gives_the_models_own_token():
    assert accept_length([0, 1, 1]) == 1
    assert accept_length([1, 1, 1]) == 4
    assert accept_length([]) == 1


def test_a_draft_counts_only_if_all_before_it_do():
    """Played out: tokens of a step are one, and one more for each draft up to the first miss."""
    chances, rng = (0.85, 0.7, 0.6), random.Random(1)

    def step():
        tokens = 1
        for chance in chances:
            if rng.random() >= chance:
                break
            tokens += 1
        return tokens

    n = 40_000
    assert sum(step() for _ in range(n)) / n == pytest.approx(accept_length(chances), abs=0.02)


@pytest.mark.parametrize("mode", ["thinking", "instruct"])
def test_published_lengths_go_into_chances_and_back(mode):
    lengths = published_lengths(mode)
    for drafts in (1, 3, 7):
        again = accept_length(lengths.acceptance(drafts))
        assert again == pytest.approx(lengths.values[drafts - 1])
    assert "InferenceX" in lengths.provenance.source


@pytest.mark.parametrize("impossible", [(2.5,), (1.5, 2.5), (1.9, 1.8), (1.5, 1.5, 1.6)])
def test_lengths_that_no_chances_have_are_refused(impossible):
    with pytest.raises(InvalidValue):
        acceptance(impossible)


@pytest.mark.parametrize("chance", [-0.1, 1.1, math.nan])
def test_a_chance_is_between_0_and_1(chance):
    with pytest.raises(InvalidValue):
        accept_length([0.5, chance])


def test_an_unknown_mode_names_those_there_are():
    with pytest.raises(UnknownName, match="thinking"):
        published_lengths("fast")


@pytest.mark.parametrize("tokens", [1, 4, 32, 192])
def test_experts_touched_are_those_of_drawn_tokens(tokens):
    """Each token draws ten of 512 without putting back; the distinct ones are counted."""
    rng = np.random.default_rng(0)
    drawn = [
        len({e for _ in range(tokens) for e in rng.choice(512, 10, replace=False).tolist()})
        for _ in range(60)
    ]
    assert experts_touched(LARGE, tokens) == pytest.approx(np.mean(drawn), rel=0.03)


def test_a_dense_model_has_no_experts_to_touch():
    with pytest.raises(InvalidValue, match="no experts"):
        experts_touched(model("27b"), 4)


def test_the_published_step_is_what_a_verify_step_costs():
    """TPOT × accept length of the cookbook's latency run: 12.4 ms, nothing else decoding."""
    report = bench.published("cookbook-latency").report
    step_ms = report["mean_tpot_ms"] * report["accept_length"]
    assert step_cost(H200, 1, 500, "0.5.9").verify_s * 1e3 == pytest.approx(step_ms, rel=0.1)


@pytest.mark.parametrize("requests", [1, 16])
def test_the_speedup_of_a_step_is_that_of_a_run_between_its_prefills(requests):
    """One wave of requests of one length, prefilled before it decodes: TPOT off / TPOT on, at the
    accept length that these few requests had."""
    waves = bench.Workload(256, 512, requests, max_concurrency=requests, range_ratio=1)
    off, on = (
        bench.simulate(replace(H200, mtp=mtp, radix_cache=False), waves, accept_length=3.12)
        for mtp in (None, Mtp())
    )
    ratio = off.tpot.mean / on.tpot.mean
    assert ratio == pytest.approx(speedup(H200, requests, 512, on.accept_length), rel=0.08)


def test_break_even_is_where_the_accept_length_is_the_cost_ratio():
    cost = step_cost(H200, 16)
    assert cost.speedup(cost.ratio) == pytest.approx(1)
    assert cost.tokens_per_s(cost.ratio) == pytest.approx(cost.tokens_per_s())


def test_a_mixture_of_experts_pays_for_new_experts_in_the_middle():
    alone, middle, many = (speedup(H200, n, 1000, 3.12) for n in (1, 16, 128))
    assert alone > middle
    assert many > middle


def test_a_dense_model_loses_with_every_request():
    """All weights are read either way: the ratio only grows, once compute counts."""
    dense = replace(H200, model=model("27b"))
    ratios = [step_cost(dense, n).ratio for n in (64, 128, 256, 512)]
    assert ratios == sorted(ratios)


@pytest.mark.parametrize("length", [1.6, 1.9])
def test_each_crossing_has_1_between_it_and_its_neighbour(length):
    found = crossings(H200, 1000, length, most_requests=300)
    assert found
    for n in found:
        before, after = (speedup(H200, m, 1000, length) >= 1 for m in (n - 1, n))
        assert before != after


def test_a_verify_step_that_gives_little_never_pays():
    assert speedup(H200, 1, 1000, 1.2) < 1
    assert crossings(H200, 1000, 1.2, most_requests=300) == ()


def test_everything_accepted_never_costs():
    assert crossings(H200, 1000, 4.0, most_requests=300) == ()


@pytest.mark.parametrize("length", [0.9, 4.1])
def test_an_accept_length_that_three_drafts_cannot_have_is_refused(length):
    with pytest.raises(InvalidValue, match="3 draft tokens"):
        speedup(H200, 1, 1000, length)


def test_no_requests_cost_nothing_that_could_be_said():
    with pytest.raises(InvalidValue):
        step_cost(H200, 0)


def test_a_profile_without_mtp_is_asked_about_the_usual_three_drafts():
    b200 = profile("b200x8")
    assert b200.mtp is None
    assert step_cost(b200, 1).speedup(4) > 1
