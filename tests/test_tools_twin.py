"""The lesson's tool conversations with the twin: what it was written to say follows from what the
tools really compute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import nbformat
import pytest

from kit import Profile, chat, connect, plan
from kit.course.lessons import lessons
from kit.endpoint import Endpoint
from kit.hardware import gpu
from kit.provenance import AuthorKind
from kit.tools import Problem, Tool, ToolRun, run_tools, tool
from kit.twin.authored import replies

LESSON = next(lesson for lesson in lessons() if lesson.stem.startswith("06"))
CARDS = ("l40s", "h100", "h200")


@pytest.fixture(scope="module")
def twin() -> Iterator[Endpoint]:
    endpoint = connect("twin", speed=100, quiet=True)
    yield endpoint
    endpoint.close()


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    """The names that the lesson's own cells define: its station, and its agent's tools."""
    names: dict[str, Any] = {}
    for cell in nbformat.read(LESSON, as_version=4).cells:
        wanted = "def " in cell.source or "STATION" in cell.source
        if cell.cell_type == "code" and wanted and "check(" not in cell.source:
            source = re.split(r"\n(?:run = |show\(run)", cell.source)[0]
            exec("\n".join(x for x in source.splitlines() if "await" not in x), names)
    return names


def ran(twin: Endpoint, question: str, *tools: Any, **options: Any) -> ToolRun:
    run = run_tools(twin, question, tools, **options)
    for _ in run:
        pass
    return run


def station(cells: dict[str, Any]) -> Tool:
    return tool(cells["weather_now"], name="get_weather")


def test_the_agents_choice_is_what_the_kit_computes(twin: Endpoint, cells: dict[str, Any]) -> None:
    run = ran(twin, cells["question"], cells["size"], cells["command"], thinking=True)
    assert [r.name for r in run.results] == ["size"] * 3 + ["command"]
    assert {r.content.split(":")[0] for r in run.results[:3]} == set(CARDS)
    plans = {card: plan(Profile.of("35b", "fp8", card, 1)) for card in CARDS}
    smallest = min((c for c in CARDS if plans[c].fits), key=lambda c: gpu(c).memory_gib)
    assert smallest == "h100"
    assert cells["command"]("35b", "fp8", smallest, 1) in run.answer
    assert "One **H100**" in run.answer
    tight = plans["l40s"]  # the answer says: the weights would go in, the rest not
    assert not tight.fits
    assert tight.rank(0).weights_gib < gpu("l40s").memory_gib
    assert run.author is not None
    assert run.author.kind is AuthorKind.AUTHORED


def test_an_agent_whose_tool_says_otherwise_does_not_get_the_authored_choice(
    twin: Endpoint, cells: dict[str, Any]
) -> None:
    def size(model: str, precision: str, gpu: str, count: int) -> str:
        """Nothing fits anywhere."""
        return f"{gpu}: does not fit"

    run = ran(twin, cells["question"], size, cells["command"])
    assert "command" not in {result.name for result in run.results}


def test_wrong_arguments_come_back_and_are_mended(twin: Endpoint, cells: dict[str, Any]) -> None:
    forecast = tool(cells["forecast"], name="get_weather")
    run = ran(twin, "What will the weather be in Beijing over the next few days?", forecast)
    assert [result.problem for result in run.results] == [Problem.BAD_ARGUMENTS, None]
    assert run.answer.count("\nday ") == 3


def test_what_a_tool_raises_is_told(twin: Endpoint, cells: dict[str, Any]) -> None:
    run = ran(twin, "What's the weather in Atlantis?", station(cells))
    assert run.results[0].problem is Problem.RAISED
    assert "no station in Atlantis" in run.answer


def test_a_model_that_calls_forever_is_ended(twin: Endpoint, cells: dict[str, Any]) -> None:
    run = ran(twin, "Keep looking until it rains in Beijing.", station(cells), max_steps=3)
    assert (run.ended, len(run.turns)) == ("step limit", 4)


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ("auto", False),
        ("none", False),
        ("required", True),
        ({"type": "function", "function": {"name": "get_weather"}}, True),
    ],
)
def test_tool_choice_decides_whether_a_greeting_calls_a_tool(
    twin: Endpoint, cells: dict[str, Any], choice: Any, calls: bool
) -> None:
    schema = [station(cells).schema]
    stream = chat.stream(twin, "Hello", False, schema, tool_choice=choice)
    for _ in stream:
        pass
    assert bool(stream.tool_calls) is calls
    assert stream.finish_reason == ("tool_calls" if calls else "stop")


def test_a_demanded_call_does_not_keep_a_loop_from_answering(
    twin: Endpoint, cells: dict[str, Any]
) -> None:
    run = ran(twin, "Hello", station(cells), tool_choice="required")
    assert (len(run.results), run.ended) == (1, "answer")
    assert "22 degrees" in run.answer


def test_both_cities_are_asked_in_one_turn(twin: Endpoint, cells: dict[str, Any]) -> None:
    run = ran(twin, "What's the weather in Beijing and in Paris?", station(cells))
    assert [result.step for result in run.results] == [1, 1]
    assert "Paris" in run.answer


def test_every_question_of_the_lesson_has_its_authored_call(cells: dict[str, Any]) -> None:
    known = {prompt for reply in replies().values() if reply.calls for prompt in reply.prompts}
    from kit.twin.authored import normalise

    assert normalise(cells["question"]) in known


def test_a_literal_and_an_optional_argument_reach_the_function(twin: Endpoint) -> None:
    seen: list[tuple[str, str]] = []

    def get_weather(city: str, unit: Literal["celsius", "fahrenheit"]) -> str:
        """Get the weather."""
        seen.append((city, unit))
        return "22"

    ran(twin, "What's the weather in Beijing and in Paris?", get_weather)
    assert sorted(seen) == [("Beijing", "celsius"), ("Paris", "celsius")]
