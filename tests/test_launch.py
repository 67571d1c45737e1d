"""Launch plans: the source pages, names by version, what is refused and warned of."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kit.errors import InvalidValue, UnknownName
from kit.hardware import SGLANG, Profile, gpu, profile
from kit.launch import LaunchPlan, changes, launch_plan, source_commands


def named(plan: LaunchPlan) -> dict[str, str | None]:
    return {flag.name: flag.value for flag in plan.node_flags()}


# --- the two source pages


@pytest.mark.parametrize("page", source_commands(), ids=lambda p: p.name)
def test_the_plan_for_the_pages_version_is_the_pages_text(page: object) -> None:
    plan = launch_plan(page.profile, page.sglang, **page.options)
    assert page.written_from(plan) == page.text


def test_today_the_cookbooks_command_is_spelt_out_and_closed() -> None:
    cookbook = next(p for p in source_commands() if p.name == "cookbook")
    changed = {d.theirs.split()[0]: d.ours for d in cookbook.differences()}
    assert changed["--tp"] == "--tp-size 8"
    assert changed["--host"] == "--host 127.0.0.1"
    assert changed["SGLANG_USE_CUDA_IPC_TRANSPORT=1"] == "--mm-feature-transport cuda_ipc"


def test_today_lambdas_command_runs_no_foreign_code() -> None:
    page = next(p for p in source_commands() if p.name == "lambda")
    gone = [d.theirs for d in page.differences() if not d.ours]
    assert gone == ["--mamba-ssm-dtype float32", "--trust-remote-code"]
    assert [flag.split()[0] for flag in gone] == list(page.without_effect)


# --- by version


@pytest.mark.parametrize(
    ("sglang", "flag"),
    [
        ("0.5.9", None),
        ("0.5.12.post1", "--mamba-scheduler-strategy"),
        ("0.5.13", "--mamba-scheduler-strategy"),
        ("0.5.14", None),
        ("0.5.23", None),
    ],
)
def test_state_snapshots_are_asked_for_only_where_auto_would_be_refused(
    sglang: str, flag: str | None
) -> None:
    given = [name for name in named(launch_plan(profile("h200x8"), sglang)) if "mamba" in name]
    assert given == ([flag] if flag else [])


def test_the_strategy_is_spelt_as_its_version_spells_it() -> None:
    asked = replace(profile("h200x8"), mamba_radix_cache_strategy="extra_buffer")
    assert "--mamba-scheduler-strategy" in named(launch_plan(asked, "0.5.13"))
    assert "--mamba-radix-cache-strategy" in named(launch_plan(asked, "0.5.20"))


def test_cuda_ipc_is_a_variable_before_0_5_19_and_a_flag_after() -> None:
    asked = replace(profile("h200x8"), mm_feature_transport="cuda_ipc")
    old, new = launch_plan(asked, "0.5.15"), launch_plan(asked)
    assert old.env == {"SGLANG_USE_CUDA_IPC_TRANSPORT": "1"}
    assert "--mm-feature-transport" not in named(old)
    assert new.env == {}
    assert named(new)["--mm-feature-transport"] == "cuda_ipc"


def test_allreduce_fusion_is_given_until_it_is_on_by_itself() -> None:
    """Wheels 0.5.9 and 0.5.10, server_args.py: the latter sets it for Qwen3.5 on one node."""
    fp8, flag = profile("397b-fp8-h100x8"), "--enable-flashinfer-allreduce-fusion"
    assert flag in named(launch_plan(fp8, "0.5.9"))
    for version in ("0.5.10", "0.5.13", SGLANG):
        new = launch_plan(fp8, version)
        assert flag not in named(new)
        assert flag in {one.flag for one in new.left_out}
    assert flag in named(launch_plan(profile("h100x16"), "0.5.13"))  # over two nodes never
    assert flag not in named(launch_plan(Profile.of("9b", "bf16", "rtx4090", 2), "0.5.9"))
    renamed = named(launch_plan(profile("h100x16"), "0.5.14"))  # deprecated there, in favour of
    assert flag not in renamed
    assert renamed["--flashinfer-allreduce-fusion-backend"] == "auto"


def test_a_version_before_qwen35_is_refused() -> None:
    with pytest.raises(InvalidValue, match="older"):
        launch_plan(profile("h200x8"), "0.5.8")


def test_changes_between_two_versions_are_those_between_them() -> None:
    told = changes("0.5.14", "0.5.20")
    assert [since for since, _ in told] == ["0.5.19", "0.5.20"]
    told = changes("0.5.9", "0.5.14")
    assert [since for since, _ in told] == ["0.5.10", "0.5.11", "0.5.14"]


@pytest.mark.parametrize(
    ("sglang", "env"),
    [("0.5.9", {}), ("0.5.10", {"SGLANG_ENABLE_SPEC_V2": "1"}), ("0.5.11", {}), ("0.5.14", {})],
)
def test_spec_v2_is_asked_for_where_mtp_beside_the_prefix_cache_needs_it(
    sglang: str, env: dict[str, str]
) -> None:
    assert launch_plan(profile("h200x8"), sglang).env == env


# --- by compute capability and checkpoint


@pytest.mark.parametrize(
    ("gpu_name", "count", "runner"),
    [("b200", 4, "flashinfer_trtllm"), ("b300", 2, "flashinfer_trtllm"),
     ("gb300", 4, "flashinfer_trtllm"), ("rtxpro6000", 4, "flashinfer_cutlass"),
     ("gb10", 4, "flashinfer_cutlass")],
)  # fmt: skip
def test_the_kernel_of_nvfp4_experts_is_one_that_is_built_for_the_gpu(
    gpu_name: str, count: int, runner: str
) -> None:
    """flashinfer-ai/flashinfer#2723; AlexGS74/glm47-nvfp4-sm120, recipes 5 to 7 (RTX PRO 6000)."""
    flags = named(launch_plan(Profile.of("397b", "nvfp4", gpu_name, count)))
    assert flags["--moe-runner-backend"] == runner
    assert flags["--quantization"] == "modelopt_fp4"
    assert "--attention-backend" not in flags or flags["--attention-backend"] == "trtllm_mha"


