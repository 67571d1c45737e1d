"""Lesson 03: two nodes, a capped server, and the way to 64 requests at once."""

from __future__ import annotations

from dataclasses import replace

from kit.course.check import Exercise
from kit.course.sample_logs import recorded
from kit.hardware import Profile, profile
from kit.launch import flag_differences, launch_plan
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


def _differing() -> set[str]:
    two = launch_plan(profile("h100x16"))
    first, second = ({flag.words for flag in two.node_flags(rank)} for rank in (0, 1))
    return {words[0] for words in first ^ second}


def _capped() -> dict[str, int]:
    """What the recorded server said of its cap: requests, slots, slots per request."""
    pattern = next(failure.pattern for failure in failures() if failure.id == "slot-cap")
    found = next(m for line in recorded("slot-cap").lines() if (m := pattern.search(line)))
    return {name: int(value) for name, value in found.groupdict().items()}


def _with_one_slot() -> int:
    return min(_ASKED, _capped()["slots"])


EXERCISES = (
    Exercise(
        "03-1",
        "Which flags differ between the two nodes of h100x16? Write a set of their names.",
        _differing,
        hint="Compare `two.shell(0)` with `two.shell(1)`, line by line.",
        solution="One flag: everything else must be the same, or the ranks never agree.",
    )
    .wrong(
        lambda: {"--node-rank", "--dist-init-addr"},
        "the ranks meet at one address, the first node's: it is the same on both.",
    )
    .wrong(
        lambda: {"--dist-init-addr"},
        "that is where they meet, the same for both; how does a node know which it is?",
    )
    .wrong(
        lambda: {"--node-rank", "--port"},
        "only rank 0 answers HTTP, but the command gives both the same port.",
    )
    .wrong(lambda: {"--node-rank", "--nnodes"}, "both nodes must know how many there are."),
    Exercise(
        "03-2",
        "How many would the recorded server run at once with --disable-radix-cache added?",
        _with_one_slot,
        hint="Without a prefix cache a request takes one state slot. The log says how many "
        "slots there are, and the command how many requests were asked for.",
        solution="One slot per request, so as many requests as slots: still fewer than asked for.",
    )
    .wrong(
        lambda: _capped()["cap"],
        "that is what it ran with the prefix cache, at several slots per request.",
    )
    .wrong(lambda: _ASKED, "that was asked for; there are fewer slots than that.")
    .wrong(
        lambda: _capped()["slots"] * _capped()["each"],
        "you multiplied; a slot holds one state, never several requests.",
    ),
    Exercise(
        "03-3",
        f"Which of the ways run {WANTED} requests at once on h200x8? Write a set of letters.",
        _holding,
        hint="`plan(WAYS['a']).max_running_requests` answers for one of them.",
        solution="A limit that is raised is not a pool that grew: halve the state, or give each "
        "request fewer slots, and ask for them.",
    )
    .wrong(lambda: {"a"}, "the flag alone raises the limit; the state slots still end sooner.")
    .wrong(lambda: {"c"}, "yes, and one other way.")
    .wrong(lambda: {"d"}, "yes, and one other way.")
    .wrong(
        lambda: {"c", "d", "e"},
        "without --max-running-requests SGLang takes its own limit for MTP.",
    )
    .wrong(lambda: {"b", "c", "d"}, "more memory helps, but not as far as that: ask plan().")
    .wrong(lambda: set(WAYS), "some only raise a limit; ask plan() for each."),
)
