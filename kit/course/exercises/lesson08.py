"""Lesson 08: an accept length by hand, experts in a verify step, and where MTP breaks even."""

from __future__ import annotations

from kit.course.check import Exercise
from kit.hardware import profile
from kit.speed.speculation import accept_length, experts_touched, step_cost

CHANCES = (0.9, 0.8, 0.7)  # of each draft token, given those before it
REQUESTS = 8
_PROFILE = profile("h200x8")
_LARGE = _PROFILE.model
_VERIFIED = 4  # tokens per request: three drafts, and its last one
AT_ONCE = 16


def _break_even(requests: int = AT_ONCE) -> float:
    return step_cost(_PROFILE, requests).ratio


EXERCISES = (
    Exercise(
        "08-1",
        "Three drafts are right with chances of "
        f"{', '.join(map(str, CHANCES))}, each given those before it. What is the accept length?",
        lambda: accept_length(CHANCES),
        hint="The first draft counts with its own chance, the second only if both are right. "
        "And one token comes in any case.",
        solution="1 + p₁ + p₁·p₂ + p₁·p₂·p₃: a draft after a miss is worth nothing.",
        tolerance=0.005,
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
        f"How many of a layer's experts does one verify step of {REQUESTS} requests touch "
        "in the 397B, with three drafts each?",
        lambda: experts_touched(_LARGE, REQUESTS * _VERIFIED),
        hint="Count the tokens of the step first: each request brings its drafts and its last "
        "token. `experts_touched(model, tokens)` does the rest.",
        solution="Tokens choose alike now and then, so it is fewer than ten for each; "
        "and several times what a plain step of the same requests touches.",
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
        f"{AT_ONCE} requests of 1,000 tokens decode on {_PROFILE.name}. "
        "From which accept length on is MTP worth it?",
        _break_even,
        hint="A verify step costs so many plain ones; `step_cost` says how many.",
        solution="Below it every token costs more than without, however many are accepted.",
        tolerance=0.005,
    )
    .wrong(lambda: 1 / _break_even(), "the other way round: verify over plain.")
    .wrong(lambda: _break_even(1), "that is one request alone; more of them touch more experts.")
    .wrong(
        lambda: 1.0,
        "at 1 per step gives what a plain one gives, and it costs more than a plain one.",
    ),
)
