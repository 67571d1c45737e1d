"""Lesson 04: what thinking costs in time, what to send back, and two parts in one text."""

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


def split_thinking(text: str) -> tuple[str, str]:
    thinking, closed, answer = text.partition("</think>")
    if not closed and "<think>" not in text:
        return "", text.strip()
    return thinking.replace("<think>", "", 1).strip(), answer.strip()


def _wants_both(text: str) -> tuple[str, str]:
    whole = "<think>" in text and "</think>" in text
    return split_thinking(text) if whole else ("", text.strip())


def _last_tag(text: str) -> tuple[str, str]:
    thinking, closed, answer = text.rpartition("</think>")
    return (thinking.replace("<think>", "", 1).strip(), answer.strip()) if closed else ("", text)


def _only_closed(text: str) -> tuple[str, str]:
    thinking, closed, answer = text.partition("</think>")
    if not closed:
        return "", text.replace("<think>", "").strip()
    return thinking.replace("<think>", "", 1).strip(), answer.strip()


def _blanks_left(text: str) -> tuple[str, str]:
    thinking, closed, answer = text.partition("</think>")
    if not closed and "<think>" not in text:
        return "", text
    return thinking.replace("<think>", "", 1), answer


EXERCISES = (
    Exercise(
        "04-1",
        f"How many seconds do {THINKING_TOKENS:,} tokens of thinking take "
        f"at {_row('mean_tpot_ms')} ms per token (published: the cookbook's latency run)?",
        lambda: THINKING_TOKENS * _row("mean_tpot_ms") / 1000,
        hint="TPOT is the time of one token, in ms.",
        solution="Thinking runs at the same pace as the answer, before it.",
        working=lambda: f"{THINKING_TOKENS:,} × {_row('mean_tpot_ms')} / 1000",
        unit="seconds",
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
        working=lambda: f"conversation([*TURNS, {NEXT}])",
        unit="messages",
    )
    .wrong(lambda: [*TURNS, NEXT], "the thinking is still in there.")
    .wrong(lambda: conversation(TURNS), "the third question is missing.")
    .wrong(lambda: [*TURNS], "the thinking is still in there, and the third question is missing.")
    .wrong(lambda: [*_pasted(), NEXT], "the thinking became part of the answers.")
    .wrong(lambda: [NEXT], "without the turns before, half of what?"),
    Exercise(
        "04-3",
        "A server without a reasoning parser sends both parts in one text. Write a function of "
        "that text: (thinking, answer), without blanks around them. Thinking ends at the first "
        "`</think>`. The prompt may have had the opening tag. A text that breaks off before "
        "`</think>` is all thinking; one without a tag is all answer.",
        lambda: split_thinking,
        hint='`text.partition("</think>")` gives what is before, the tag, and what is after; the '
        "tag is empty where there is none.",
        solution="This is what `--reasoning-parser` saves every client.",
        cases=(
            ("<think>A tenth is 24.</think>\n\n36",),
            ("A tenth is 24.\n</think>\n\n36",),
            ("36",),
            ("<think>A tenth is",),
            ("<think>Close it.</think>The tag is `</think>`.",),
        ),
    )
    .wrong(lambda: _wants_both, "the opening tag may be in the prompt: only `</think>` is sure.")
    .wrong(lambda: _only_closed, "cut off while thinking: all of it is thinking, and no answer.")
    .wrong(lambda: _last_tag, "at the first `</think>`: an answer may write about the tag.")
    .wrong(lambda: _blanks_left, "blanks and line breaks are left around the parts."),
)
