"""The shape of an answer: what stays the same when the words differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from wire_captures import Exchange

Path = tuple[str | int, ...]
Shape = Any


def parts(exchange: Exchange) -> list[Any]:
    """The answer's pieces: the events of a stream, the JSON of a body, or its text.

    Of a JSON object in an event and one in a body nothing differs but the number of pieces.
    """
    if exchange.media.startswith("text/event-stream"):
        events = [event for event in exchange.body.decode().split("\n\n") if event.strip()]
        return [_event(event) for event in events]
    if exchange.media.startswith("application/json"):
        return [json.loads(exchange.body)]
    return [exchange.body.decode()]


def _event(event: str) -> Any:
    kind, _, data = event.strip().partition(": ")
    if kind != "data" or not data.startswith("{"):
        return event.strip()
    return json.loads(data)


def shape(value: Any) -> Shape:
    """Keys in their order and the types of their values; a list's runs of one shape count once."""
    if isinstance(value, dict):
        return {"object": [(key, shape(inner)) for key, inner in value.items()]}
    if isinstance(value, list):
        return {"list": collapse([shape(inner) for inner in value])}
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "number", str: "string"}[type(value)]


def collapse(shapes: list[Shape]) -> list[Shape]:
    """Without the repetitions of what stands before."""
    return [one for i, one in enumerate(shapes) if i == 0 or one != shapes[i - 1]]


def shapes(pieces: list[Any]) -> list[Shape]:
    return collapse([shape(piece) if isinstance(piece, dict | list) else piece for piece in pieces])


def differences(expected: list[Shape], got: list[Shape]) -> list[str]:
    """Where two answers' shapes differ, in words; nothing where they agree."""
    found = []
    if len(expected) != len(got):
        found.append(f"{len(expected)} kinds of chunk in a row, the twin has {len(got)}")
    for i, (a, b) in enumerate(zip(expected, got, strict=False)):
        found += [f"piece {i}{where}" for where in _differ(a, b, "")]
    return found


def _differ(a: Shape, b: Shape, at: str) -> Iterator[str]:
    if a == b:
        return
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        if "object" in a:
            names, others = [k for k, _ in a["object"]], [k for k, _ in b["object"]]
            if names != others:
                lacking = [k for k in names if k not in others]
                added = [k for k in others if k not in names]
                yield f"{at}: lacks {lacking}, adds {added}" if lacking or added else f"{at}: order"
            there = dict(b["object"])
            for key, inner in a["object"]:
                if key in there:
                    yield from _differ(inner, there[key], f"{at}.{key}")
            return
        yield f"{at}: list of {a['list']}, the twin's of {b['list']}"
        return
    yield f"{at}: {_word(a)}, the twin has {_word(b)}"


def _word(one: Shape) -> str:
    return "/".join(one) if isinstance(one, dict) else str(one)


def keys(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of every key in a JSON value; of a list, its first element stands for all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from keys(inner, (*at, key))
    elif isinstance(value, list) and value:
        yield from keys(value[0], (*at, 0))


def without(value: Any, path: Path) -> Any:
    """A copy of a JSON value that lacks one key."""
    first, *rest = path
    if isinstance(value, dict):
        if not rest:
            return {key: inner for key, inner in value.items() if key != first}
        return {key: without(v, tuple(rest)) if key == first else v for key, v in value.items()}
    return [without(v, tuple(rest)) if i == first else v for i, v in enumerate(value)]


def numberless(message: str) -> str:
    """An error message without its numbers: limits of the server, places in its memory."""
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", message)
