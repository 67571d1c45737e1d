"""Our benchmark against SGLang's own code: what it draws, reckons, prints and writes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pieces import twin_of
from sglang.benchmark import serving
from sglang.benchmark.datasets import image as their_images
from sglang.benchmark.datasets.random import sample_random_requests
from sglang.benchmark.goodput import calculate_goodput
from sglang.benchmark.serving import RequestFuncOutput, calculate_metrics
from sglang.benchmark.utils import get_processor

from kit.bench import Record, Slo, Workload, result_file
from kit.bench.metrics import report
from kit.bench.workload import image_size
from kit.provenance import computed
from kit.server import cpu
from kit.vision.image_part import data_url

ROOT = Path(__file__).parents[2]


class Tokenizer:
    """As much of one as drawing token ids needs."""

    vocab_size = 248_044

    def num_special_tokens_to_add(self) -> int:
        return 0

    def encode(self, text: str, add_special_tokens: bool = False) -> list[str]:
        return text.split()


@pytest.mark.parametrize("seed", [1, 42, 7])
@pytest.mark.parametrize(
    ("input_len", "output_len", "prompts", "ratio"),
    [(1000, 1000, 10, 0.0), (1000, 1000, 1000, 0.0), (300, 40, 100, 0.5), (64, 8, 20, 1.0)],
)
def test_random_requests_are_theirs_to_the_token(
    seed: int, input_len: int, output_len: int, prompts: int, ratio: float
) -> None:
    np.random.seed(seed)
    theirs = sample_random_requests(
        input_len, output_len, prompts, ratio, Tokenizer(), "", False, return_text=False
    )
    ours = Workload(
        input_len, output_len, prompts, seed=seed, range_ratio=ratio, dataset="random-ids"
    )
    assert ours.lengths == tuple((r.prompt_len, r.output_len) for r in theirs)
    gaps = np.random.exponential(1 / 4.0, prompts)
    rated = Workload(input_len, output_len, prompts, None, 4.0, seed, ratio, dataset="random-ids")
    assert rated.send_s == pytest.approx((0.0, *np.cumsum(gaps)[:-1]))


@pytest.mark.parametrize(("seed", "tokens"), [(1, (6101, 4220)), (42, (3309, 3700))])
def test_the_cookbooks_totals_come_from_their_sampler_too(seed: int, tokens: tuple) -> None:
    np.random.seed(seed)
    theirs = sample_random_requests(1000, 1000, 10, 0.0, Tokenizer(), "", False, return_text=False)
    assert (sum(r.prompt_len for r in theirs), sum(r.output_len for r in theirs)) == tokens


@pytest.mark.parametrize("resolution", ["360p", "320x480"])
def test_image_requests_are_theirs_by_length_size_and_tokens(
    resolution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_lens: list[int] = []
    draw = their_images.gen_mm_prompt

    def noted(tokenizer: Any, pad: Any, count: int) -> str:
        text_lens.append(count)
        return draw(tokenizer, pad, count)

    monkeypatch.setattr(their_images, "gen_mm_prompt", noted)
    processor = get_processor(str(cpu.tiny_checkpoint()))
    np.random.seed(3)
    random.seed(3)  # their texts are drawn by it; some tokenize to one more than was drawn
    theirs = their_images.sample_image_requests(
        4, 2, 128, 1024, 0.0, processor, "random", "jpeg", resolution, "sglang-oai-chat"
    )
    ours = Workload(
        128, 1024, 4, seed=3, dataset="image", image_count=2, image_resolution=resolution
    )
    assert ours.text_lengths == tuple(
        (text, r.output_len) for text, r in zip(text_lens, theirs, strict=True)
    )
    assert {r.vision_prompt_len for r in theirs} == {ours.vision_tokens}
    sizes = [len(image) for r in theirs for image in r.image_data]
    own = [len(data_url("image/jpeg", file)) for i in range(4) for file in ours.pictures(i)]
    assert np.mean(own) == pytest.approx(np.mean(sizes), rel=0.02)


@pytest.mark.parametrize("name", ["4k", "1080p", "720p", "360p", "480x640", "1080X1920"])
def test_names_of_sizes_mean_what_they_mean_there(name: str) -> None:
    assert image_size(name) == their_images.parse_image_resolution(name)


# --- figures


def run() -> list[Record]:
    """Forty requests with MTP's chunks, one that failed, one of a single token."""
    rng = np.random.default_rng(5)
    records = [Record(0.1, 7, error="HTTP 500"), Record(0.2, 5, (0.6,), (1,), 1, 0.61)]
    for number in range(40):
        sent = number * 0.05
        tokens = [1, *rng.integers(1, 5, rng.integers(3, 40)).tolist()]
        times = sent + 0.2 + np.cumsum(rng.exponential(0.03, len(tokens)))
        records.append(
            Record(sent, 20 + number, times.tolist(), tokens, sum(tokens), times[-1] + 0.001)
        )
    return records


