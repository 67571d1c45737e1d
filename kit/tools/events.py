"""What arrives in a tool loop beside the events of `kit.chat`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kit.chat import Event


class Problem(StrEnum):
    """Why a call has no result of its own. The model is told, and may try again."""

    UNKNOWN_TOOL = "unknown tool"
    BAD_JSON = "bad JSON"
    BAD_ARGUMENTS = "bad arguments"
    DECLINED = "declined"
    RAISED = "raised"
    TIMED_OUT = "timed out"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call was found in order, and its function runs. `arguments` are those it is given."""

    step: int
    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What goes back to the model: the function's result, or what was wrong, as text.

    `seconds` is how long the function ran; 0 where nothing ran.
    """

    step: int
    id: str
    name: str
    content: str
    problem: Problem | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.problem is None

    @property
    def message(self) -> dict[str, Any]:
        """The turn that carries it, in OpenAI's form."""
        return {"role": "tool", "tool_call_id": self.id, "content": self.content}


@dataclass(frozen=True, slots=True)
class StepLimit:
    """The model still wanted to call tools after `steps` rounds of it: the loop ends here."""

    steps: int


ToolEvent = Event | ToolStarted | ToolResult | StepLimit
