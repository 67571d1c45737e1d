"""/metrics in Prometheus' text format, under SGLang's names.

The families, in `data/twin/metrics.toml`, are those that the twin can tell without making
anything up.
"""

from __future__ import annotations

from collections.abc import Iterator

from kit.sizing import MemoryPlan
from kit.twin.counters import Histogram, Meter, families
from kit.twin.engine import Engine

_ENGINE = {"engine_type": "unified"}
_RANK = {"moe_ep_rank": "0", "pp_rank": "0", "tp_rank": "0"}


def render(engine: Engine, model: str, context_length: int) -> str:
    """The page, in the order of the real one."""
    values = gauges(engine, context_length)
    lines: list[str] = []
    for name, family in families().items():
        lines.append(f"# HELP sglang:{name} {family['help']}")
        lines.append(f"# TYPE sglang:{name} {family['kind']}")
        base = {**_ENGINE, "model_name": model}
        if family["kind"] == "gauge":
            lines.append(_line(name, base | _RANK, values[name]))
        elif family["kind"] == "counter":
            for streaming in (False, True):
                count = engine.meter.counters.get((name, streaming), 0)
                lines.append(_line(name, base | _streaming(streaming), count))
        else:
            for labels, histogram in _series(engine.meter, name, family["per"]):
                lines += _histogram(name, base | labels, histogram)
    return "\n".join(lines) + "\n"


def gauges(engine: Engine, context_length: int) -> dict[str, float]:
    """What /metrics shows of the present moment. GB are SGLang's, of 2**30 bytes."""
    scheduler, memory = engine.scheduler, engine.scheduler.memory
    profile = memory.profile
    used = scheduler.kv_tokens_used
    states = scheduler.running * memory.slots_per_request
    accept = scheduler.accept_length or 0.0
    drafts = profile.mtp.num_draft_tokens - 1 if profile.mtp else 0
    usage = used / memory.kv_tokens
    return {
        "max_total_num_tokens": memory.kv_tokens,
        "weight_memory_usage_gb": weights_gib(memory),
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


def weights_gib(memory: MemoryPlan) -> float:
    """Weights on one rank."""
    return memory.loaded_gb * 1e9 / memory.profile.tp_size / 2**30


def kv_cache_gib(memory: MemoryPlan) -> float:
    """The KV cache of one rank."""
    return memory.kv_tokens * memory.kv_bytes_per_token_per_rank / 2**30


def _streaming(streaming: bool) -> dict[str, str]:
    return {"is_streaming": str(streaming).lower()}


def _series(meter: Meter, name: str, per: str) -> Iterator[tuple[dict[str, str], Histogram]]:
    either = {streaming: meter.histograms[name, streaming] for streaming in (False, True)}
    if per == "engine":
        yield {}, either[False].plus(either[True])
        return
    for streaming, histogram in either.items():
        yield _streaming(streaming), histogram


def _histogram(name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[str]:
    yield _line(f"{name}_sum", labels, histogram.sum)
    total = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        total += count
        le = "+Inf" if bound == float("inf") else str(float(bound))
        yield _line(f"{name}_bucket", {**labels, "le": le}, total)
    yield _line(f"{name}_count", labels, total)


def _line(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"sglang:{name}{{{inside}}} {float(value)}"
