"""A set of problems: what is asked, the right answer, and where both come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kit.errors import InvalidValue

AnswerKind = Literal["integer", "number", "choice", "open"]


@dataclass(frozen=True)
class Problem:
    """One problem. `kind` says how an answer is read: "integer" as SGLang's GSM8K script does,
    digits alone, "number" with sign and decimals. `answer` is a number, the letter of an option,
    or a short text; `worked` the reference solution, which few-shot prompts show; `images` are
    URLs, data: or http."""

    id: str
    question: str
    answer: str
    kind: AnswerKind = "number"
    options: tuple[str, ...] = ()
    group: str = ""
    worked: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProblemSet:
    """Problems in a fixed order. `name` is what a result is called: a generated set never has the
    name of a published benchmark. `shots` are the examples that a few-shot prompt begins with."""

    name: str
    problems: tuple[Problem, ...]
    source: str
    licence: str = ""
    shots: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def first(self, limit: int | None) -> ProblemSet:
        """The first `limit` problems. Raises InvalidValue for less than one."""
        if limit is None:
            return self
        if limit < 1:
            raise InvalidValue(f"--limit {limit}: nothing to ask", "ask at least one: --limit 20")
        return replace(self, problems=self.problems[:limit])

    @property
    def digest(self) -> str:
        """Of ids, questions, answers and examples: what makes two results comparable."""
        return digest(self.shots + self.problems)


def digest(problems: Sequence[Problem]) -> str:
    rows = [[p.id, p.question, p.answer, *p.options, *p.images] for p in problems]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]
