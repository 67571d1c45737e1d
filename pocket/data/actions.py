"""Tools that do something: a verb, a noun, and what it is done to, how often, or in which words."""

from __future__ import annotations

from random import Random
from typing import Any

from pocket.data.dialogue import Json
from pocket.data.offer import Offer, Request, offer_of, parameter, request_of, string
from pocket.data.words import Split, city, invented, kept, message, phrases, pick, words

_SHAPES = (("x",), ("x",), ("n",), ("text", "x"), ("x", "n"))  # what the parameters are, in order


def action_tool(r: Random, split: Split) -> Offer:
    verb, noun = _word(r, split, "actions"), _word(r, split, "objects")
    types: dict[str, Json] = {}
    for shape in r.choice(_SHAPES):
        if shape == "n":
            types[r.choice(words("amounts"))] = {"type": "integer"}
        else:
            usual = phrases("action", "texts" if shape == "text" else "parameters")
            name = parameter(r, split, tuple(p for p in usual if p not in types))
            types[name] = string(r, f"The {name} of the {noun}")
    name = f"{noun}_{verb}" if r.random() < 0.15 else f"{verb}_{noun}"
    about = r.choice(phrases("action", "about")).format(verb=verb, noun=noun)
    return offer_of(r, "action", noun, name, about[0].upper() + about[1:], types)


def ask_action(r: Random, split: Split, offer: Offer) -> Request:
    verb = offer.name.removeprefix(f"{offer.topic}_").removesuffix(f"_{offer.topic}")
    told: dict[str, Any] = {"verb": verb, "noun": offer.topic, "prep": r.choice(words("between"))}
    values: list[Any] = []
    for name in offer.parameters:
        if name in words("amounts"):
            told |= {"n": r.randrange(2, 10 ** r.choice((1, 2, 2, 3))), "unit": name}
            values.append(told["n"])
        elif len(offer.parameters) == 2 and not values and not _has_amount(offer):
            told["t"] = message(r, split, r.randrange(1, 5))
            values.append(told["t"])
        else:
            told["x"] = _thing(r, split)
            values.append(told["x"])
    form = "ask_" + "".join(key for key in ("t", "x", "n") if key in told)
    shape = r.choice(phrases("action", form))
    ask = shape.format(**told)
    if r.random() < 0.7 and not shape.startswith(("{x}", "{t}")):  # those stay as they are
        ask = ask[0].upper() + ask[1:]
    return request_of(offer, ask, values, str(told.get("x") or f"{told['n']} {told['unit']}"))


def _has_amount(offer: Offer) -> bool:
    return any(name in words("amounts") for name in offer.parameters)


def _word(r: Random, split: Split, name: str) -> str:
    strange = split == "train" and r.random() < 0.6
    return invented(r, split) if strange else pick(r, name, split)


def _thing(r: Random, split: Split) -> str:
    """What it is done to: a place, a person, a common word or two, a code."""
    match r.randrange(6):
        case 0:
            return city(r, split)
        case 1:
            return pick(r, "people", split)
        case 2:
            while (code := invented(r, split)[:4]) in kept():
                pass
            return code.upper() + r.choice(("", str(r.randrange(100))))
        case 3:
            return invented(r, split)
        case 4:
            return f"{pick(r, 'search_words', split)} {pick(r, 'items', split)}"
    return pick(r, r.choice(("search_words", "items")), split)
