"""Whether an answer is right: what was read out of the text, beside what is wanted."""

from __future__ import annotations

from decimal import Decimal

from kit.evals import extract, mmmu
from kit.evals.problems import Problem


def judge(problem: Problem, text: str, sglang_rule: bool = False) -> tuple[str | None, bool]:
    """(what the text answers, whether that is right). None is invalid: no answer in it. With
    `sglang_rule` a number is read as SGLang's GSM8K script reads it, digits alone."""
    if problem.kind == "choice":
        said = extract.letter(text, problem.options)
        return said, said == problem.answer.strip().upper()
    if problem.kind == "open":
        said = text.strip() or None
        return said, said is not None and mmmu.matches(text, problem.answer)
    found = extract.last_integer(text) if sglang_rule else extract.number(text)
    if found is None:
        return None, False
    return f"{found}", Decimal(found) == Decimal(problem.answer)
