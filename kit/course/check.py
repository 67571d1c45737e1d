"""Exercises that check themselves: `check`, `hint`, `solution`.

    from kit.course.check import check, hint, solution

    answer = ...
    check("00-1", answer)

An exercise computes its own right answer from the kit, so that it cannot go
stale; the usual wrong answers each get a hint that names the mistake. An
untouched `...` is no error: the course also runs headlessly.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kit.course.answers import kind as _kind
from kit.course.answers import plain, same
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
    `cases` are given, the answer is a function: it is called with a copy of each of them (its
    arguments), and right where it gives what the function that `expected` returns gives.
    `working` is the expression that leads to the answer, with this exercise's numbers in it.
    `unit` says what the answer counts or holds: "GiB", "letters".
    """

    name: str
    question: str
    expected: Callable[[], Any]
    hint: str
    solution: str
    tolerance: float = 0.01
    mistakes: tuple[Mistake, ...] = ()
    cases: tuple[tuple[Any, ...], ...] = ()
    working: Callable[[], str] | None = None
    unit: str = ""

    @property
    def form(self) -> str:
        """What an answer looks like: "a number (GiB)", "a set (letters)"."""
        if self.cases:
            return "the body of the function"
        return f"{_article(_kind(self.expected()))} ({self.unit})"

    def accepts(self, answer: Any) -> bool:
        return self._alike(answer, self.expected())

    def wrong(self, answer: Callable[[], Any], explanation: str) -> Exercise:
        """The exercise with another usual mistake."""
        return replace(self, mistakes=(*self.mistakes, Mistake(answer, explanation)))

    def mistake(self, answer: Any) -> Mistake | None:
        """The usual mistake that `answer` is, if it is one."""
        return next((m for m in self.mistakes if self._alike(answer, m.answer())), None)

    def blank(self, answer: Any) -> bool:
        """Nothing was answered: dots, or a function that has only dots in it."""
        if _nothing(answer):
            return True
        return (
            bool(self.cases)
            and callable(answer)
            and all(_nothing(_result(answer, case)) for case in self.cases)
        )

    def complaint(self, answer: Any) -> str:
        """What is wrong with the answer's type or size, or with what a function gives; or ""."""
        expected = self.expected()
        if not self.cases:
            wanted = _kind(expected)
            if _kind(plain(answer, wanted)) == wanted:
                wrong = wanted == "number" and not self.accepts(answer)
                return _near(plain(answer, wanted), expected) if wrong else ""
            return f"{_article(wanted)} is wanted, and this is {_article(_type(answer))}."
        if not callable(answer):
            return f"a function is wanted, and this is {_article(_type(answer))}."
        for case in self.cases:
            gives, wanted = _result(answer, case), _result(expected, case)
            if not same(gives, wanted, self.tolerance, exact=True):
                name = getattr(answer, "__name__", "your function")
                call = f"{name}({', '.join(map(_short, case))})"
                if gives is None:
                    return f"`{call}` gives nothing: does it end with `return`?"
                said = gives if isinstance(gives, _Raised) else f"gives {_short(gives)}"
                return f"`{call}` {said}; {_short(wanted)} is wanted."
        return ""

    def _alike(self, answer: Any, expected: Any) -> bool:
        """The same answer; of functions, the same result for every case."""
        if not self.cases:
            return same(answer, expected, self.tolerance)
        return callable(answer) and all(
            same(_result(answer, case), _result(expected, case), self.tolerance, exact=True)
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
    if exercise.cases and callable(answer):
        answer = _Tried(answer)
    if exercise.blank(answer):
        return Verdict("○", f"Put {exercise.form} in place of the dots.")
    if exercise.accepts(answer):
        return Verdict("✓", f"Right. {exercise.solution}", right=True)
    wrong = exercise.mistake(answer)
    if wrong is not None:
        return Verdict("✗", f"Not quite: {wrong.explanation}")
    complaint = exercise.complaint(answer)
    said = f": {complaint}" if complaint else f'. `hint("{name}")` helps.'
    return Verdict("✗", f"Not yet{said}")


def hint(name: str) -> Verdict:
    """A nudge for the exercise `name`, without the answer."""
    return Verdict("→", _find(name).hint)


def solution(name: str) -> Verdict:
    """The answer to the exercise `name`, and why."""
    exercise = _find(name)
    expected = exercise.expected()
    shown = _shown(expected)
    if exercise.working is not None:
        working = f"`{exercise.working()}`"
        shown = working if isinstance(expected, list | dict) else f"{working} = {shown}"
    return Verdict("=", f"{shown}{'' if exercise.cases else '. '}{exercise.solution}")


def exercises() -> dict[str, Exercise]:
    """Every exercise of the course by name, in the lessons' order."""
    lessons = (_of_lesson(number) for number in _lessons())
    return {name: exercise for lesson in lessons for name, exercise in lesson.items()}


@cache
def _lessons() -> list[str]:
    """The numbers of the lessons that have exercises."""
    import kit.course.exercises as package

    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name[6:] for name in names if name.startswith("lesson"))


