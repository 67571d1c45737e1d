"""Result files as people have them: any encoding and layout read, anything else called by its name.

`tests/data/result_files` are rebuilt from public reports: anchore/grype#3505 and jqlang/jq#2351
(PowerShell and jq write UTF-16 or a byte-order mark), sglang 0.5.23 benchmark/serving.py (a rate
that is a word).
"""

from __future__ import annotations

import gzip
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kit.bench.result_file import from_json, read
from kit.bench.user_runs import user_runs
from kit.errors import InvalidValue, KitError
from kit.hardware import profile

FILES = Path(__file__).parent / "data" / "result_files"
LINE: dict[str, Any] = json.loads((FILES / "sglang_trace.jsonl").read_text()) | {
    "request_rate": "inf"
}
TWO = json.dumps(LINE) + "\n" + json.dumps(LINE | {"request_rate": 2.0}) + "\n"


@pytest.mark.parametrize("name", ["vllm_powershell_utf16.json", "vllm_notepad_utf8.json"])
def test_files_of_windows_tools_are_read_and_fitted(name: str) -> None:
    (report,) = read(FILES / name)
    assert (report.completed, report.ttft.mean) == (100, 900.0)
    (run,) = user_runs([FILES / name], profile("27b-fp8-h100x1"))
    assert (run.workload.input_len, run.workload.request_rate) == (1024, math.inf)


def test_a_rate_that_is_a_word_is_kept_and_refused_by_the_fit() -> None:
    (report,) = read(FILES / "sglang_trace.jsonl")
    assert report.to_json()["request_rate"] == "trace"
    with pytest.raises(InvalidValue, match="arrival times are not in the line") as refused:
        user_runs([FILES / "sglang_trace.jsonl"], profile("27b-fp8-h100x1"))
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("rate", ["inf", "Infinity", math.inf, None])
def test_no_rate_is_spelt_in_many_ways(rate: Any) -> None:
    line = LINE | {"request_rate": rate, "seed": 1, "dataset_name": "random"}
    workload = from_json(line).workload
    assert workload is not None
    assert workload.request_rate == math.inf


@pytest.mark.parametrize("rate", ["trace", "gamma", "", math.nan])
def test_a_rate_that_is_no_number_gives_no_workload(rate: Any) -> None:
    assert from_json(
        LINE | {"request_rate": rate, "seed": 1, "dataset_name": "random"}
    ).workload is (None)


LAYOUTS = {
    "UTF-16 without a mark": TWO.encode("utf-16-le"),
    "UTF-16, the other way round": b"\xfe\xff" + TWO.encode("utf-16-be"),
    "UTF-32": TWO.encode("utf-32"),
    "a mark before each line": "\n".join("\ufeff" + line for line in TWO.splitlines()).encode(),
    "lines of Windows": TWO.replace("\n", "\r\n").encode(),
    "an array": json.dumps(list(map(json.loads, TWO.splitlines()))).encode(),
    "pretty-printed": "\n".join(
        json.dumps(json.loads(x), indent=2) for x in TWO.split("\n")[:2]
    ).encode(),
    "gzip": gzip.compress(TWO[:99].encode()) + gzip.compress(TWO[99:].encode()),
    "zeros after it": TWO.encode() + bytes(600),
    "a name in Latin-1": TWO.replace("mooncake", "moncaké").encode("latin-1"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(layout: str, tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(LAYOUTS[layout])
    first, second = read(tmp_path / "runs")
    assert (first.ttft.mean, second.request_rate) == (420.0, 2.0)


MISTAKES = {
    "nothing": (b"", "is empty"),
    "blank lines": (b"\r\n \n", "is empty"),
    "a ZIP": (b"PK\x03\x04" + bytes(40), "a ZIP archive"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "a picture"),
    "a web page": (b"<!DOCTYPE html><html></html>", "a web page"),
    "a log": (b"[2026-11-22 18:42:02 TP0] Load weight begin.\n", "kit diagnose"),
    "the printed table": (
        b"==== Serving Benchmark Result ====\nMean TTFT (ms): 9\n",
        "--output-file",
    ),
    "half a line": (TWO.encode()[:99], "line 1"),
    "two encodings": (TWO.encode() + TWO.encode("utf-16-le"), "two encodings"),
    "another tool": (b'{"config": {}, "results": {}}', "no benchmark result"),
    "numbers": (b"[1, 2]", "no benchmark result"),
    "a text for a number": (TWO.replace("420.0", '"420"').encode(), "where a number should"),
    "a label of its own": (
        TWO.replace('"back', '"provenance": {"kind": "x"}, "back').encode(),
        "'x'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_no_result_is_called_by_its_name(mistake: str, tmp_path: Path) -> None:
    data, named = MISTAKES[mistake]
    (tmp_path / "runs").write_bytes(data)
    with pytest.raises(KitError) as refused:
        read(tmp_path / "runs")
    assert named in str(refused.value)
    assert len(str(refused.value).splitlines()) == 2


def test_the_mean_of_nothing_is_unknown() -> None:
    report = from_json(LINE | {"mean_tpot_ms": math.nan, "accept_length": math.nan})
    assert (report.tpot.mean, report.accept_length) == (None, None)


@pytest.mark.parametrize("key", sorted(LINE))
@pytest.mark.parametrize("odd", [None, "x", [], {}, -1, True])
def test_no_value_of_a_line_is_a_traceback(key: str, odd: Any) -> None:
    line = LINE | {"seed": 1, "dataset_name": "random", key: odd}
    with suppress(InvalidValue):
        from_json(line).to_json()
