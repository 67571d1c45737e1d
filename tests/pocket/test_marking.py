"""How the evaluation marks an answer, and which tools it offers with a question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from pocket.data.dialogue import END, Dialogue
from pocket.data.offers import LOOKUPS, usual_start
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.evaluate import _TO_CHOOSE, insist_on_card, is_right, main, names_the_tool

CALLS = ("call", "action call", "two calls")


def drawn(kind: str) -> list[Dialogue]:
    r = Random(f"marking {kind}")
    return [draw(r, "test", kind, i % 2 == 0) for i in range(40)]


def said(dialogue: Dialogue) -> str:
    return dialogue.completion.removesuffix(END)


@pytest.mark.parametrize("kind", [*PLAIN, *WITH_TOOLS, "repeat"])
def test_what_was_taught_is_right_and_anything_else_is_wrong(kind: str) -> None:
    for dialogue in drawn(kind):
        assert is_right(dialogue, said(dialogue))
        assert not is_right(dialogue, said(replace(dialogue, answer="Something else.")))
        assert not is_right(dialogue, said(dialogue).replace(dialogue.key, dialogue.key[:-3] + "x"))
        assert not is_right(dialogue, "")


@pytest.mark.parametrize("kind", CALLS)
def test_the_right_tool_with_a_wrong_argument_is_the_right_tool_alone(kind: str) -> None:
    for dialogue in drawn(kind):
        text = said(dialogue).replace("\n</parameter>", "x\n</parameter>")
        assert names_the_tool(dialogue, text)
        assert not is_right(dialogue, text)
        other = said(dialogue).replace("<function=", "<function=x")
        assert not names_the_tool(dialogue, other)


@pytest.mark.parametrize("offering", _TO_CHOOSE["call"], ids=lambda one: one.label)
def test_as_many_tools_are_offered_as_the_row_says_and_named_so(offering) -> None:  # type: ignore[no-untyped-def]
    r = Random(3)
    for _ in range(50):
        among = offering.draw(r, "call")
        assert len(among) in offering.counts
        lookups = [offer for offer in among if offer.kind in LOOKUPS]
        as_usual = [offer.name.startswith(usual_start(offer.kind)) for offer in lookups]
        assert offering.usual in (None, all(as_usual))


def test_without_an_export_the_evaluation_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pocket.config.WORK", tmp_path)
    monkeypatch.setattr("sys.argv", ["evaluate"])
    with pytest.raises(SystemExit, match=r"holds no model: python -m pocket\.export"):
        main()


def test_released_weights_are_held_to_the_rows_asked_as_often_as_their_cards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = [{"name": name, "asked": 200, "right": 190, "failures": []} for name in ("sum", "call")]
    insist_on_card(card, card)
    assert "2 of 2 rows" in capsys.readouterr().out
    insist_on_card([card[0], {**card[1], "asked": 40, "right": 30}], card)
    assert "1 of 2 rows" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="unlike the card: call"):
        insist_on_card([card[0], {**card[1], "right": 189}], card)