@cache
def _of_lesson(number: str) -> dict[str, Exercise]:
    """Those of one lesson; the modules of other lessons are not loaded."""
    module = importlib.import_module(f"kit.course.exercises.lesson{number}")
    return {exercise.name: exercise for exercise in module.EXERCISES}


def _find(name: str) -> Exercise:
    number = name.partition("-")[0]
    known = _of_lesson(number) if number in _lessons() else exercises()
    if name not in known:
        raise UnknownName("exercise", name, exercises())
    return known[name]


class _Raised(str):
    """What a function raised in place of giving something, in words."""


class _Tried:
    """A function that is called once for each case, however often its result is looked at."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__name__ = getattr(function, "__name__", "your function")
        self._function = function
        self._results: list[tuple[tuple[Any, ...], Any]] = []

    def __call__(self, *case: Any) -> Any:
        return self._function(*case)

    def result(self, case: tuple[Any, ...]) -> Any:
        for known, result in self._results:
            if known is case:
                return result
        self._results.append((case, _result(self._function, case)))
        return self._results[-1][1]


def _result(function: Any, case: tuple[Any, ...]) -> Any:
    if isinstance(function, _Tried):
        return function.result(case)
    try:
        return function(*deepcopy(case))
    except Exception as error:  # noqa: BLE001 - a learner's function may raise anything
        return _Raised(f"raises {type(error).__name__}: {error}")


def _near(answer: float, expected: float) -> str:
    """How a wrong number comes near the right one: its digits, or nearly its size; or ""."""
    for zeros in (3, 6, 9):
        if any(same(answer, float(expected) * 10**power, 0.02) for power in (zeros, -zeros)):
            return "the digits are right; look at the unit."
    if same(answer, float(expected), 0.05):
        return "close, within 5 %; a rounded step, or something small is missing."
    return ""


def _nothing(value: Any) -> bool:
    return value is ... or value is None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:87]}…"


def _type(value: Any) -> str:
    return "function" if callable(value) else type(value).__name__


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _shown(value: Any) -> str:
    if inspect.isfunction(value):
        return f"\n```python\n{_source(value)}\n```\n"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(map(str, value)))
    return str(value)


def _source(function: Any) -> str:
    """A function as it is written, without annotations: their names need not be known where a
    learner tries the code."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    (node,) = ast.parse("\n".join(lines)).body
    assert isinstance(node, ast.FunctionDef)
    for one in ast.walk(node):
        if isinstance(one, ast.AnnAssign) and one.value is not None:
            line = lines[one.lineno - 1]
            before, value = line[: one.target.end_col_offset], line[one.value.col_offset :]
            lines[one.lineno - 1] = f"{before} = {value}"
    head = f"def {node.name}({', '.join(arg.arg for arg in node.args.args)}):"
    return "\n".join([head, *lines[node.body[0].lineno - 1 :]])
