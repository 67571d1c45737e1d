"""The list of modules in the docstring of kit.bench is theirs, and is the order of imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import bench

FOLDER = Path(bench.__file__).parent
ORDER = re.findall(r"^    (\w+) ", bench.__doc__ or "", re.MULTILINE)


def imported(module: str) -> Iterator[str]:
    """The modules of kit.bench that a module imports, anywhere in its text."""
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "kit.bench":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kit.bench."):
            yield str(node.module).split(".")[2]


def test_every_module_is_listed() -> None:
    assert sorted(ORDER) == sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_those_above_it(module: str) -> None:
    assert set(imported(module)) <= set(ORDER[: ORDER.index(module)])
