"""The forty prompts of a stranger: nothing of them was trained on, and what is made of them is
reported as it is."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path
from random import Random

from kit.twin.pocket_questions import is_claimed
from pocket.data.session import WITH_TOOLS, draw
from pocket.data.words import table, words
from pocket.forty import Ask, Call, Given, asks, markdown, tools

NAMES = {tool["function"]["name"] for tool in tools()}


def test_there_are_forty_prompts_for_six_tools_and_four_for_none() -> None:
    wanted = Counter(one.wanted.name if one.wanted else None for one in asks())
    assert len({one.prompt for one in asks()}) == 40
    assert wanted == {**dict.fromkeys(NAMES, 6), None: 4}


def test_each_wanted_call_fits_its_tool_and_stands_in_its_prompt() -> None:
    parameters = {t["function"]["name"]: t["function"]["parameters"] for t in tools()}
    for one in asks():
        if one.wanted:
            schema, given = parameters[one.wanted.name], one.wanted.arguments
            assert list(given) == schema["required"]
            assert all(str(v).casefold() in one.prompt.casefold() for v in given.values())


def test_no_tool_of_theirs_was_trained_on() -> None:
    phrases = table("phrases")
    fixed = {name for section in phrases.values() for name in section.get("names", ())}
    made = set()
    for kind, subjects in (("place", "topics"), ("search", "corpora")):
        for verb, subject in product(phrases[kind]["verbs"].split(), words(subjects)):
            made |= {f"{verb}_{subject}", f"{subject}_{verb}"}
    assert not NAMES & (fixed | made)
    r = Random(13)
    for i in range(3000):
        dialogue = draw(r, "train", list(WITH_TOOLS)[i % len(WITH_TOOLS)], True)
        assert not NAMES & {tool["function"]["name"] for tool in dialogue.tools}


def test_no_prompt_of_theirs_was_trained_on() -> None:
    r, prompts = Random(14), {one.prompt for one in asks()}
    for i in range(3000):
        dialogue = draw(r, "train", list(WITH_TOOLS)[i % len(WITH_TOOLS)], False)
        assert dialogue.messages[0]["content"] not in prompts


def test_the_twin_does_not_ask_them_of_the_pocket_model() -> None:
    """Its card claims four tools at most."""
    page = (Path(__file__).parents[2] / "docs" / "forty-prompts.md").read_text(encoding="utf-8")
    for one in asks():
        assert not is_claimed([{"role": "user", "content": one.prompt}], tools())
        assert f"\n| {one.prompt} | " in page
    assert "| the twin |" not in page


def test_capitals_are_forgiven_other_words_are_not() -> None:
    one = Ask("Light up the garage", Call("turn_on_lights", {"room": "garage"}))
    assert Given((Call("turn_on_lights", {"room": "Garage"}),), "").serves(one)
    for other in ({"room": "the garage"}, {"place": "garage"}, {}):
        given = Given((Call("turn_on_lights", other),), "")
        assert given.names(one)
        assert not given.serves(one)
    assert not Given((one.wanted, one.wanted), "").names(one)  # type: ignore[arg-type]
    assert not Given((), "It is dark.").names(one)


def test_wrong_calls_are_listed() -> None:
    two = [Ask("Lights!", Call("turn_on_lights", {"room": "hall"})), Ask("Thanks.", None)]
    given = [Given((Call("set_timer", {"minutes": 3}),), ""), Given((), "Any | time")]
    text = markdown(two, {"pocket": given})
    assert "| Lights! | `turn_on_lights(room='hall')` | ✗ `set_timer(minutes=3)` |" in text
    assert "| Thanks. | no call | ✓ `“Any ¦ time”` |" in text
    assert text.endswith("pocket: the right tool, or rightly none, 1 of 2; exact 1.")
    assert json.dumps(tools())  # as a request carries them
