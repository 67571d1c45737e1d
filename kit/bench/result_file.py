"""Result files read: those of `kit bench`, of bench_serving and of vLLM.

`sglang.bench_serving --output-file RUN.jsonl` appends one JSON object per run; `vllm bench serve
--save-result` writes one. Both become a `Report`, so that any of the three compares with another.
Sources: sglang 0.5.23 benchmark/serving.py; vllm 0.33.0 vllm/benchmarks/serve.py.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from kit.bench.goodput import Goodput
from kit.bench.metric_list import METRICS, STATISTICS
from kit.bench.record import Record
from kit.bench.report import ARGUMENTS, OUR_ARGUMENTS, ItlBasis, Report, Stats
from kit.bench.workload import DATASETS, Workload
from kit.errors import InvalidValue, KitError
from kit.provenance import Kind, Provenance, measured

_LATENCIES = ("e2e_latency", "ttft", "tpot", "itl", "itl_per_chunk")
_FIELDS = {field.name for field in fields(Report)}


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
    values = _values(line) | {name: _stats(line, name) for name in _LATENCIES}
    if basis == "chunk":
        values["itl_per_chunk"] = values["itl"]
    return Report(
        provenance=provenance,
        workload=_workload(line),
        arguments={key: line.get(key) for key in (*ARGUMENTS, *OUR_ARGUMENTS)},
        itl_basis=basis,
        errors=_errors(line.get("errors")),
        judged=Goodput.from_json(line),
        missing=tuple(line.get("missing") or ()),
        records=_records(line),
        **values,
    )


def _values(line: dict[str, Any]) -> dict[str, Any]:
    """The figures of a line, by their names in a report; those that it does not have left out."""
    return {
        metric.attribute: line[metric.key]
        for metric in METRICS
        if metric.attribute in _FIELDS and line.get(metric.key) is not None
    }


def _from_vllm(line: dict[str, Any], provenance: Provenance) -> Report:
    values = _values(line)
    duration_s, tokens_in = values.get("duration_s"), values.get("total_input_tokens")
    failed = int(line.get("failed") or 0)
    e2e, itl = _stats(line, "e2el"), _stats(line, "itl")
    rate = values.get("request_throughput")
    return Report(
        provenance=provenance,
        arguments={key: line.get(key) for key in ("request_rate", "max_concurrency")},
        errors={"failed": failed} if failed else {},
        e2e_latency=e2e,
        ttft=_stats(line, "ttft"),
        tpot=_stats(line, "tpot"),
        itl=itl,
        itl_basis="chunk",
        itl_per_chunk=itl,
        **values
        | {
            "backend": line.get("backend") or line.get("endpoint_type") or "vllm",
            "input_throughput": tokens_in / duration_s if tokens_in and duration_s else None,
            "total_throughput": line["total_token_throughput"],
            "concurrency": e2e.mean * rate / 1e3 if e2e.mean is not None and rate else None,
        },
    )


def _stats(line: dict[str, Any], name: str) -> Stats:
    found = {key: line.get(f"{key}_{name}_ms") for key in STATISTICS}
    return Stats(**found, max=line.get(f"max_{name}_ms"))


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
    """Ours are counts already; bench_serving's are a text per request, "" where it went well."""
    if isinstance(found, dict):
        return found
    counts: dict[str, int] = {}
    for error in found or ():
        if error:
            kind = str(error).strip().splitlines()[-1]
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def _records(line: dict[str, Any]) -> tuple[Record, ...]:
    """What `--output-details` keeps of each request; when it was sent is not kept."""
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
