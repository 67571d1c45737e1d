"""A function becomes a schema, as openai's own helper would have it; and a check of arguments."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field, create_model

from kit.errors import InvalidValue
from kit.tools import BadArguments, Tool, tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: list[float]


@dataclass
class Node:
    below: list[Node]


def get_weather(location: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the current weather for a location.

    Args:
        location: The city name
        unit: Temperature unit
    """
    return f"22 {unit} in {location}"


def many(
    number: int,
    share: float,
    switch: bool,
    words: list[str],
    table: dict[str, int],
    colour: Colour,
    day: date,
    maybe: int | None = None,
    few: Annotated[int, Field(ge=1, le=5, description="how many")] = 3,
) -> None:
    """All sorts."""


def none_at_all() -> str:
    return "pong"


def bare(schema: Any) -> Any:
    """A schema without what the two ways of making it write differently: titles, which name a
    parameter twice, and what strict mode adds; references resolved.
    """
    known = schema.get("$defs", {}) if isinstance(schema, dict) else {}

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return walk(known[part["$ref"].removeprefix("#/$defs/")])
        drop = ("title", "default", "required")
        kept = {k: v for k, v in part.items() if k not in drop or isinstance(v, dict)}
        return {k: walk(v) for k, v in kept.items() if k != "$defs"}

    return walk(schema)


def by_openai(function: Callable[..., Any]) -> dict[str, Any]:
    """The same function through `openai.pydantic_function_tool`, fields typed out as it wants."""
    made = tool(function)
    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {}
    for p in signature.parameters.values():
        about = made.parameters["properties"][p.name].get("description")
        kind = Annotated[p.annotation, Field(description=about)] if about else p.annotation
        fields[p.name] = (kind, ... if p.default is p.empty else p.default)
    model: type[BaseModel] = create_model(function.__name__, **fields)
    return dict(openai.pydantic_function_tool(model, description=made.description))


@pytest.mark.parametrize("function", [get_weather, many, none_at_all])
def test_the_schema_is_the_one_that_openais_helper_makes(function: Callable[..., Any]) -> None:
    ours, theirs = tool(function).schema, by_openai(function)
    assert ours["type"] == theirs["type"]
    assert ours["function"]["name"] == theirs["function"]["name"]
    assert ours["function"].get("description", "") == theirs["function"]["description"]
    assert bare(ours["function"]["parameters"]) == bare(theirs["function"]["parameters"])


def test_what_has_a_default_is_not_required_and_says_its_default() -> None:
    schema = tool(get_weather).parameters
    assert schema["required"] == ["location"]
    assert schema["properties"]["unit"]["default"] == "celsius"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_references_are_resolved_where_sglangs_parser_looks_for_a_type() -> None:
    def place(at: Point, colour: Colour) -> None:
        """Put a point."""

    schema = tool(place).parameters
    assert "$ref" not in json.dumps(schema)
    assert schema["properties"]["colour"]["type"] == "string"
    assert schema["properties"]["at"]["properties"]["x"] == {"type": "integer"}


def test_the_source_pages_schema_comes_out_of_the_function() -> None:
    """The cookbook writes this one by hand."""
    made = tool(get_weather).schema["function"]
    unit = made["parameters"]["properties"]["unit"]
    assert made["name"] == "get_weather"
    assert made["description"] == "Get the current weather for a location."
    assert made["parameters"]["properties"]["location"] == {
        "type": "string",
        "description": "The city name",
    }
    assert unit["enum"] == ["celsius", "fahrenheit"]


def google(a: int, b: int) -> None:
    """Add two numbers.

    Slowly.

    Args:
        a (int): the first,
            which may be long
        b: the second: whole
    Returns:
        b: nothing of the kind
    """


def sphinx(a: int, b: int) -> None:
    """Add two numbers.

    Slowly.

    :param a: the first,
        which may be long
    :param int b: the second: whole
    :returns: nothing
    """


