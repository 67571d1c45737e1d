"""Goodput counts who was served in time."""

from dataclasses import replace

import pytest

from kit.bench import Record, Slo, Workload, predict, published_runs
from kit.bench.metrics import report
from kit.bench.result_file import from_json
from kit.errors import InvalidValue
from kit.provenance import measured


def one(ttft_s: float, tpot_s: float, tokens: int = 11, error: str = "") -> Record:
    if error:
        return Record(0.0, 5, error=error)
    times = [ttft_s + i * tpot_s for i in range(tokens)]
    return Record(0.0, 5, times, [1] * tokens, tokens, times[-1])


RUN = report(
    [one(0.1, 0.01), one(0.3, 0.01), one(0.1, 0.03), one(0.3, 0.03), one(0, 0, error="HTTP 429")],
    duration_s=2.0,
    provenance=measured("a test"),
)


def test_a_good_request_keeps_every_bound():
    assert RUN.goodput(Slo(ttft_ms=200)) == 1.0
    assert RUN.goodput(Slo(ttft_ms=200, tpot_ms=20)) == 0.5
    assert RUN.goodput(Slo(e2el_ms=10_000)) == 2.0


def test_a_failed_request_is_none_and_counts_in_the_share():
    judged = RUN.judge(Slo(ttft_ms=200, tpot_ms=20))
    assert judged.attainment == 0.2
    assert judged.attainment_by_metric == {"ttft": 0.4, "tpot": 0.4}


def test_one_token_has_no_tpot_to_miss():
    single = report([one(0.1, 0.0, tokens=1)], 1.0, measured("a test"))
    assert single.goodput(Slo(tpot_ms=0.001)) == 1.0


def test_the_result_line_has_bench_servings_keys_and_is_read_again():
    judged = replace(RUN, judged=RUN.judge(Slo(ttft_ms=200, tpot_ms=20)))
    line = judged.to_json()
    assert line["goodput_slos_ms"] == {"ttft": 200, "tpot": 20}
    assert line["request_goodput"] == 0.5
    assert from_json(line).judged == judged.judged
    assert "SLO attainment (%):                      20.00" in judged.table()
    assert "goodput_slos_ms" not in RUN.to_json()


def test_slos_are_written_as_bench_serving_takes_them():
    assert Slo.parse(["ttft:200", "tpot:20.5"]) == Slo(ttft_ms=200, tpot_ms=20.5)


@pytest.mark.parametrize("wrong", [["itl:5"], ["ttft"], ["ttft:x"], ["ttft:0"], ["tpot:inf"], []])
def test_what_is_no_slo_is_refused(wrong):
    with pytest.raises(InvalidValue):
        Slo.parse(wrong)


def test_a_published_table_has_no_requests_to_judge():
    with pytest.raises(InvalidValue, match="averages only"):
        published_runs()[0].report.goodput(Slo(ttft_ms=200))


def test_a_looser_promise_is_kept_at_least_as_often():
    run = predict("h200x8", Workload(200, 60, 100, max_concurrency=80))
    goodputs = [run.goodput(Slo(ttft_ms=bound)) for bound in (50, 500, 5000, 500_000)]
    assert goodputs == sorted(goodputs)
    assert goodputs[-1] == pytest.approx(run.request_throughput)
