"""Lesson 08: an accept length by hand, experts in a verify step, and a speed-up."""

from __future__ import annotations

from collections.abc import Sequence

from kit.course.check import Exercise
from kit.hardware import profile
from kit.speed.speculation import accept_length, experts_touched

CHANCES = (0.9, 0.7, 0.5)  # of each draft token, given those before it
REQUESTS = 10
_LARGE = profile("h200x8").model
_VERIFIED = 4  # tokens per request: three drafts, and its last one


def speed_up(chances: Sequence[float], plain_ms: float, verify_ms: float) -> float:
    tokens, all_right = 1.0, 1.0
    for chance in chances:
        all_right *= chance
        tokens += all_right
    return tokens * plain_ms / verify_ms


def _price_forgotten(chances: Sequence[float], plain_ms: float, verify_ms: float) -> float:
    return speed_up(chances, 1, 1)


def _upside_down(chances: Sequence[float], plain_ms: float, verify_ms: float) -> float:
    return speed_up(chances, verify_ms, plain_ms)


def _summed(chances: Sequence[float], plain_ms: float, verify_ms: float) -> float:
    return (1 + sum(chances)) * plain_ms / verify_ms


def _drafts_alone(chances: Sequence[float], plain_ms: float, verify_ms: float) -> float:
    return speed_up(chances, plain_ms, verify_ms) - plain_ms / verify_ms


EXERCISES = (
    Exercise(
        "08-1",
        "Three drafts are right with chances of "
        f"{', '.join(map(str, CHANCES))}, each given those before it. "
        "What is the accept length, in tokens per step?",
        lambda: accept_length(CHANCES),
        hint="The first draft counts with its own chance, the second only if both are right. "
        "And one token comes in any case.",
        solution="1 + p₁ + p₁·p₂ + p₁·p₂·p₃: a draft after a miss is worth nothing.",
        tolerance=0.005,
        working=lambda: "1 + 0.9 + 0.9 × 0.7 + 0.9 × 0.7 × 0.5",
        unit="tokens per step",
    )
    .wrong(
        lambda: accept_length(CHANCES) - 1,
        "those are the accepted drafts; the model's own token comes with every step.",
    )
    .wrong(
        lambda: 1 + sum(CHANCES),
        "you added the chances: then the third would count even after a miss.",
    )
    .wrong(
        lambda: 1 + CHANCES[0] * CHANCES[1] * CHANCES[2],
        "that counts only the steps in which all three are right.",
    )
    .wrong(
        lambda: _VERIFIED * sum(CHANCES) / len(CHANCES),
        "you took a mean chance for all four tokens; misses end the chain.",
    ),
    Exercise(
        "08-2",
        f"How many of a layer's experts does one verify step of {REQUESTS} requests read "
        "in the 397B, with three drafts each?",
        lambda: experts_touched(_LARGE, REQUESTS * _VERIFIED),
        hint="Count the tokens of the step first: each request brings its drafts and its last "
        "token. `experts_touched(model, tokens)` does the rest.",
        solution="Tokens choose alike now and then, so it is fewer than ten for each; "
        "and several times what a plain step of the same requests reads.",
        working=lambda: f"512 × (1 − (1 − 10 / 512) ** ({REQUESTS} × {_VERIFIED}))",
        unit="experts",
    )
    .wrong(
        lambda: experts_touched(_LARGE, REQUESTS),
        "that is a plain step; a verify step looks at the drafts too.",
    )
    .wrong(
        lambda: experts_touched(_LARGE, REQUESTS * (_VERIFIED - 1)),
        "those are the drafts; each request's last token is in the step as well.",
    )
    .wrong(
        lambda: REQUESTS * _VERIFIED * _LARGE.num_experts_per_tok,
        "ten for each token, without those that are chosen twice.",
    ),
    Exercise(
        "08-3",
        "Write a function of the chances of the drafts (each given those before it), and of the "
        "times of a plain and of a verify step in ms: how many times faster is a token with MTP?",
        lambda: speed_up,
        hint="A verify step gives as many tokens as the accept length says. What would they have "
        "taken in plain steps?",
        solution="Accept length × plain step ÷ verify step. Below one, leave MTP off.",
        cases=(
            ((0.9, 0.8, 0.7), 8.0, 10.0),
            ((0.5, 0.5, 0.5), 10.0, 22.0),
            ((0.8,), 5.0, 6.0),
        ),
    )
    .wrong(lambda: _price_forgotten, "that is the accept length; a verify step takes longer.")
    .wrong(
        lambda: _upside_down, "you multiplied by the price: it is verify over plain that divides."
    )
    .wrong(lambda: _summed, "you added the chances: then a draft would count even after a miss.")
    .wrong(
        lambda: _drafts_alone, "the model's own token comes with every step: it counts as well."
    ),
)
