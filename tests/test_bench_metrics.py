"""Figures by the field's definitions: by hand, by numpy, and by bench_serving's own files."""

import json
from pathlib import Path

import numpy as np
import pytest

from kit.bench import Record, Workload, published_runs, read
from kit.bench.metrics import report
from kit.bench.result_file import from_json
from kit.errors import InvalidValue, KitError
from kit.provenance import computed, published

DATA = Path(__file__).parent / "data"
TEST = computed("a test")

# Three requests, two at a time; with MTP a chunk carries up to four tokens.
RECORDS = [
    Record(0.0, 100, (0.2, 0.5, 0.6), (1, 4, 1), 6, 0.6),
    Record(0.0, 50, (0.4,), (1,), 1, 0.4),
    Record(0.4, 70, (1.0, 1.2), (1, 4), 5, 1.2),
]


def test_figures_by_hand():
    r = report(RECORDS, 1.25, TEST)
    assert r.completed == 3
    assert (r.total_input_tokens, r.total_output_tokens) == (220, 12)
    assert r.output_throughput == pytest.approx(12 / 1.25)
    assert r.total_throughput == pytest.approx(232 / 1.25)
    assert r.ttft.mean == pytest.approx((200 + 400 + 600) / 3)
    assert r.ttft.median == pytest.approx(400)
    assert r.e2e_latency.mean == pytest.approx((600 + 400 + 800) / 3)
    # one token has no TPOT: two requests are in the mean
    assert r.tpot.mean == pytest.approx((400 / 5 + 200 / 4) / 2)
    assert r.concurrency == pytest.approx((0.6 + 0.4 + 0.8) / 1.25)


def test_both_itls_and_their_names():
    r = report(RECORDS, 1.25, TEST)
    assert r.itl_per_chunk.mean == pytest.approx((300 + 100 + 200) / 3)
    assert r.itl_basis == "token"
    assert r.itl.mean == pytest.approx((4 * 75 + 1 * 100 + 4 * 50) / 9)
    table = r.table()
    assert "Mean ITL (ms):                           66.67" in table
    assert "Inter-Chunk Latency" in table
    assert "Mean chunk gap (ms):                     200.00" in table
    line = r.to_json()
    assert line["itl_basis"] == "token"
    assert line["mean_itl_per_chunk_ms"] == pytest.approx(200)


def test_without_counts_itl_is_per_chunk_and_says_so():
    r = report([Record(0.0, 5, (0.1, 0.3, 0.4), (), 12, 0.4)], 0.5, TEST)
    assert r.itl_basis == "chunk"
    assert r.itl.mean == pytest.approx(150)
    assert r.tpot.mean == pytest.approx(300 / 11)
    assert any("ITL per token" in what for what in r.missing)
    assert "ITL here is per chunk" in r.table()


def test_percentiles_are_numpys():
    rng = np.random.default_rng(0)
    ttfts = rng.exponential(0.3, 500)
    r = report([Record(0.0, 1, (t,), (1,), 1, t) for t in ttfts.tolist()], 9.0, TEST)
    assert r.ttft.p90 == pytest.approx(np.percentile(ttfts, 90) * 1e3)
    assert r.ttft.p95 == pytest.approx(np.percentile(ttfts, 95) * 1e3)
    assert r.ttft.p99 == pytest.approx(np.percentile(ttfts, 99) * 1e3)
    assert r.ttft.std == pytest.approx(np.std(ttfts) * 1e3)


def test_peaks_count_one_second_buckets():
    """Concurrency one, and three overlap a second: what the cookbook's first run prints."""
    records = [
        Record(i * 0.4, 1, (i * 0.4 + 0.1, i * 0.4 + 0.4), (1, 7), 8, i * 0.4 + 0.4)
        for i in range(10)
    ]
    r = report(records, 4.0, TEST)
    assert r.max_concurrent_requests == 4
    # all tokens before 1.0: 8 of each of the first two; of the third, its first (at 0.9)
    assert r.max_output_tokens_per_s >= 17
    assert r.max_output_tokens_per_s <= 24


def test_failed_requests_are_counted_and_averaged_into_nothing():
    cut = Record(0.1, 9, (0.3, 0.9), (1, 4), 5, 0.9, error="cut")  # even with some tokens
    failed = [Record(0.0, 900, error="HTTP 429: slow down")] * 2 + [cut]
    r, clean = report([*RECORDS, *failed], 1.25, TEST), report(RECORDS, 1.25, TEST)
    assert r.completed == 3
    assert r.failed == 3
    assert r.errors == {"HTTP 429: slow down": 2, "cut": 1}
    for key in ("total_input_tokens", "mean_ttft_ms", "mean_tpot_ms", "mean_itl_ms", "concurrency"):
        assert r[key] == clean[key]
    assert "HTTP 429: slow down:                     2" in r.table()


def test_nothing_finished_has_no_means():
    r = report([Record(0.0, 9, error="cut")], 1.0, TEST)
    assert r.completed == 0
    assert r.ttft.mean is None
    assert "Mean TTFT" not in r.table()
    json.dumps(r.to_json())


