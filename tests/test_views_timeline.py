from dataclasses import replace

import pytest

from kit.errors import InvalidValue
from kit.provenance import simulated
from kit.views.figures.timeline import timeline
from kit.views.reply import Reply


def reply(thinking_tokens, answer_tokens, ttft_ms=200.0, rate=100.0):
    return Reply(
        prompt="?",
        thinking="hm" * thinking_tokens,
        answer="36",
        tool_calls=(),
        usage=None,
        finish_reason="stop",
        ttft_ms=ttft_ms,
        tokens_per_s=rate,
        thinking_tokens=thinking_tokens,
        answer_tokens=answer_tokens,
        exact=True,
        author=None,
        provenance=simulated("a test"),
    )


def test_thinking_stands_between_the_question_and_the_first_word():
    figure = timeline([reply(300, 100), reply(0, 100)])
    assert "thinking: 3.2 s" in figure.layout.title.subtitle.text
    assert "instruct: 0.2 s" in figure.layout.title.subtitle.text
    assert sum(bar.x[0] for bar in figure.data) == pytest.approx(4.2)
    assert figure.layout.meta["provenance"]["kind"] == "simulated"


def test_answers_without_times_are_left_out_and_none_at_all_is_an_error():
    figure = timeline([reply(300, 100), reply(0, 100, ttft_ms=None)])
    assert len(figure.data[0].y) == 1
    with pytest.raises(InvalidValue, match="times"):
        timeline([reply(0, 1, rate=None)])


def test_an_answer_that_ended_in_its_thinking_has_no_first_word():
    begun = replace(reply(60, 0), answer="")
    stopped = timeline([replace(begun, finish_reason="stopped"), reply(0, 100)])
    assert "thinking: none, stopped by you after 0.8 s" in stopped.layout.title.subtitle.text
    assert "instruct: 0.2 s" in stopped.layout.title.subtitle.text
    cut = timeline([replace(begun, finish_reason="length")])
    assert "none, the limit of tokens reached" in cut.layout.title.subtitle.text
    broken = timeline([replace(begun, finish_reason=None)])
    assert "none, ended after 0.8 s" in broken.layout.title.subtitle.text
