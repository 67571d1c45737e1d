"""Figures of a run: what they draw is what the records say, and small enough for a notebook."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kit.bench import Record, Report, Workload, predict, published, simulate
from kit.bench.metrics import report as reported
from kit.errors import InvalidValue, KitError
from kit.hardware import profile
from kit.provenance import measured, simulated
from kit.views import compare_reports, little, run_figure, sweep
from kit.views.figures.bench_queue import _moment
from kit.views.figures.bench_run import bundle, results
from kit.views.figures.bench_series import BARS, DurationHistogram, RunSeries, time_edges
from kit.views.figures.bench_sweep import knee

H200X8 = profile("h200x8")


@pytest.fixture(scope="module")
def run() -> Report:
    return simulate(H200X8, Workload(1000, 1000, 300, max_concurrency=100))


@pytest.fixture(scope="module")
def points() -> list[Report]:
    sizes = (1, 4, 16, 32, 40, 64, 96)
    return [
        simulate(H200X8, Workload(1000, 1000, max(20, 4 * n), max_concurrency=n)) for n in sizes
    ]


# --- series ---------------------------------------------------------------------------------


def test_over_time_no_token_and_no_second_is_lost(run: Report) -> None:
    series = RunSeries.of(run.records, run.duration_s)
    widths = np.diff(time_edges(run.duration_s))
    assert np.dot(series.tokens_per_s, widths) == pytest.approx(run.total_output_tokens)
    held = np.add(series.waiting, series.receiving)
    in_flight = np.dot(held, widths) / run.duration_s
    assert in_flight == pytest.approx(run.concurrency)


def test_chunks_without_a_count_share_the_tokens_of_their_answer() -> None:
    record = Record(0.0, 10, [1.0, 2.0, 3.0, 4.0], (), 8, 4.0)
    series = RunSeries.of([record], 4.0)
    assert np.dot(series.tokens_per_s, np.diff(time_edges(4.0))) == pytest.approx(8)


@pytest.mark.parametrize("duration_s", [0.004, 0.9, 4.0, 100.5, 285.1, 86_400.0])
def test_bins_of_time_are_round_few_and_end_with_the_run(duration_s: float) -> None:
    edges = time_edges(duration_s)
    assert 10 <= len(edges) - 1 <= 125
    assert edges[0] == 0
    assert edges[-1] == pytest.approx(duration_s)
    assert np.all(np.diff(edges) > 0)
    power = 10 ** math.floor(math.log10(edges[1]) + 1e-9)
    assert round(edges[1] / power, 6) in (1, 2, 5)


def test_a_spread_agrees_with_numpy() -> None:
    seconds = np.random.default_rng(7).lognormal(-4, 1.2, 20_000)
    histogram = DurationHistogram()
    for part in np.array_split(seconds, 40):
        histogram.add(part)
    assert histogram.mean_ms == pytest.approx(seconds.mean() * 1e3)
    assert histogram.p99_ms == pytest.approx(np.percentile(seconds, 99) * 1e3, rel=0.04)


@pytest.mark.parametrize("low, high", [(0.013, 0.013), (1e-9, 0.02), (0.2, 300.0), (0, 1e7)])  # noqa: PT006
def test_bars_are_few_and_hold_every_duration(low: float, high: float) -> None:
    histogram = DurationHistogram([low, *([math.sqrt(max(low, 1e-3) * high)] * 50), high])
    bars = histogram.bars()
    assert sum(bars.counts) == histogram.count == 52
    assert len(bars.counts) <= BARS
    assert len(bars.edges_ms) == len(bars.counts) + 1
    assert list(bars.edges_ms) == sorted(set(bars.edges_ms))


# --- the figure of a run --------------------------------------------------------------------


def test_the_figure_draws_four_things_and_marks_mean_and_p99(run: Report) -> None:
    figure = run_figure(run)
    assert len(figure.data) == 5
    assert {shape.x0 for shape in figure.layout.shapes} >= {
        run.ttft.mean, run.ttft.p99, run.itl.mean, run.itl.p99,
    }  # fmt: skip
    for trace in figure.data[3:]:
        assert sum(trace.y) == pytest.approx(100, abs=0.1)
    assert figure.layout.meta["provenance"]["kind"] == "simulated"
    assert all(figure.layout[f"{axis}axis2"].title.text for axis in "xy")
    assert "TTFT" in figure.table.markdown


def test_a_thousand_requests_make_a_small_figure() -> None:
    assert len(json.dumps(bundle(run_figure(predict("h200x8", like="cookbook-throughput"))))) < 4e4


def test_a_report_without_records_is_refused_with_what_to_do() -> None:
    for draw in (run_figure, little):
        with pytest.raises(InvalidValue, match="bench"):
            draw(published("cookbook-throughput").report)


def test_what_failed_and_what_is_missing_is_in_the_sentence() -> None:
    records = [
        Record(0.0, 5, [0.5, 0.6], [1, 2], 3, 0.6),
        Record(0.0, 5, [], (), 0, 0.2, "HTTP 503"),
    ]
    partial = reported(
        records, 1.0, measured("a test"), missing=("8 of 10 requests: stopped with 3 in flight",)
    )
    for shown in (results(partial).sentence, str(run_figure(partial).table)):
        assert "1 failed: HTTP 503" in shown
        assert "Missing: 8 of 10 requests" in shown
    nothing = reported(records[1:], 1.0, measured("a test"))
    assert "1 failed: HTTP 503" in results(nothing).html()


# --- sweep and queue ------------------------------------------------------------------------


def test_the_knee_is_the_fewest_that_give_nine_tenths(points: list[Report]) -> None:
    rates = [report.output_throughput for report in points]
    at = knee(points)
    assert rates[at] >= 0.9 * max(rates)
    assert all(rate < 0.9 * max(rates) for rate in rates[:at])
    for against in ("tpot", "ttft"):
        figure = sweep(points[::-1], against)  # in any order
        said = f"{points[at].workload.max_concurrency} at once"
        assert any(said in note.text for note in figure.layout.annotations)
        assert said in figure.table.sentence
        assert list(figure.data[0].y) == [round(rate, 1) for rate in rates]


def test_a_sweep_that_still_rises_has_no_knee(points: list[Report]) -> None:
    figure = sweep(points[:3])
    assert knee(points[:3]) is None
    assert "still rising at 16 at once" in figure.table.sentence


def test_points_that_fall_together_share_a_label(points: list[Report]) -> None:
    labels = list(sweep(points, "tpot").data[0].text)
    assert "40 … 96" in labels
    assert "40 … 96" not in list(sweep(points, "ttft").data[0].text)


def test_no_label_of_a_sweep_stands_where_its_line_goes(points: list[Report]) -> None:
    line = sweep(points, "ttft").data[0]
    spots = list(zip(line.x, line.y, line.textposition, strict=True))
    for (x, y, side), (to_x, to_y, _) in [*pairwise(spots), *pairwise(spots[::-1])]:
        goes = {(True, True): "top left", (False, False): "bottom right"}
        assert side != goes.get((to_x < x, to_y > y))


def test_sources_are_told_apart(points: list[Report]) -> None:
    live = [replace(report, provenance=measured("a server")) for report in points]
    figure = sweep([*points, *live])
    assert {trace.name for trace in figure.data if trace.mode != "markers"} == {
        "simulated", "measured",
    }  # fmt: skip
    assert "measured · a server" in str(figure.table.provenance)
    assert figure.data[0].marker.symbol != figure.data[2].marker.symbol


def test_lines_of_one_kind_are_named_by_who_draws_them_or_by_their_source(
    points: list[Report],
) -> None:
    other = [replace(report, provenance=simulated("another machine")) for report in points]
    named = [trace.name for trace in sweep([*points, *other]).data if trace.mode != "markers"]
    assert named == [str(points[0].provenance), "simulated · another machine"]
    ours = sweep({"with MTP": points, "without": points[:2]})
    assert [trace.name for trace in ours.data if trace.mode != "markers"] == ["with MTP", "without"]
    assert "without: still rising at 4" in ours.table.sentence


def test_a_run_without_a_concurrency_is_no_point(run: Report) -> None:
    with pytest.raises(InvalidValue, match="fewer than two"):
        sweep([run])
    free = simulate(H200X8, Workload(1000, 1000, 20, request_rate=2.0))
    with pytest.raises(InvalidValue, match="max_concurrency"):
        sweep([run, free])


def test_littles_law_finds_the_published_fourteen_seconds() -> None:
    row = published("cookbook-throughput").report
    waiting = row.request_throughput * row.ttft.mean / 1e3
    figure = little(predict("h200x8", like="cookbook-throughput"), cap=48)
    waiting_requests = float(figure.table.sentence.split("= ")[1].split()[0])
    assert waiting_requests == pytest.approx(waiting, rel=0.05)
    assert waiting == pytest.approx(100 - 48, rel=0.05)  # who has no slot waits
    assert any("48 at most" in note.text for note in figure.layout.annotations)


def test_the_arrows_stand_where_the_wait_is_the_mean() -> None:
    run = predict("h200x8", like="cookbook-throughput")
    sent = sorted(record.sent_s for record in run.records)
    first = sorted(record.times_s[0] for record in run.records)
    sent_s, first_s = _moment(sent, first, run.ttft.mean / 1e3)
    assert first_s - sent_s == pytest.approx(run.ttft.mean / 1e3, rel=0.02)


def test_a_single_request_has_a_queue_picture_too() -> None:
    lone = simulate(H200X8, Workload(100, 100, 1, max_concurrency=1))
    assert "requests that wait" in little(lone).table.sentence
    assert run_figure(lone).table is not None


# --- side by side ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both() -> tuple[Report, Report]:
    run = published("cookbook-latency")
    return run.report, predict("h200x8", like="cookbook-latency")


def test_columns_carry_kind_version_ratio_and_source(both: tuple[Report, Report]) -> None:
    table = compare_reports(*both)
    kinds, versions, *rows, labels = table.cells
    assert kinds[1:] == ["published", "simulated"]
    assert versions[1:] == ["0.5.9", "0.5.9"]
    assert all("×" in row[2] for row in rows if "–" not in row)
    assert both[0].provenance.source in labels
    for text in (str(table), table.markdown(), table.html()):
        for report in both:
            assert report.provenance.source in text
            assert f"{report.output_throughput:,.0f}" in text


def test_a_ratio_is_the_figure_over_the_firsts(both: tuple[Report, Report]) -> None:
    row = next(row for row in compare_reports(*both).cells if row[0] == "Mean TTFT (ms)")
    ratio = both[1].ttft.mean / both[0].ttft.mean
    assert row[2].endswith(f"(×{ratio:.2f})")


def test_a_predicted_figure_shows_its_band_wherever_it_stands(
    both: tuple[Report, Report], points: list[Report], run: Report
) -> None:
    given, predicted = both
    low, high = predicted.bands["mean_tpot_ms"]
    band = f"({low:.2f}–{high:.2f})"
    assert low < predicted.tpot.mean < high
    table = compare_reports(given, predicted)
    row = next(row for row in table.cells if row[0] == "Mean TPOT (ms)")
    assert (band in row[1], band in row[2]) == (False, True)
    for text in (str(table), table.markdown(), table.html()):
        assert band in text
        assert "P10–P90" in text
    assert "P10–P90" not in str(compare_reports(given))
    for figure, report in ((run_figure(run), run), (sweep(points), points[0])):
        low, high = report.bands["output_throughput"]
        shown = f"{report.output_throughput:,.0f} ({low:,.0f}–{high:,.0f})"
        assert shown in f"{figure.table.sentence} {figure.table.rows}"
        assert "P10–P90" in figure.table.sentence


def test_a_published_median_is_compared_with_a_median() -> None:
    cell = published("cookbook-0516", H200X8)
    table = compare_reports(cell.report, predict(H200X8, like=cell))
    first, _ = table.html().split("<details>")
    assert "Median TPOT" in first
    assert "Mean TPOT" not in first
    assert table.cells[1][1] == "0.5.16"


def test_itl_per_chunk_is_never_compared_with_itl_per_token() -> None:
    chunks = published("lambda-b200").report
    tokens = published("cookbook-throughput").report
    rows = {row[0]: row[1:] for row in compare_reports(tokens, chunks).cells}
    assert rows["Mean ITL per token (ms)"][1] == "–"
    assert rows["Mean ITL per chunk (ms)"][0] == "–"


def test_the_version_of_a_server_is_read_from_its_label(both: tuple[Report, Report]) -> None:
    live = replace(both[1], provenance=measured("q at http://x:1, SGLang 0.5.23"))
    other = replace(both[1], provenance=simulated("another engine"))
    assert compare_reports(live, other).cells[1] == ["SGLang", "0.5.23", "–"]


@pytest.mark.parametrize("reports", [(), (published("cookbook-latency"),)], ids=["none", "a run"])
def test_no_report_is_an_error_of_two_lines(reports: tuple[object, ...]) -> None:
    with pytest.raises(KitError, match="no report") as caught:
        compare_reports(*reports)
    assert len(str(caught.value).splitlines()) == 2


def test_the_long_table_opens_with_the_rows_that_matter(both: tuple[Report, Report]) -> None:
    html = compare_reports(*both).html()
    first, folded = html.split("<details>")
    assert "Mean TTFT" in first
    assert "Median TTFT" not in first
    assert "Median TTFT" in folded