def test_the_captured_run_of_bench_serving_reads_back():
    """Its own figures, recomputed from the details that it keeps of each request."""
    (theirs,) = read(DATA / "bench_serving.jsonl")
    assert theirs.backend == "sglang-oai-chat"
    assert theirs.completed == 6
    assert theirs.ttft.mean == 90.8154609999201
    ours = report(theirs.records, theirs.duration_s, TEST)
    for key in (
        "completed",
        "total_input_tokens",
        "total_output_tokens",
        "request_throughput",
        "input_throughput",
        "output_throughput",
        "total_throughput",
        *(
            f"{s}_{m}_ms"
            for s in ("mean", "median", "std", "p90", "p95", "p99")
            for m in ("ttft", "itl")
        ),
    ):
        assert ours[key] == pytest.approx(theirs[key], rel=1e-9), key
    # its E2E runs to [DONE], which the details do not keep: a little longer than the tokens say
    assert 0.99 < ours["mean_e2e_latency_ms"] / theirs["mean_e2e_latency_ms"] <= 1.0
    assert 0.99 < ours["concurrency"] / theirs["concurrency"] <= 1.0
    assert 0.95 < ours["mean_tpot_ms"] / theirs["mean_tpot_ms"] <= 1.0


def test_our_line_has_their_keys_in_their_order():
    theirs = json.loads((DATA / "bench_serving.jsonl").read_text())
    details = ("input_lens", "output_lens", "ttfts", "itls", "generated_texts", "errors")
    keys = [key for key in theirs if key not in details]
    ours = list(report(RECORDS, 1.25, TEST, workload=Workload(100, 6, 3)).to_json())
    assert ours[: len(keys)] == keys
    assert "provenance" in ours


def test_our_table_has_their_rows_in_their_order():
    def labels(text):
        return [line.split(":")[0] for line in text.splitlines() if line[40:41] not in ("", "=")]

    theirs = (DATA / "bench_serving.txt").read_text()
    (read_back,) = read(DATA / "bench_serving.jsonl")
    body = read_back.table().rpartition("=" * 50)[0]
    assert labels(body) == labels(theirs)[:-1]  # but Max ITL, which is not in the line
    differ = set(theirs.splitlines()) - set(read_back.table().splitlines())
    assert [line for line in differ if "Max ITL" not in line] == []


def test_our_line_reads_back_the_same():
    first = report(RECORDS, 1.25, TEST, workload=Workload(100, 6, 3, 2, seed=9), accept_length=2.5)
    line = json.loads(json.dumps(first.to_json()))
    again = from_json(line)
    assert again.to_json() == first.to_json()
    assert again.provenance == TEST
    assert again.workload == first.workload


def test_vllms_result_reads_back():
    """Lambda's published figures in the keys that vLLM 0.33 writes."""
    line = {
        "date": "20260220-101010",
        "backend": "openai-chat",
        "num_prompts": 512,
        "request_rate": "inf",
        "max_concurrency": 32,
        "duration": 425.6,
        "completed": 512,
        "failed": 0,
        "total_input_tokens": 4194304,
        "total_output_tokens": 524288,
        "request_throughput": 1.203,
        "output_throughput": 1232.0,
        "total_token_throughput": 11092.0,
        "mean_ttft_ms": 1825.0,
        "p99_ttft_ms": 5008.0,
        "mean_tpot_ms": 24.0,
        "mean_itl_ms": 24.0,
        "p99_itl_ms": 47.0,
    }
    r = from_json(line, published("Lambda"))
    assert r["mean_ttft_ms"] == 1825
    assert r.total_throughput == 11092
    assert r.input_throughput == pytest.approx(4194304 / 425.6)
    assert r.itl_basis == "chunk"
    assert str(r.provenance) == "published · Lambda"
    assert "vllm bench serve" in str(from_json(line).provenance)


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(InvalidValue, match="no benchmark result"):
        from_json({"hello": 1})
    (tmp_path / "x.jsonl").write_text("not json\n")
    with pytest.raises(InvalidValue, match="not JSON"):
        read(tmp_path / "x.jsonl")
    with pytest.raises(KitError):
        read(tmp_path / "none.jsonl")


@pytest.mark.parametrize("run", published_runs(), ids=lambda r: r.name)
def test_published_rows_agree_with_each_other(run):
    """Throughput × duration is the tokens, tokens are what the seed draws: no typing error."""
    r = run.report
    assert r.total_input_tokens == run.workload.total_input_tokens
    assert r.total_output_tokens == run.workload.total_output_tokens
    if r.duration_s is not None:
        assert r.output_throughput * r.duration_s == pytest.approx(r.total_output_tokens, rel=1e-3)
        assert r.input_throughput * r.duration_s == pytest.approx(r.total_input_tokens, rel=1e-3)
        concurrency = r.e2e_latency.mean / 1e3 * r.completed / r.duration_s
        assert concurrency == pytest.approx(r.concurrency, rel=2e-3)
    if r.input_throughput is not None:
        assert r.total_throughput == pytest.approx(
            r.input_throughput + r.output_throughput, abs=0.02
        )
    assert str(r.provenance).startswith("published · ")