def output(r: Record) -> RequestFuncOutput:
    """The record as their client for `sglang` keeps it."""
    if not r.ok:
        return RequestFuncOutput(error=r.error, prompt_len=r.input_tokens)
    gaps = zip(np.diff(r.times_s).tolist(), r.tokens[1:], strict=True)
    return RequestFuncOutput(
        success=True,
        latency=r.latency_s,
        ttft=r.ttft_s,
        itl=[gap / count for gap, count in gaps for _ in range(count)],
        prompt_len=r.input_tokens,
        output_len=r.output_tokens,
        start_time=r.sent_s,
    )


def test_every_figure_is_theirs() -> None:
    records = run()
    asked = [
        serving.DatasetRow(prompt="", prompt_len=r.input_tokens, output_len=1) for r in records
    ]
    theirs, _ = calculate_metrics(asked, [output(r) for r in records], 5.0, Tokenizer(), "sglang")
    ours = report(records, 5.0, computed("a test")).to_json()
    names = {
        "total_input": "total_input_tokens",
        "total_input_text": "total_input_text_tokens",
        "total_input_vision": "total_input_vision_tokens",
        "total_output": "total_output_tokens",
    }
    compared = 0
    for name, value in vars(theirs).items():
        if "retokenized" in name:
            continue  # we have no tokenizer: the server's count is exact
        assert ours[names.get(name, name)] == pytest.approx(value, rel=1e-9), name
        compared += 1
    assert compared > 35


def test_goodput_is_theirs() -> None:
    records = run()
    slos = {"ttft": 260.0, "tpot": 15.0, "e2el": 900.0}
    theirs = calculate_goodput([output(r) for r in records], slos, 5.0)
    ours = report(records, 5.0, computed("a test"))
    judged = ours.judge(Slo.parse([f"{k}:{v}" for k, v in slos.items()])).to_json()
    for name, value in judged.items():
        assert getattr(theirs, name) == pytest.approx(value), name
    assert 0 < theirs.slo_attainment < 1


# --- what is printed and written


def bench_serving(url: str, out: Path, *options: str) -> str:
    done = subprocess.run(
        [
            sys.executable, "-m", "sglang.bench_serving", "--backend", "sglang", "--base-url", url,
            "--model", "m", "--tokenizer", str(cpu.tiny_checkpoint()), "--dataset-name",
            "random-ids", "--tokenize-prompt", "--random-input-len", "40", "--random-output-len",
            "16", "--num-prompts", "6", "--max-concurrency", "3", "--seed", "1", "--disable-tqdm",
            "--output-file", str(out), *options,
        ],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1500:]
    return done.stdout


def kit_bench(url: str, *options: str) -> str:
    done = subprocess.run(
        [
            str(ROOT / ".venv" / "bin" / "kit"), "bench", "--url", url, "--dataset", "random-ids",
            "--input-len", "40", "--output-len", "16", "--num-prompts", "6",
            "--max-concurrency", "3", "--seed", "1", *options,
        ],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(their print, ours, their line, ours) of the same requests to the same twin, with MTP."""
    folder = tmp_path_factory.mktemp("both")
    theirs, ours = folder / "theirs.jsonl", folder / "ours.jsonl"
    slo = ("--goodput", "ttft:400", "tpot:40")
    with twin_of("h200x8", speed=1) as url:
        printed = bench_serving(url, theirs, *slo), kit_bench(url, "--out", str(ours), *slo)
    return (*printed, json.loads(theirs.read_text()), json.loads(ours.read_text()))


def labels(printed: str) -> list[str]:
    """The rows and headings between the first ruler and the last."""
    _, _, body = printed.partition("Serving Benchmark Result")
    body = body.rpartition("=" * 50)[0]
    found = (line.partition(":")[0].strip("- ") for line in body.splitlines()[1:])
    return [label for label in found if label]


def test_the_printed_rows_are_theirs_in_their_order(both: Any) -> None:
    theirs, ours = labels(both[0]), labels(both[1])
    own = [row for row in ours if "chunk" in row.lower()]
    expected = [row for row in theirs if "retokenized" not in row]
    assert [row for row in ours if row not in own] == expected
    assert len(expected) > 40


def test_the_written_keys_are_theirs_in_their_order_then_ours(both: Any) -> None:
    theirs, ours = list(both[2]), list(both[3])
    shared = [key for key in ours if key in theirs]
    assert shared == theirs


def test_both_counted_the_same_requests(both: Any) -> None:
    _, _, theirs, ours = both
    for key in ("completed", "total_input_tokens", "total_output_tokens", "random_input_len"):
        assert theirs[key] == ours[key]
    assert ours["goodput_slos_ms"] == theirs["goodput_slos_ms"]


def test_their_line_is_read_whole(both: Any) -> None:
    read = result_file.from_json(both[2])
    again = read.to_json()
    assert {key: again[key] for key in both[2]} == both[2]
