"""Each row of a benchmark's table has a meaning; values and ratios are the reports'."""

from dataclasses import replace

import pytest

from kit import bench
from kit.bench import Slo, Workload
from kit.hardware import profile
from kit.views import explained

RUN = bench.published("cookbook-latency")
OURS = bench.predict("h200x8", like=RUN.name)


def row_of(words, label):
    return next(row for row in words.rows if row[0] == label)


@pytest.mark.parametrize(
    "report",
    [OURS, RUN.report, replace(OURS, judged=OURS.judge(Slo(ttft_ms=200, tpot_ms=9, e2el_ms=3000)))],
    ids=["simulated", "published", "judged"],
)
def test_every_row_of_a_table_is_explained(report):
    for metric, _ in report.rows():
        assert len(metric.meaning) > 8, metric.label
        assert "failed in this way" not in metric.meaning, metric.label


def test_an_error_is_said_to_be_one():
    words = explained(replace(OURS, errors={"HTTP 503: overloaded": 2}))
    assert "failed" in row_of(words, "HTTP 503: overloaded")[-1]


def test_a_row_stands_beside_the_published_with_its_ratio():
    words = explained(OURS, RUN.report)
    _, ours, theirs, ratio, about = row_of(words, "Mean TTFT (ms)")
    assert (ours.split()[0], theirs) == (f"{OURS['mean_ttft_ms']:,.2f}", "190.40")
    low, high = OURS.bands["mean_ttft_ms"]
    assert ours.endswith(f" ({low:,.2f}–{high:,.2f})")
    assert float(ratio) == pytest.approx(OURS["mean_ttft_ms"] / 190.40, abs=0.006)
    assert "prefill" in about
    assert "cookbook" in str(words.provenance)


def test_what_one_side_does_not_say_is_a_dash_and_has_no_ratio():
    words = explained(OURS, RUN.report)
    _, ours, theirs, ratio, _ = row_of(words, "P95 TTFT (ms)")
    assert ours != "–"
    assert (theirs, ratio) == ("–", "")
    assert row_of(words, "Traffic request rate")[1:4] == ("inf", "inf", "")


def test_of_shared_rows_both_have_a_value_or_the_other_has():
    words = explained(OURS, RUN.report, shared=True)
    assert len(words.rows) < len(explained(OURS, RUN.report).rows)
    assert all(row[2] != "–" for row in words.rows)


def test_alone_a_report_has_no_column_for_others():
    words = explained(bench.simulate(profile("h200x8"), Workload(100, 10, 3)))
    assert words.head == ("row", "simulated", "what it is")
    assert all(len(row) == 3 for row in words.rows)
