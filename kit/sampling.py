"""Which temperature, top-p and penalties Qwen3.5's model cards recommend, by size and mode.

settings = recommended("397b", thinking=True)
client.chat.completions.create(..., **settings.openai())
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from kit import load_data
from kit.errors import UnknownName
from kit.provenance import Provenance, published


@dataclass(frozen=True)
class Sampling:
    """One row of a model card's table. `min_p` is 0 and the repetition penalty 1 in every row."""

    sizes: tuple[str, ...]
    thinking: bool
    task: str
    temperature: float
    top_p: float
    top_k: int
    presence_penalty: float
    source: str

    @property
    def provenance(self) -> Provenance:
        return published(self.source)

    def openai(self) -> dict[str, Any]:
        """Arguments for the openai client; `top_k` is SGLang's own and goes into the body."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "presence_penalty": self.presence_penalty,
            "extra_body": {"top_k": self.top_k},
        }


@cache
def settings() -> tuple[Sampling, ...]:
    """Every row, in the model cards' order."""
    data = load_data.toml("sampling.toml")
    load_data.known_keys("sampling.toml", data, ("max_tokens", "settings"))
    return tuple(Sampling(**{**row, "sizes": tuple(row["sizes"])}) for row in data["settings"])


def advised_max_tokens(problem: str = "general") -> int:
    """How many tokens the model cards leave an answer, thinking included: "general" or "hard"."""
    advised: dict[str, int] = load_data.toml("sampling.toml")["max_tokens"]
    if problem not in advised:
        raise UnknownName("problem", problem, advised)
    return advised[problem]


def recommended(size: str, thinking: bool, task: str = "general") -> Sampling:
    """The row for a model size ("397b"), a mode and a task. Raises UnknownName."""
    of_size = [row for row in settings() if size in row.sizes]
    if not of_size:
        raise UnknownName("model", size, {name for row in settings() for name in row.sizes})
    of_mode = {row.task: row for row in of_size if row.thinking == thinking}
    if task not in of_mode:
        raise UnknownName("task", task, of_mode)
    return of_mode[task]
