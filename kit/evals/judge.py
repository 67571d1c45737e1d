"""Whether an answer is right: what was read out of the text, beside what is wanted."""

from __future__ import annotations

from decimal import Decimal

from kit.evals import extract, mmmu
from kit.evals.problems import Problem


def judge(problem: Problem, text: str) -> tuple[str | None, bool]:
    """(what the text answers, whether that is right). None is invalid: no answer in it."""
    if problem.kind == "choice":
        said = extract.letter(text, problem.options)
        return said, said == problem.answer.strip().upper()
    if problem.kind == "open":
        said = text.strip() or None
        return said, said is not None and mmmu.matches(text, problem.answer)
    found = extract.last_integer(text) if problem.kind == "integer" else extract.number(text)
    if found is None:
        return None, False
    return f"{found}", Decimal(found) == Decimal(problem.answer)
