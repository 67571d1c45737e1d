"""The twin beside the real SGLang, both running: the same requests, compared shape by shape.

The recorded captures say what to ask (tests/conformance); here nothing is
recorded. `ACCEPTED` names what may differ, each with its reason. And SGLang's
own `bench_serving` measures both.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pieces import twin_of
from wire_captures import read, request_json
from wire_cases import SERVED
from wire_refusals import refusals, told
from wire_replay import ABORT_ALL, ask, for_the_twin, settled
from wire_shapes import differences, parts, shapes

from kit import server
from kit.server import cpu
from kit.server.processes import free_port

ROOT = Path(__file__).parents[2]
PROFILE = "b200x8"  # without MTP, as the toy is
BY_FAMILY = "59_metrics"

# What is asked of the toy where a capture's request does not fit it, and why.
ASKED: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "14_tool_required_stream": (
        lambda asked: asked | {"max_tokens": 5},
        "the toy's call has eleven tokens: cut inside it, as the capture's was",
    ),
}
# Keys that may be null on one side and a value on the other, over those of the cases.
ACCEPTED: dict[str, tuple[tuple[str, ...], str]] = {}


@pytest.fixture(scope="module")
def toy() -> Iterator[str]:
    command = cpu.tiny(free_port(), options={"--served-model-name": "tiny"})
    with server.start(command) as running:
        yield running.url


@pytest.fixture(scope="module")
def twin() -> Iterator[str]:
    with twin_of(PROFILE) as url:
        yield url


def asked_of_the_toy(name: str) -> tuple[str, str, str]:
    capture = read(name)
    body = capture.request
    if name in ("21_err_too_long", "22_err_too_long_stream"):  # the file keeps the beginning only
        long = [{"role": "user", "content": "dog " * 1500}]
        body = json.dumps(request_json(capture) | {"messages": long})
    elif name == "66_abort":
        body = ABORT_ALL
    elif name in ASKED:
        body = json.dumps(ASKED[name][0](request_json(capture)))
    return capture.method, capture.path, body


@pytest.mark.parametrize("name", [name for name in SERVED if name != BY_FAMILY])
def test_twin_and_real_server_answer_alike(toy: str, twin: str, name: str) -> None:
    real = ask(toy, *asked_of_the_toy(name))
    ours = ask(twin, *for_the_twin(name, twin))
    assert (ours.status, ours.media) == (real.status, real.media)
    nulls = SERVED[name].nulls + ACCEPTED.get(name, ((), ""))[0]
    pieces = [[settled(piece, nulls) for piece in parts(one)] for one in (real, ours)]
    assert differences(shapes(pieces[0]), shapes(pieces[1])) == []


def test_the_real_server_refuses_as_was_recorded(toy: str) -> None:
    for one in refusals():
        got = ask(toy, "POST", one.path, json.dumps(one.body))
        assert (got.status, told(got)) == (one.status, one.answer), one.body


def test_every_metric_of_the_twin_is_the_real_servers(toy: str, twin: str) -> None:
    def families(url: str) -> dict[str, str]:
        ask(url, *asked_of_the_toy("07_chat_length_stream"))
        text = ask(url, "GET", "/metrics", "").body.decode()
        return dict(line.split()[2:4] for line in text.splitlines() if line[:7] == "# TYPE ")

    real, ours = families(toy), families(twin)
    assert ours
    assert ours.items() <= real.items()


# --- SGLang's own benchmark

COUNTED = ("completed", "total_input_tokens", "total_output_tokens")


def bench(url: str, backend: str, model: str, out: Path) -> dict[str, Any]:
    """The result line of `sglang.bench_serving` for six requests of random tokens."""
    tokenizer = cpu.tiny_checkpoint()
    done = subprocess.run(
        [
            sys.executable, "-m", "sglang.bench_serving", "--backend", backend, "--base-url", url,
            "--model", model, "--tokenizer", str(tokenizer), "--dataset-name", "random-ids",
            "--random-input-len", "16", "--random-output-len", "8", "--num-prompts", "6",
            "--max-concurrency", "2", "--seed", "1", "--output-file", str(out),
        ],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1500:]
    return json.loads(out.read_text().splitlines()[-1])


@pytest.mark.parametrize("backend", ["sglang", "sglang-oai-chat"])
def test_sglangs_own_benchmark_measures_both(
    toy: str, twin: str, backend: str, tmp_path: Path
) -> None:
    name = json.loads(ask(twin, "GET", "/v1/models", "").body)["data"][0]["id"]
    real = bench(toy, backend, "tiny", tmp_path / "real.jsonl")
    ours = bench(twin, backend, name, tmp_path / "twin.jsonl")
    assert list(real) == list(ours)
    assert real["completed"] == ours["completed"] == 6
    assert real["total_output_tokens"] == ours["total_output_tokens"]
    assert real["random_input_len"] == ours["random_input_len"] == 16
