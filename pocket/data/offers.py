"""Tools to choose from, and requests that one of them serves.

A kind of tool is a way to fill its arguments: a place, words to search for, a sum, an amount, a
message, something to do. Names, descriptions and parameters vary, so that the model has to read
them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from pocket.data.actions import action_tool, ask_action
from pocket.data.dialogue import Call, Json
from pocket.data.offer import Offer, Request, offer_of, parameter, request_of, string
from pocket.data.words import (
    Split,
    city,
    invented,
    message,
    phrases,
    pick,
    several,
    table,
    until,
    words,
)

ONCE = ("arithmetic", "money", "message")  # kinds that know one topic
LOOKUPS = ("place", "search")  # kinds that look something up, named by a verb
# Of the names of tools that look something up; tests hold more of the others.
_USUAL: dict[Split, float] = {"train": 0.75, "test": 0.6}
COUNTS = (1, 1, 2, 2, 3, 3, 4, 4)  # of tools in one request


def offers(r: Random, split: Split, count: int) -> tuple[Offer, ...]:
    """Tools with different subjects."""
    out: dict[str, Offer] = {}
    while len(out) < count:
        kind = r.choices(list(_KINDS), _WEIGHTS)[0]
        offer = _KINDS[kind][0](r, split)
        out.setdefault(offer.subject, offer)
    return tuple(out.values())


def request(r: Random, split: Split, offer: Offer) -> Request:
    """A question that the tool serves."""
    return _KINDS[offer.kind][1](r, split, offer)


def place_tool(r: Random, split: Split) -> Offer:
    topic = "weather" if split == "train" and r.random() < 0.15 else _topic(r, "topics", split)
    known = topic == "weather" and r.random() < 0.6
    name = "get_weather" if known else _named(r, split, "place", topic)
    place = parameter(r, split, phrases("place", "parameters"))
    about = r.choice(phrases("place", "about")).format(topic=topic, place=place)
    types = {place: string(r, f"Name of the {place}")}
    more: dict[str, Json] = {}
    if topic in ("weather", "temperature") and r.random() < 0.5:
        more["unit"] = _unit(r)
    if r.random() < 0.2:
        more["days"] = {"type": "integer"}
    return offer_of(r, "place", topic, name, about, types, more)


def _unit(r: Random) -> Json:
    unit: dict[str, Any] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    if r.random() < 0.5:
        unit["description"] = "Temperature unit"
    if r.random() < 0.3:
        unit["default"] = "celsius"
    return unit


def search_tool(r: Random, split: Split) -> Offer:
    topic = _topic(r, "corpora", split)
    about = r.choice(phrases("search", "about")).format(topic=topic)
    name = parameter(r, split, phrases("search", "parameters"))
    types = {name: string(r, "What to search for")}
    return offer_of(r, "search", topic, _named(r, split, "search", topic), about, types)


def sum_tool(r: Random, split: Split) -> Offer:
    return _fixed(r, "arithmetic", {"expression": string(r, "Arithmetic expression")})


def money_tool(r: Random, split: Split) -> Offer:
    amount, source, target = r.choice(phrases("money", "parameters"))
    code = string(r, "Currency code")
    return _fixed(r, "money", {amount: {"type": "number"}, source: code, target: code})


def message_tool(r: Random, split: Split) -> Offer:
    to, text = r.choice(phrases("message", "parameters"))
    return _fixed(r, "message", {to: string(r, "Who gets it"), text: string(r, "What it says")})


def ask_place(r: Random, split: Split, offer: Offer) -> Request:
    course = offer.topic == "weather" and split == "train" and r.random() < 0.15
    where = r.choice(words("weather_cities")) if course else city(r, split)
    values: dict[str, Any] = {offer.parameters[0]: where}
    section, form = way_to_ask(r, offer, "ask")
    said = {"topic": offer.topic, "c": where}
    if "days" in offer.more and r.random() < 0.6:
        values["days"] = r.randrange(2, 8)
        word = phrases("place", "numbers")[values["days"] - 2]
        section, form = "place", "days"
        said["n"] = r.choice((word, str(values["days"])))
    ask = r.choice(phrases(section, form)).format(**said)
    if "unit" in offer.more and r.random() < 0.5:
        values["unit"] = r.choice(("celsius", "fahrenheit"))
        ask += r.choice(phrases("place", "unit")).format(unit=values["unit"])
    call = Call(offer.name, {name: values[name] for name in _order(offer) if name in values})
    return Request(ask[0].upper() + ask[1:], offer.topic, call, where)


def way_to_ask(r: Random, offer: Offer, form: str) -> tuple[str, str]:
    """Where phrases.toml has ways to ask one thing or two of a tool for places. The weather is
    asked for in its own words as well."""
    own = offer.topic == "weather" and r.random() < 0.4
    return ("weather", form) if own else ("place", form + offer.many)


def _order(offer: Offer) -> tuple[str, ...]:
    return (*offer.parameters, *offer.more)


def ask_search(r: Random, split: Split, offer: Offer) -> Request:
    def word() -> str:
        return invented(r, split) if r.random() < 0.4 else pick(r, "search_words", split)

    phrase = several(word, r.choice((1, 2, 2, 3)))
    ask = r.choice(phrases("search", "ask")).format(topic=offer.topic, w=phrase)
    return request_of(offer, ask, [phrase], phrase)


def ask_sum(r: Random, split: Split, offer: Offer) -> Request:
    if r.random() < 0.3:
        p, n = until(lambda: (r.randrange(1, 100), r.randrange(10, 1000)), split)
        ask = r.choice(phrases("arithmetic", "percent")).format(p=p, n=n)
        return request_of(offer, ask, [f"{n} * {p} / 100"], f"{p}% of {n}")

    def draw() -> str:
        a, b = (r.randrange(10 ** (d - 1), 10**d) for d in r.choices((2, 3, 3, 4), k=2))
        return f"{a} {r.choice('+-*/')} {b}"

    expression = until(draw, split)
    ask = r.choice(phrases("arithmetic", "ask")).format(e=expression)
    return request_of(offer, ask, [expression], expression)


def ask_money(r: Random, split: Split, offer: Offer) -> Request:
    amount = until(lambda: r.randrange(1, 10 ** r.choice((2, 3, 4))), split)
    a, b = r.sample(words("currencies"), 2)
    ask = r.choice(phrases("money", "ask")).format(n=amount, a=a, b=b)
    return request_of(offer, ask, [amount, a, b], f"{amount} {a}")


def ask_message(r: Random, split: Split, offer: Offer) -> Request:
    strange = split == "train" and r.random() < 0.4
    who = invented(r, split).capitalize() if strange else pick(r, "people", split)
    text = message(r, split, r.choice((2, 3, 4)))
    ask = r.choice(phrases("message", "ask")).format(who=who, m=text)
    return request_of(offer, ask, [who, text], who)


_KINDS: dict[
    str, tuple[Callable[[Random, Split], Offer], Callable[[Random, Split, Offer], Request]]
] = {
    "place": (place_tool, ask_place),
    "search": (search_tool, ask_search),
    "arithmetic": (sum_tool, ask_sum),
    "money": (money_tool, ask_money),
    "message": (message_tool, ask_message),
    "action": (action_tool, ask_action),
}
_WEIGHTS = (40, 18, 13, 8, 8, 8)


def _topic(r: Random, name: str, split: Split) -> str:
    """One word or two; in training most are invented: words of many tokens are the hard ones."""

    def word(known: str) -> str:
        strange = split == "train" and r.random() < 0.8
        return invented(r, split) if strange else pick(r, known, split)

    last = word(name)
    return f"{word('qualities')} {last}" if r.random() < 0.05 else last


def _named(r: Random, split: Split, kind: str, topic: str) -> str:
    """A function's name: the usual verb and the topic, or another verb, before it or after."""
    (first, *others), topic = _verbs(kind), topic.replace(" ", "_")
    if r.random() < _USUAL[split]:
        return f"{first}_{topic}"
    verb = parameter(r, split, tuple(others))
    return r.choice((f"{verb}_{topic}", f"{verb}_{topic}", f"{topic}_{verb}"))


def usual(offer: Offer) -> bool:
    """Whether its name begins as most names of its kind do."""
    return offer.kind not in LOOKUPS or offer.name.startswith(usual_start(offer.kind))


def usual_start(kind: str) -> str:
    """What most names of one of LOOKUPS begin with."""
    return f"{_verbs(kind)[0]}_"


def _verbs(kind: str) -> list[str]:
    return str(table("phrases")[kind]["verbs"]).split()


def _fixed(r: Random, kind: str, types: dict[str, Json]) -> Offer:
    """A tool whose topic is its kind."""
    name, about = r.choice(phrases(kind, "names")), r.choice(phrases(kind, "about"))
    return offer_of(r, kind, kind, name, about, types)
