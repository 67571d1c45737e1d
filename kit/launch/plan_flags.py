"""The flags of one plan: spelt for a version, with the plan's figures as their reasons."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kit.hardware import Profile
from kit.launch.flags import Variable, rule_env, rule_flags, spellings
from kit.sizing import MemoryPlan

HTTP_PORT = 30000
DIST_PORT = 20000
KEY_VARIABLE = "KIT_API_KEY"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
YARN_ENV = "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"
IPC_ENV = "SGLANG_USE_CUDA_IPC_TRANSPORT"


@dataclass(frozen=True)
class Flag:
    """One flag of the command. `value` is None for a switch; `versions` says where it holds."""

    name: str
    value: str | None
    reason: str
    source: str
    versions: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not self.name.startswith("--"):
            raise ValueError(f"a flag is written out in full: {self.name}")

    @property
    def words(self) -> tuple[str, ...]:
        return (self.name,) if self.value is None else (self.name, self.value)

    def text(self) -> str:
        """The flag as it is typed into a shell; the key's variable stays one."""
        if self.key == "api_key":
            return f'{self.name} "{self.value}"'
        return shlex.join(self.words)

    def to_json(self) -> dict[str, str | None]:
        return {
            "flag": self.name,
            "value": self.value,
            "reason": self.reason,
            "source": self.source,
            "versions": self.versions,
        }


@dataclass(frozen=True)
class LaunchOptions:
    """What a launch may ask for beyond its profile.

    `host` other than this machine asks for an API key. `load_threads` weight files
    load at a time. `large_media` leaves more of the GPU's memory to images and videos.
    """

    host: str = "127.0.0.1"
    port: int = HTTP_PORT
    api_key: bool = False
    served_model_name: str | None = None
    reasoning_parser: str | None = "qwen3"
    tool_call_parser: str | None = "qwen3_coder"
    trust_remote_code: bool = False
    metrics: bool = False
    load_threads: int | None = None
    watchdog_timeout_s: int | None = None
    mm_attention_backend: str | None = None
    large_media: bool = False
    media_per_request: tuple[tuple[str, int], ...] = ()
    dist_port: int = DIST_PORT


class FlagMaker:
    """Spells flags for one version, with the figures of one plan in their reasons."""

    def __init__(self, sglang: str, facts: dict[str, Any]) -> None:
        self._sglang, self._facts = sglang, facts

    def __call__(self, key: str, value: str | None = None, **facts: Any) -> Flag:
        known = spellings()[key]
        reason = known.reason.format(**{**self._facts, **facts})
        return Flag(known.named(self._sglang), value, reason, known.source, known.versions(), key)


def flags_of(p: Profile, sglang: str, memory: MemoryPlan, options: LaunchOptions) -> Iterator[Flag]:
    """Every flag that holds on all nodes, in the order of the cookbook's page."""
    flag = FlagMaker(sglang, _facts(p, memory))
    yield from _model(p, options, flag)
    yield from _parsers(options, flag)
    yield from _mtp(p, flag)
    yield from _memory(p, flag)
    yield from _caches(p, flag)
    yield from _media(p, sglang, options, flag)
    for key, value in rule_flags(p, sglang):
        yield flag(key, value)
    yield from _loading(options, flag)
    yield from _access(options, flag)


def variables_of(p: Profile, sglang: str) -> Iterator[Variable]:
    yield from rule_env(p, sglang)
    if p.mm_feature_transport == "cuda_ipc" and not spellings()["mm_transport"].name(sglang):
        yield Variable(
            IPC_ENV, "1", "image features go from process to process on the GPU",
            "SGLang cookbook, Qwen3.5, configuration tips",
        )  # fmt: skip
    if p.context_length is not None and p.context_length > p.model.max_position_embeddings:
        yield Variable(
            YARN_ENV, "1", "a context beyond what the checkpoint says is meant",
            "wheel 0.5.23, configs/model_config.py",
        )  # fmt: skip


def _facts(p: Profile, memory: MemoryPlan) -> dict[str, Any]:
    fraction = memory.mem_fraction_static
    running = memory.max_running_requests
    short = p.max_running_requests is not None and running < p.max_running_requests
    weights_gib = memory.loaded_gb * 1e9 / 2**30
    state_fp32 = p.model.state_bytes_per_request("float32") / 2**20
    return {
        "repo": p.model.repo,
        "precision": p.precision,
        "gpu": p.gpu.name,
        "tp_size": p.tp_size,
        "nodes": p.nodes,
        "weights_gib": weights_gib,
        "rank_gib": weights_gib / p.tp_size,
        "gpu_gib": p.gpu.memory_gib,
        "experts": p.model.num_experts,
        "experts_per_rank": p.model.num_experts // p.ep_size,
        "num_steps": p.mtp.num_steps if p.mtp else 0,
        "num_draft_tokens": p.mtp.num_draft_tokens if p.mtp else 0,
        "fraction": fraction,
        "left_gib": p.gpu.memory_gib * (1 - fraction),
        "trained": p.model.max_position_embeddings,
        "factor": p.context_tokens / p.model.max_position_embeddings,
        "running": running,
        "short_of": f": {memory.slots} state slots at {memory.slots_per_request} per request"
        if short
        else "",
        "state_mib": memory.state_mib_per_request,
        "state_mib_fp32": state_fp32,
        "variable": KEY_VARIABLE,
    }


