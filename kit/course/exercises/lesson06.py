"""Lesson 06: fragments joined, arguments checked, a schema read backwards."""

from __future__ import annotations

import json
from typing import Any, Literal

from kit.chat import Parser, ToolCall
from kit.course.check import Exercise
from kit.tools import BadArguments, tool

# index, name, arguments: as a server sends them that writes two calls at the same time
PIECES: list[tuple[int, str | None, str]] = [
    (0, "get_weather", ""),
    (1, "get_weather", ""),
    (0, None, '{"location": "Bei'),
    (1, None, '{"location": "Par'),
    (1, None, 'is"}'),
    (0, None, 'jing"}'),
]

TEXTS = {
    "a": '{"location": "Beijing"}',
    "b": '{"location": "Beijing", "days": 3}',
    "c": '{"location": "Beijing", "days": "3"}',
    "d": '{"location": "Beijing", "days": null}',
    "e": '{"days": 3}',
    "f": '{"days": 3, "location": "Beijing"}',
    "g": '{"location": "Beijing", "unit": "celsius"}',
    "h": '{"location": "</tool_call>"}',
}


def _forecast(location: str, days: int = 1) -> None: ...


def _plan(model: Literal["397b", "35b"], gpus: int = 8) -> None: ...
def _plan_any_model(model: str, gpus: int = 8) -> None: ...
def _plan_without_default(model: Literal["397b", "35b"], gpus: int) -> None: ...
def _plan_in_words(model: Literal["397b", "35b"], gpus: str = "8") -> None: ...


WANTED: dict[str, Any] = dict(tool(_plan).parameters)


def _joined() -> list[tuple[str, dict[str, Any]]]:
    """The calls, as the kit's own parser joins them."""
    parser = Parser()
    calls: dict[int, ToolCall] = {}
    for index, name, arguments in PIECES:
        function = {"name": name, "arguments": arguments}
        delta = {"tool_calls": [{"index": index, "function": function}]}
        for event in parser.feed({"choices": [{"index": 0, "delta": delta}]}):
            if isinstance(event, ToolCall):
                calls[event.index] = event
    return [(call.name, json.loads(call.arguments)) for _, call in sorted(calls.items())]


def _runs(text: str) -> bool:
    try:
        tool(_forecast).arguments(text)
    except BadArguments:
        return False
    return True


def _running() -> set[str]:
    return {letter for letter, text in TEXTS.items() if _runs(text)}


EXERCISES = (
    Exercise(
        "06-1",
        "Which two calls are these pieces?",
        _joined,
        hint="Each piece belongs to the call with its index; join first, json.loads afterwards.",
        solution="Pieces of one index, in their order, make the arguments; the first has the name.",
    )
    .wrong(lambda: _joined()[::-1], "the calls are in the order of their index.")
    .wrong(
        lambda: [(name, json.dumps(given)) for name, given in _joined()],
        "the arguments are still text: json.loads makes a dict of them.",
    )
    .wrong(
        lambda: [[name, given] for name, given in _joined()],
        "write each call as a tuple: (name, arguments).",
    )
    .wrong(lambda: dict(_joined()), "a dict by name loses one of two calls of a name."),
    Exercise(
        "06-2",
        "Which argument texts does a function (location: str, days: int = 1) run with?",
        _running,
        hint="Every name known, every type right, nothing missing that has no default.",
        solution="Order means nothing and markup is text; a quoted number and null are no int.",
    )
    .wrong(lambda: _running() | {"c"}, "a number in quotes is text, and days is an int.")
    .wrong(lambda: _running() | {"d"}, "null is no int; leaving days out is what works.")
    .wrong(lambda: _running() | {"g"}, "the function has no unit: a name too many.")
    .wrong(lambda: _running() - {"h"}, "inside an argument, markup is text like any.")
    .wrong(lambda: _running() - {"f"}, "arguments are given by name, in any order."),
    Exercise(
        "06-3",
        "Which function has this schema? Give tool(your_function).parameters.",
        lambda: WANTED,
        hint='An enum is a Literal["…", "…"]; what is not required has a default.',
        solution='def f(model: Literal["397b", "35b"], gpus: int = 8)',
    )
    .wrong(lambda: tool(_plan_any_model).parameters, "model takes two values: a Literal.")
    .wrong(lambda: tool(_plan_without_default).parameters, "gpus is required in yours.")
    .wrong(lambda: tool(_plan_in_words).parameters, "gpus is an integer."),
)
