"""What is admitted and who is retracted, against SGLang 0.5.23's own scheduler parts.

What runs is SGLang's: `PrefillAdder` with `PrefillBudget`, `NewTokenRatioTracker`, and the order of
`ScheduleBatch.retract_decode`. What is replaced: the KV allocator and the radix tree by counts, and
the configuration that a running server would have published.
"""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import pytest
import sglang.srt.managers.schedule_batch as schedule_batch
import sglang.srt.managers.schedule_policy as policy
import sglang.srt.managers.scheduler_components.new_token_ratio_tracker as tracker
from sglang.srt.mem_cache.allocation_sizing import get_alloc_reserve_per_decode
from sglang.srt.mem_cache.prefill_budget import PrefillBudget

from kit.hardware import profile
from kit.scheduler.config import Rules
from kit.scheduler.prefill_adder import Budget
from kit.scheduler.requests import Live, Request
from kit.sizing import plan

RULES = Rules.of(plan(profile("h200x8")))


@pytest.fixture(autouse=True)
def _published():
    """The one switch that the adder asks for, off as it is by default."""
    features = SimpleNamespace(enable_encoder_swa_bounded_replay=False)
    with mock.patch.object(policy, "get_exec", return_value=SimpleNamespace(features=features)):
        yield


class Allocator:
    """A KV pool with `free` tokens."""

    def __init__(self, free: int, page_size: int) -> None:
        self.free = free
        self.page_size = page_size

    def available_size(self) -> int:
        return self.free

    def create_prefill_budget(self, tree, num_mixed_decode_tokens=0):
        return PrefillBudget(self, tree, num_mixed_decode_tokens=num_mixed_decode_tokens)

    def request_slot_reserve(self, **_) -> int:
        return 0


def tree(radix_cache: bool):
    made = mock.MagicMock()
    made.disable = not radix_cache
    made.supports_mamba.return_value = radix_cache
    made.full_evictable_size.return_value = made.evictable_size.return_value = 0
    return made


def theirs(live: Live):
    """A request as SGLang's adder sees it."""
    request = live.request
    ids = [0] * (request.input_tokens + live.generated)
    req = mock.MagicMock()
    req.sampling_params = SimpleNamespace(max_new_tokens=live.limit, ignore_eos=request.ignore_eos)
    req.origin_input_ids = [0] * request.input_tokens
    req.output_ids = [0] * live.generated
    req.full_untruncated_fill_ids = ids
    req.prefix_len = req.host_hit_length = req.swa_host_hit_length = 0
    req.mamba_host_hit_length = req.storage_hit_length = req.extend_end = 0
    req.fulfilled_storage_hit_len.return_value = 0
    req.needs_host_load_back.return_value = False
    req.retracted_stain = False
    type(req).extend_len = property(lambda self: self.extend_end - self.prefix_len)
    return req


def drawn(rng: random.Random, rid: int, started: bool) -> Live:
    out = rng.randint(1, 6000)
    known = rng.random() < 0.5
    limit = out if known else out + rng.randint(0, 3000)
    tokens_in = rng.randint(1, 12_000)
    request = Request(str(rid), tokens_in, out, max_tokens=None if known else limit)
    live = Live(request, limit, rng.random)
    if started:
        live.prefilled = tokens_in
        live.left = rng.randint(1, out)
    return live


def admitted_here(rules, free, running, waiting, ratio):
    budget, out = Budget(rules, free, running, ratio), []
    for live in waiting:
        tokens = budget.admit(live, 0, 0) if budget.open else 0
        if not tokens:
            break
        out.append(tokens)
    return out, budget.full


def admitted_by_sglang(rules, free, running, waiting, ratio):
    batch = SimpleNamespace(reqs=[theirs(live) for live in running])
    adder = policy.PrefillAdder(
        rules.page_size,
        tree(rules.radix_cache),
        Allocator(free, rules.page_size),
        batch,
        ratio,
        rules.prefill_tokens,
        rules.chunk_tokens,
    )
    full = False
    for live in waiting:
        if adder.budget_state() == policy.AddReqResult.OTHER:
            break
        verdict = adder.add_one_req(theirs(live), False, None)
        if verdict != policy.AddReqResult.CONTINUE:
            full = verdict == policy.AddReqResult.NO_TOKEN
            break
    return [req.extend_len for req in adder.can_run_list], full


@pytest.mark.parametrize("radix_cache", [True, False])
@pytest.mark.parametrize("page_size", [1, 64])
def test_what_is_admitted_is_what_sglang_admits(radix_cache, page_size):
    rules = replace(RULES, radix_cache=radix_cache, page_size=page_size)
    rng = random.Random(page_size + radix_cache)
    seen = set()
    for case in range(150):
        running = [drawn(rng, i, True) for i in range(rng.randint(0, 12))]
        waiting = [drawn(rng, 100 + i, False) for i in range(rng.randint(1, 8))]
        if rng.random() < 0.5:  # short prompts: many in a batch
            waiting = [
                Live(live.request._replace(input_tokens=1 + i * 97), live.limit, live.draw)
                for i, live in enumerate(waiting)
            ]
        free, ratio = rng.randint(100, 60_000), rng.uniform(0.098, 0.7)
        ours = admitted_here(rules, free, running, waiting, ratio)
        assert ours == admitted_by_sglang(rules, free, running, waiting, ratio), case
        seen.add((len(ours[0]), ours[1]))
    assert len(seen) > 6  # none, some, many; by memory and by chunk


def test_the_guess_is_sglangs_from_first_to_last():
    with mock.patch.object(
        tracker, "get_schedule", return_value=SimpleNamespace(schedule_conservativeness=1.0)
    ):
        made = tracker.NewTokenRatioTracker.from_config()
    assert RULES.init_new_token_ratio == made.init
    assert RULES.min_new_token_ratio == pytest.approx(made.min)
    assert RULES.new_token_ratio_decay == pytest.approx(made.decay)
    lives = [drawn(random.Random(i), i, True) for i in range(9)]
    given, limits = sum(r.generated for r in lives), sum(r.limit for r in lives)
    ours = min(1.0, (given + RULES.retract_decode_steps * len(lives)) / (limits + 1))
    estimate = made.estimate_new_token_ratio_after_retract([theirs(r) for r in lives])
    assert ours == pytest.approx(estimate)


def test_those_with_the_fewest_tokens_go_first():
    rng = random.Random(7)
    lives = [drawn(rng, i, True) for i in range(40)]
    with mock.patch.object(
        schedule_batch, "get_schedule", return_value=SimpleNamespace(retraction_policy="default")
    ):
        kept = schedule_batch.ScheduleBatch._get_decode_retraction_order(list(map(theirs, lives)))
    ours = sorted(lives, key=lambda r: (r.generated, -r.request.input_tokens))
    assert [r.rid for r in ours] == [lives[i].rid for i in reversed(kept)]


def test_a_verify_step_reserves_eight_tokens_a_request():
    spec = SimpleNamespace(
        speculative_algorithm="EAGLE",
        speculative_num_steps=3,
        speculative_eagle_topk=1,
        speculative_num_draft_tokens=4,
    )
    where = "sglang.srt.mem_cache.allocation_sizing."
    with (
        mock.patch(where + "get_spec", return_value=spec),
        mock.patch(where + "max_speculative_num_draft_tokens", return_value=4),
        mock.patch(where + "get_alloc_page_size", return_value=1),
    ):
        assert get_alloc_reserve_per_decode() == RULES.decode_reserve == 8
