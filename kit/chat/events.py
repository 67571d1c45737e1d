"""What can arrive while a model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Thinking:
    """A piece of the model's thinking, as it was streamed."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of the answer, as it was streamed."""

    text: str


@dataclass(frozen=True, slots=True)
class WasThinking:
    """Every `Answer` so far was thinking: a `</think>` came without an opening tag.

    Some servers pass the text on as it is, and a chat template may open the tag itself; others
    end the thinking's own field too early. Then nothing in the stream separates thinking from
    answer until the thinking ends.
    """


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call so far: fragments of one `index`, joined. `done` once nothing can follow."""

    index: int
    id: str
    name: str
    arguments: str
    done: bool = False

    @property
    def entry(self) -> dict[str, Any]:
        """The call as it stands in a message's `tool_calls`."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server gives them; None where it does not say.

    `completion_tokens` includes the `reasoning_tokens`.
    """

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The server's word for why it stopped: stop, length, tool_calls, abort, …"""

    reason: str


Event = Thinking | Answer | WasThinking | ToolCall | Usage | Finish
