"""Answers of any reasonable type, compared.

A number may be an int, a float, numpy's, a Decimal, a Fraction, or a text that can be read in one
way only ("47.5", "262,144"); letters may be in any case; a set may be a list, a tuple, or letters
in a row ("b, c"); a list may be a tuple.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+|\d+(_\d+)+)?(\.\d+)?([eE][+-]?\d+)?")


def kind(value: Any) -> str:
    """What `value` is, in a word: number, text, set, list, dict, ... or its type's name."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    for types, name in ((str, "text"), (set | frozenset, "set"), (list, "list"), (dict, "dict")):
        if isinstance(value, types):
            return name
    return type(value).__name__


def plain(value: Any, wanted: str, exact: bool = False) -> Any:
    """`value` as the plain Python type that is `wanted` (a `kind`), where there is one way.

    With `exact` no text is read as a number or as a set.
    """
    value = _unwrapped(value)
    if wanted == "number":
        return _number(value, exact)
    if wanted == "set":
        return _set(value, exact)
    if wanted == "list" and isinstance(value, tuple):
        return list(value)
    return dict(value) if wanted == "dict" and isinstance(value, Mapping) else value


def same(answer: Any, expected: Any, tolerance: float, exact: bool = False) -> bool:
    """Whether an answer is the expected one: whole numbers exactly, others within `tolerance`
    (relative), texts without regard to case and spaces unless `exact` or within a list or dict.
    """
    if isinstance(expected, tuple):
        expected = list(expected)
    wanted = kind(expected)
    answer = plain(answer, wanted, exact)
    if kind(answer) != wanted:
        return False
    if wanted == "number":
        return _same_number(answer, expected, tolerance)
    if wanted == "text":
        return bool(answer == expected if exact else _folded(answer) == _folded(expected))
    if wanted == "set":
        return {_folded(part) for part in answer} == {_folded(part) for part in expected}
    if wanted == "list":
        return len(answer) == len(expected) and all(
            same(one, other, tolerance, exact=True)
            for one, other in zip(answer, expected, strict=True)
        )
    if wanted == "dict":
        return answer.keys() == expected.keys() and all(
            same(answer[key], value, tolerance, exact=True) for key, value in expected.items()
        )
    return bool(answer == expected)


def _same_number(answer: float, expected: float, tolerance: float) -> bool:
    if isinstance(expected, int):
        return answer == expected
    try:
        return math.isclose(answer, expected, rel_tol=tolerance)
    except OverflowError:  # a whole number beyond all floats
        return False


def _unwrapped(value: Any) -> Any:
    """numpy's scalars and arrays as Python's own."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _number(value: Any, exact: bool) -> Any:
    if isinstance(value, Decimal | Fraction):
        try:
            return int(value) if value == int(value) else float(value)
        except (ArithmeticError, ValueError):  # no number, or beyond all floats
            return math.nan
    if isinstance(value, str) and not exact:
        text = value.strip()
        if len(text) < 40 and any(c.isdigit() for c in text) and _NUMBER.fullmatch(text):
            read = text.replace(",", "").replace("_", "")
            return int(read) if read.lstrip("+-").isdigit() else float(read)
    return value


def _set(value: Any, exact: bool) -> Any:
    if isinstance(value, str) and not exact:
        parts = re.findall(r"[^\s,;{}\"']+", value)
        letters = len(parts) == 1 and parts[0].isalpha()
        return set(parts[0]) if letters else set(parts)
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        parts = list(value)
        return set(parts) if all(isinstance(part, str | int) for part in parts) else value
    return value


def _folded(value: Any) -> Any:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value
