"""A plan from a trace: Mooncake's format and bench_serving's, and what is neither."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.capacity import Target, capacity_plan, read_trace
from kit.capacity.trace import BLOCK_TOKENS, MOST_ROWS
from kit.errors import KitError

MOONCAKE = [  # the first lines of Mooncake's conversation trace have these keys
    {"timestamp": 0, "input_length": 1600, "output_length": 80, "hash_ids": [0, 1, 2, 3]},
    {"timestamp": 500, "input_length": 1700, "output_length": 60, "hash_ids": [0, 1, 9]},
    {"timestamp": 900, "input_length": 2100, "output_length": 90, "hash_ids": [0, 1, 2, 3, 4]},
]


def write(tmp_path, lines):
    path = tmp_path / "trace.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return path


def test_mooncakes_lines_are_read_with_their_times_and_prefixes(tmp_path):
    trace = read_trace(write(tmp_path, MOONCAKE))
    assert trace.timed
    assert [row.arrival_s for row in trace.rows] == [0.0, 0.5, 0.9]
    first, other, longer = (row.shared for row in trace.rows)
    assert first[0] == longer[0], "a prompt that goes on belongs to the family"
    assert longer[1] == first[1] + BLOCK_TOKENS
    assert other[0] != first[0], "one that leaves it begins its own"
    assert all(row.shared[1] < row.input_tokens for row in trace.rows)


def test_lines_out_of_order_are_sorted_by_time(tmp_path):
    trace = read_trace(write(tmp_path, reversed(MOONCAKE)))
    assert [row.input_tokens for row in trace.rows] == [1600, 1700, 2100]


def test_of_a_long_trace_the_busiest_part_is_kept(tmp_path):
    gaps = [1000] * 100 + [10] * MOST_ROWS
    at, lines = 0, []
    for gap in gaps:
        at += gap
        lines.append({"timestamp": at, "input_length": 100, "output_length": 10})
    trace = read_trace(write(tmp_path, lines))
    assert len(trace.rows) == MOST_ROWS
    assert trace.left_out == 100
    assert trace.rows[-1].arrival_s == pytest.approx((MOST_ROWS - 1) * 0.01)


def test_a_result_line_of_bench_serving_gives_lengths_and_no_times(tmp_path):
    line = {"backend": "sglang", "input_lens": [100, 200, 300], "output_lens": [10, 0, 30]}
    trace = read_trace(write(tmp_path, [line]))
    assert not trace.timed
    assert [(row.input_tokens, row.output_tokens) for row in trace.rows] == [(100, 10), (300, 30)]
    with pytest.raises(KitError, match="no arrival times"):
        Target(trace=trace, ttft_ms=1000)
    assert Target(trace=trace, users=4, ttft_ms=1000).mean_input == 200


def test_a_trace_that_comes_too_fast_is_shared_out(tmp_path):
    lines = [{"timestamp": 20 * n, "input_length": 900, "output_length": 60} for n in range(300)]
    asked = Target(trace=read_trace(write(tmp_path, lines)), ttft_ms=1500, tpot_ms=40)
    found = capacity_plan(asked, gpus=["h200"], precisions=["fp8"])
    assert found.best.verdict == "holds"
    assert found.best.replicas > 1
    assert found.to_json()["target"]["trace"] == "trace.jsonl"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["not json"],
        [json.dumps(MOONCAKE[0])[:-9]],  # half a line
        [MOONCAKE[0], '{"timestamp": 1, "input_len'],
        ["[1, 2]"],
        [{"TIMESTAMP": "2023-11-16 18:15:46", "ContextTokens": 374, "GeneratedTokens": 44}],
        [{"timestamp": 0, "input_length": -5, "output_length": 3}],
        [{"timestamp": 0, "input_length": 5, "output_length": 3.5}],
        [{"timestamp": "now", "input_length": 5, "output_length": 3}],
        [{"timestamp": float("nan"), "input_length": 5, "output_length": 3}],
        [{"input_length": 5, "output_length": 3}],
        [{"timestamp": 10**400, "input_length": 5, "output_length": 3}],
        [{"timestamp": 1, "input_length": 5, "output_length": 3, "hash_ids": 7}],
        [{"input_lens": [1, 2], "output_lens": [1]}],
        [{"input_lens": "many", "output_lens": [1]}],
        [{"input_lens": [5], "output_lens": [0]}],
        ["[" * 100_000],
        ["\x00\x01\x02"],
    ],
)
def test_another_format_is_refused_in_two_lines(tmp_path, lines):
    with pytest.raises(KitError) as refused:
        read_trace(write(tmp_path, lines))
    assert len(str(refused.value).splitlines()) == 2


KEYS = st.sampled_from(
    ["timestamp", "input_length", "output_length", "hash_ids", "input_lens", "output_lens"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=5), max_size=3))
def test_any_json_is_a_trace_or_refused(tmp_path_factory, lines):
    path = write(tmp_path_factory.mktemp("any"), [json.dumps(line) for line in lines])
    with contextlib.suppress(KitError):
        assert read_trace(path).rows


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_trace_or_two_lines(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "trace"
    path.write_bytes(content)
    with pytest.raises(KitError) as refused:
        read_trace(path)
    assert len(str(refused.value).splitlines()) == 2


def test_a_file_that_is_not_there_is_refused_in_two_lines(tmp_path):
    with pytest.raises(KitError) as refused:
        read_trace(tmp_path / "none.jsonl")
    assert len(str(refused.value).splitlines()) == 2
