"""Lesson 11: how errors of digits add up, and what to ask a pocket model at all."""

from __future__ import annotations

from kit.course.check import Exercise

RIGHT_DIGIT = 0.95
DIGITS = 6
SUMS = 100

QUESTIONS = {
    "A": "What is 20% of 350?",
    "B": "What is 48 + 27?",
    "C": "What is 6,215 + 3,978?",
    "D": "Which year did the first metro open?",
    "E": "What's the tide in Lisbon?, with get_tide(city) among the tools",
    "F": "What is 6,215 + 3,978?, with calculator(expression) among the tools",
}
_MADE_FOR = frozenset("ABEF")


def questions() -> str:
    """The questions of the second exercise, a line each."""
    return "\n".join(f"{letter}  {text}" for letter, text in QUESTIONS.items())


def _digits_below_half() -> int:
    return next(n for n in range(1, 99) if RIGHT_DIGIT**n < 0.5)


EXERCISES = (
    Exercise(
        "11-1",
        f"A model writes each digit of a sum right in {RIGHT_DIGIT:.0%} of cases, whatever the "
        f"others are. Of {SUMS} sums with {DIGITS} digits, how many come out right?",
        lambda: SUMS * RIGHT_DIGIT**DIGITS,
        hint="A sum is right when its first digit is right and its second is and its third is: "
        "the drafts of lesson 08 were counted like that.",
        solution="A small error in each step is a large one after many: so one gives the model a "
        "tool, and its call is short.",
        tolerance=0.02,
        working=lambda: f"{SUMS} × {RIGHT_DIGIT} ** {DIGITS}",
        unit="sums",
    )
    .wrong(lambda: SUMS * RIGHT_DIGIT, "that is one digit; a sum needs all of them.")
    .wrong(
        lambda: SUMS * (1 - DIGITS * (1 - RIGHT_DIGIT)),
        "you added the errors up: that counts a sum with two wrong digits twice.",
    )
    .wrong(lambda: SUMS * (1 - RIGHT_DIGIT**DIGITS), "those are the sums with an error in them."),
    Exercise(
        "11-2",
        "Which of these questions was the pocket model made for?",
        lambda: set(_MADE_FOR),
        hint="Its arithmetic is of two digits and easy percentages, and it knows no facts. "
        "What it has to copy, it need not know.",
        solution="Two digits, easy percentages, and calls: what a call needs stands in the "
        "question, and the function knows the rest.",
        unit="letters",
    )
    .wrong(
        lambda: set("ABCEF"),
        "long sums need the calculator: with it the model only copies the expression.",
    )
    .wrong(
        lambda: set("AB"),
        "a tool's name that it has never seen is no obstacle: it reads the description.",
    )
    .wrong(lambda: set("ABE"), "with a calculator the long sum is only a text to copy.")
    .wrong(
        lambda: set("ABDEF"),
        "a fact has to be in the weights, and there is no room for many in so few.",
    ),
    Exercise(
        "11-3",
        f"The model of the first exercise ({RIGHT_DIGIT:.0%} per digit): from how many digits on "
        "does it get fewer than half of the sums right?",
        _digits_below_half,
        hint="Multiply by the same share again and again, and count: when is less than half left?",
        solution="An edge like this is found by asking, with longer and longer questions.",
        working=lambda: f"next(n for n in range(1, 99) if {RIGHT_DIGIT} ** n < 0.5)",
        unit="digits",
    )
    .wrong(lambda: _digits_below_half() - 1, "at that length slightly more than half are right.")
    .wrong(lambda: 10, "you added the errors up: ten times five percent is not how they combine.")
    .wrong(lambda: 11, "you added the errors up, and went one digit on."),
)
