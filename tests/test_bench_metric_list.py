"""One list of metrics, and everything that shows a report draws from it."""

import json
from pathlib import Path

from kit.bench import published
from kit.bench.metric_list import BY_KEY, HEADLINE, METRICS, PRINTED
from kit.views import compare_reports, explained

DATA = Path(__file__).parent / "data"
RUN = published("cookbook-latency").report


def test_every_key_of_bench_serving_is_known() -> None:
    """All figures of its result line: what is no argument and no detail of a request."""
    theirs = json.loads((DATA / "bench_serving.jsonl").read_text())
    figures = list(theirs)[list(theirs).index("duration") :]
    details = ("input_lens", "output_lens", "ttfts", "itls", "generated_texts", "errors")
    assert [key for key in figures if key not in (*BY_KEY, *details)] == []


def test_every_label_that_bench_serving_prints_is_known() -> None:
    labels = {f"{metric.label}:" for metric in PRINTED}
    rows = (DATA / "bench_serving.txt").read_text().splitlines()
    printed = {line[:40].strip() for line in rows if ":" in line}
    assert printed <= labels


def test_keys_and_labels_are_unique_and_every_metric_has_a_meaning() -> None:
    for metrics in (METRICS, PRINTED):
        assert len({metric.key for metric in metrics}) == len(metrics)
        assert len({metric.label for metric in metrics}) == len(metrics)
        assert all(metric.meaning for metric in metrics)


def test_less_time_and_more_throughput_are_better() -> None:
    for metric in METRICS:
        if metric.unit in ("ms", "s"):
            assert metric.better == "lower", metric.key
        if metric.unit.endswith("/s"):
            assert metric.better == "higher", metric.key


def test_line_table_comparison_and_glossary_show_the_same_figure() -> None:
    line, table = RUN.to_json(), RUN.table()
    compared = {row[0]: row[1] for row in compare_reports(RUN).cells}
    glossary = {row[0]: row[1] for row in explained(RUN).rows}
    for key in HEADLINE:
        metric = BY_KEY[key]
        shown = f"{line[key]:.2f}"
        assert f"{metric.label}:".ljust(41) + shown in table
        assert glossary[metric.label] == f"{line[key]:,.2f}"
        assert compared[metric.short] == f"{line[key]:,.{metric.decimals}f}"