def _model(p: Profile, options: LaunchOptions, flag: FlagMaker) -> Iterator[Flag]:
    yield flag("model", p.checkpoint)
    if options.served_model_name:
        yield flag("served_model_name", options.served_model_name)
    if p.tp_size > 1:
        yield flag("tp", str(p.tp_size))
    if p.ep_size > 1:
        yield flag("ep", str(p.ep_size))
    if options.trust_remote_code:
        yield flag("trust_remote_code")


def _parsers(options: LaunchOptions, flag: FlagMaker) -> Iterator[Flag]:
    if options.reasoning_parser:
        yield flag("reasoning_parser", options.reasoning_parser)
    if options.tool_call_parser:
        yield flag("tool_call_parser", options.tool_call_parser)


def _mtp(p: Profile, flag: FlagMaker) -> Iterator[Flag]:
    if p.mtp is not None:
        yield flag("spec_algorithm", "NEXTN")
        yield flag("spec_steps", str(p.mtp.num_steps))
        yield flag("spec_topk", str(p.mtp.eagle_topk))
        yield flag("spec_tokens", str(p.mtp.num_draft_tokens))


def _memory(p: Profile, flag: FlagMaker) -> Iterator[Flag]:
    if p.mem_fraction_static is not None:
        yield flag("mem_fraction", f"{p.mem_fraction_static:g}")
    if p.context_length is not None:
        yield flag("context_length", str(p.context_length))
        if p.context_length > p.model.max_position_embeddings:
            yield flag("rope_override", _yarn(p))
    if p.max_running_requests is not None:
        yield flag("max_running", str(p.max_running_requests))


def _caches(p: Profile, flag: FlagMaker) -> Iterator[Flag]:
    if p.mamba_radix_cache_strategy != "auto":
        yield flag("mamba_strategy", p.mamba_radix_cache_strategy)
    if not p.radix_cache:
        yield flag("disable_radix_cache")
    if p.ssm_dtype != "float32":
        yield flag("ssm_dtype", p.ssm_dtype)
    if p.kv_dtype != "bf16":
        yield flag("kv_dtype", {"fp8": "fp8_e4m3"}.get(p.kv_dtype, p.kv_dtype))
    if p.chunked_prefill_size is not None:
        yield flag("chunked_prefill", str(p.chunked_prefill_size))
    if not p.overlap:
        yield flag("disable_overlap")
    if p.symm_mem:
        yield flag("symm_mem")


def _yarn(p: Profile) -> str:
    """The model card's override: the whole dictionary, since it replaces the checkpoint's."""
    trained = p.model.max_position_embeddings
    rope = {
        "mrope_interleaved": True,
        "mrope_section": [11, 11, 10],
        "rope_type": "yarn",
        "rope_theta": 10_000_000,
        "partial_rotary_factor": 0.25,
        "factor": float(-(-p.context_tokens // trained)),
        "original_max_position_embeddings": trained,
    }
    return json.dumps({"text_config": {"rope_parameters": rope}})


def _media(p: Profile, sglang: str, options: LaunchOptions, flag: FlagMaker) -> Iterator[Flag]:
    if p.mm_feature_transport and spellings()["mm_transport"].name(sglang):
        yield flag("mm_transport", p.mm_feature_transport)
    if options.mm_attention_backend:
        yield flag("mm_attention", options.mm_attention_backend)
    if options.media_per_request:
        yield flag("mm_limit", json.dumps(dict(options.media_per_request)))


def _loading(options: LaunchOptions, flag: FlagMaker) -> Iterator[Flag]:
    if options.load_threads:
        config = {"enable_multithread_load": True, "num_threads": options.load_threads}
        yield flag("loader", json.dumps(config), files=options.load_threads)
    if options.watchdog_timeout_s:
        yield flag("watchdog", str(options.watchdog_timeout_s))
    if options.metrics:
        yield flag("metrics")


def _access(options: LaunchOptions, flag: FlagMaker) -> Iterator[Flag]:
    who = (
        "only this machine can call it; from elsewhere by an SSH tunnel or JupyterHub's proxy"
        if options.host in LOOPBACK
        else "whoever reaches this machine can call it, with the key"
    )
    yield flag("host", options.host, who=who)
    yield flag("port", str(options.port))
    if options.api_key:
        yield flag("api_key", f"${KEY_VARIABLE}")
