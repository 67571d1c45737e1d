"""Dialogues with tools: one call, two calls, none that fits, and what to say to a result."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from pocket.data.dialogue import Call, Dialogue, Json, user
from pocket.data.offers import ONCE, Offer, Request, offers, place_tool, request
from pocket.data.words import Split, city, invented, phrases, pick, table

Among = tuple[Offer, ...] | None
_COUNTS = (1, 2, 2, 3, 3)


def call(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """One call to one of the tools offered."""
    among = among or offers(r, split, r.choice(_COUNTS))
    asked = request(r, split, r.choice(among))
    text = asked.call.text
    messages = (user(asked.question),)
    return Dialogue("call", messages, _reason(asked), text, text, thinking, _schemas(among))


def two_calls(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """Two calls at once: the same tool for two places."""
    among = among or offers(r, split, r.choice(_COUNTS))
    if not plain_places(among):
        among = (*among[1:], _plain_place(r, split, among[1:]))
    offer = r.choice(plain_places(among))
    a, b = city(r, split), city(r, split)
    ask = r.choice(phrases("place", "two")).format(topic=offer.topic, c=a, d=b)
    calls = [Call(offer.name, {offer.parameters[0]: where}) for where in (a, b)]
    text = "\n".join(one.text for one in calls)
    reason = f"This is about {offer.topic}, twice. I call {offer.name} for {a} and for {b}."
    messages = (user(ask[0].upper() + ask[1:]),)
    return Dialogue("two calls", messages, reason, text, text, thinking, _schemas(among))


def no_tool(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """A request that none of the tools offered can serve."""
    among = among or offers(r, split, r.choice(_COUNTS))
    taken = {x.topic for x in among} | {x.kind for x in among if x.kind in ONCE}
    while (other := offers(r, split, 1)[0]).topic in taken or other.kind in taken:
        pass
    said = table("lessons")["no_tool"]
    reason, answer = said["thinking"], said["answer"]
    messages = (user(request(r, split, other).question),)
    return Dialogue("no tool fits", messages, reason, answer, answer, thinking, _schemas(among))


def result(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """The answer after a tool has been called."""
    among = among or offers(r, split, r.choice(_COUNTS))
    asked = request(r, split, r.choice(among))
    content, answer = _result_of(r, split, asked)
    called: dict[str, Any] = {
        "role": "assistant",
        "content": "",
        "tool_calls": [asked.call.message],
    }
    if thinking and r.random() < 0.5:
        called["reasoning_content"] = _reason(asked)
    messages = (user(asked.question), called, {"role": "tool", "content": content})
    reason = "The tool has answered."
    return Dialogue("result", messages, reason, answer, answer, thinking, _schemas(among))


def plain_places(among: tuple[Offer, ...]) -> list[Offer]:
    """The tools that need a place and nothing else."""
    return [offer for offer in among if offer.kind == "place" and not offer.parameters[1:]]


def _plain_place(r: Random, split: Split, others: tuple[Offer, ...]) -> Offer:
    taken = {x.topic for x in others}
    while (offer := place_tool(r, split)).parameters[1:] or offer.topic in taken:
        pass
    return offer


def _reason(asked: Request) -> str:
    return f"This is about {asked.about}. I call {asked.call.name}."


def _schemas(among: tuple[Offer, ...]) -> tuple[Json, ...]:
    return tuple(offer.schema for offer in among)


def _result_of(r: Random, split: Split, asked: Request) -> tuple[str, str]:
    """What a tool may send back, as text, and how the model passes it on."""
    number: float = r.choice((r.randrange(100), r.randrange(9999), r.randrange(990) / 10))
    shape = r.random()
    if shape < 0.12:
        problem = f"{invented(r, split)} {invented(r, split)}"
        return json.dumps({"error": problem}), f"The tool failed: {problem}."
    if shape < 0.3:
        unit, condition = pick(r, "units", split), pick(r, "conditions", split)
        plain = r.choice((f"{number}", f"{number} {unit}", f"{condition}, {number}"))
        return plain, f"The tool says: **{plain}**"
    if asked.about == "arithmetic" or shape < 0.45:
        key = r.choice(phrases("arithmetic", "results"))
        return json.dumps({key: number}), f"The {key} is **{number}**."
    return _entries(r, split, asked, number)


def _entries(r: Random, split: Split, asked: Request, number: float) -> tuple[str, str]:
    """A JSON object of a few entries, which the model lists."""
    entries: dict[str, Any] = {}
    if asked.about == "weather":
        condition = pick(r, "conditions", split)
        entries = {"temperature": r.randrange(-9, 40), "condition": condition}
    for _ in range(r.choice((0, 0, 1) if entries else (1, 2, 2))):
        key = r.choice((pick(r, "result_keys", split), invented(r, split), asked.about))
        value = (number, pick(r, "conditions", split), invented(r, split), r.randrange(1000))
        entries[key] = r.choice(value)
    told = ", ".join(f"{key} {value}" for key, value in entries.items())
    place = {next(iter(asked.call.arguments)): asked.subject} if r.random() < 0.6 else {}
    return json.dumps({**place, **entries}, ensure_ascii=False), f"{asked.subject}: {told}."
