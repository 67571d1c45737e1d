"""What the kit reads of the pocket model: its card, and the sweep of its drafts."""

import json

import pytest

from kit import pocket
from kit.errors import KitError, UnknownName
from kit.pocket import Ability, Speculated
from kit.speed.speculation import accept_length


def run(steps, part, length, tokens_s, step_ms):
    return Speculated(steps, part, 20, 800, 400, length, tokens_s, step_ms)


SWEEP = pocket.Sweep(
    tuple(
        run(*row)
        for row in (
            (0, "thinking", None, 130.0, 7.5),
            (0, "answer", None, 130.0, 7.5),
            (1, "thinking", 1.9, 120.0, 15.0),
            (1, "answer", 1.8, 110.0, 15.0),
            (3, "thinking", 3.2, 105.0, 30.0),
            (3, "answer", 2.7, 90.0, 30.0),
        )
    ),
    {3: {"draft": 0.4, "verify": 0.4, "draft_extend": 0.2}},
    pocket.measured("a table of this test"),
)


def test_a_step_with_drafts_costs_its_time_over_a_plain_ones():
    assert SWEEP.ratio("answer", 3) == 4
    assert SWEEP.times_plain("answer", 3) == pytest.approx(90 / 130)
    assert SWEEP.steps == (1, 3)


def test_without_drafts_a_step_gives_one_token():
    assert SWEEP.length("thinking", 0) == 1


def test_theory_takes_each_guess_for_as_good_as_the_first():
    assert SWEEP.expected("thinking", 1) == pytest.approx(1.9)
    assert SWEEP.expected("thinking", 3) == pytest.approx(accept_length([0.9, 0.9, 0.9]))


def test_a_run_that_was_not_made_names_those_that_were():
    with pytest.raises(UnknownName, match="thinking with 3"):
        SWEEP.row("thinking", 2)


def test_a_recorded_sweep_is_read_and_more_columns_do_no_harm(tmp_path):
    row = {"steps": 0, "part": "answer", "requests": 1, "tokens": 9, "verify_steps": 8}
    row |= {"accept_length": None, "output_throughput": 90.0, "step_ms": 11.0, "news": 1}
    kept = {"provenance": {"kind": "measured", "source": "here"}, "rows": [row], "shares": {}}
    (tmp_path / "s.json").write_text(json.dumps(kept))
    read = pocket.sweep(tmp_path / "s.json")
    assert read.row("answer", 0).step_ms == 11.0
    assert str(read.provenance) == "measured · here"


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_files_that_are_missing_or_broken_say_what_to_type(tmp_path, text):
    if text is not None:
        (tmp_path / "pocket.json").write_text(text)
    with pytest.raises(KitError, match="git checkout"):
        pocket.card(tmp_path)


def test_the_card_claims_what_is_right_in_nine_of_ten():
    assert Ability("sum", 200, 180).claimed
    assert not Ability("sum", 200, 179).claimed


def test_the_interval_is_wilsons():
    """Wilson's, for 9 of 10, as in Brown, Cai and DasGupta (2001): 0.596 to 0.982."""
    low, high = Ability("x", 10, 9).interval
    assert (low, high) == (pytest.approx(0.596, abs=0.001), pytest.approx(0.982, abs=0.001))
    assert Ability("x", 10, 10).interval[1] == 1
