"""/v1/models, /model_info and /server_info.

/server_info has all 556 settings of SGLang 0.5.23, recorded from a real server
(`data/twin/server_info.json`). Those that the profile decides are replaced: by the flags of its
launch plan, its memory plan, and the machine. The others have SGLang's defaults.
"""

from __future__ import annotations

import json
import shlex
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from kit import load_data
from kit.scheduler import default_chunk_tokens
from kit.twin.metrics import kv_cache_gib

if TYPE_CHECKING:
    from kit.hardware import Profile
    from kit.launch import LaunchPlan
    from kit.twin.server import Twin

Json = dict[str, Any]

_RUNNING_WITH_MTP = 48  # SGLang's default with MTP; the state slots may admit fewer


@cache
def _recorded(name: str) -> str:
    return load_data.text(f"twin/{name}.json")


def model_card(twin: Twin) -> Json:
    """One entry of /v1/models."""
    return {
        "id": twin.model,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "sglang",
        "root": twin.model,
        "parent": None,
        "max_model_len": twin.context_length,
    }


def model_info(twin: Twin) -> Json:
    """What /model_info answers."""
    path, moe = twin.profile.checkpoint, twin.profile.model.num_experts > 0
    info: Json = json.loads(_recorded("model_info"))
    return info | {
        "model_path": path,
        "served_model_name": twin.model,
        "tokenizer_path": path,
        "has_image_understanding": False,  # the real server sees; the twin does not
        "model_type": "qwen3_5_moe" if moe else "qwen3_5",
        "architectures": [f"Qwen3_5{'Moe' if moe else ''}ForConditionalGeneration"],
    }


def server_info(twin: Twin) -> Json:
    """All settings and the present state, in SGLang's order."""
    info: Json = json.loads(_recorded("server_info"))
    engine, memory = twin.engine, twin.engine.scheduler.memory
    settings = resolved(twin.launch, twin.context_length, twin.port)
    settings["served_model_name"] = twin.model
    state = _overlay(info["internal_states"][0], settings) | {
        "last_gen_throughput": engine.throughput(),
        "world_size": memory.profile.tp_size,
        "effective_max_running_requests_per_dp": memory.max_running_requests,
    }
    state["memory_usage"] |= {
        "weight": round(memory.ranks[0].weights_gib, 2),
        "kvcache": round(kv_cache_gib(memory), 2),
        "startup_available": round(memory.ranks[0].limit_gib, 2),
        "token_capacity": memory.kv_tokens,
    }
    if engine.scheduler.accept_length is not None:
        state["avg_spec_accept_length"] = engine.scheduler.accept_length
    info = _overlay(info, settings)
    named = [] if twin.model == info["model_path"] else ["--served-model-name", twin.model]
    return info | {
        "launch_command": shlex.join([*twin.launch.argv()[2:], *named]),
        "max_total_num_tokens": memory.kv_tokens,
        "max_req_input_len": min(twin.context_length, memory.kv_tokens) - 6,
        "internal_states": [state],
        "version": twin.launch.sglang,
    }


def _overlay(recorded: Json, settings: Json) -> Json:
    """The recorded settings, those of this twin replaced."""
    return {name: settings.get(name, value) for name, value in recorded.items()}


def resolved(launch: LaunchPlan, context_length: int, port: int) -> Json:
    """The settings that the plan decides, as SGLang 0.5.23 resolves them (tests/sglang)."""
    profile, strategy = launch.profile, launch.memory.strategy.removesuffix("_no_overlap")
    # Whether SGLang itself chooses one kernel for the all-reduce and the norm after it.
    fuses = any(one.flag == "--enable-flashinfer-allreduce-fusion" for one in launch.left_out)
    given = {
        flag.name.removeprefix("--").replace("-", "_"): _value(flag.value)
        for flag in launch.node_flags()
    }
    return {
        "tokenizer_path": given["model_path"],
        "served_model_name": given["model_path"],
        "device": "cuda",
        "attention_backend": _attention(profile),
        "sampling_backend": "flashinfer",
        "context_length": context_length,
        "max_running_requests": _RUNNING_WITH_MTP if profile.mtp else None,
        "max_total_tokens": None,
        "chunked_prefill_size": default_chunk_tokens(profile),
        "disable_overlap_schedule": False,
        "disable_radix_cache": strategy == "radix_off",
        "mamba_radix_cache_strategy": "auto" if strategy == "radix_off" else strategy,
        "max_mamba_cache_size": None,
        "flashinfer_allreduce_fusion_backend": "auto" if fuses else None,
        "random_seed": 0,
        **given,
        "speculative_algorithm": "EAGLE" if profile.mtp else None,  # NEXTN is its other name
        "port": port,
    }


def _attention(p: Profile) -> str:
    """get_default_attn_backend, and the exception that model_overrides/qwen3_5.py makes."""
    if p.gpu.is_amd:
        return "aiter"
    if p.gpu.is_sm90:
        return "fa3"
    if p.gpu.is_sm100:
        return "trtllm_mha" if p.mtp or not p.radix_cache else "triton"
    return "flashinfer"


def _value(text: str | None) -> Any:
    """A flag's value, with the type that the server gives it."""
    if text is None:
        return True
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
