"""Arithmetic for a model: the text is parsed, and only what is listed here is computed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

from kit.errors import InvalidValue

Number = int | float

MAX_CHARS = 200
MAX_BITS = 4096  # of any whole number on the way: 2**4096 has 1,234 digits

_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_HINT = "write numbers, + - * / // % ** and parentheses"


def calculator(expression: str) -> int | float:
    """Compute an arithmetic expression exactly, for example (240 * 15) / 100.

    Args:
        expression: Numbers, + - * / // % ** and parentheses; no names, no functions
    """
    if len(expression) > MAX_CHARS:
        raise InvalidValue(
            f"an expression of {len(expression):,} characters", f"at most {MAX_CHARS} are taken"
        )
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return _value(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise InvalidValue(f"{expression!r} is no arithmetic", _HINT) from problem
    except (ZeroDivisionError, OverflowError) as problem:
        raise InvalidValue(f"{expression!r}: {problem}", "ask for something smaller") from problem


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _small(number)
        case ast.UnaryOp(op, inner) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(inner))
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            a, b = _value(left), _value(right)
            if isinstance(op, ast.Pow):
                _check_power(a, b)
            return _small(_BINARY[type(op)](a, b))
    raise ValueError(type(node).__name__)


def _check_power(base: Number, exponent: Number) -> None:
    """Refused before it is computed: a power can be larger than the machine."""
    if base < 0 and not float(exponent).is_integer():
        raise ValueError("no real number")
    if isinstance(base, int) and abs(base) > 1 and exponent * base.bit_length() > MAX_BITS:
        raise OverflowError(f"the result has more than {MAX_BITS} bits")


def _small(number: Number) -> Number:
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise OverflowError(f"a number has more than {MAX_BITS} bits")
    if not math.isfinite(number):
        raise OverflowError("a number is too large")
    return number
