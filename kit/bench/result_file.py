"""Result files read: those of `kit bench`, of bench_serving and of vLLM.

`sglang.bench_serving --output-file RUN.jsonl` appends one JSON object per run; `vllm bench serve
--save-result` writes one. Both become a `Report`, so that any of the three compares with another.
Sources: sglang 0.5.23 benchmark/serving.py; vllm 0.33.0 vllm/benchmarks/serve.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kit.bench.goodput import Goodput
from kit.bench.metric_list import METRICS, STATISTICS
from kit.bench.record import Record
from kit.bench.report import ARGUMENTS, OUR_ARGUMENTS, ItlBasis, Report, Stats
from kit.bench.workload import DATASETS, Workload
from kit.errors import InvalidValue
from kit.provenance import Kind, Provenance, measured
from kit.text_file import json_values, read_text

_LATENCIES = ("e2e_latency", "ttft", "tpot", "itl", "itl_per_chunk")
_GIVE = "give the result file of sglang.bench_serving, vllm bench serve or kit bench"
_LOG_LINE = re.compile(r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d|(INFO|WARNING|ERROR)\b|Traceback ")
_FIELDS = {field.name for field in fields(Report)}


def read(path: str | Path, provenance: Provenance | None = None) -> list[Report]:
    """The runs of a result file, in its order: a line each, a JSON array, or pretty-printed.

    `provenance` is for runs that bring none: by default measured, by the tool, in that file. Where
    a line is torn, because its writer was stopped, the others are given, and a warning says so.
    Raises KitError when the file is not there, InvalidValue when it holds no results.
    """
    path = Path(path)
    text = read_text(path, _GIVE)
    _refuse_other_text(text, path)
    reports = []
    for value in json_values(text, str(path), _GIVE):
        for run in value if isinstance(value, list) else [value]:
            reports.append(from_json(run, provenance, where=path.name))
    return reports


def _refuse_other_text(text: str, path: Path) -> None:
    """Raises InvalidValue for what is saved by mistake in place of a result file."""
    head = text[:4096].lstrip()
    if head.startswith(("{", "[{")):
        return
    if "Serving Benchmark Result" in text:
        raise InvalidValue(
            f"{path} is the printed table of a benchmark, without the run's settings",
            "give the file of bench_serving --output-file, or of vllm bench serve --save-result",
        )
    if _LOG_LINE.match(head):
        raise InvalidValue(f"{path} is a log, no result file", f"kit diagnose {path} reads a log")
    if head.startswith("<"):
        raise InvalidValue(f"{path} is a web page or XML, no result file", _GIVE)


def from_json(line: Any, provenance: Provenance | None = None, where: str = "a result") -> Report:
    """One result line, of bench_serving, of `kit bench` or of `vllm bench serve`.

    Raises InvalidValue when it is none of them, or lacks what such a line has.
    """
    try:
        return _report(line, provenance, where)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
        lacks = f"no {problem}" if isinstance(problem, KeyError) else str(problem)
        raise InvalidValue(
            f"{where}: a benchmark result that is not whole: {lacks}", "keep its line as it was"
        ) from problem


def _report(line: Any, provenance: Provenance | None, where: str) -> Report:
    if not isinstance(line, dict) or "duration" not in line or "mean_ttft_ms" not in line:
        raise InvalidValue(
            f"{where}: no benchmark result in this line",
            "its keys should include duration and mean_ttft_ms",
        )
    ours = line.get("provenance")
    if isinstance(ours, dict):
        if ours.get("kind") not in list(Kind):
            raise ValueError(f"its provenance is {ours.get('kind')!r}")
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
        arguments=_arguments(line, (*ARGUMENTS, *OUR_ARGUMENTS)),
        itl_basis=basis,
        errors=_errors(line.get("errors")),
        judged=Goodput.from_json(line),
        missing=tuple(line.get("missing") or ()),
        late_ms=_late_ms(line.get("wall_clock_late_ms")),
        records=_records(line),
        **values,
    )


def _late_ms(given: Any) -> tuple[float, float] | None:
    if given is None:
        return None
    median, p99 = map(float, given)
    return median, p99


def _arguments(line: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those arguments of a run that its line has: single values, but for two."""
    for name in (*names, "backend", "endpoint_type"):
        if isinstance(line.get(name), list | dict) and name not in ("server_info", "ramp"):
            raise ValueError(f"its {name} is a {type(line[name]).__name__}")
    return {name: line.get(name) for name in names}


def _values(line: dict[str, Any]) -> dict[str, Any]:
    """The figures of a line, by their names in a report; those that it does not have left out."""
    figures = {
        metric.attribute: line[metric.key]
        for metric in METRICS
        if metric.attribute in _FIELDS - {"backend"} and _known(line.get(metric.key))
    }
    return figures | ({"backend": line["backend"]} if line.get("backend") else {})


def _known(value: Any) -> bool:
    """Whether it is a figure: tools write NaN for the mean of nothing."""
    if isinstance(value, str | list | dict):
        raise ValueError(f"{str(value)[:40]!r} stands where a number should")
    return value is not None and math.isfinite(value)


def _from_vllm(line: dict[str, Any], provenance: Provenance) -> Report:
    values = _values(line)
    duration_s, tokens_in = values.get("duration_s"), values.get("total_input_tokens")
    failed = int(line.get("failed") or 0)
    e2e, itl = _stats(line, "e2el"), _stats(line, "itl")
    rate, both = values.get("request_throughput"), line["total_token_throughput"]
    return Report(
        provenance=provenance,
        arguments=_arguments(line, ("request_rate", "max_concurrency")),
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
            "total_throughput": both if _known(both) else None,
            "concurrency": e2e.mean * rate / 1e3 if e2e.mean is not None and rate else None,
        },
    )


def _stats(line: dict[str, Any], name: str) -> Stats:
    names = {key: f"{key}_{name}_ms" for key in (*STATISTICS, "max")}
    return Stats(**{key: line[at] for key, at in names.items() if _known(line.get(at))})


def _workload(line: dict[str, Any]) -> Workload | None:
    """The workload, where the line says all of it: ours does, bench_serving's lacks the seed."""
    rate = request_rate(line)
    if line.get("seed") is None or line.get("dataset_name") not in DATASETS or rate is None:
        return None
    if not (line.get("random_input_len") and line.get("random_output_len")):
        return None
    more = {key: line[key] for key in ("image_count", "image_resolution") if line.get(key)}
    return Workload(
        input_len=line["random_input_len"],
        output_len=line["random_output_len"],
        num_prompts=line.get("num_prompts") or line["completed"] + int(line.get("failed") or 0),
        max_concurrency=line.get("max_concurrency"),
        request_rate=rate,
        seed=line["seed"],
        range_ratio=line.get("random_range_ratio") or 0.0,
        dataset=line["dataset_name"],
        ramp=tuple(line["ramp"]) if line.get("ramp") else None,
        **more,
    )


def request_rate(arguments: Mapping[str, Any]) -> float | None:
    """Requests per second, infinite where none is given; None where it is no number:
    bench_serving writes "trace" for arrival times that were read from a file."""
    given = arguments.get("request_rate")
    try:
        rate = math.inf if given is None else float(given)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(rate) else rate


def _errors(found: Any) -> dict[str, int]:
    """Ours are counts already; bench_serving's are a text per request, "" where it went well."""
    if isinstance(found, dict):
        if not all(isinstance(count, int) for count in found.values()):
            raise ValueError("its errors are no counts")
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
