"""Chats in virtual time: what the prefix cache saves them, and what it costs."""

from dataclasses import replace

import pytest

from kit.bench.prefix_reuse import Chats, simulate_chats
from kit.errors import InvalidValue
from kit.hardware import profile
from kit.sizing import plan
from kit.speed import SpeedModel
from kit.views import prefix_reuse

H200 = profile("h200x8")
OFF = replace(H200, radix_cache=False)


def test_a_turn_reads_only_what_is_new_since_the_turn_before():
    """The state is kept at the end of a prompt, rounded down to 64 tokens."""
    run = simulate_chats(H200, Chats(users=1, turns=3))
    assert [turn.prompt_tokens for turn in run.turns] == [3150, 3700, 4250]
    assert [turn.cached_tokens for turn in run.turns] == [0, 49 * 64, 57 * 64]


def test_a_single_users_first_token_comes_after_overhead_and_prefill():
    speed = SpeedModel.of(H200)
    run = simulate_chats(H200, Chats(users=1, turns=2))
    for turn, rest, cached in zip(run.turns, (3150, 3700 - 3136), (0, 3136), strict=True):
        wanted_s = speed.request_overhead_s + speed.prefill_s(rest, 1, cached)
        assert turn.ttft_ms == pytest.approx(wanted_s * 1e3)


def test_a_shared_system_prompt_is_read_once_it_is_known():
    chats = Chats(one_question=True)
    run = simulate_chats(H200, chats)
    assert [r.cached_tokens for r in run.requests[:3]] == [0, 0, 46 * 64]
    assert run.cached_share > 0.9
    assert run.mean_ttft_ms < simulate_chats(OFF, chats).mean_ttft_ms


def test_without_the_cache_nothing_is_reused_and_more_requests_run():
    run = simulate_chats(OFF, Chats())
    assert run.cached_share == 0
    assert run.most_running == plan(OFF).max_running_requests > plan(H200).max_running_requests


def test_with_many_waiting_chats_states_are_dropped():
    """The pool of state slots holds fewer states than there are chats and runs."""
    few, many = (simulate_chats(H200, Chats(users=n)) for n in (20, 60))
    assert many.cached_share < few.cached_share / 2


def test_the_figure_says_what_the_runs_say():
    runs = [simulate_chats(machine, Chats(users=4)) for machine in (H200, OFF)]
    figure = prefix_reuse(*runs)
    assert [line.name for line in figure.data] == ["without prefix cache", "with prefix cache"]
    assert list(figure.data[1].y) == [round(turn.ttft_ms, 3) for turn in runs[0].turns]
    assert figure.table is not None
    assert len(figure.table.rows) == 6
    assert str(figure.table.provenance).startswith("simulated · ")


@pytest.mark.parametrize("wrong", [{"users": 0}, {"turns": 0}, {"pause_s": -1}])
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidValue):
        Chats(**wrong)
