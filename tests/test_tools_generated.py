"""Two hundred generated functions, each called with something: nothing escapes the loop, and what
runs is what the schema allows, as jsonschema reads it.
"""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from pydantic_core import to_jsonable_python
from scripted import DONE, Scripted, chunk, finish, say

from kit.tools import Tool, ToolResult, run_tools, tool

BATCH = 8  # functions in one turn, so that they also run side by side
EXAMPLES = 25


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    label: str = ""


# A type, and JSON values that fit it.
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)),
    (bool, st.booleans()),
    (str, st.text()),
    (list[int], st.lists(st.integers(), max_size=3)),
    (dict[str, bool], st.dictionaries(st.text(max_size=5), st.booleans(), max_size=3)),
    (Literal["celsius", "fahrenheit"], st.sampled_from(["celsius", "fahrenheit"])),
    (Colour, st.sampled_from(["red", "blue"])),
    (int | None, st.none() | st.integers()),
    (Annotated[int, Field(ge=1, le=5)], st.integers(-1, 7)),
    (Annotated[str, Field(min_length=2, max_length=4)], st.text(max_size=6)),
    (Point, st.fixed_dictionaries({"x": st.integers()}, optional={"label": st.text()})),
    (str | list[str], st.text() | st.lists(st.text(), max_size=2)),
]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MARKUP = ["</tool_call>", "<|im_end|>", "</parameter>\n</function>", '"}', "\x00", "𝄞", "null"]
NAMES = st.text("abcxyz_", min_size=1, max_size=6).filter(lambda n: not keyword.iskeyword(n))
NEARLY = ["3", "3.5", "true", "null", "", 0, 1, 1.0, 2.5, True, None, [], {}, ["1"], {"x": "1"}]
KINDS = ["fits", "fits", "missing", "extra", "wrong", "markup", "not json"]


@dataclass(frozen=True)
class Case:
    """A function as its parameters, and the text that a model gives as arguments."""

    parameters: Mapping[str, tuple[Any, bool]]
    text: str


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    chosen = {name: draw(st.sampled_from(TYPES)) for name in names}
    parameters = {name: (kind, draw(st.booleans())) for name, (kind, _) in chosen.items()}
    arguments: dict[str, Any] = {
        name: draw(values)
        for name, (_, values) in chosen.items()
        if not parameters[name][1] or draw(st.booleans())
    }
    match draw(
        st.sampled_from(["fits", "fits", "missing", "extra", "wrong", "markup", "not json"])
    ):
        case "missing" if arguments:
            arguments.pop(draw(st.sampled_from(sorted(arguments))))
        case "extra":
            arguments[draw(NAMES)] = draw(ANY_JSON)
        case "wrong" if arguments:
            arguments[draw(st.sampled_from(sorted(arguments)))] = draw(
                st.sampled_from(NEARLY) | ANY_JSON
            )
        case "markup" if arguments:
            arguments[draw(st.sampled_from(sorted(arguments)))] = draw(st.sampled_from(MARKUP))
        case "not json":
            return Case(parameters, draw(st.text() | ANY_JSON.map(json.dumps)))
    return Case(parameters, json.dumps(arguments, ensure_ascii=draw(st.booleans())))


def made(case: Case, number: int, ran: dict[str, Any]) -> Tool:
    """The case's function, which writes down what it was given."""

    def function(**given: Any) -> str:
        ran[f"f{number}"] = given
        return "ran"

    function.__name__ = f"f{number}"
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=kind,
                **({"default": None} if optional else {}),
            )
            for name, (kind, optional) in case.parameters.items()
        ]
    )
    return tool(function)


def is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)  # 3.0 is none for us


Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer),
)


def fits(schema: Mapping[str, Any], text: str) -> bool:
    """Whether jsonschema takes the arguments; no text at all stands for an empty object."""
    try:
        value = json.loads(text if text.strip() else "{}", parse_constant=_no_number)
    except ValueError:
        return False
    return isinstance(value, dict) and Validator(schema).is_valid(value)


def _no_number(name: str) -> None:
    raise ValueError(name)


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with Scripted([]) as scripted:
        yield scripted


def calls(batch: list[Case]) -> list[Any]:
    return [
        chunk(
            {
                "tool_calls": [
                    {
                        "index": i,
                        "id": f"call_{i}",
                        "function": {"name": f"f{i}", "arguments": case.text},
                    }
                ]
            }
        )
        for i, case in enumerate(batch)
    ]


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(batch=st.lists(cases(), min_size=BATCH, max_size=BATCH))
def test_nothing_escapes_the_loop_and_nothing_runs_with_invalid_arguments(
    server: Scripted, batch: list[Case]
) -> None:
    turns = [[*calls(batch), finish("tool_calls"), DONE], [say("Done."), finish(), DONE]]
    server.script = lambda _: turns.pop(0)
    ran: dict[str, Any] = {}
    tools = [made(case, number, ran) for number, case in enumerate(batch)]
    run = run_tools(server.endpoint, "?", tools)
    told = {e.name: e for e in run if isinstance(e, ToolResult)}
    assert run.answer == "Done."
    for case, offered in zip(batch, tools, strict=True):
        assert told[offered.name].ok == (offered.name in ran)
        assert (offered.name in ran) == fits(offered.parameters, case.text), case
        if offered.name in ran:
            given_json = json.loads(case.text if case.text.strip() else "{}")
            received = to_jsonable_python(ran[offered.name])
            assert received.keys() == given_json.keys()
    kept = [c["function"]["arguments"] for c in server.requests[-1]["messages"][1]["tool_calls"]]
    assert all(isinstance(json.loads(text), dict) for text in kept)
