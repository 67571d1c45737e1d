"""The figures of the pocket model: what is drawn is what was measured, and words say the same."""

import pytest
from test_pocket import SWEEP

from kit.pocket import Ability, ModelCard, card
from kit.provenance import measured
from kit.speed.speculation import published_lengths
from kit.views import abilities, acceptance, theme
from kit.views.figures.pocket import _PLAIN

CARD = ModelCard(
    "pocket model (3.2 M parameters)",
    3_160_664,
    787_840,
    (Ability("sum", 200, 190), Ability("percent", 200, 120), Ability("a new kind", 50, 50)),
    measured("a table of this test"),
)
ACCEPTANCE, ABILITIES = acceptance(SWEEP), abilities(CARD)


def lines(figure, ending):
    return [line for line in figure.data if line.name.endswith(ending)]


def test_left_is_what_was_accepted_and_right_the_speed_it_came_to():
    left, right = lines(ACCEPTANCE, "(measured)")[:2], ACCEPTANCE.data[-2:]
    for line, part in zip(left, ("thinking", "answer"), strict=True):
        assert list(line.y) == [SWEEP.length(part, k) for k in line.x]
    for line, part in zip(right, ("thinking", "answer"), strict=True):
        assert list(line.x) == [0, 1, 3]
        assert line.y == pytest.approx([SWEEP.times_plain(part, k) for k in line.x], abs=0.001)


def test_what_was_published_stands_beside_it_and_is_called_that():
    (thinking, _) = lines(ACCEPTANCE, "(published)")
    assert list(thinking.y) == [published_lengths("thinking").values[k - 1] for k in (1, 3)]
    assert "InferenceX" in ACCEPTANCE.layout.meta["provenance"]["source"]


def test_the_title_says_no_faster_only_where_nothing_was():
    assert "no faster" in ACCEPTANCE.layout.title.text
    quick = [row for row in SWEEP.rows if row.steps != 3]
    quick += [type(r)(3, r.part, 9, 9, 9, 3.0, 400.0, 8.0) for r in SWEEP.rows if r.steps == 3]
    assert (
        "no faster"
        not in acceptance(
            type(SWEEP)(tuple(quick), SWEEP.shares, SWEEP.provenance)
        ).layout.title.text
    )


def test_a_server_that_was_just_asked_is_a_star_and_one_that_does_not_count_is_none():
    figure = acceptance(SWEEP, {"thinking": 2.5, "answer": None}, drafts=1)
    (star,) = [line for line in figure.data if line.marker.symbol == "star"]
    assert (list(star.x), list(star.y)) == ([1], [2.5])


def test_colour_never_tells_lines_apart_alone():
    for line in ACCEPTANCE.data:
        assert line.line.color in {*theme.COLOURS, theme.GREY}
    shapes = [(line.line.dash, line.marker.symbol) for line in ACCEPTANCE.data[:6]]
    assert len(set(shapes)) == len(shapes)


def test_the_best_kind_stands_on_top_and_hollow_dots_are_not_claimed():
    order = ABILITIES.layout.yaxis.categoryarray
    assert order[-1] == "a new kind"
    claimed, others = ABILITIES.data
    assert list(claimed.x) == [95.0, 100.0]
    assert list(others.x) == [60.0]
    assert (claimed.marker.symbol, others.marker.symbol) == ("circle", "circle-open")


def test_every_row_of_the_released_model_card_has_plain_words():
    assert {row.name for row in card().abilities} <= set(_PLAIN)
