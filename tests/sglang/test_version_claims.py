"""What the kit says of a version, read in the released wheel of that version."""

from __future__ import annotations

import re

import pytest
from older_wheels import in_wheel

from kit.hardware import profile
from kit.launch import launch_plan

LOADER = "sglang/srt/model_loader/loader.py"
ARGS = "sglang/srt/server_args.py"
ENVIRON = "sglang/srt/environ.py"
SPECULATIVE = "sglang/srt/arg_groups/speculative_hook.py"


@pytest.mark.parametrize(("version", "default"), [("0.5.9", "False"), ("0.5.10", "True")])
def test_weight_files_load_in_parallel_since_0_5_10(version: str, default: str) -> None:
    assert f'extra_config.get("enable_multithread_load", {default})' in in_wheel(version, LOADER)
    left = {one.flag for one in launch_plan(profile("h200x8"), version).left_out}
    assert ("--model-loader-extra-config" in left) == (default == "True")


@pytest.mark.parametrize(("version", "default"), [("0.5.10", "False"), ("0.5.11", "True")])
def test_spec_v2_is_off_by_default_up_to_0_5_10(version: str, default: str) -> None:
    assert f"SGLANG_ENABLE_SPEC_V2 = EnvBool({default})" in in_wheel(version, ENVIRON)
    asked = "SGLANG_ENABLE_SPEC_V2" in launch_plan(profile("h200x8"), version).env
    assert asked == (default == "False")


def test_spec_v2_is_asked_for_beside_extra_buffer_in_0_5_10_and_gone_in_0_5_14() -> None:
    asks = "please use --mamba-scheduler-strategy extra_buffer and set SGLANG_ENABLE_SPEC_V2=1"
    assert asks in in_wheel("0.5.10", ARGS)
    assert "SGLANG_ENABLE_SPEC_V2 has been removed" in in_wheel("0.5.14", SPECULATIVE)


@pytest.mark.parametrize(("version", "by_itself"), [("0.5.9", False), ("0.5.10", True)])
def test_allreduce_fusion_is_on_by_itself_for_qwen35_since_0_5_10(
    version: str, by_itself: bool
) -> None:
    text = in_wheel(version, ARGS)
    at = text.index("self.enable_flashinfer_allreduce_fusion = True")
    condition = text[text.rindex("is_h20_device = ", 0, at) : at]
    assert ("Qwen3_5MoeForConditionalGeneration" in condition) == by_itself
    flags = {flag.name for flag in launch_plan(profile("397b-fp8-h100x8"), version).flags}
    assert ("--enable-flashinfer-allreduce-fusion" in flags) == (not by_itself)


@pytest.mark.parametrize(("version", "known"), [("0.5.9", False), ("0.5.10", True)])
def test_blackwell_takes_trtllm_mha_by_itself_with_mtp_since_0_5_10(
    version: str, known: bool
) -> None:
    text = in_wheel(version, ARGS)
    assert (re.search(r"sm100_default_attn_backend = .trtllm_mha.", text) is not None) == known
    p = profile("397b-bf16-b200x8")
    flags = {flag.name for flag in launch_plan(p, version).flags}
    assert ("--attention-backend" in flags) == (not known)
