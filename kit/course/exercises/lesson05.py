"""Lesson 05: what pictures cost, and how they are sent."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from kit.course.check import Exercise
from kit.course.drawings import geometry
from kit.models.image_tokens import TOKEN_SIDE
from kit.vision import message

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


def prompt_tokens(width: int, height: int) -> int:
    return round(width / 32) * round(height / 32) + 2


def _no_marks(width: int, height: int) -> int:
    return prompt_tokens(width, height) - 2


def _cut_off(width: int, height: int) -> int:
    return (width // 32) * (height // 32) + 2


def _filled_up(width: int, height: int) -> int:
    return math.ceil(width / 32) * math.ceil(height / 32) + 2


def _by_area(width: int, height: int) -> int:
    return width * height // 32**2 + 2


def _by_patches(width: int, height: int) -> int:
    return round(width / 16) * round(height / 16) + 2


def _to_send() -> list[dict[str, Any]]:
    return [message(QUESTION, BEFORE, AFTER)]


EXERCISES = (
    Exercise(
        "05-1",
        "Write a function of a picture's width and height in pixels: how many tokens does it add "
        "to a prompt? (It is neither so small nor so large that it is scaled.)",
        lambda: prompt_tokens,
        hint="Each side is rounded to the nearest multiple of 32 and cut into squares; and two "
        "tokens stand around the picture.",
        solution="A price that one can write down is one that one can cap.",
        cases=((1920, 1080), (1000, 700), (800, 600), (4000, 3000)),
    )
    .wrong(lambda: _no_marks, "two more stand around each picture.")
    .wrong(lambda: _cut_off, "a side is rounded to the nearest multiple of 32, not cut off.")
    .wrong(lambda: _filled_up, "a side is rounded to the nearest multiple of 32, not filled up.")
    .wrong(lambda: _by_area, "round each side first: the area alone does not say it.")
    .wrong(lambda: _by_patches, "16 is the side of a patch; a token is two by two of them."),
    Exercise(
        "05-2",
        f"Which max_pixels holds a picture to {MOST_TOKENS} vision tokens?",
        lambda: MOST_TOKENS * TOKEN_SIDE**2,
        hint="How many pixels are in one token?",
        solution="One token is 32 × 32 = 1,024 pixels, so 500 of them are 512,000.",
        working=lambda: f"{MOST_TOKENS} × {TOKEN_SIDE} × {TOKEN_SIDE}",
        unit="pixels",
    )
    .wrong(lambda: MOST_TOKENS, "that is in tokens; max_pixels counts pixels.")
    .wrong(lambda: MOST_TOKENS * TOKEN_SIDE, "a token is 32 pixels wide, and 32 high.")
    .wrong(lambda: MOST_TOKENS * 16**2, "16 is the side of a patch; a token is two by two of them.")
    .wrong(lambda: MOST_TOKENS * 28**2, "28 was the side in older models."),
    Exercise(
        "05-3",
        "Which messages ask the question about both pictures?",
        _to_send,
        hint="One message, its content a list of three parts; `kit.vision.message` writes it.",
        solution="One message: both pictures, then the text.",
        working=lambda: "[vision.message(QUESTION, BEFORE, AFTER)]",
        unit="messages",
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
