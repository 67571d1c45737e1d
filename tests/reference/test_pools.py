"""The memory plan against SGLang 0.5.23's own configurator, run on a CPU.

What runs is SGLang's: `KVCacheConfigurator._resolve_memory_pool_config` with all it calls
(`_profile_available_bytes`, `_handle_max_mamba_cache`, `_calculate_mamba_ratio`,
`resolve_max_num_reqs`), `DefaultPoolConfigurator`, `Mamba2CacheParams`, `ModelConfig`. What
is replaced: the free memory that a GPU would report, and the configuration that a
running server would have published. What cannot be called without a GPU: loading
the weights, and capturing graphs.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import sglang.srt.configs.qwen3_next as qwen3_next
import sglang.srt.layers.cp.utils as context_parallel
import sglang.srt.mem_cache.kv_cache_configurator as configurator
import sglang.srt.model_executor.pool_configurator as pool_configurator
import torch
from sglang.srt.configs.model_config import ModelConfig
from sglang.srt.speculative.spec_info import SpeculativeAlgorithm
from shapes import write_shape

from kit.hardware import Profile, profile, profiles
from kit.sizing import GIB, plan
from kit.sizing.accounting import accounting, table
from kit.sizing.plan import HeldBytes

GPU_PROFILES = [p.name for p in profiles() if not p.gpu.is_cpu]


def sglang_plan(p: Profile, folder: Path):
    """SGLang's own pools for `p`: its MemoryPoolConfig, and its number of state slots."""
    write_shape(p.model.name, folder)
    config = ModelConfig(model_path=str(folder), trust_remote_code=False)
    config.hf_config.get_text_config().mamba_ssm_dtype = p.ssm_dtype
    if p.context_length:
        config.context_len = p.context_length
    held = HeldBytes.of(p, accounting("0.5.23"))
    loaded = held.counted - held.reserve
    strategy = plan(p).strategy
    wanted = p.max_running_requests or (48 if p.mtp else None)
    schedule = SimpleNamespace(
        mem_fraction_static=plan(p).mem_fraction_static,
        max_running_requests=wanted,
        max_mamba_cache_size=None,
        mamba_full_memory_ratio=0.9,
        max_total_tokens=None,
        prefill_max_requests=None,
        disable_overlap_schedule=not p.overlap,
        page_size=plan(p).page_size,
    )
    bags = {
        "get_schedule": schedule,
        "get_memory": SimpleNamespace(
            disable_radix_cache=not p.radix_cache,
            enable_hisparse=False,
            enable_unified_memory=False,
        ),
        "get_exec": SimpleNamespace(
            mamba=SimpleNamespace(
                enable_mamba_extra_buffer=strategy.startswith("extra_buffer"),
                enable_mamba_extra_buffer_lazy=strategy == "extra_buffer_lazy",
                enable_linear_replayssm_spec=False,
            ),
            graph=SimpleNamespace(
                cuda_graph_config=SimpleNamespace(
                    prefill=SimpleNamespace(backend=None, full_prefill_max_req=None)
                )
            ),
        ),
        "get_spec": SimpleNamespace(
            speculative_num_draft_tokens=p.mtp.num_draft_tokens if p.mtp else None
        ),
        "get_disagg": SimpleNamespace(disaggregation_mode="null"),
        "get_mm": SimpleNamespace(mm_feature_transport=p.mm_feature_transport),
        "get_model": SimpleNamespace(qsa_indexer_dtype=None),
        "get_parallel": SimpleNamespace(
            attn_tp_size=p.tp_size,
            tp_size=p.tp_size,
            pp_size=1,
            attn_dcp_size=1,
            enable_dsa_cache_layer_split=False,
            dcp_enabled=False,
            launch_world_size=1,
            world_group=SimpleNamespace(cpu_group=None),
        ),
        "get_context": SimpleNamespace(
            override=lambda _reason, **values: vars(schedule).update(values)
        ),
    }
    layers = config.hf_config.get_text_config().num_hidden_layers
    kvc = object.__new__(configurator.KVCacheConfigurator)
    for name, value in {
        "device": "cuda",
        "gpu_id": 0,
        "attn_dp_size": 1,
        "pp_size": 1,
        "model_config": config,
        "server_args": SimpleNamespace(enable_hisparse=False),
        "kv_cache_dtype": torch.float8_e4m3fn if p.kv_dtype == "fp8" else torch.bfloat16,
        "kv_cache_dtype_str": "auto",
        "page_size": schedule.page_size,
        "spec_algorithm": SpeculativeAlgorithm.from_string("EAGLE" if p.mtp else None),
        "is_draft_worker": False,
        "post_capture_kv_active": False,
        "spec_aux_config": SimpleNamespace(eagle_draft_num_layers=1 if p.mtp else None),
        "is_hybrid_swa": False,
        "use_mla_backend": False,
        "layer_info": SimpleNamespace(start_layer=0, end_layer=layers, num_effective_layers=layers),
        "extra_mamba_cache_bytes_per_req": 0,
        "mambaish_config": configurator.mambaish_config(config),
        "hybrid_gdn_config": config.hf_config.get_text_config(),
        "hybrid_kda_config": None,
    }.items():
        object.__setattr__(kvc, name, value)
    with ExitStack() as stack:
        for module in (configurator, pool_configurator, qwen3_next, context_parallel):
            for name, bag in bags.items():
                if hasattr(module, name):
                    stack.enter_context(mock.patch.object(module, name, lambda bag=bag: bag))
        for target, value in (
            ((qwen3_next, "_is_cpu"), False),
            ((qwen3_next, "linear_attn_tp_size"), lambda: p.tp_size),
            ((configurator.KVCacheConfigurator, "fused_entry_bytes"), lambda *_: None),
            (
                (configurator, "get_available_gpu_memory"),
                lambda *_, **__: (held.free - loaded) / GIB,
            ),
            ((pool_configurator, "compute_page_shard_scratch_bytes"), lambda *_, **__: 0),
        ):
            stack.enter_context(mock.patch.object(*target, value))
        return kvc._resolve_memory_pool_config(held.free / GIB), schedule.max_mamba_cache_size


