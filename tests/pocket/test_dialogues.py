"""The dialogues that the pocket model learns from: right, and apart from those that test it."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from random import Random

import pytest

from kit.twin.chat_format import render
from kit.twin.llama_cpp import parse
from pocket.data import offers, sums, words
from pocket.data.session import PLAIN, WITH_TOOLS, draw, session

KINDS = (*PLAIN, *WITH_TOOLS, "repeat")
_EQUATION = re.compile(r"([\d.]+) ([+-]) ([\d.]+)(?: ([+-]) 1)? = ([\d.]+)")
_PART = re.compile(r"(Half|Twice|\d+%) (?:of )?([\d.]+)(?: [a-z]+)? (?:=|is) \**([\d.]*\d)")


def numbers_hold(text: str) -> int:
    """How many statements about numbers the text holds; fails at a wrong one."""
    found = 0
    for a, sign, b, again, result in _EQUATION.findall(text):
        value = Fraction(a) + (1 if sign == "+" else -1) * Fraction(b)
        value += {"": 0, "+": 1, "-": -1}[again]
        assert value == Fraction(result.rstrip(".")), text
        found += 1
    for part, of, result in _PART.findall(text):
        share = {"Half": Fraction(1, 2), "Twice": Fraction(2)}.get(part)
        share = Fraction(int(part[:-1]), 100) if share is None else share
        assert share * Fraction(of.rstrip(".")) == Fraction(result), text
        found += 1
    return found


@pytest.mark.parametrize("kind", ["percent", "15 percent", "follow-up", "sum"])
def test_every_step_of_the_working_is_right(kind: str) -> None:
    r = Random(5)
    for i in range(500):
        dialogue = draw(r, "train", kind, thinking=i % 2 == 0)
        assert numbers_hold(dialogue.completion) >= 2


def test_every_step_of_a_drill_is_right() -> None:
    r = Random(6)
    for _ in range(200):
        answer = sums.drill(r, thinking=False).answer
        assert numbers_hold(answer) == answer.count("=")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_dialogues(kind: str) -> None:
    first, second = (
        [draw(r, "train", kind, True) for _ in range(20)] for r in (Random(3), Random(3))
    )
    assert first == second


@pytest.mark.parametrize("kind", ["percent", "sum", "call", "two calls", "result", "repeat"])
def test_what_is_asked_in_a_test_is_never_asked_in_training(kind: str) -> None:
    r = Random(8)

    def asked(split: words.Split, count: int) -> set[str]:
        return {json.dumps(draw(r, split, kind, False).messages) for _ in range(count)}

    assert not asked("train", 3000) & asked("test", 300)


def test_numbers_and_words_are_held_out_whatever_the_sentence() -> None:
    r = Random(4)

    def pairs(split: words.Split) -> set[tuple[int, int]]:
        return {sums._pair(r, split) for _ in range(3000)}

    assert len(pairs("test")) > 30
    assert not pairs("train") & pairs("test")
    for name in ("cities", "topics", "corpora", "search_words"):
        train, test = (set(words.share(words.words(name), s)) for s in ("train", "test"))
        assert len(test) >= 4
        assert not train & test


@pytest.mark.parametrize("kind", ["call", "action call", "two calls"])
def test_no_call_of_training_holds_a_word_kept_for_tests(kind: str) -> None:
    r = Random(14)
    for i in range(1000):
        said = draw(r, "train", kind, i % 2 == 0).completion.lower()
        assert not set(re.findall(r"[a-z]+", said)) & words.kept(), said


def test_tools_of_a_test_have_names_that_training_never_saw() -> None:
    r = Random(6)

    def names(split: words.Split, count: int) -> set[str]:
        drawn = [offers.offers(r, split, 1)[0] for _ in range(count)]
        return {offer.name for offer in drawn if offer.kind in ("place", "search", "action")}

    assert not names("train", 4000) & names("test", 400)


@pytest.mark.parametrize("kind", ["call", "two calls"])
@pytest.mark.parametrize("thinking", [True, False])
def test_calls_read_back_as_they_were_meant(kind: str, thinking: bool) -> None:
    r = Random(9)
    for _ in range(200):
        dialogue = draw(r, "train", kind, thinking)
        said = parse(dialogue.completion.removesuffix("<|im_end|>"), thinking, dialogue.tools)
        assert len(said.calls) == 1 + (kind == "two calls")
        offered = {tool["function"]["name"]: tool["function"] for tool in dialogue.tools}
        for call in said.calls:
            parameters, given = offered[call.name]["parameters"], dict(call.arguments)
            assert set(parameters["required"]) <= set(given) <= set(parameters["properties"])
            asked = dialogue.messages[0]["content"]
            assert all(str(v) in asked or k in ("days", "expression") for k, v in given.items())


def test_an_answer_to_a_result_holds_nothing_that_the_tool_did_not_say() -> None:
    r = Random(12)
    for i in range(300):
        dialogue = draw(r, "train", "two results" if i % 2 else "result", True)
        known = json.dumps(dialogue.messages, ensure_ascii=False)
        for number in re.findall(r"\d+(?:\.\d+)?", dialogue.answer):
            assert number in known


def test_a_session_opens_as_a_served_conversation_does() -> None:
    r = Random(2)
    for _ in range(50):
        first = session(r, copies=0.2)[0]
        assert not first.learnt
        assert first.text.startswith("<|im_start|>")
        assert first.text.endswith(("<think>\n", "<think>\n\n</think>\n\n"))


def test_prompts_are_the_twins_own_format() -> None:
    dialogue = draw(Random(1), "test", "result", True)
    assert dialogue.prompt == render(dialogue.messages, dialogue.tools, True)
    assert dialogue.prompt.count("<tool_response>") == 1
