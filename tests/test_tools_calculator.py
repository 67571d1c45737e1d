"""A calculator that parses: right where it answers, and nothing but arithmetic."""

from __future__ import annotations

import pytest

from kit.errors import InvalidValue
from kit.tools import calculator, tool


@pytest.mark.parametrize(
    "expression",
    ["1+1", "(240 * 15) / 100", "-7 // 2", "-7 % 3", "2**10", "1.5e3 - .5", "--3", "2**-2", " 7 "],
)
def test_it_computes_what_python_computes(expression: str) -> None:
    assert calculator(expression) == eval(expression.strip(), {"__builtins__": {}})


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "().__class__",
        "abs(-1)",
        "x",
        "'a' * 9",
        "[1][0]",
        "1 if 2 else 3",
        "True + True",
        "1j",
        "1 and 2",
        "1 < 2",
        "lambda: 0",
        "(x := 1)",
        "f'{1}'",
        "",
        "1 +",
        "2 @ 2",
        "1 << 9",
        "\x00",
        "(" * 190,
    ],
)
def test_anything_but_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(InvalidValue, match="no arithmetic"):
        calculator(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "2**100000",
        "(2**4000)**4000",
        "(-2)**99999",
        "9" * 50 + "**" + "9" * 50,
        "*".join(["9**1290"] * 20),
        "1e308 * 10 ** 308",
        "1/0",
        "0**-1",
        "10.0**999",
    ],
)
def test_what_is_too_large_is_refused_before_it_is_computed(expression: str) -> None:
    with pytest.raises(InvalidValue):
        calculator(expression)


def test_an_expression_has_a_length_and_a_root_of_minus_one_is_no_number() -> None:
    with pytest.raises(InvalidValue, match="201 characters"):
        calculator("1" * 201)
    with pytest.raises(InvalidValue, match="no arithmetic"):
        calculator("(-1)**0.5")


def test_it_is_a_tool_as_it_stands() -> None:
    schema = tool(calculator).parameters
    assert schema["required"] == ["expression"]
    assert "parentheses" in schema["properties"]["expression"]["description"]
