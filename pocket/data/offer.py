"""A tool on offer and a request for it: what every kind of tool is made of."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from pocket.data.dialogue import Call, Json
from pocket.data.words import Split, invented


@dataclass(frozen=True)
class Offer:
    """A tool of one kind, with the names it goes by in one conversation; `more` may be left out."""

    kind: str
    topic: str
    name: str
    schema: Json
    parameters: tuple[str, ...]
    more: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The topic's last word: weather, of winter weather."""
        return self.topic.split()[-1]

    @property
    def many(self) -> str:
        """How questions about several things are named in phrases.toml."""
        return "_many" if self.topic.endswith("s") else ""


@dataclass(frozen=True)
class Request:
    """A question, what it is about, the call it needs, and whom or what the answer is for."""

    question: str
    about: str
    call: Call
    subject: str


def parameter(r: Random, split: Split, usual: tuple[str, ...]) -> str:
    """A usual name; in training now and then an invented one, so that names have to be read."""
    return invented(r, split) if split == "train" and r.random() < 0.12 else r.choice(usual)


def string(r: Random, about: str) -> Json:
    return {"type": "string", "description": about} if r.random() < 0.5 else {"type": "string"}


def offer_of(
    r: Random,
    kind: str,
    topic: str,
    name: str,
    about: str,
    types: dict[str, Json],
    more: dict[str, Json] | None = None,
) -> Offer:
    every = {**types, **(more or {})}
    body: dict[str, Any] = {"type": "object", "properties": every, "required": list(types)}
    if r.random() < 0.3:
        body["additionalProperties"] = False
    function = {"name": name, "description": about, "parameters": body}
    schema = {"type": "function", "function": function}
    return Offer(kind, topic, name, schema, tuple(types), tuple(more or ()))


def request_of(offer: Offer, question: str, values: list[Any], subject: str) -> Request:
    call = Call(offer.name, dict(zip(offer.parameters, values, strict=True)))
    return Request(question, offer.topic, call, subject)
