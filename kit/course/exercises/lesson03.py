"""Lesson 03: a log read by a program, a capped server, and the way to 64 requests at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from kit.course.check import Exercise
from kit.course.sample_logs import recorded
from kit.hardware import Profile, profile
from kit.launch import flag_differences
from kit.server.failures import failures
from kit.sizing import plan

WANTED = 64
_ASKED = 100
_BASE = profile("h200x8")
WAYS: dict[str, Profile] = {
    "a": replace(_BASE, max_running_requests=WANTED),
    "b": replace(_BASE, max_running_requests=WANTED, mem_fraction_static=0.85),
    "c": replace(_BASE, max_running_requests=WANTED, ssm_dtype="bfloat16"),
    "d": replace(_BASE, max_running_requests=WANTED, radix_cache=False),
    "e": replace(_BASE, radix_cache=False),
}


def ways() -> str:
    """the flags that each way adds to the command of h200x8, one way per line."""
    return flag_differences(_BASE, WAYS)


def _holding() -> set[str]:
    return {name for name, way in WAYS.items() if plan(way).max_running_requests >= WANTED}


def pools(lines: Sequence[str]) -> tuple[int, int] | None:
    for line in reversed(lines):
        tokens = re.search(r"max_total_num_tokens=(\d+)", line)
        requests = re.search(r"max_running_requests=(\d+)", line)
        if tokens and requests:
            return int(requests[1]), int(tokens[1])
    return None


def _swapped(lines: Sequence[str]) -> tuple[int, int] | None:
    found = pools(lines)
    return found and (found[1], found[0])


def _as_text(lines: Sequence[str]) -> tuple[str, str] | None:
    found = pools(lines)
    return found and (str(found[0]), str(found[1]))


def _asked_for(lines: Sequence[str]) -> tuple[int, int] | None:
    found = re.search(r"max_running_requests\W+(\d+)", "\n".join(lines))
    admitted = pools(lines)
    return admitted and (int(found[1]) if found else admitted[0], admitted[1])


def _capped() -> dict[str, int]:
    """What the recorded server said of its cap: requests, slots, slots per request."""
    pattern = next(failure.pattern for failure in failures() if failure.id == "slot-cap")
    found = next(m for line in recorded("slot-cap").lines() if (m := pattern.search(line)))
    return {name: int(value) for name, value in found.groupdict().items()}


def _with_half_states() -> int:
    return min(_ASKED, 2 * _capped()["slots"] // _capped()["each"])


EXERCISES = (
    Exercise(
        "03-1",
        "Write a function of the lines of a log: how many requests at once, and how many tokens of "
        "KV cache, does the server really have? Give a pair of whole numbers; None where the log "
        "does not say it.",
        lambda: pools,
        hint="One line has both max_total_num_tokens= and max_running_requests=, with numbers. "
        "What was asked for stands in another line.",
        solution="A dashboard, or a check after each start, needs no more than this.",
        cases=tuple((recorded(name).lines(),) for name in ("slot-cap", "start", "port-taken")),
    )
    .wrong(lambda: _swapped, "the other way round: requests first, then tokens.")
    .wrong(lambda: _as_text, "those are texts; `int(…)` makes numbers of them.")
    .wrong(lambda: _asked_for, "that is what the command asked for; the server admits fewer."),
    Exercise(
        "03-2",
        f"The capped server was asked for {_ASKED} requests at once. How many would it run if its "
        "states took half the bytes, so that the same memory held twice the slots?",
        _with_half_states,
        hint="The log says how many slots there are, and how many a request takes with the "
        "prefix cache on.",
        solution="Twice the slots, at the same number per request: still fewer than asked for.",
        working=lambda: f"min({_ASKED}, 2 × {_capped()['slots']} // {_capped()['each']})",
        unit="requests",
    )
    .wrong(lambda: _capped()["cap"], "that is what it ran with the states as they are.")
    .wrong(lambda: _ASKED, "that was asked for; there are still fewer slots than that takes.")
    .wrong(lambda: 2 * _capped()["slots"], "those are slots; a request takes several of them.")
    .wrong(
        lambda: _with_half_states() + 1,
        "the last one would have some of its slots only: round down.",
    ),
    Exercise(
        "03-3",
        f"Which of the ways run {WANTED} requests at once on h200x8? Write a set of letters.",
        _holding,
        hint="`kit.plan(WAYS['a']).max_running_requests` answers for one of them.",
        solution="A limit that is raised is not a pool that grew: halve the state, or give each "
        "request fewer slots, and ask for them.",
        unit="letters",
    )
    .wrong(lambda: {"a"}, "the flag alone raises the limit; the state slots still end sooner.")
    .wrong(lambda: {"c"}, "yes, with a state of half the size; and one other way.")
    .wrong(lambda: {"d"}, "yes, with one slot per request; and one other way.")
    .wrong(
        lambda: {"c", "d", "e"},
        "without --max-running-requests SGLang takes its own limit for MTP.",
    )
    .wrong(lambda: {"b", "c", "d"}, "more memory helps, but not as far as that: ask plan().")
    .wrong(lambda: set(WAYS), "some only raise a limit; ask plan() for each."),
)
