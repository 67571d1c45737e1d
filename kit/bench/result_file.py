"""Result lines: ours written with bench_serving's keys, theirs and vLLM's read back.

`sglang.bench_serving --output-file RUN.jsonl` appends one JSON object a run; `vllm bench serve
--save-result` writes one. Both become a `Report`, so that any of the three stands beside another.
Sources: sglang 0.5.23 benchmark/serving.py; vllm 0.33.0 vllm/benchmarks/serve.py.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from kit.bench.goodput import Goodput
from kit.bench.metrics import ItlBasis, Record, Report, Stats
from kit.bench.workload import DATASETS, Workload
from kit.errors import InvalidValue, KitError
from kit.provenance import Kind, Provenance, measured

_STATS = ("mean", "median", "std", "p90", "p95", "p99")
_LATENCIES = ("e2e_latency", "ttft", "tpot", "itl")
_SCALARS = (
    "total_output_tokens_retokenized",
    "request_throughput",
    "input_throughput",
    "output_throughput",
    "total_throughput",
)
_ARGUMENTS = (
    "tag",
    "backend",
    "dataset_name",
    "request_rate",
    "max_concurrency",
    "sharegpt_output_len",
    "random_input_len",
    "random_output_len",
    "random_range_ratio",
    "server_info",
)

_DRAWN = ("seed", "num_prompts", "image_count", "image_resolution", "ramp")  # ours


def to_json(report: Report) -> dict[str, Any]:
    """bench_serving's keys in its order, then `failed`, `errors`, both ITLs, `provenance`."""
    line: dict[str, Any] = dict.fromkeys(_ARGUMENTS) | _asked(report)
    line |= {
        "duration": report.duration_s,
        "completed": report.completed,
        "total_input_tokens": report.total_input_tokens,
        "total_input_text_tokens": report.total_input_text_tokens,
        "total_input_vision_tokens": report.total_input_vision_tokens,
        "total_output_tokens": report.total_output_tokens,
    }
    line |= {key: getattr(report, key) for key in _SCALARS}
    for name in _LATENCIES:
        line |= _flat(getattr(report, name), name)
    line |= {
        "concurrency": report.concurrency,
        "accept_length": report.accept_length,
        "max_output_tokens_per_s": report.max_output_tokens_per_s,
        "max_concurrent_requests": report.max_concurrent_requests,
        "max_itl_ms": report.itl.max,
        "itl_basis": report.itl_basis,
    }
    line |= report.judged.to_json() if report.judged else {}
    line |= _flat(report.itl_per_chunk, "itl_per_chunk")
    line |= {
        **_drawn(report),
        "failed": report.failed,
        "errors": report.errors,
        "missing": list(report.missing),
        "provenance": report.provenance.to_json(),
    }
    return line


def read(path: str | Path, provenance: Provenance | None = None) -> list[Report]:
    """The runs of a result file, in its order.

    `provenance` is for lines that bring none: by default measured, by the tool, in that file.
    Raises KitError when the file is not there, InvalidValue when a line is no result.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KitError(f"{path}: {error.strerror}", "give the .jsonl that the run wrote") from error
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        found = [json.loads(line) for line in lines]
    except json.JSONDecodeError:
        found = [_whole(text, path)]
    return [from_json(line, provenance, where=path.name) for line in found]


def _whole(text: str, path: Path) -> Any:
    """A file that is one pretty-printed object, as some copies of vLLM's are."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidValue(
            f"{path} is not JSON: line {error.lineno}, {error.msg}",
            "give the result file of sglang.bench_serving, vllm bench serve or kit bench",
        ) from error


def from_json(line: Any, provenance: Provenance | None = None, where: str = "a result") -> Report:
    """One result line, of bench_serving, of `kit bench` or of `vllm bench serve`.

    Raises InvalidValue when it is none of them.
    """
    if not isinstance(line, dict) or "duration" not in line or "mean_ttft_ms" not in line:
        raise InvalidValue(
            f"{where}: no benchmark result in this line",
            "its keys should include duration and mean_ttft_ms",
        )
    ours = line.get("provenance")
    if isinstance(ours, dict):
        provenance = Provenance(Kind(ours["kind"]), ours["source"])
    vllm = "total_token_throughput" in line
    tool = "vllm bench serve" if vllm else "sglang.bench_serving"
    label = provenance or measured(f"by {tool}, {where}")
    return _from_vllm(line, label) if vllm else _from_sglang(line, label)


def _from_sglang(line: dict[str, Any], provenance: Provenance) -> Report:
    native = str(line.get("backend", "")).startswith("sglang") and "oai" not in line["backend"]
    basis: ItlBasis = (
        "token" if line.get("itl_basis", "token" if native else "") == "token" else "chunk"
    )
    itl = _stats(line, "itl")
    return Report(
        provenance=provenance,
        backend=line.get("backend") or "sglang",
        workload=_workload(line),
        arguments={key: line.get(key) for key in (*_ARGUMENTS, *_DRAWN)},
        duration_s=line["duration"],
        completed=line.get("completed"),
        total_input_tokens=line.get("total_input_tokens"),
        total_input_vision_tokens=line.get("total_input_vision_tokens") or 0,
        total_output_tokens=line.get("total_output_tokens"),
        **{key: line.get(key) for key in _SCALARS},
        e2e_latency=_stats(line, "e2e_latency"),
        ttft=_stats(line, "ttft"),
        tpot=_stats(line, "tpot"),
        itl=itl,
        itl_basis=basis,
        itl_per_chunk=_stats(line, "itl_per_chunk") if basis == "token" else itl,
        concurrency=line.get("concurrency"),
        accept_length=line.get("accept_length"),
        max_output_tokens_per_s=line.get("max_output_tokens_per_s"),
        max_concurrent_requests=line.get("max_concurrent_requests"),
        errors=_errors(line.get("errors")),
        judged=Goodput.from_json(line),
        missing=tuple(line.get("missing") or ()),
        records=_records(line),
    )


