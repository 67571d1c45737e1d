"""Tool calls of the real SGLang beside the twin's: the lesson's requests, the same pieces; and the
kit's loop, run against the real one.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pieces import CHOICES, INSTRUCT, WEATHER, answered, fragments, twin_of
from wire_shapes import differences, shapes

from kit import server
from kit.server import cpu
from kit.server.processes import free_port

ROOT = Path(__file__).parents[2]
PROFILE = "b200x8"  # without MTP, as the toy is


@pytest.fixture(scope="module")
def toy() -> Iterator[str]:
    longer = {"--context-length": "4096"}  # the agent of lesson 06 asks with more than 1,024 tokens
    with server.start(cpu.tiny(free_port(), options=longer)) as running:
        yield running.url


@pytest.fixture(scope="module")
def twin() -> Iterator[str]:
    with twin_of(PROFILE) as url:
        yield url


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("thinking", [True, False], ids=["thinking", "instruct"])
def test_a_call_comes_in_the_same_pieces(toy: str, twin: str, choice: str, thinking: bool) -> None:
    more = {"tools": [WEATHER], "tool_choice": CHOICES[choice], **({} if thinking else INSTRUCT)}
    (status, real), (ours_status, ours) = answered(toy, **more), answered(twin, **more)
    assert (status, ours_status) == (200, 200)
    assert differences(shapes(real), shapes(ours)) == []
    told = [[(f["index"], bool(f["id"]), f["function"]["name"]) for f in fragments(one)]
            for one in (real, ours)]  # fmt: skip
    assert told[0] == told[1]
    assert bool(told[0]) is (choice != "none")


@pytest.mark.parametrize("choice", ["auto", "required", "named"])
def test_a_parameter_is_one_piece(toy: str, twin: str, choice: str) -> None:
    for url, city in ((toy, "Paris"), (twin, "Beijing")):
        _, pieces = answered(url, tools=[WEATHER], tool_choice=CHOICES[choice], **INSTRUCT)
        said = [fragment["function"]["arguments"] for fragment in fragments(pieces)]
        assert said == ["", "{", f'"city": "{city}"', "}"]


@pytest.mark.parametrize("choice", ["required", "named"])
def test_what_cannot_be_demanded_is_refused_alike(toy: str, twin: str, choice: str) -> None:
    other = json.loads(json.dumps(WEATHER).replace("get_weather", "other"))
    more = {"required": {}, "named": {"tools": [other]}}[choice]
    for url in (toy, twin):
        status, _ = answered(url, tool_choice=CHOICES[choice], **more)
        assert status == 400


def history(arguments: str) -> list[dict[str, Any]]:
    function = {"name": "get_weather", "arguments": arguments}
    called = {"id": "c", "type": "function", "function": function}
    return [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": "error: no JSON"},
    ]


@pytest.mark.parametrize("arguments", ['{"ci', "[1]", "null", ""])
def test_a_history_with_arguments_that_are_no_object_is_refused_and_ours_is_not(
    toy: str, arguments: str
) -> None:
    from kit.tools.calling import history_arguments

    mended = answered(toy, messages=history(history_arguments(arguments)), tools=[WEATHER])
    assert mended[0] == 200
    if arguments:
        assert answered(toy, messages=history(arguments), tools=[WEATHER])[0] == 400


@pytest.mark.parametrize("wants", ["city", "location"])
def test_the_kits_loop_runs_on_the_real_server(toy: str, wants: str) -> None:
    """The toy always gives a city; a function that wants a location is not run, and it is told."""
    from kit import connect
    from kit.tools import Problem, run_tools, tool

    ran: list[str] = []

    def by_city(city: str) -> str:
        """Get the current weather."""
        ran.append(city)
        return "18 degrees"

    def by_location(location: str) -> str:
        """Get the current weather."""
        ran.append(location)
        return "18 degrees"

    offered = tool(by_city if wants == "city" else by_location, name="get_weather")
    run = run_tools(connect(toy, quiet=True), "Weather in Paris?", [offered], max_tokens=200)
    kinds = {type(event).__name__ for event in run}
    assert {"Thinking", "ToolCall", "ToolResult", "Answer", "Finish", "Usage"} <= kinds
    assert run.ended == "answer"
    assert run.answer
    (result,) = run.results
    assert ran == (["Paris"] if wants == "city" else [])
    assert result.problem == (None if wants == "city" else Problem.BAD_ARGUMENTS)


def test_lesson_06_runs_unedited_on_the_real_server(toy: str, tmp_path: Path) -> None:
    """The toy calls get_weather whatever it is asked: cells that tell of Beijing, of the agent or
    of the step limit show its one call and its one sentence there.
    """
    kit = str(ROOT / ".venv" / "bin" / "kit")
    done = subprocess.run(
        [kit, "run", "06", "--url", toy, "--out", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    cells = json.loads((tmp_path / "06_use_tools.ipynb").read_text())["cells"]
    shown = json.dumps([cell.get("outputs") for cell in cells])
    assert "written by cpu-tiny" in shown
    assert "unknown tool" in shown  # the agent offers no get_weather, and the loop says so
    assert "simulated" not in shown
