"""Exercises that check themselves: `check`, `hint`, `solution`.

    from kit.course.check import check, hint, solution

    answer = ...
    check("00-1", answer)

An exercise computes its own right answer from the kit, so that it cannot go
stale; the usual wrong answers each get a hint that names the mistake. An
untouched `...` is no error: the course also runs headlessly.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kit.errors import UnknownName


@dataclass(frozen=True)
class Mistake:
    """A usual wrong answer, computed when asked for, and what is wrong with it."""

    answer: Callable[[], Any]
    explanation: str


@dataclass(frozen=True)
class Exercise:
    """One question.

    `expected` computes the right answer; a whole number is right as it is, another number within
    `tolerance` (relative), a text without regard to case and spaces, a set in any order. Where
    `cases` are given, the answer is a function: it is called with each of them (its arguments),
    and right where it gives what the function that `expected` returns gives.
    """

    name: str
    question: str
    expected: Callable[[], Any]
    hint: str
    solution: str
    tolerance: float = 0.01
    mistakes: tuple[Mistake, ...] = ()
    cases: tuple[tuple[Any, ...], ...] = ()

    def accepts(self, answer: Any) -> bool:
        return self._alike(answer, self.expected())

    def wrong(self, answer: Callable[[], Any], explanation: str) -> Exercise:
        """The exercise with another usual mistake."""
        return replace(self, mistakes=(*self.mistakes, Mistake(answer, explanation)))

    def mistake(self, answer: Any) -> Mistake | None:
        """The usual mistake that `answer` is, if it is one."""
        return next((m for m in self.mistakes if self._alike(answer, m.answer())), None)

    def complaint(self, answer: Any) -> str:
        """What a function does otherwise than it should, or what the answer should be; or ""."""
        if not self.cases:
            return ""
        if not callable(answer):
            return f"a function is wanted, and this is {_article(type(answer).__name__)}."
        right = self.expected()
        for case in self.cases:
            gives, wanted = _result(answer, case), right(*case)
            if not _same(gives, wanted, self.tolerance):
                call = f"{answer.__name__}({', '.join(map(_short, case))})"
                said = gives if isinstance(gives, _Raised) else f"gives {_short(gives)}"
                return f"`{call}` {said}; {_short(wanted)} is wanted."
        return ""

    def _alike(self, answer: Any, expected: Any) -> bool:
        """The same answer; of functions, the same result for every case."""
        if not self.cases:
            return _same(answer, expected, self.tolerance)
        return callable(answer) and all(
            _same(_result(answer, case), _result(expected, case), self.tolerance)
            for case in self.cases
        )


@dataclass(frozen=True)
class Verdict:
    """What `check` says. Shown as a line of text, in a notebook as Markdown."""

    mark: str
    text: str
    right: bool = False

    def __str__(self) -> str:
        return f"{self.mark} {self.text}"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return f"**{self.mark}** {self.text}"


def check(name: str, answer: Any) -> Verdict:
    """Is `answer` right for the exercise `name` ("00-1")? Raises UnknownName."""
    exercise = _find(name)
    if answer is ... or answer is None:
        return Verdict("○", f"{exercise.question} Put your answer in place of the dots.")
    if exercise.accepts(answer):
        return Verdict("✓", f"Right. {exercise.solution}", right=True)
    wrong = exercise.mistake(answer)
    if wrong is not None:
        return Verdict("✗", f"Not quite: {wrong.explanation}")
    complaint = exercise.complaint(answer) or f'`hint("{name}")` helps.'
    return Verdict("✗", f"Not yet: {complaint}" if exercise.cases else f"Not yet. {complaint}")


def hint(name: str) -> Verdict:
    """A nudge for the exercise `name`, without the answer."""
    return Verdict("→", _find(name).hint)


def solution(name: str) -> Verdict:
    """The answer to the exercise `name`, and why."""
    exercise = _find(name)
    shown = _shown(exercise.expected())
    return Verdict("=", f"{shown}{'' if exercise.cases else '. '}{exercise.solution}")


@cache
def exercises() -> dict[str, Exercise]:
    """Every exercise of the course by name, in the lessons' order."""
    import kit.course.exercises as package

    found: dict[str, Exercise] = {}
    names = (m.name for m in pkgutil.iter_modules(package.__path__))
    for module in sorted(name for name in names if name.startswith("lesson")):
        for exercise in importlib.import_module(f"kit.course.exercises.{module}").EXERCISES:
            found[exercise.name] = exercise
    return found


def _find(name: str) -> Exercise:
    known = exercises()
    if name not in known:
        raise UnknownName("exercise", name, known)
    return known[name]


def _same(answer: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, bool) or isinstance(answer, bool):
        return answer is expected
    if isinstance(expected, int):
        return isinstance(answer, int | float) and answer == expected
    if isinstance(expected, float):
        return isinstance(answer, int | float) and math.isclose(answer, expected, rel_tol=tolerance)
    if isinstance(expected, str):
        return isinstance(answer, str) and _plain(answer) == _plain(expected)
    if isinstance(expected, set | frozenset):
        return isinstance(answer, set | frozenset | list | tuple) and set(answer) == set(expected)
    return bool(answer == expected)


class _Raised(str):
    """What a function raised in place of giving something, in words."""


def _result(function: Any, case: tuple[Any, ...]) -> Any:
    try:
        return function(*case)
    except Exception as error:  # noqa: BLE001 - a learner's function may raise anything
        return _Raised(f"raises {type(error).__name__}: {error}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:87]}…"


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _shown(value: Any) -> str:
    if inspect.isfunction(value):
        return f"\n```python\n{textwrap.dedent(inspect.getsource(value))}```\n"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(map(str, value)))
    return str(value)