def test_the_kit_reads_the_version_that_is_installed() -> None:
    from importlib.metadata import version

    assert version("sglang") == table().read_up_to


@pytest.mark.parametrize("name", GPU_PROFILES)
def test_pools_are_sglangs(name: str, tmp_path: Path) -> None:
    p = profile(name)
    ours = plan(p)
    if not ours.kv_tokens:
        with pytest.raises((ValueError, RuntimeError)):
            sglang_plan(p, tmp_path)
        return
    theirs, slots = sglang_plan(p, tmp_path)
    assert ours.slots == slots
    assert ours.max_running_requests == theirs.max_running_requests
    assert abs(ours.kv_tokens - theirs.max_total_num_tokens) <= plan(p).page_size


@pytest.mark.parametrize(
    "change",
    [
        {"mtp": None},
        {"radix_cache": False},
        {"radix_cache": False, "max_running_requests": 128},
        {"ssm_dtype": "bfloat16"},
        {"overlap": False},
        {"mamba_radix_cache_strategy": "no_buffer", "overlap": False},
        {"mamba_radix_cache_strategy": "extra_buffer_lazy"},
        {"mm_feature_transport": "cuda_ipc"},
        {"mem_fraction_static": 0.72},
        {"max_running_requests": 8},
        {"context_length": 8192, "mtp": None},
        {"kv_dtype": "fp8"},
    ],
    ids=str,
)
def test_options_move_the_pools_as_sglang_moves_them(change: dict, tmp_path: Path) -> None:
    p = replace(profile("h200x8"), **change)
    theirs, slots = sglang_plan(p, tmp_path)
    ours = plan(p)
    assert (ours.slots, ours.max_running_requests) == (slots, theirs.max_running_requests)
    assert abs(ours.kv_tokens - theirs.max_total_num_tokens) <= 1