def test_a_mixed_checkpoint_names_no_quantisation_and_a_dense_one_no_experts() -> None:
    flags = named(launch_plan(Profile.of("27b", "nvfp4", "rtx5090", 2)))
    assert flags["--model-path"] == "nvidia/Qwen3.6-27B-NVFP4"
    assert not {"--quantization", "--moe-runner-backend", "--max-prefill-tokens"} & flags.keys()
    flags = named(launch_plan(Profile.of("35b", "nvfp4", "gb10", 1)))
    assert flags["--moe-runner-backend"] == "flashinfer_cutlass"
    assert "--quantization" not in flags


@pytest.mark.parametrize(
    ("gpu_name", "mtp", "backend"),
    [("mi355x", True, "triton"), ("mi350x", True, "triton"), ("mi355x", False, "aiter"),
     ("mi300x", True, "aiter")],
)  # fmt: skip
def test_mtp_on_gfx950_runs_on_tritons_attention(gpu_name: str, mtp: bool, backend: str) -> None:
    """sgl-project/sglang#39517: aiter faults there with NEXTN; on gfx942 its unified ones run."""
    p = Profile.of("122b", "fp8", gpu_name, 2)
    made = launch_plan(p if mtp else replace(p, mtp=None))
    assert named(made)["--attention-backend"] == backend
    assert ("--page-size" in named(made)) == (backend == "aiter")
    assert ("SGLANG_USE_AITER_UNIFIED_ATTN" in made.env) == (backend == "aiter")


@pytest.mark.parametrize("gpu_name", ["b200", "b300", "gb200", "gb300"])
def test_blackwell_for_data_centres_pages_by_itself_with_mtp_only(gpu_name: str) -> None:
    p = Profile.of("397b", "fp8", gpu_name, 4)
    assert "--attention-backend" not in named(launch_plan(p))
    assert "--attention-backend" not in named(launch_plan(p, "0.5.10"))
    without = named(launch_plan(replace(p, mtp=None)))
    assert without["--attention-backend"] == "trtllm_mha"


