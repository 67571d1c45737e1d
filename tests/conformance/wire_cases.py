"""Which capture is replayed how; and which are not.

The tiny model of the captures says one thing ("Let me think about this question." — "Hello there!
How can I help you today?"), or what a `regex` forces it to. The twin says what people wrote. So
where a request leans on the tiny model, ours is changed as this table says, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Change = Callable[[dict[str, Any]], dict[str, Any]]


def same(request: dict[str, Any]) -> dict[str, Any]:
    return request


def longer(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"max_tokens": 2000}


def weather(request: dict[str, Any], prompt: str = "What's the weather in Beijing?") -> Any:
    asked = {key: value for key, value in request.items() if key != "regex"}
    return asked | {"messages": [{"role": "user", "content": prompt}]}


def two_cities(request: dict[str, Any]) -> Any:
    return weather(request, "What's the weather in Beijing and in Paris?")


def cut_call(request: dict[str, Any]) -> Any:
    return weather(request) | {"max_tokens": 12}


def endless(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"messages": [{"role": "user", "content": "dog " * 270_000}]}


def beyond_context(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 262_140}


def far_too_many(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"max_tokens": 999_999}


def more_tokens(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"sampling_params": {"max_new_tokens": 16, "temperature": 0}}


def without_logprobs(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "logprobs"}


@dataclass(frozen=True)
class Case:
    """One replay. `nulls` are keys that may be null on one side and a value on the other;
    `message` says that the error's words are the same too, but for numbers."""

    change: Change = same
    why: str = "as it is"
    nulls: tuple[str, ...] = ()
    message: bool = False


_LONGER = "our answer has more tokens than the tiny model's: max_tokens raised"
_CALL = "the tiny model is forced by a regex; ours is asked something that an authored call answers"
_LIMIT = "the context is 262,144 tokens and not 1,024: asked for more than that"
# What the command line of a real node sets, and that of the tiny server did not; or the reverse.
_SETTINGS = (
    "max_running_requests",
    "max_mamba_cache_size",
    "max_total_tokens",
    "flashinfer_allreduce_fusion_backend",
    "speculative_algorithm",
    "speculative_num_steps",
    "speculative_eagle_topk",
    "speculative_num_draft_tokens",
    "mm_feature_transport",
)

SERVED: Mapping[str, Case] = {
    "01_chat_plain_stream": Case(longer, _LONGER),
    "02_chat_thinking_off_stream": Case(longer, _LONGER),
    "03_chat_usage_stream": Case(longer, _LONGER),
    "04_chat_usage_continuous_stream": Case(longer, _LONGER),
    "05_chat_nonstream": Case(longer, _LONGER),
    "06_chat_nonstream_nothink": Case(longer, _LONGER),
    "07_chat_length_stream": Case(),
    "10_tool_auto_stream": Case(weather, _CALL),
    "11_tool_auto_nonstream": Case(weather, _CALL),
    "12_tool_two_parallel_stream": Case(two_cities, _CALL),
    "13_tool_thinking_stream": Case(weather, _CALL),
    "14_tool_required_stream": Case(cut_call, f"{_CALL}; cut inside the call as theirs is"),
    "15_separate_reasoning_false_stream": Case(longer, _LONGER),
    "16_stop_string": Case(),
    "17_n2": Case(),
    "20_err_bad_model": Case(),
    "21_err_too_long": Case(endless, _LIMIT, message=True),
    "22_err_too_long_stream": Case(endless, _LIMIT, message=True),
    "23_err_max_tokens_too_big": Case(far_too_many, _LIMIT, message=True),
    "24_err_max_tokens_negative": Case(message=True),
    "25_err_bad_image_url": Case(why="the reason at its end is in the words of another library"),
    "26_err_bad_image_b64": Case(message=True),
    "27_err_bad_image_stream": Case(message=True),
    "28_err_not_json": Case(),
    "29_err_missing_messages": Case(),
    "30_err_empty_messages": Case(message=True),
    "31_err_temperature": Case(message=True),
    "32_err_bad_role": Case(),
    "33_err_top_p_stream": Case(message=True),
    "34_image_ok_stream": Case(longer, _LONGER),
    "35_err_sum_too_long": Case(beyond_context, _LIMIT, message=True),
    "36_bad_regex_stream": Case(),
    "37_max_tokens_zero": Case(),
    "38_reasoning_effort_none": Case(longer, _LONGER),
    "40_completions_stream": Case(),
    "41_completions": Case(
        without_logprobs, "asked without log probabilities (see 08)", nulls=("logprobs",)
    ),
    "42_generate_stream": Case(more_tokens, "a step of MTP may give four tokens at once"),
    "43_generate": Case(more_tokens, "a step of MTP may give four tokens at once"),
    "46_tokenize": Case(),
    "47_embeddings_err": Case(message=True),
    "50_models": Case(),
    "51_model_tiny": Case(why="by the twin's own model name"),
    "52_model_bad": Case(message=True),
    "53_health": Case(),
    "54_health_generate": Case(),
    "55_get_server_info": Case(nulls=_SETTINGS),
    "56_server_info": Case(nulls=_SETTINGS),
    "57_get_model_info": Case(),
    "58_model_info": Case(),
    "59_metrics": Case(why="by families: see test_metrics_are_a_part_of_sglangs"),
    "60_not_found": Case(),
    "62_get_load": Case(),
    "64_root": Case(),
    "65_flush_cache": Case(),
    "66_abort": Case(),
    "67_ping": Case(),
    "80_moe_chat": Case(longer, _LONGER),
}

