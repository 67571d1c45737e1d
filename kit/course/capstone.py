"""The capstone of lesson 10: a brief of two sentences → a plan that is defended, and checked.

    review({"profile": "397b-fp8-h200x8", "changes": {}, "replicas": 3, "command": "sglang serve …",
            "table": {"ttft_ms": 300, "tpot_ms": 20, "output_per_s": 1000}, "defence": "…"})

What the review finds it finds by the kit's own figures: the fewest replicas, the launch plan, the
predicted times. Of the paragraph it can only tell what it does not speak of.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from kit.capacity import Target
from kit.capacity.candidates import candidate_of
from kit.capacity.judge import Option, Point, judge
from kit.capacity.limits import limit
from kit.capacity.replica import Share, serve
from kit.course.check import Verdict
from kit.errors import KitError
from kit.hardware import SGLANG, Profile
from kit.hardware import profile as profile_named
from kit.launch import launch_plan

BRIEF = (
    "A support desk of 300 people asks our assistant about tickets: 3,000 tokens of ticket and "
    "manual in, 300 out, and each reads for 20 seconds before asking again. For nine of ten "
    "requests the first word has to come within 1.2 s and each further one within 30 ms, on our "
    "own nodes of eight H200s, also on the day when one replica is down."
)
TARGET = Target(
    users=300, think_s=20.0, input_len=3000, output_len=300, ttft_ms=1200.0, tpot_ms=30.0
)
GPU = "h200"
SPARE = 1  # replicas that may be down
FIELDS = ("profile", "changes", "replicas", "command", "table", "defence")
_TABLE = {"ttft_ms": "P90 TTFT", "tpot_ms": "P90 TPOT", "output_per_s": "output tokens per second"}
_OFF = 0.15  # of a figure of the table: how far another run of the simulation may lie
_WASTE = 2  # replicas beyond the fewest
_WORDS = 40
_SHOWN = 3  # findings about the command
_SPEAKS_OF = {
    "how many replicas or GPUs": r"\b\d+ (replicas?|GPUs?|H200s?)|\b(two|three|four|five) replicas",
    "the promise (TTFT or TPOT)": r"TTFT|TPOT|first word|first token",
    "how sure the figures are": r"pessimis|band|P10|P90|marginal|sure|uncertain|simulat|predict",
    "what happens when a replica is down": r"\bdown\b|dies|dead|fails?\b|spare|one fewer|one less",
    "what runs out first": r"slots?|KV|bandwidth|FLOP|launch|memory",
    "what was turned down, and why": r"BF16|FP8|INT4|MTP|instead|rather|in place of|because",
}


@dataclass(frozen=True)
class Review:
    """What is wrong, item by item; nothing where it is accepted."""

    findings: tuple[str, ...]
    accepted: str = ""

    @property
    def right(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        if self.right:
            return f"✓ {self.accepted}"
        return "\n".join(f"✗ {finding}" for finding in self.findings)

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        if self.right:
            return f"**✓** {self.accepted}"
        return "\n\n".join(f"**✗** {finding}" for finding in self.findings)


def review(answer: Any) -> Review | Verdict:
    """What is wrong with an answer to BRIEF. An untouched `...` is no error."""
    if answer is ...:
        return Verdict("○", "Put your plan in place of the dots.")
    if not isinstance(answer, Mapping):
        return Review((f"a dictionary with {', '.join(FIELDS)} is wanted",))
    missing = [name for name in FIELDS if answer.get(name, ...) is ...]
    if missing == [name for name in FIELDS if name != "changes"]:
        return Verdict("○", f"Nothing is written yet: start with the {missing[0]}.")
    if missing:
        return Review(tuple(f"{name} is missing" for name in missing))
    try:
        chosen = replace(profile_named(str(answer["profile"])), **answer["changes"])
    except KitError as error:
        return Review((f"profile: {' '.join(str(error).split())}",))
    except TypeError:
        options = ", ".join(field.name for field in fields(Profile))
        return Review((f"profile: changes is a dictionary of its options: {options}",))
    return _reviewed(answer, chosen)


@cache
def fewest(profile: Profile) -> Option:
    """The fewest replicas of a profile that hold the brief, all of them up."""
    return judge(candidate_of(TARGET, profile, SGLANG), TARGET, SGLANG)


def _reviewed(answer: Mapping[str, Any], profile: Profile) -> Review:
    number = answer["replicas"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return Review((f"replicas: a whole number of 1 or more is wanted, not {number!r}",))
    findings = [*_machine(profile)]
    if findings:
        return Review(tuple(findings))
    option = fewest(profile)
    findings += _replicas(option, number)
    flags = list(_command(profile, str(answer["command"])))
    findings += flags[:_SHOWN]
    if len(flags) > _SHOWN:
        findings.append(f"command: {len(flags) - _SHOWN} flags more are missing or differ")
    findings += _table(answer["table"], profile, number)
    findings += _defence(str(answer["defence"]))
    return Review(
        tuple(findings),
        f"{number} × {profile.title}: it holds, one replica down included, and is defended. "
        f"First to run out: {limit(option).resource}.",
    )


def _machine(profile: Profile) -> Iterator[str]:
    if profile.gpu.key != GPU:
        yield f"profile: the nodes have H200s, {profile.title} has {profile.gpu.name}"
    elif profile.nodes > 1 or profile.gpu.gpus_per_node % profile.tp_size:
        yield f"profile: {profile.tp_size} ranks do not share out nodes of eight"


def _replicas(option: Option, number: int) -> Iterator[str]:
    name = option.profile.title
    if option.verdict != "holds":
        point = option.point
        yield (
            f"replicas: no number of {name} holds it: the {point.tightest.upper()} is "
            f"{point.pessimistic:.2f} times its bound at the pessimistic end"
        )
        return
    wanted = option.replicas + SPARE
    if number < wanted:
        left = number - SPARE
        detail = "nobody would be left"
        if left >= 1:
            point = _at(option.profile, left)
            detail = (
                f"with one down the {point.tightest.upper()} of the other {left} is "
                f"{point.pessimistic:.2f} times its bound at the pessimistic end"
            )
        yield f"replicas: {number} of {name} are too few: {detail}"
    elif number > wanted + _WASTE:
        yield f"replicas: {number} of {name} hold it, and so would fewer: who pays for the rest?"


@cache
def _at(profile: Profile, replicas: int) -> Point:
    candidate = candidate_of(TARGET, profile, SGLANG)
    return Point.of(candidate, Share(TARGET, replicas), SGLANG)


def _command(profile: Profile, text: str) -> Iterator[str]:
    try:
        words = shlex.split(text.replace("\\\n", " "))
    except ValueError as error:
        yield f"command: no shell would read it ({error})"
        return
    for flag in launch_plan(profile).flags:
        if flag.name not in words:
            yield f"command: {' '.join(flag.words)} is missing: {flag.reason}"
        elif flag.value is not None:
            given = words[words.index(flag.name) + 1 :][:1]
            if given != [flag.value]:
                shown = given[0] if given else "nothing"
                yield f"command: {flag.name} is {shown}, and this plan needs {flag.value}"


def _table(table: Any, profile: Profile, number: int) -> Iterator[str]:
    if not isinstance(table, Mapping):
        yield f"table: a dictionary with {', '.join(_TABLE)} is wanted"
        return
    out = _at(profile, number).outcome
    right = {
        "ttft_ms": out.ttft_ms,
        "tpot_ms": out.tpot_ms or 0.0,
        "output_per_s": out.output_per_s * number,
    }
    for key, what in _TABLE.items():
        given = table.get(key)
        if not isinstance(given, int | float) or isinstance(given, bool):
            yield f"table: {key}, the {what}, is missing"
        elif abs(given - right[key]) > _OFF * right[key]:
            yield (
                f"table: {what} {given:,.4g} is {given / right[key]:.2f} times what is "
                f"predicted with {number} up"
            )


def _defence(text: str) -> Iterator[str]:
    if len(text.split()) < _WORDS:
        yield f"defence: {len(text.split())} words; {_WORDS} are the least that says why"
    for what, pattern in _SPEAKS_OF.items():
        if not re.search(pattern, text, re.IGNORECASE):
            yield f"defence: it does not say {what}"


def example() -> dict[str, Any]:
    """An answer that is accepted: for those who are stuck, and for the tests."""
    profile = profile_named("397b-fp8-h200x8")
    option = fewest(profile)
    number = option.replicas + SPARE
    out = _at(profile, number).outcome
    alone = serve(profile, Share(TARGET, option.replicas), around_s=5.0)
    return {
        "profile": profile.title,
        "changes": {},
        "replicas": number,
        "command": launch_plan(profile).shell(),
        "table": {
            "ttft_ms": round(out.ttft_ms),
            "tpot_ms": round(out.tpot_ms or 0.0, 1),
            "output_per_s": round(out.output_per_s * number),
        },
        "defence": (
            f"We take {number} replicas of the FP8 checkpoint, eight H200s each, behind a router. "
            f"{option.replicas} of them hold the promise at the pessimistic end of the "
            f"prediction's band, with a P90 TTFT of {alone.ttft_ms:.0f} ms; the other one is the "
            "spare for the day when one is down. BF16 was turned down because its weights leave "
            f"fewer slots and less KV cache. First to run out: {limit(option).resource}. All of "
            "this is simulated: a benchmark on one node comes before the order."
        ),
    }
