"""/metrics under SGLang's names, written by prometheus_client.

Which families there are is data (`data/twin/metrics.toml`): those whose values the twin knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kit.sizing import MemoryPlan
from kit.twin.counters import families
from kit.twin.engine import Engine
from kit.twin.keys import Usage

_RANK = {"moe_ep_rank": "0", "pp_rank": "0", "tp_rank": "0"}
_OF_A_KEY = {
    "requests": ("counter", "Requests answered, or being answered."),
    "refused": ("counter", "Requests refused: too many of this key at once."),
    "running": ("gauge", "Requests running."),
    "prompt_tokens": ("counter", "Tokens of prompts, of requests that have ended."),
    "generation_tokens": ("counter", "Tokens generated, of requests that have ended."),
}


def page(engine: Engine, model: str, context_length: int, shared_by: Sequence[Usage] = ()) -> bytes:
    """What /metrics shows: the families of one engine, in the order of the real page; then what
    each key has used, under names of our own."""
    from prometheus_client import Metric, generate_latest  # heavy, and not before somebody asks
    from prometheus_client.registry import Collector

    class EngineCollector(Collector):
        def collect(self) -> Iterator[Metric]:
            now = gauges(engine, context_length)
            for name, family in families().items():
                title = f"sglang:{name}"
                metric = Metric(title.removesuffix("_total"), family["help"], family["kind"])
                for suffix, labels, value in _samples(engine, name, family, now):
                    labels = {"engine_type": "unified", "model_name": model, **labels}
                    metric.add_sample(title + suffix, labels, value)
                yield metric
            for name, (kind, text) in _OF_A_KEY.items() if shared_by else ():
                metric = Metric(f"kit:learner_{name}", text, kind)
                suffix = "_total" if kind == "counter" else ""
                for usage in shared_by:
                    labels = {"learner": usage.learner}
                    metric.add_sample(metric.name + suffix, labels, getattr(usage, name))
                yield metric

    return generate_latest(EngineCollector())


def _samples(
    engine: Engine, name: str, family: Mapping[str, Any], now: Mapping[str, float]
) -> Iterator[tuple[str, dict[str, str], float]]:
    """Suffix of the name, labels, value."""
    if family["kind"] == "gauge":
        yield "", _RANK, now[name]
        return
    per_request = family["per"] == "request"
    for streaming in (False, True) if per_request else (False,):
        labels = {"is_streaming": str(streaming).lower()} if per_request else {}
        if family["kind"] == "counter":
            yield "", labels, engine.counters.totals[name, streaming]
            continue
        histogram = engine.counters.histograms[name, streaming]
        yield "_sum", labels, histogram.sum
        for bound, count in histogram.cumulative():
            yield "_bucket", {**labels, "le": bound}, count
        yield "_count", labels, sum(histogram.counts)


def gauges(engine: Engine, context_length: int) -> dict[str, float]:
    """The present values of the gauges. GB are SGLang's, of 2**30 bytes."""
    scheduler, memory = engine.scheduler, engine.scheduler.memory
    profile = memory.profile
    used = scheduler.kv_tokens_used
    states = scheduler.running * memory.slots_per_request
    accept = scheduler.accept_length or 0.0
    drafts = profile.mtp.num_draft_tokens - 1 if profile.mtp else 0
    usage = used / memory.kv_tokens
    return {
        "max_total_num_tokens": memory.kv_tokens,
        "weight_memory_usage_gb": memory.ranks[0].weights_gib,
        "kv_cache_memory_usage_gb": kv_cache_gib(memory),
        "context_len": context_length,
        "num_running_reqs": scheduler.running,
        "num_queue_reqs": scheduler.queued,
        "gen_throughput": engine.throughput(),
        "cache_hit_rate": 0.0,
        "token_usage": max(usage, states / memory.slots),
        "full_token_usage": usage,
        "mamba_usage": states / memory.slots,
        "num_used_tokens": used,
        "kv_available_tokens": memory.kv_tokens - used,
        "kv_used_tokens": used,
        "mamba_available_tokens": memory.slots - states,
        "mamba_used_tokens": states,
        "spec_accept_length": accept,
        "spec_accept_rate": (accept - 1) / drafts if drafts and accept else 0.0,
        "spec_num_steps": profile.mtp.num_steps if profile.mtp else 0,
        "spec_num_draft_tokens": profile.mtp.num_draft_tokens if profile.mtp else 0,
    }


def kv_cache_gib(memory: MemoryPlan) -> float:
    """The KV cache of one rank."""
    return memory.kv_tokens * memory.kv_bytes_per_token_per_rank / 2**30