def _from_vllm(line: dict[str, Any], provenance: Provenance) -> Report:
    duration_s = float(line["duration"])
    itl = _stats(line, "itl")
    tokens_in = line.get("total_input_tokens")
    failed = int(line.get("failed") or 0)
    e2e = _stats(line, "e2el")
    return Report(
        provenance=provenance,
        backend=line.get("backend") or line.get("endpoint_type") or "vllm",
        arguments={
            "request_rate": _rate(line.get("request_rate")),
            "max_concurrency": line.get("max_concurrency"),
        },
        duration_s=duration_s,
        completed=line.get("completed"),
        total_input_tokens=tokens_in,
        total_output_tokens=line.get("total_output_tokens"),
        request_throughput=line.get("request_throughput"),
        input_throughput=tokens_in / duration_s if tokens_in is not None else None,
        output_throughput=line.get("output_throughput"),
        total_throughput=line.get("total_token_throughput"),
        e2e_latency=e2e,
        ttft=_stats(line, "ttft"),
        tpot=_stats(line, "tpot"),
        itl=itl,
        itl_basis="chunk",
        itl_per_chunk=itl,
        concurrency=(
            e2e.mean * line["request_throughput"] / 1e3
            if e2e.mean is not None and line.get("request_throughput") is not None
            else None
        ),
        max_output_tokens_per_s=line.get("max_output_tokens_per_s"),
        max_concurrent_requests=line.get("max_concurrent_requests"),
        errors={"failed": failed} if failed else {},
    )


def _asked(report: Report) -> dict[str, Any]:
    w = report.workload
    if w is None:
        return {**report.arguments, "backend": report.backend}
    return {
        **report.arguments,
        "backend": report.backend,
        "dataset_name": w.dataset,
        "request_rate": w.request_rate if math.isfinite(w.request_rate) else "inf",
        "max_concurrency": w.max_concurrency,
        "random_input_len": w.input_len,
        "random_output_len": w.output_len,
        "random_range_ratio": w.range_ratio,
    }


def _drawn(report: Report) -> dict[str, Any]:
    """What, with bench_serving's arguments, draws the same requests again."""
    w = report.workload
    if w is None:
        return {key: report.arguments[key] for key in _DRAWN if key in report.arguments}
    return {key: getattr(w, key) for key in _DRAWN}


def _flat(stats: Stats, name: str) -> dict[str, float | None]:
    return {f"{stat}_{name}_ms": getattr(stats, stat) for stat in _STATS}


def _stats(line: dict[str, Any], name: str) -> Stats:
    found = {stat: line.get(f"{stat}_{name}_ms") for stat in _STATS}
    return Stats(**found, max=line.get(f"max_{name}_ms"))


def _rate(value: Any) -> float | None:
    return None if value is None else float(value)


def _workload(line: dict[str, Any]) -> Workload | None:
    """The workload, where the line says its seed (ours does, bench_serving's does not)."""
    if line.get("seed") is None or line.get("dataset_name") not in DATASETS:
        return None
    more = {key: line[key] for key in ("image_count", "image_resolution") if line.get(key)}
    return Workload(
        input_len=line["random_input_len"],
        output_len=line["random_output_len"],
        num_prompts=line.get("num_prompts") or line["completed"] + int(line.get("failed") or 0),
        max_concurrency=line["max_concurrency"],
        request_rate=float(line["request_rate"]),
        seed=line["seed"],
        range_ratio=line["random_range_ratio"],
        dataset=line["dataset_name"],
        ramp=tuple(line["ramp"]) if line.get("ramp") else None,
        **more,
    )


def _errors(found: Any) -> dict[str, int]:
    """Ours are counts already; bench_serving's a text a request, "" where it went well."""
    if isinstance(found, dict):
        return found
    counts: dict[str, int] = {}
    for error in found or ():
        if error:
            kind = str(error).strip().splitlines()[-1]
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def _records(line: dict[str, Any]) -> tuple[Record, ...]:
    """What `--output-details` keeps of each request; it does not keep when one was sent."""
    if not isinstance(line.get("ttfts"), list):
        return ()
    out = []
    for tokens_in, tokens_out, ttft, itls, error in zip(
        line["input_lens"],
        line["output_lens"],
        line["ttfts"],
        line["itls"],
        line["errors"],
        strict=True,
    ):
        times = [ttft]
        for gap in itls:
            times.append(times[-1] + gap)
        out.append(Record(0.0, tokens_in, times, (), tokens_out, times[-1], error))
    return tuple(out)
