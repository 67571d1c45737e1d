"""One question with what came before it, and the right completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.twin.chat_format import call_text, render

END = "<|im_end|>"
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Dialogue:
    """`answer` is the text after thinking, calls included; `key` is the part of it that counts."""

    kind: str
    messages: tuple[Json, ...]
    reason: str
    answer: str
    key: str
    thinking: bool = True
    tools: tuple[Json, ...] = ()

    @property
    def prompt(self) -> str:
        return render(self.messages, self.tools, self.thinking)

    @property
    def completion(self) -> str:
        return (f"{self.reason}\n</think>\n\n" if self.thinking else "") + self.answer + END


@dataclass(frozen=True)
class Call:
    name: str
    arguments: Json

    @property
    def text(self) -> str:
        return call_text(self.name, self.arguments)

    @property
    def message(self) -> Json:
        """The call as an assistant's message carries it."""
        return {"type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def worked(thinking: bool, working: str, said: str) -> str:
    """An answer: where there is no thinking, the working comes first, and a blank line."""
    return said if thinking else f"{working}\n\n{said}"


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def assistant(text: str) -> Json:
    return {"role": "assistant", "content": text}
