"""Tools: a Python function that a model may call, and the loop that lets it.

    def get_weather(location: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
        \"\"\"Get the current weather for a location.

        Args:
            location: The city name
        \"\"\"

    run = run_tools(endpoint, "What's the weather in Beijing?", [get_weather])
    async for event in run: ...      # or: for event in run
    run.answer, run.messages

The parts, left to right:

    schema      a function and its docstring → a JSON schema, and the check of arguments against it
    events      what arrives beside the events of `kit.chat`: a tool starts, a tool has answered
    calling     one call: checked, run with a deadline, its result as text
    loop        turn after turn until the model answers, or the steps run out
    calculator  a tool to start with: arithmetic that is parsed, never evaluated
"""

from kit.tools.calculator import calculator
from kit.tools.events import Problem, StepLimit, ToolEvent, ToolResult, ToolStarted
from kit.tools.loop import ToolRun, run_tools
from kit.tools.schema import BadArguments, Tool, tool

__all__ = [
    "BadArguments",
    "Problem",
    "StepLimit",
    "Tool",
    "ToolEvent",
    "ToolResult",
    "ToolRun",
    "ToolStarted",
    "calculator",
    "run_tools",
    "tool",
]
