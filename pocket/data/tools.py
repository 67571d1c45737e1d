"""Dialogues with tools: one call, two calls, none that fits, and what to say to a result."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from pocket.data.dialogue import Call, Dialogue, Json, user, worked
from pocket.data.lessons import beyond
from pocket.data.offers import (
    COUNTS,
    ONCE,
    Offer,
    Request,
    offers,
    place_tool,
    request,
    way_to_ask,
)
from pocket.data.words import Split, city, invented, phrases, pick, table

Among = tuple[Offer, ...] | None  # the tools offered; the question is for `offer`, if given


def call(
    r: Random, split: Split, thinking: bool, among: Among = None, offer: Offer | None = None
) -> Dialogue:
    """One call to a tool that looks up, searches, calculates, converts or sends."""
    return _one_call(r, split, thinking, among, offer, "call")


def action_call(
    r: Random, split: Split, thinking: bool, among: Among = None, offer: Offer | None = None
) -> Dialogue:
    """One call to a tool that does something, asked for in many ways."""
    return _one_call(r, split, thinking, among, offer, "action call")


def possible(kind: str, among: tuple[Offer, ...]) -> bool:
    """Whether these tools serve for a kind of dialogue."""
    if kind.startswith("two"):
        return bool(places(among))
    return not kind.endswith("call") or bool(_for_one_call(kind, among))


def _for_one_call(kind: str, among: tuple[Offer, ...]) -> list[Offer]:
    return [offer for offer in among if (offer.kind == "action") == (kind == "action call")]


def _one_call(
    r: Random, split: Split, thinking: bool, among: Among, offer: Offer | None, kind: str
) -> Dialogue:
    while not (among and possible(kind, among)):
        among = offers(r, split, r.choice(COUNTS))
    asked = request(r, split, offer or r.choice(_for_one_call(kind, among)))
    text, messages, reason = asked.call.text, (user(asked.question),), _reason(asked)
    answer = _answer(r, split, thinking, reason, text)
    return Dialogue(kind, messages, reason, answer, text, thinking, _schemas(among))


def two_calls(
    r: Random, split: Split, thinking: bool, among: Among = None, offer: Offer | None = None
) -> Dialogue:
    """Two calls at once: the same tool for two places."""
    among, first, second = _two(r, split, among, offer)
    text = "\n".join((first.call.text, second.call.text))
    messages, reason = (user(first.question),), _reason_for_two(first, second)
    answer = _answer(r, split, thinking, reason, text)
    return Dialogue("two calls", messages, reason, answer, text, thinking, _schemas(among))


def two_results(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """The answer after two calls at once."""
    among, first, second = _two(r, split, among)
    shape = r.random()
    given = [_result_of(r, split, asked, shape) for asked in (first, second)]
    called = _called(r, [first, second], _reason_for_two(first, second), thinking)
    answers = [{"role": "tool", "content": content} for content, _ in given]
    answer = "\n".join(said for _, said in given)
    messages, reason = (user(first.question), called, *answers), "Both tools have answered."
    return Dialogue("two results", messages, reason, answer, answer, thinking, _schemas(among))


def no_tool(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """A request for a tool that is not among those offered."""
    among = among or offers(r, split, r.choice(COUNTS))
    asked = _not_served(r, split, among)
    reason = f"{_found(asked.about, r.choice(among).name)} I call nothing."
    said, messages = table("lessons")["no_tool"]["answer"], (user(asked.question),)
    answer = worked(thinking, reason, said)
    return Dialogue("no tool fits", messages, reason, answer, said, thinking, _schemas(among))


def beyond_tools(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """A request that is for no tool at all, with some offered."""
    among = among or offers(r, split, r.choice(COUNTS))
    said = table("lessons")["no_tool"]
    asked = beyond(r, split, thinking)
    reason, answer = said["thinking"], said["answer"]
    kind, schemas = "beyond, with tools", _schemas(among)
    return Dialogue(kind, asked.messages, reason, answer, answer, thinking, schemas)


def _not_served(r: Random, split: Split, among: tuple[Offer, ...]) -> Request:
    taken = {x.subject for x in among} | {x.kind for x in among if x.kind in ONCE}
    while (other := offers(r, split, 1)[0]).subject in taken or other.kind in taken:
        pass
    return request(r, split, other)


def result(r: Random, split: Split, thinking: bool, among: Among = None) -> Dialogue:
    """The answer after a tool has been called."""
    among = among or offers(r, split, r.choice(COUNTS))
    asked = request(r, split, r.choice(among))
    content, answer = _result_of(r, split, asked, r.random())
    called = _called(r, [asked], _reason(asked), thinking)
    messages = (user(asked.question), called, {"role": "tool", "content": content})
    reason = "The tool has answered."
    return Dialogue("result", messages, reason, answer, answer, thinking, _schemas(among))


def _called(r: Random, asked: list[Request], reason: str, thinking: bool) -> Json:
    """The assistant's message with the calls; clients send its thinking back, or do not."""
    calls = [one.call.message for one in asked]
    content, back = ("", r.random() < 0.5) if thinking else (reason, False)
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    return {**message, "reasoning_content": reason} if back else message


