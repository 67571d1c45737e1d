"""The memory plan: its figures beside published ones, its verdicts, reasons and remedies."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kit import deployment_matrix
from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile, cookbook, profile, profiles
from kit.sizing import FITS_TOKENS, GIB, MemoryPlan, explain, plan
from kit.sizing.accounting import accounting
from kit.sizing.mem_fraction import context_gib
from kit.sizing.plan import HeldBytes
from kit.sizing.rank_memory import LABELS

DOCS = Path(__file__).parents[1] / "docs"
NO_MTP = {"mtp": None}


def of(name: str, **change: object) -> Profile:
    return replace(profile(name), **change)  # type: ignore[arg-type]


# Computed by others from SGLang 0.5.23's formulas: requests at once, thousands of KV tokens.
# They took 1.5 GiB per rank before the weights, whatever the ranks, and not what MTP loads twice.
FIT_TABLE = [
    (of("h200x8"), 39, 594),
    (of("h200x8", **NO_MTP), 78, 687),
    (of("b200x8"), 247, 2150),
    (of("397b-bf16-b200x8"), 48, 2040),
    (of("h100x16"), 48, 602),
    (of("397b-fp8-h100x8"), 35, 522),
    (of("397b-fp8-h200x8"), 128, 2700),
    (of("397b-fp8-b200x4"), 48, 1720),
    (of("397b-bf16-b300x4"), 29, 875),
    (of("397b-fp8-b300x2"), 13, 849),
    (of("35b-bf16-h200x1"), 38, 1110),
    (of("27b-bf16-h200x1"), 21, 485),
    (of("9b-bf16-h200x1"), 48, 1730),
    (Profile.of("4b", "bf16", "rtx4090", 1), 9, 150),
    (Profile.of("0.8b", "bf16", "t4", 1), 27, 382),
]


@pytest.mark.parametrize(
    ("p", "requests", "thousands"), FIT_TABLE, ids=lambda v: getattr(v, "name", "")
)
def test_the_fit_table(p: Profile, requests: int, thousands: int) -> None:
    made = plan(as_they_assumed(p))
    assert abs(made.max_running_requests - requests) <= max(1, 0.05 * requests)
    assert made.kv_tokens / 1000 == pytest.approx(thousands, rel=0.05)
    assert made.fits


def as_they_assumed(p: Profile) -> Profile:
    """`p` on GPUs that leave what the fit table assumed, where ranks and MTP take more."""
    fraction = p.mem_fraction_static or 1.0
    more = max(context_gib(p) - 1.5, 0.0) + plan(p).loaded_twice_gib / fraction
    return replace(p, gpu=replace(p.gpu, key="custom", memory_gib=p.gpu.memory_gib + more))


def test_ranks_that_talk_leave_what_start_logs_show() -> None:
    """sgl-project/sglang pull request 11716: 137.29 GiB free before the weights, H200 at TP 8."""
    held = HeldBytes.of(profile("h200x8"), accounting(SGLANG))
    assert held.free / GIB == pytest.approx(137.29, abs=0.15)
    alone = HeldBytes.of(profile("35b-bf16-h200x1"), accounting(SGLANG))
    assert alone.free / GIB == pytest.approx(139.11, abs=0.15)  # data/recorded/h200-35b-mtp.log
    said = [r for r in explain(plan(profile("h200x8"))).reasons if "talk to each other" in r]
    assert len(said) == 1
    assert "2.3 to 3.2" in said[0]


def test_h100_needs_sixteen_ranks() -> None:
    eight = plan(Profile.of("397b", "bf16", "h100", 8))
    assert not eight.fits
    assert eight.verdict == "no"
    assert "93.9 GiB per rank against 79.6 GiB" in explain(eight).reasons[0]
    assert eight.rank(0).total_gib > eight.rank(0).limit_gib
    actions = [remedy.action for remedy in explain(eight).remedies]
    assert any("16 × H100" in action for action in actions)
    assert any("FP8 on 8 × H100" in action for action in actions)
    assert all(plan(remedy.profile).fits for remedy in explain(eight).remedies)
    assert plan(profile("h100x16")).fits


@pytest.mark.parametrize("name", ["h200x8", "b200x8"])
def test_h200_and_b200_need_eight(name: str) -> None:
    assert plan(profile(name)).fits
    assert not plan(Profile.of("397b", "bf16", profile(name).gpu, 4, ep_size=1)).fits


def test_the_figures_of_h200() -> None:
    made = explain(plan(profile("h200x8"))).to_json()
    assert made["weights_gb"] == 806.8
    assert made["kv_bytes_per_token"] == 32_768
    assert made["kv_bytes_per_token_per_rank"] == 16_384
    assert made["state_mib_per_request"] == 183.2
    assert made["fits"] is True
    assert made["max_running_requests"] == 34
    assert made["provenance"]["kind"] == "computed"
    assert len(made["ranks"]) == 8
    without = explain(plan(of("h200x8", mtp=None))).to_json()
    assert without["kv_bytes_per_token"] == 30_720
    assert without["weights_gb"] == 806.8
    assert without["loaded_gb"] == 793.6


def test_what_the_version_changes_and_why() -> None:
    old, new = plan(profile("h200x8"), "0.5.9"), plan(profile("h200x8"), "0.5.23")
    assert (old.max_running_requests, new.max_running_requests) == (48, 34)
    assert (old.slots_per_request, new.slots_per_request) == (1, 5)
    assert any("radix cache off" in reason for reason in explain(old).reasons)
    assert any("5 per request (extra_buffer)" in reason for reason in explain(new).reasons)


def test_the_flag_that_raised_concurrency_once_does_nothing_now() -> None:
    asked = of("h200x8", max_running_requests=128)
    assert plan(asked, "0.5.9").max_running_requests == 128
    assert plan(asked).max_running_requests < 48
    assert plan(replace(asked, radix_cache=False)).max_running_requests > 48


@pytest.mark.parametrize("version", ["0.5.10", "0.5.12.post1", "v0.5.13"])
def test_versions_that_refuse_the_command_say_so(version: str) -> None:
    made = plan(profile("h200x8"), version)
    assert made.refused
    assert any("refuses MTP" in reason for reason in explain(made).reasons)
    assert not plan(of("h200x8", mtp=None), version).refused


@pytest.mark.parametrize("version", ["0.5.8", "0.4", "latest", "", "5"])
def test_versions_that_cannot_be_counted_are_refused(version: str) -> None:
    with pytest.raises(InvalidValue, match="SGLang"):
        plan(profile("h200x8"), version)


def test_a_version_newer_than_the_source_that_was_read_is_counted_as_that() -> None:
    newer = plan(profile("h200x8"), "0.6.1")
    assert newer.max_running_requests == plan(profile("h200x8"), SGLANG).max_running_requests
    assert any("newer than" in reason for reason in explain(newer).reasons)


@pytest.mark.parametrize("version", ["0.5.9", "0.5.12", "0.5.16", SGLANG])
@pytest.mark.parametrize("name", [p.name for p in profiles()])
def test_what_fits_stays_under_the_card_and_the_ledger_adds_up(name: str, version: str) -> None:
    made = plan(profile(name), version)
    rank = made.rank(0)
    assert all(gib >= 0 for _, gib in rank.entries)
    assert len(made.ranks) == made.profile.tp_size
    if made.max_running_requests:
        assert rank.total_gib <= rank.limit_gib + 1e-6
        static = rank.gdn_states_gib + rank.mtp_snapshots_gib + rank.kv_cache_gib
        spare = 0.0  # one state, and one set of snapshots, that older versions do not count
        if not accounting(version).padding:
            drafts = made.profile.mtp.num_draft_tokens if made.profile.mtp else 0
            spare = made.state_mib_per_request_per_rank / 1024 * (1 + drafts)
        assert static <= made.rest_gib + spare + 1e-6
        assert static > made.rest_gib - 0.1 or not made.profile.radix_cache


def test_states_and_tokens_share_what_is_left() -> None:
    more = plan(of("h200x8", ssm_dtype="bfloat16"))
    assert more.state_mib_per_request == pytest.approx(93.2, abs=0.05)
    assert more.max_running_requests == 48
    assert more.kv_tokens > plan(profile("h200x8")).kv_tokens


def test_cuda_ipc_costs_a_gibibyte_of_cache() -> None:
    plain, ipc = plan(profile("h200x8")), plan(of("h200x8", mm_feature_transport="cuda_ipc"))
    assert plain.rest_gib - ipc.rest_gib == pytest.approx(1.0)


def test_what_would_mend_a_plan_with_cuda_ipc_leaves_it_out_where_it_cannot_be() -> None:
    small = plan(Profile.of("397b", "bf16", "h100", 8, mm_feature_transport="cuda_ipc"))
    by_ranks = {r.profile.tp_size: r.profile for r in explain(small).remedies}
    assert by_ranks[16].nodes == 2
    assert by_ranks[16].mm_feature_transport is None


def test_opposite_moves_for_memory_that_runs_out_early_and_late() -> None:
    early = plan(of("h200x8", mem_fraction_static=0.6))
    assert not early.fits
    assert "more than --mem-fraction-static 0.6 allows" in explain(early).reasons[0]
    raised = [r for r in explain(early).remedies if "--mem-fraction-static" in r.action]
    assert raised
    assert raised[0].profile.mem_fraction_static > early.minimum_fraction  # type: ignore[operator]
    fits = plan(profile("h200x8"))
    assert 0.68 < fits.minimum_fraction < 0.70
    both = r"at the start: raise .*at graph capture or while serving: lower"
    assert any(re.search(both, reason) for reason in explain(fits).reasons)


def test_context_against_concurrency() -> None:
    made = plan(profile("h200x8"))
    assert made.requests_at(262_144) == 1
    assert made.requests_at(1_000) == made.max_running_requests
    assert made.context_at(1) == 262_144
    assert made.context_at(34) * 34 <= made.kv_tokens
    assert made.context_at(35) == 0
    for requests in (0, -1):
        with pytest.raises(InvalidValue):
            made.context_at(requests)
    with pytest.raises(InvalidValue):
        made.requests_at(-5)


def test_a_million_tokens_by_yarn_and_what_they_cost() -> None:
    made = plan(of("h200x8", context_length=1_010_000))
    assert made.verdict == "short"  # it starts, without room for the context that is asked
    assert made.requests_at(1_010_000) == 0
    assert any("YaRN" in reason and "15.4 GiB" in reason for reason in explain(made).reasons)
    roomy = plan(of("b200x8", context_length=1_010_000))
    assert roomy.requests_at(1_010_000) == 2


def test_ranks_that_do_not_exist() -> None:
    made = plan(profile("h200x8"))
    assert made.rank(7).rank == 7
    for number in (8, -1):
        with pytest.raises(InvalidValue, match="ranks are 0 to 7"):
            made.rank(number)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("397b", "nvfp4", "h200", 8), "compute capability 10"),
        (("397b", "nvfp4", "mi355x", 8), "MXFP4"),
        (("397b", "mxfp4", "b200", 8), "NVFP4"),
        (("397b", "mxfp4", "mi300x", 8), "gfx950"),
        (("397b", "fp8", "h100", 16), "do not divide"),
        (("35b", "fp8", "h100", 8), "512 over 8"),
        (("4b", "fp8", "t4", 1), "compute capability 8"),
        (("397b", "nvfp4", "xeon", 6), "CPU"),
    ],
)
def test_precisions_that_do_not_run_somewhere_say_why(
    arguments: tuple[str, str, str, int], words: str
) -> None:
    made = plan(Profile.of(*arguments))
    assert not made.fits
    assert words in explain(made).reasons[0]


def test_lambdas_requires_b200_does_not_stand() -> None:
    assert plan(profile("h200x8")).fits
    assert plan(profile("h100x16")).fits
    assert plan(profile("397b-fp8-h100x8")).fits


@pytest.mark.parametrize("p", cookbook(), ids=lambda p: p.name)
def test_every_profile_of_the_cookbook_has_a_page_without_surprises(p: Profile) -> None:
    made = plan(p)
    page = str(explain(made))
    assert p.name in page
    assert str(made.provenance) in page
    assert explain(made).reasons
    assert made.fits == (made.max_running_requests >= 1 and made.kv_tokens >= FITS_TOKENS)
    assert made.fits or explain(made).remedies
    assert all(isinstance(reason, str) and reason for reason in explain(made).reasons)


def test_reasons_and_remedies_are_computed_when_they_are_read_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[MemoryPlan] = []
    module = importlib.import_module("kit.sizing.explain")
    monkeypatch.setattr(module, "remedies", lambda memory: asked.append(memory) or ())
    memory = plan(profile("h200x8"))
    explained = explain(memory)
    assert not asked
    assert explained.reasons is explained.reasons
    assert explained.remedies == ()
    assert asked == [memory]


def test_the_parts_of_a_ledger_are_its_fields_under_their_labels() -> None:
    rank = plan(profile("h200x8"), "0.5.9").rank(3)
    fields = {name for name in vars(rank) if name not in ("rank", "limit_gib")}
    assert {name for name, _ in LABELS} == fields
    assert dict(rank.entries)["KV cache"] == rank.kv_cache_gib
    assert "MTP's KV cache, outside the budget" in dict(rank.entries)
    assert "MTP's KV cache, outside the budget" not in dict(plan(profile("h200x8")).rank(3).entries)


def test_remedies_hold_what_they_promise() -> None:
    for p in (
        profile("h200x8"),
        profile("122b-bf16-mi325x-x1"),
        Profile.of("27b", "bf16", "l4", 1),
    ):
        made = plan(p)
        for remedy in explain(made).remedies:
            then: MemoryPlan = plan(remedy.profile)
            assert then.fits
            assert f"{then.kv_tokens:,}" in remedy.gives


def test_the_page_of_the_matrix_is_what_the_code_writes_now() -> None:
    page = (DOCS / "deployment-matrix.md").read_text(encoding="utf-8")
    assert page == deployment_matrix.markdown(), (
        "run: python -m kit.deployment_matrix > docs/deployment-matrix.md"
    )


def test_every_disagreement_in_the_matrix_is_explained() -> None:
    table = deployment_matrix.rows()
    assert len(table) == 186
    for row in table:
        assert row.agrees or deployment_matrix.note(row)
        if row.plan.verdict in ("no", "short"):
            assert "would fit: " in deployment_matrix.note(row)
    no = {row.plan.profile.title for row in table if row.plan.verdict == "no"}
    assert no == {  # AMD's aiter leaves 0.85 of the fraction
        "122b-bf16-mi325x-x1",
        "122b-bf16-mi355x-x1",
        "397b-bf16-mi325x-x4",
        "397b-fp8-mi325x-x2",
    }


@pytest.mark.parametrize(("gpu", "count"), [("xeon", 1), ("t4", 1), ("l4", 8), ("h100", 8)])
def test_what_does_not_fit_is_a_verdict_and_never_an_error(gpu: str, count: int) -> None:
    made = plan(Profile.of("397b", "bf16", gpu, count))
    assert made.verdict == "no"
    assert all(remedy.profile.nodes >= 1 for remedy in explain(made).remedies)
