"""The figures of lesson 08: what is drawn is what was computed, and words say the same."""

from dataclasses import replace

import pytest

from kit import bench
from kit.errors import InvalidValue
from kit.hardware import profile
from kit.models import model
from kit.speed.speculation import crossings, experts_touched, step_cost
from kit.views import accept_lengths, draft_steps, experts, speedup, theme

H200 = profile("h200x8")


def test_the_cookbooks_two_accept_lengths_are_among_the_dots():
    (dots,) = accept_lengths().data
    for run in bench.published_runs():
        if run.accept_length is not None:
            assert run.accept_length in dots.x


def test_experts_are_drawn_as_they_are_computed():
    verify, plain = experts(H200).data
    for line, tokens in ((verify, 4), (plain, 1)):
        for n, drawn in zip(line.x, line.y, strict=True):
            assert drawn == pytest.approx(experts_touched(H200.model, n * tokens), abs=0.001)


def test_a_dense_model_has_no_experts_to_draw():
    with pytest.raises(InvalidValue):
        experts(replace(H200, model=model("27b")))


def test_the_curve_is_the_speedup_of_each_number_of_requests():
    (line,) = speedup(H200, 2.0).data
    for n, drawn in zip(line.x, line.y, strict=True):
        assert drawn == pytest.approx(step_cost(H200, n).speedup(2.0), abs=0.001)


def test_the_slider_redraws_the_curve_and_its_sentence():
    figure = speedup(H200, 2.0)
    (slider,) = figure.layout.sliders
    step = slider.steps[slider.active]
    assert step.label == "2"
    (curve, title) = step.args
    assert tuple(curve["y"][0]) == tuple(figure.data[0].y)
    assert title["title.subtitle.text"] == figure.layout.title.subtitle.text
    assert [float(s.label) for s in slider.steps] == [1 + i / 10 for i in range(31)]


def test_where_it_crosses_is_said():
    subtitle = speedup(H200, 1.6).layout.title.subtitle.text
    found = crossings(H200, 1000, 1.6, most_requests=512)
    assert found
    assert all(str(n) in subtitle for n in found)


def test_an_accept_length_of_five_with_three_drafts_is_refused():
    with pytest.raises(InvalidValue):
        speedup(H200, 5.0)


def test_colour_never_tells_lines_apart_alone():
    for figure in (experts(H200), draft_steps(H200)):
        lines = figure.data
        assert len({line.line.dash for line in lines}) == len(lines)
        assert {line.line.color for line in lines} <= set(theme.COLOURS)