def _two(
    r: Random, split: Split, among: Among, offer: Offer | None = None
) -> tuple[tuple[Offer, ...], Request, Request]:
    """Tools, and one question that needs one of them twice, as two requests."""
    among = among or offers(r, split, r.choice(COUNTS))
    if not places(among):
        among = (*among[1:], _place(r, split, among[1:]))
    offer = offer or r.choice(places(among))
    a = b = city(r, split)
    while b == a:
        b = city(r, split)
    forms = phrases(*way_to_ask(r, offer, "two"))
    ask = r.choice(forms).format(topic=offer.topic, c=a, d=b)
    ask = ask[0].upper() + ask[1:]
    calls = [Call(offer.name, {offer.parameters[0]: where}) for where in (a, b)]
    first, second = (Request(ask, offer.topic, c, w) for c, w in zip(calls, (a, b), strict=True))
    return among, first, second


def places(among: tuple[Offer, ...]) -> list[Offer]:
    """The tools that can be asked about a place."""
    return [offer for offer in among if offer.kind == "place"]


def _place(r: Random, split: Split, others: tuple[Offer, ...]) -> Offer:
    taken = {x.subject for x in others}
    while (offer := place_tool(r, split)).subject in taken:
        pass
    return offer


def _found(about: str, name: str) -> str:
    """The tool is named right after what it is for, and before it is judged: whether a name fits
    is easier to tell than whether any would."""
    return f"Nearest to {about}: {name}."


def _answer(r: Random, split: Split, thinking: bool, reason: str, calls: str) -> str:
    """In training now and then the calls alone, since clients may insist on them."""
    direct = split == "train" and r.random() < 0.12
    return calls if direct else worked(thinking, reason, calls)


def _reason(asked: Request) -> str:
    return f"{_found(asked.about, asked.call.name)} I call it."


def _reason_for_two(first: Request, second: Request) -> str:
    found = _found(first.about, first.call.name)
    return f"{found} I call it for {first.subject} and for {second.subject}."


def drill(r: Random, thinking: bool) -> Dialogue:
    """Names of tools to find by what they are for, many at once."""
    among = [offer for offer in offers(r, "train", r.choice((4, 8, 12))) if offer.kind not in ONCE]
    wanted = r.sample(among, len(among))
    ask = r.choice(phrases("drill", "names")).format(
        names=", ".join(offer.name for offer in among),
        topics=", ".join(r.choice((x.topic, x.topic.capitalize())) for x in wanted),
    )
    answer = " ".join(_found(offer.topic, offer.name) for offer in wanted)
    return Dialogue("drill", (user(ask),), "One by one.", answer, answer, thinking)


def _schemas(among: tuple[Offer, ...]) -> tuple[Json, ...]:
    return tuple(offer.schema for offer in among)


def _result_of(r: Random, split: Split, asked: Request, shape: float) -> tuple[str, str]:
    """What a tool may send back, as text, and how the model passes it on; `shape` is its kind."""
    number: float = r.choice((r.randrange(100), r.randrange(9999), r.randrange(990) / 10))
    words = {
        "n": number,
        "c": asked.subject,
        "unit": pick(r, "units", split),
        "condition": pick(r, "conditions", split),
        "w": invented(r, split),
        "v": invented(r, split),
    }
    if shape < 0.07:
        problem = f"{words['w']} {words['v']}"
        return json.dumps({"error": problem}), f"The tool failed: {problem}."
    if shape < 0.15:
        text = r.choice(phrases("results", "errors")).format(**words)
        return text, f"The tool failed: {text.removeprefix('error: ')}."
    if shape < 0.45:
        text = r.choice(phrases("results", "plain")).format(**words)
        return text, f"The tool says: **{text}**"
    if asked.about == "arithmetic" or shape < 0.58:
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
