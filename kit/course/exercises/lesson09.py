"""Lesson 09: an answer read out of a text, how sure a score is, and two runs held together."""

from __future__ import annotations

import re

from kit.course.check import Exercise
from kit.intervals import wilson

RIGHT, ASKED = 19, 20


def read_answer(text: str) -> float | None:
    box = re.findall(r"\\boxed\{([^{}]*)\}", text)
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", box[-1] if box else text)
    return float(found[-1].replace(",", "")) if found else None


def _first_number(text: str) -> float | None:
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(found[0].replace(",", "")) if found else None


def _digits_alone(text: str) -> float | None:
    found = re.findall(r"\d+", text.replace(",", ""))
    return float(found[-1]) if found else None


def _no_box(text: str) -> float | None:
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(found[-1].replace(",", "")) if found else None


def only_one(first: list[bool], second: list[bool]) -> tuple[int, int]:
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    return only_first, only_second


def _totals(a: list[bool], b: list[bool]) -> tuple[int, int]:
    return sum(a), sum(b)


def _together(a: list[bool], b: list[bool]) -> tuple[int, int]:
    both = sum(x and y for x, y in zip(a, b, strict=True))
    return both, len(a) - both


def _swapped(a: list[bool], b: list[bool]) -> tuple[int, int]:
    return only_one(b, a)


EXERCISES = (
    Exercise(
        "09-1",
        "Write a function that reads the answer out of a text: what is in the last `\\boxed{}`, "
        "or else the last number, with its sign and decimals, commas left out; None without one.",
        lambda: read_answer,
        hint="`re.findall` gives all numbers of a text; look into a box first, if there is one.",
        solution="A rule like this decides a score as much as the model does.",
        cases=(
            ("**15% of 230 is 34.5.**",),
            ("He pays $1,234 in all.",),
            (r"Of 100, that leaves \boxed{36} of the 100.",),
            ("It fell by 8, to -3",),
            ("I cannot say.",),
        ),
    )
    .wrong(lambda: _first_number, "you take the first number; the working comes before the answer.")
    .wrong(lambda: _digits_alone, "sign and decimals are lost: 34.5 is no 5.")
    .wrong(lambda: _no_box, "what follows the box is not the answer: look into `\\boxed{}` first."),
    Exercise(
        "09-2",
        f"A check of {ASKED} questions after a flag change: {RIGHT} right. What is the low end of "
        "the 95 % interval, as a share?",
        lambda: wilson(RIGHT, ASKED)[0],
        hint="`kit.intervals.wilson(right, asked)` gives both ends.",
        solution="One wrong of twenty is compatible with a model that fails every fifth time: such "
        "a check finds what is broken, and nothing finer.",
        working=lambda: f"kit.intervals.wilson({RIGHT}, {ASKED})[0]",
        unit="a share from 0 to 1",
    )
    .wrong(lambda: RIGHT / ASKED, "that is the score itself, without its doubt.")
    .wrong(lambda: wilson(RIGHT, ASKED)[1], "that is the high end.")
    .wrong(lambda: 100 * wilson(RIGHT, ASKED)[0], "a share is wanted, from 0 to 1."),
    Exercise(
        "09-3",
        "Write a function of two lists of True and False, the same questions in both: how many did "
        "only the first run get right, and how many only the second?",
        lambda: only_one,
        hint="Go through both at once, with `zip`. Questions that both got right, or neither, say "
        "nothing about the difference.",
        solution="The paired test needs these two counts and no more.",
        cases=(
            ([True, True, False, False], [True, False, True, False]),
            ([True] * 10, [True] * 8 + [False] * 2),
            ([False, False], [True, True]),
            ([], []),
        ),
    )
    .wrong(lambda: _totals, "those are the two scores; which questions changed is lost in them.")
    .wrong(lambda: _together, "you count the questions that both got right.")
    .wrong(lambda: _swapped, "the right counts in the wrong order: the first run's come first."),
)
