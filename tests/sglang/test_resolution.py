"""Launch plans, resolved by SGLang 0.5.23 itself: what it chooses where they say nothing.

The plan's own words go through SGLang's parser and its whole argument resolution
(`ServerArgs.resolve_once`) with a config of the model and no weights. There is no GPU here:
SGLang is told, by its own `override_platform`, which one it is on. What it would ask the
card itself is in NOT_KNOWN_HERE; the pools' sizes it learns only after loading.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pretend
import pytest
from sglang.srt.arg_groups.overrides import resolved_view
from sglang.srt.server_args import ServerArgs
from shapes import write_shape
from test_parser import flags_only, newest, plans

from kit.errors import InvalidValue
from kit.hardware import SGLANG, profile
from kit.launch import LaunchPlan, launch_plan
from kit.scheduler import default_chunk_tokens
from kit.twin import server_info

ALIAS = {"NEXTN": "EAGLE"}  # the same algorithm: SGLang keeps the second name
NOT_KNOWN_HERE = {
    "max_total_num_tokens": "KV tokens, from the memory that is free once the weights are loaded",
    "max_mamba_cache_size": "state slots, likewise",
    "the cap by state slots": "max_running_requests is lowered to it when the pools are made",
    "mm_attention_backend": "stays unset: the vision tower asks the card when it is built",
    "weights": "no tensor is read: that a quantised checkpoint loads needs the checkpoint",
}


@functools.cache
def shape_of(model: str, root: Path) -> Path:
    folder = root / model
    folder.mkdir()
    write_shape(model, folder)
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


def parsed(plan: LaunchPlan, shapes: Path) -> Any:
    """The plan's words as SGLang's parser reads them, the checkpoint being a config here."""
    words = flags_only(plan)
    words[words.index("--model-path") + 1] = str(shape_of(plan.profile.model.name, shapes))
    if plan.nodes > 1:
        words[words.index("--dist-init-addr") + 1] = "127.0.0.1:20000"
    if not plan.profile.gpu.is_cpu:
        words += ["--device", "cuda"]  # what SGLang finds by itself where there is a GPU
    return newest().parse_args(words)


def resolved(plan: LaunchPlan, shapes: Path) -> Any:
    """All settings of the server that this plan starts."""
    given = parsed(plan, shapes)
    with pretend.on(plan.profile.gpu):
        args = ServerArgs.from_cli_args(given)
        args.resolve_once()
        return resolved_view(args)


def claims(plan: LaunchPlan) -> dict[str, Any]:
    """What the kit says that SGLang will choose where the plan is silent."""
    p, given = plan.profile, {flag.name: flag.value for flag in plan.flags}
    said = {
        "chunked_prefill_size": p.chunked_prefill_size or default_chunk_tokens(p),
        "disable_radix_cache": not p.radix_cache,
        "disable_overlap_schedule": not p.overlap,
        "max_running_requests": p.max_running_requests or (48 if p.mtp else None),
        "speculative_num_draft_tokens": p.mtp.num_draft_tokens if p.mtp else None,
        "page_size": 64 if "trtllm_mha" in given.values() else plan.memory.page_size,
        "mem_fraction_static": pytest.approx(plan.memory.mem_fraction_static),
    }
    if p.radix_cache:
        said["mamba_radix_cache_strategy"] = plan.memory.strategy.removesuffix("_no_overlap")
    if not p.gpu.is_amd and not p.gpu.is_cpu:
        fuses = "--enable-flashinfer-allreduce-fusion" in {one.flag for one in plan.left_out}
        said["flashinfer_allreduce_fusion_backend"] = "auto" if fuses else None
    return said


def given(plan: LaunchPlan) -> Iterator[tuple[str, Any]]:
    """(field, value) of every flag that the plan holds and that resolution may change."""
    by_name = newest()._option_string_actions
    read = vars(newest().parse_args(flags_only(plan)))
    for flag in plan.flags:
        name = by_name[flag.name].dest
        if name not in ("model_path", "mem_fraction_static"):
            yield name, ALIAS.get(read[name], read[name])


def test_sglang_resolves_every_plan_of_the_matrix_to_what_the_kit_says(shapes: Path) -> None:
    seen: Counter[str] = Counter()
    for plan in plans():
        theirs = resolved(plan, shapes)
        for name, ours in [*claims(plan).items(), *given(plan)]:
            assert getattr(theirs, name) == ours, (plan.profile.name, name)
        seen[plan.profile.gpu.key] += 1
    print(f"\n{seen.total()} plans resolved by SGLang {SGLANG}, on {len(seen)} kinds of machine")
    for what, why in NOT_KNOWN_HERE.items():
        print(f"  not known without a GPU: {what}: {why}")
    assert seen.total() > 300


@pytest.mark.parametrize(
    ("name", "mtp"),
    [("h200x8", True), ("h100x16", True), ("b200x8", False), ("397b-bf16-b200x8", True)],
)
def test_the_twins_server_info_says_what_sglang_resolves(
    name: str, mtp: bool, shapes: Path
) -> None:
    plan = launch_plan(profile(name))
    assert (plan.profile.mtp is not None) is mtp
    theirs, ours = resolved(plan, shapes), server_info.resolved(plan, 262_144, 30_000)
    by_place = {"model_path", "tokenizer_path", "served_model_name", "dist_init_addr"}
    by_chance = {"random_seed"}
    from_the_config = {"context_length"}  # unset until the checkpoint's own is read
    for setting, value in ours.items():
        if setting not in by_place | by_chance | from_the_config:
            assert getattr(theirs, setting) == value, setting


def test_blackwell_without_mtp_gets_paged_attention_only_when_asked(shapes: Path) -> None:
    """Why the plan names the backend there: left to itself SGLang takes triton."""
    silent, asked = profile("b200x8"), replace(profile("397b-bf16-b200x8"), mtp=None)
    theirs = resolved(launch_plan(silent), shapes)
    assert (theirs.attention_backend, theirs.page_size) == ("triton", 1)
    theirs = resolved(launch_plan(asked), shapes)
    assert (theirs.attention_backend, theirs.page_size) == ("trtllm_mha", 64)


def test_cuda_ipc_over_two_nodes_is_refused_by_both(shapes: Path) -> None:
    plan = launch_plan(profile("h100x16"))
    with pytest.raises(InvalidValue):
        launch_plan(replace(plan.profile, mm_feature_transport="cuda_ipc"))
    given = parsed(plan, shapes)
    given.mm_feature_transport = "cuda_ipc"
    with pretend.on(plan.profile.gpu), pytest.raises(ValueError, match="single node"):
        ServerArgs.from_cli_args(given).resolve_once()
