"""Lesson 04: what thinking costs in time, and what to send back."""

from __future__ import annotations

from typing import Any

from kit.bench import published
from kit.chat import conversation
from kit.course.check import Exercise

THINKING_TOKENS = 2000
NEXT = {"role": "user", "content": "And half of that?"}
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "What is 15% of 240?"},
    {
        "role": "assistant",
        "reasoning_content": "Ten percent is 24, five percent is 12.",
        "content": "36",
    },
    {"role": "user", "content": "And 20% of it?"},
    {"role": "assistant", "reasoning_content": "A fifth of 240.", "content": "48"},
]


def _row(key: str) -> float:
    return float(published("cookbook-latency").report[key])


def _pasted() -> list[dict[str, Any]]:
    return [
        {"role": t["role"], "content": t.get("reasoning_content", "") + t["content"]} for t in TURNS
    ]


EXERCISES = (
    Exercise(
        "04-1",
        f"How many seconds do {THINKING_TOKENS:,} tokens of thinking take "
        f"at {_row('mean_tpot_ms')} ms per token (published: the cookbook's latency run)?",
        lambda: THINKING_TOKENS * _row("mean_tpot_ms") / 1000,
        hint="TPOT is the time of one token, in ms.",
        solution="Thinking runs at the same pace as the answer, before it.",
    )
    .wrong(lambda: THINKING_TOKENS * _row("mean_tpot_ms"), "that is in milliseconds.")
    .wrong(lambda: _row("mean_ttft_ms") / 1000, "that is the first token, and it thinks.")
    .wrong(
        lambda: THINKING_TOKENS * _row("mean_tpot_ms") * _row("accept_length") / 1000,
        "TPOT already has the accept length in it: it is per token, not per step.",
    ),
    Exercise(
        "04-2",
        "Which messages go back with the third question?",
        lambda: conversation([*TURNS, NEXT]),
        hint="Every turn, each with its answer; nothing of the thinking; then the question.",
        solution="Answers stay, thoughts go, and the new question comes last.",
    )
    .wrong(lambda: [*TURNS, NEXT], "the thinking is still in there.")
    .wrong(lambda: conversation(TURNS), "the third question is missing.")
    .wrong(lambda: [*_pasted(), NEXT], "the thinking became part of the answers.")
    .wrong(lambda: [NEXT], "without the turns before, half of what?"),
)