# --- by machine: the cookbook's cells


def test_fp8_on_h200_is_the_cookbooks_cell() -> None:
    flags = named(launch_plan(profile("397b-fp8-h200x8")))
    expected = {
        "--ep-size": "8",
        "--max-running-requests": "128",
        "--chunked-prefill-size": "16384",
        "--tokenizer-worker-num": "6",
        "--attention-backend": "flashinfer",
        "--mamba-ssm-dtype": "bfloat16",
    }
    assert expected.items() <= flags.items()


def test_nvfp4_on_b200_is_the_cookbooks_cell() -> None:
    flags = named(launch_plan(profile("397b-nvfp4-b200x4")))
    expected = {
        "--quantization": "modelopt_fp4",
        "--fp4-gemm-backend": "flashinfer_cutlass",
        "--kv-cache-dtype": "fp8_e4m3",
        "--moe-runner-backend": "flashinfer_trtllm",
        "--chunked-prefill-size": "32768",
        "--max-prefill-tokens": "32768",
        "--max-running-requests": "128",
        "--stream-interval": "30",
        "--disable-radix-cache": None,
    }
    assert expected.items() <= flags.items()


def test_amd_takes_its_own_kernels() -> None:
    plan = launch_plan(profile("397b-bf16-mi300x-x8"))
    assert plan.env == {"SGLANG_USE_AITER": "1", "SGLANG_USE_AITER_UNIFIED_ATTN": "1"}
    flags = named(plan)
    assert (flags["--attention-backend"], flags["--page-size"]) == ("aiter", "16")
    assert "--enable-aiter-allreduce-fusion" in flags


def test_on_amd_the_plan_counts_what_aiter_takes_of_the_fraction() -> None:
    plan = launch_plan(profile("397b-bf16-mi300x-x8"))
    (fraction,) = [flag for flag in plan.flags if flag.name == "--mem-fraction-static"]
    assert fraction.value == "0.8"
    assert "68%" in fraction.reason
    assert any("0.85 of the fraction" in warning for warning in plan.warnings)


def test_blackwell_without_mtp_is_given_the_backend_that_sglang_would_not_take() -> None:
    with_mtp = launch_plan(profile("397b-bf16-b200x8"))
    without = launch_plan(replace(with_mtp.profile, mtp=None))
    assert "--attention-backend" in {one.flag for one in with_mtp.left_out}
    assert named(without)["--attention-backend"] == "trtllm_mha"


def test_sums_are_fused_by_themselves_on_hopper_and_blackwell_only() -> None:
    for card, says in (("h200", True), ("b200", True), ("a100", False)):
        absent = launch_plan(Profile.of("35b", "bf16", card, 2)).left_out
        assert ("--enable-flashinfer-allreduce-fusion" in {one.flag for one in absent}) is says


def test_xeon_has_no_mtp_and_no_overlap() -> None:
    flags = named(launch_plan(profile("9b-bf16-xeonx3")))
    assert flags["--device"] == "cpu"
    assert "--disable-overlap-schedule" in flags
    assert "--speculative-algorithm" not in flags


def test_an_rtx_4090_serves_the_4b() -> None:
    plan = launch_plan(Profile.of("4b", "bf16", "rtx4090", 1, mem_fraction_static=0.85))
    assert "--tp-size" not in named(plan)
    assert plan.memory.fits


def test_two_nodes_differ_in_their_rank_alone() -> None:
    plan = launch_plan(profile("h100x16"))
    first, second = plan.argv(0), plan.argv(1)
    differing = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    assert differing == [("0", "1")]
    assert plan.argv(0, "10.0.0.1")[-1] == "10.0.0.1:20000"


def test_a_million_tokens_stretch_the_positions_four_times() -> None:
    plan = launch_plan(replace(profile("b200x8"), context_length=1_010_000))
    rope = json.loads(named(plan)["--json-model-override-args"])["text_config"]["rope_parameters"]
    assert rope["rope_type"] == "yarn"
    assert rope["factor"] == 4.0
    assert rope["original_max_position_embeddings"] == 262_144


