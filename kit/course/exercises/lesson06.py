"""Lesson 06: fragments joined, arguments checked, a schema read backwards, a loop stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from kit.course.check import Exercise
from kit.tools import BadArguments, tool

# index, name, arguments: as a server sends them that writes two calls at the same time
Piece = tuple[int, str | None, str]
PIECES: list[Piece] = [
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


def f(model: Literal["397b", "35b"], gpus: int = 8) -> None: ...
def _plan_any_model(model: str, gpus: int = 8) -> None: ...
def _plan_without_default(model: Literal["397b", "35b"], gpus: int) -> None: ...
def _plan_in_words(model: Literal["397b", "35b"], gpus: str = "8") -> None: ...


WANTED: dict[str, Any] = dict(tool(f).parameters)


def join(pieces: Sequence[Piece]) -> list[tuple[str, dict[str, Any]]]:
    names: dict[int, str] = {}
    texts: dict[int, str] = {}
    for index, name, arguments in pieces:
        names[index] = name or names[index]
        texts[index] = texts.get(index, "") + arguments
    return [(names[index], json.loads(texts[index])) for index in sorted(texts)]


def _by_arrival(pieces: Sequence[Piece]) -> list[tuple[str, dict[str, Any]]]:
    order = list(dict.fromkeys(index for index, _, _ in pieces))
    calls = dict(zip(sorted(order), join(pieces), strict=True))
    return [calls[index] for index in order]


def _unread(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    return [(name, json.dumps(given)) for name, given in join(pieces)]


def _by_name(pieces: Sequence[Piece]) -> list[tuple[str, dict[str, Any]]]:
    return list(dict(join(pieces)).items())


def _names_joined(pieces: Sequence[Piece]) -> list[tuple[str, dict[str, Any]]]:
    names: dict[int, str] = {}
    for index, name, _ in pieces:
        names[index] = names.get(index, "") + str(name)
    return list(zip(names.values(), (given for _, given in join(pieces)), strict=True))


Call = tuple[str, dict[str, Any]]


def stop(turns: Sequence[Sequence[Call]], most: int) -> str:
    if not turns[-1]:
        return "answered"
    if len(turns) > 1 and turns[-1] == turns[-2]:
        return "repeats"
    return "limit" if len(turns) >= most else ""


def _repeats_ignored(turns: Sequence[Sequence[Call]], most: int) -> str:
    return "answered" if not turns[-1] else "limit" if len(turns) >= most else ""


def _names_alone(turns: Sequence[Sequence[Call]], most: int) -> str:
    named = [[name for name, _ in turn] for turn in turns]
    return stop([[(name, {}) for name in turn] for turn in named], most)


def _one_too_many(turns: Sequence[Sequence[Call]], most: int) -> str:
    return stop(turns, most + 1)


def _limit_first(turns: Sequence[Sequence[Call]], most: int) -> str:
    return "limit" if len(turns) >= most else stop(turns, most)


_BEIJING, _PARIS = (("get_weather", {"location": city}) for city in ("Beijing", "Paris"))


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
        "Write a function of the pieces of one stream, each (index, name, arguments): the calls "
        "as a list of (name, arguments), by index, the arguments as a dict.",
        lambda: join,
        hint="Each piece belongs to the call with its index; join first, json.loads afterwards.",
        solution="Pieces of one index, in their order, make the arguments; the first has the name.",
        cases=(
            (PIECES,),
            ([(0, "get_tide", '{"city": "Lisbon"}')],),
            ([(1, "b", '{"x"'), (0, "a", "{"), (1, None, ": 1}"), (0, None, "}")],),
        ),
    )
    .wrong(lambda: _by_arrival, "the calls are in the order of their index, not of their arrival.")
    .wrong(lambda: _unread, "the arguments are still text: json.loads makes a dict of them.")
    .wrong(lambda: _names_joined, "later pieces have no name (None): keep the first one.")
    .wrong(lambda: _by_name, "a dict by name loses one of two calls of a name."),
    Exercise(
        "06-2",
        "Which argument texts does a function (location: str, days: int = 1) run with?",
        _running,
        hint="Every name known, every type right, nothing missing that has no default.",
        solution="Order means nothing and markup is text; a quoted number and null are no int.",
        unit="letters",
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
        solution='With `def f(model: Literal["397b", "35b"], gpus: int = 8): ...`',
        working=lambda: "tool(f).parameters",
        unit="JSON schema",
    )
    .wrong(lambda: tool(_plan_any_model).parameters, "model takes two values: a Literal.")
    .wrong(lambda: tool(_plan_without_default).parameters, "gpus is required in yours.")
    .wrong(lambda: tool(_plan_in_words).parameters, "gpus is an integer."),
    Exercise(
        "06-4",
        "Write the stop rule of a tool loop: a function of the calls of each turn so far (a list "
        "of lists, the newest turn last) and of the most turns allowed. It gives 'answered' when "
        "the last turn has no call, else 'repeats' when its calls are those of the turn before, "
        "else 'limit' when there are as many turns as allowed, else an empty text: go on.",
        lambda: stop,
        hint="Three questions in the order given; lists with the same calls are equal in Python.",
        solution="`run_tools` has a limit of rounds and of seconds; your own is as short.",
        cases=(
            ([[_BEIJING]], 3),
            ([[_BEIJING], []], 3),
            ([[_BEIJING], [_BEIJING]], 3),
            ([[_BEIJING], [_PARIS]], 3),
            ([[_BEIJING], [_PARIS], [_BEIJING]], 3),
            ([[_BEIJING, _PARIS], [_PARIS], []], 3),
        ),
    )
    .wrong(lambda: _repeats_ignored, "the same calls twice in a row: nothing new will come of it.")
    .wrong(lambda: _names_alone, "the same tool with other arguments is no repetition.")
    .wrong(lambda: _limit_first, "a turn without calls is an answer, also when it is the last one.")
    .wrong(lambda: _one_too_many, "with as many turns as allowed it is over: that is one more."),
)