_NO_MODEL = "no model runs in the twin, so there are no probabilities to tell"

NOT_SERVED: Mapping[str, str] = {
    "08_chat_logprobs_stream": _NO_MODEL,
    "09_chat_logprobs_nonstream": _NO_MODEL,
    "18_json_schema": "no model whose answer could be constrained to a schema",
    "44_messages_anthropic_stream": "Anthropic's wire: no lesson uses it",
    "45_responses_stream": "OpenAI's newer wire: no lesson uses it yet",
    "61_openapi": "a description of paths, most of which the twin does not have",
    "63_v1_loads": "load by data-parallel rank: no lesson uses it yet",
    "70_bench_noshim": "not HTTP: a traceback of bench_serving without its stand-in for triton",
    "71_bench_result": "not HTTP: bench_serving's result file",
    "71_bench_stdout": "not HTTP: bench_serving's report",
}

# What a server with MTP adds, and the tiny one, without it, did not show: from SGLang 0.5.23's
# source (tokenizer_manager._calculate_spec_decoding_metrics, internal_state._add_speculative).
MTP_ADDS = frozenset(
    {
        "spec_accept_rate",
        "spec_accept_length",
        "spec_num_correct_drafts",
        "spec_num_proposed_drafts",
        "spec_verify_ct",
        "spec_correct_drafts_histogram",
        "avg_spec_accept_length",
    }
)

# Families of /metrics that the twin leaves out: it has no such thing to count.
METRICS_NOT_TOLD: Mapping[str, tuple[str, ...]] = {
    "of processes that the twin does not have": (
        "process_cpu_seconds_total",
        "scheduler_idle_seconds_total",
        "scheduler_process_cpu_seconds_total",
        "scheduler_stage_seconds_total",
        "per_stage_req_latency_seconds",
        "startup_time_seconds",
        "startup_cuda_graph_time_seconds",
        "startup_available_gpu_memory_gb",
        "graph_memory_usage_gb",
        "cuda_graph_passes_total",
        "is_cuda_graph",
        "fwd_occupancy",
        "http_requests_active",
        "http_requests_total",
        "http_responses_total",
    ),
    "of serving features that are not simulated": (
        "dp_attention_token_imbalance_ratio",
        "dp_attention_sync_wait_seconds",
        "dp_attention_tokens_total",
        "dp_attention_steps_total",
        "dp_attention_pairs_total",
        "num_paused_reqs",
        "num_retracted_reqs",
        "num_grammar_queue_reqs",
        "num_so_requests_total",
        "num_prefill_bootstrap_queue_reqs",
        "num_prefill_inflight_queue_reqs",
        "num_decode_prealloc_queue_reqs",
        "num_decode_transfer_queue_reqs",
        "num_decode_host_receive_queue_reqs",
        "num_decode_deferred_kv_release_reqs",
        "pending_prealloc_token_usage",
        "prealloc_full_token_usage",
        "prealloc_swa_token_usage",
        "routing_keys_active",
        "num_unique_running_routing_keys",
        "routing_key_running_req_count",
        "routing_key_all_req_count",
        "spec_cap_length",
        "spec_block_accept_length",
    ),
    "of caches that are not simulated": (
        "page_size",
        "num_pages",
        "kv_evictable_tokens",
        "swa_token_usage",
        "swa_available_tokens",
        "swa_evictable_tokens",
        "swa_used_tokens",
        "mamba_evictable_tokens",
        "prefill_effective_tokens_total",
        "realtime_tokens_total",
        "uncached_prompt_tokens_histogram",
    ),
    "not told yet": (
        "queue_time_seconds",
        "decode_sum_seq_lens",
        "utilization",
        "new_token_ratio",
        "prompt_tokens_histogram",
        "generation_tokens_histogram",
    ),
}
