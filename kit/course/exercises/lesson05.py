"""Lesson 05: what pictures cost, and how they are sent."""

from __future__ import annotations

import json
import re
from typing import Any

from kit.course.check import Exercise
from kit.course.drawings import geometry
from kit.models.image_tokens import DELIMITERS, TOKEN_SIDE, image_tokens
from kit.vision import message

SCREENSHOTS, SCREEN = 3, (1920, 1080)
MOST_TOKENS = 500
QUESTION = "What is different between these two images?"
BEFORE, AFTER = geometry(circles=4), geometry(circles=3)
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


def json_in(text: str | None) -> dict[str, Any]:
    """The JSON object in an answer, fenced or not; empty where there is none to read."""
    fenced = _FENCED.search(text or "")
    try:
        found = json.loads(fenced.group(1) if fenced else text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _longer_by() -> int:
    return SCREENSHOTS * (image_tokens(*SCREEN) + DELIMITERS)


def _to_send() -> list[dict[str, Any]]:
    return [message(QUESTION, BEFORE, AFTER)]


EXERCISES = (
    Exercise(
        "05-1",
        f"How many tokens do {SCREENSHOTS} screenshots of 1920 × 1080 pixels add to a prompt?",
        _longer_by,
        hint="The table says what 1080p costs; the sides are first rounded to multiples of 32.",
        solution="Each is 60 × 34 squares and two tokens around them; there are three.",
    )
    .wrong(lambda: SCREENSHOTS * image_tokens(*SCREEN), "two more stand around each.")
    .wrong(lambda: _longer_by() // SCREENSHOTS, "that is one of them.")
    .wrong(
        lambda: SCREENSHOTS * (SCREEN[0] * SCREEN[1] // TOKEN_SIDE**2 + DELIMITERS),
        "1080 is no multiple of 32: the side is rounded before it is cut into squares.",
    )
    .wrong(
        lambda: SCREENSHOTS * SCREEN[0] * SCREEN[1] // TOKEN_SIDE**2,
        "1080 is no multiple of 32: round the side first, and add the two around each.",
    ),
    Exercise(
        "05-2",
        f"Which max_pixels holds a picture to {MOST_TOKENS} vision tokens?",
        lambda: MOST_TOKENS * TOKEN_SIDE**2,
        hint="How many pixels are in one token?",
        solution="One token is 32 × 32 = 1,024 pixels, so 500 of them are 512,000.",
    )
    .wrong(lambda: MOST_TOKENS, "that is in tokens; max_pixels counts pixels.")
    .wrong(lambda: MOST_TOKENS * TOKEN_SIDE, "a token is 32 pixels wide, and 32 high.")
    .wrong(lambda: MOST_TOKENS * 16**2, "16 is the side of a patch; a token is two by two of them.")
    .wrong(lambda: MOST_TOKENS * 28**2, "28 was the side in older models."),
    Exercise(
        "05-3",
        "Which messages ask the question about both pictures?",
        _to_send,
        hint="One message, its content a list of three parts; kit.vision.message(…) writes it.",
        solution="[vision.message(QUESTION, BEFORE, AFTER)]: both pictures, then the text.",
    )
    .wrong(lambda: message(QUESTION, BEFORE, AFTER), "`messages` is a list of messages.")
    .wrong(
        lambda: [message(QUESTION, AFTER, BEFORE)],
        "now the one after is the first: the answer would tell the story backwards.",
    )
    .wrong(lambda: [message(QUESTION, BEFORE)], "the second picture is missing.")
    .wrong(lambda: [message("", BEFORE, AFTER)], "the question is missing.")
    .wrong(
        lambda: [message(QUESTION, BEFORE), message(QUESTION, AFTER)],
        "two questions about one picture each: they belong into one message.",
    ),
)
