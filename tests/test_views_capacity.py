"""What a promise costs, drawn: bands, marks that do not need colour, and a table that says it."""

from math import log10

import pytest

from kit.capacity import Target, capacity_plan
from kit.capacity.prices import Prices
from kit.errors import KitError
from kit.views import pareto


@pytest.fixture(scope="module")
def plan():
    asked = Target(users=60, input_len=600, output_len=60, ttft_ms=1000.0, tpot_ms=25.0)
    return capacity_plan(
        asked, gpus=["h200"], precisions=["bf16", "fp8"], prices=Prices.parse(["h200=3"])
    )


def test_verdicts_differ_by_their_marks_and_not_by_colour_alone(plan):
    traces = [trace for trace in pareto(plan).data if trace.mode == "markers"]
    assert len({trace.marker.symbol for trace in traces}) == len(traces) == 3


def test_every_point_has_its_band_and_its_row(plan):
    figure = pareto(plan)
    points = sum(len(trace.x) for trace in figure.data if trace.mode == "markers")
    assert points > len(plan.options)
    assert points == len(figure.table.rows)
    for trace in figure.data:
        if trace.mode == "markers":
            assert all(high > 0 for high in trace.error_x.array)
            assert all(low > 0 for low in trace.error_x.arrayminus)
    assert figure.layout.meta["provenance"]["kind"] == "simulated"


def test_what_is_joined_is_not_beaten_on_both_axes(plan):
    figure = pareto(plan, against="tpot")
    (front,) = [trace for trace in figure.data if trace.mode == "lines"] or [None]
    if front is not None:
        assert list(front.y) == sorted(front.y)
        assert list(front.x) == sorted(front.x, reverse=True)


@pytest.mark.parametrize(("wide", "letter"), [(880, 8.0), (330, 5.8)])
def test_no_name_covers_a_point_or_leaves_the_plot(plan, wide, letter):
    figure = pareto(plan)
    (left, right), (low, high) = figure.layout.xaxis.range, figure.layout.yaxis.range

    def place(x, y):
        return (x - left) / (right - left) * wide, (high - y) / (high - low) * 296

    marks = [trace for trace in figure.data if trace.mode == "markers"]
    points = [place(log10(x), log10(y)) for t in marks for x, y in zip(t.x, t.y, strict=True)]
    names = [note for note in figure.layout.annotations if note.showarrow]
    assert names
    for name in names:
        x, y = place(name.x, name.y)
        end, middle = x + name.ax, y + name.ay
        ends = sorted((end, end + letter * len(name.text) * (1 if name.ax > 0 else -1)))
        assert ends[0] >= 0
        assert ends[1] <= wide
        assert not [p for p in points if ends[0] < p[0] < ends[1] and abs(p[1] - middle) < 15]


def test_with_a_price_for_all_it_is_about_money(plan):
    assert "cost of a month" in pareto(plan).layout.yaxis.title.text


def test_a_latency_that_is_not_bounded_is_refused(plan):
    with pytest.raises(KitError):
        pareto(plan, against="e2el")