def test_asking_for_more_requests_says_how_many_run() -> None:
    asked = replace(profile("h200x8"), max_running_requests=128)
    (flag,) = [f for f in launch_plan(asked).flags if f.name == "--max-running-requests"]
    plan = launch_plan(asked)
    assert plan.memory.max_running_requests < 128
    assert str(plan.memory.max_running_requests) in flag.reason
    assert "5 per request" in flag.reason


def test_every_flag_has_a_reason_and_a_source() -> None:
    for name in ("h200x8", "h100x16", "397b-nvfp4-b200x4", "397b-bf16-mi300x-x8"):
        for flag in launch_plan(profile(name)).node_flags():
            assert len(flag.reason) > 10, flag
            assert flag.source, flag
            assert flag.versions, flag


# --- options and refusals


def test_large_media_leaves_five_hundredths_of_the_card() -> None:
    flags = named(launch_plan(profile("h200x8"), large_media=True))
    assert flags["--mem-fraction-static"] == "0.75"


def test_remote_code_is_never_on_by_itself_and_says_what_it_risks() -> None:
    assert "--trust-remote-code" not in named(launch_plan(profile("h200x8")))
    asked = launch_plan(profile("h200x8"), trust_remote_code=True)
    assert any("your rights" in warning for warning in asked.warnings)


def test_a_short_context_is_warned_of() -> None:
    plan = launch_plan(replace(profile("h200x8"), context_length=65_536))
    assert any("131,072" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("changed", "options", "says"),
    [
        ({}, {"host": "0.0.0.0"}, "without a key"),
        ({}, {"mm_attention_backend": "fa4"}, "fa4"),
        ({"gpu": gpu("b200")}, {"mm_attention_backend": "fa3"}, "fa3"),
        ({"mamba_radix_cache_strategy": "no_buffer"}, {}, "no_buffer"),
        ({"mamba_radix_cache_strategy": "extra_buffer", "radix_cache": False}, {}, "extra_buffer"),
    ],
)
def test_what_does_not_go_together_is_refused(
    changed: dict[str, object], options: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidValue, match=says):
        launch_plan(replace(profile("h200x8"), **changed), **options)


@pytest.mark.parametrize(
    ("backend", "runs", "refused"),
    [  # sglang 0.5.23: tests/reference/test_vision_backends.py asks it itself
        ("fa3", "a100 l40s rtx4090 h100 h200", "t4 b200 b300 rtx5090 mi300x mi355x xeon"),
        ("fa4", "b200 b300 gb200 rtxpro6000", "t4 a100 l40s h100 mi300x xeon"),
        ("aiter_attn", "mi300x mi355x", "h200 xeon"),
        ("amx_attn", "xeon", "h200 mi300x"),
    ],
)
def test_vision_attention_is_taken_where_it_has_kernels(
    backend: str, runs: str, refused: str
) -> None:
    for card in runs.split():
        plan = launch_plan(Profile.of("0.8b", "bf16", card, 1), mm_attention_backend=backend)
        assert named(plan)["--mm-attention-backend"] == backend
    for card in refused.split():
        with pytest.raises(InvalidValue, match=f"{backend} is not for"):
            launch_plan(Profile.of("0.8b", "bf16", card, 1), mm_attention_backend=backend)


def test_a_vision_attention_that_sglang_does_not_know_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="fa33"):
        launch_plan(profile("h200x8"), mm_attention_backend="fa33")


def test_one_port_for_http_and_the_ranks_is_refused() -> None:
    with pytest.raises(InvalidValue, match="port"):
        launch_plan(profile("h100x16"), port=20000)


def test_a_profile_that_does_not_fit_is_refused_with_its_reason() -> None:
    with pytest.raises(InvalidValue, match="does not fit"):
        launch_plan(Profile.of("397b", "bf16", "h100", 8))


def test_json_names_what_is_left_out() -> None:
    figures = launch_plan(profile("h200x8")).to_json()
    assert figures["provenance"]["kind"] == "computed"
    assert figures["argv"][:2] == ["sglang", "serve"]
    assert {one["flag"] for one in figures["left_out"]} >= {"--trust-remote-code"}
    json.dumps(figures)