@pytest.mark.parametrize("function", [google, sphinx])
def test_docstrings_tell_of_each_parameter(function: Callable[..., Any]) -> None:
    made = tool(function)
    assert made.description == "Add two numbers.\n\nSlowly."
    said = {name: p["description"] for name, p in made.parameters["properties"].items()}
    assert said == {"a": "the first, which may be long", "b": "the second: whole"}


def test_names_that_mean_something_to_pydantic_are_names_like_any_other() -> None:
    def odd(schema: str, copy: bool, model_config: int, _private: str, title: str) -> None:
        """Odd names."""

    given = {"schema": "s", "copy": True, "model_config": 1, "_private": "p", "title": "t"}
    made = tool(odd)
    assert set(made.parameters["properties"]) == set(given)
    assert made.arguments(json.dumps(given)) == given


# --- what no schema can describe


class Strange:
    pass


def no_type(x) -> None: ...  # type: ignore[no-untyped-def]
def any_number(*x: int) -> None: ...
def by_place(x: int, /) -> None: ...
def a_strange_one(x: Strange) -> None: ...
def a_function(x: Callable[[int], int]) -> None: ...
def inside_itself(x: Node) -> None: ...
def unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (no_type, "no type is given for x"),
        (any_number, "by name only"),
        (by_place, "by name only"),
        (a_strange_one, "Strange"),
        (a_function, "Callable"),
        (inside_itself, "contains itself"),
        (unknown, "Nowhere"),
        (lambda: 0, "no name"),
        (min, "cannot be read"),
    ],
)
def test_a_function_that_no_schema_can_describe_is_refused_in_two_lines(
    function: Callable[..., Any], says: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        tool(function)
    assert says in refused.value.what
    assert refused.value.hint
    assert len(str(refused.value).splitlines()) == 2


# --- arguments


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ('{"location": 5}', "location: Input should be a valid string"),
        ('{"location": null}', "location: Input should be a valid string"),
        ("{}", "location: Field required"),
        ('{"location": "Beijing", "unit": "kelvin"}', "'celsius' or 'fahrenheit'"),
        ('{"location": "Beijing", "unti": "celsius"}', "unti: Extra inputs are not permitted"),
        ("[]", "should be an object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(given: str, says: str) -> None:
    with pytest.raises(BadArguments, match=says):
        tool(get_weather).arguments(given)


def test_a_number_in_quotes_is_no_number_and_infinity_is_none_either() -> None:
    def add(a: int, b: float) -> float:
        """Add."""
        return a + b

    made = tool(add)
    assert made.arguments('{"a": 1, "b": 2}') == {"a": 1, "b": 2.0}
    for wrong in ('{"a": "1", "b": 2}', '{"a": true, "b": 2}', '{"a": 1, "b": NaN}'):
        with pytest.raises(BadArguments):
            made.arguments(wrong)


def test_rich_types_reach_the_function_as_themselves() -> None:
    def f(at: Point, colour: Colour, day: date) -> None:
        """Rich."""

    text = '{"at": {"x": 1, "y": [2]}, "colour": "red", "day": "2026-11-22"}'
    expected = {"at": Point(1, [2.0]), "colour": Colour.RED, "day": date(2026, 11, 22)}
    assert tool(f).arguments(text) == expected


def test_a_long_wrong_value_is_told_short() -> None:
    text = json.dumps({"location": "Beijing", "unit": "x" * 1_000_000})
    with pytest.raises(BadArguments) as refused:
        tool(get_weather).arguments(text)
    assert len(str(refused.value)) < 300


def test_a_tool_is_still_the_function() -> None:
    made = tool(get_weather, name="weather", description="Ask the sky.")
    assert isinstance(made, Tool)
    assert made("Beijing") == get_weather("Beijing")
    assert (made.name, made.schema["function"]["description"]) == ("weather", "Ask the sky.")


def test_importing_the_tools_costs_no_more_than_importing_chat() -> None:
    code = "import sys, kit.tools; print({'openai', 'pydantic', 'anywidget'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
