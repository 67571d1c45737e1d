"""The modules keep to the table of docs/architecture.md, and pyproject.toml declares imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \|$", re.M)
ROOMS = {room: re.findall(r"`([\w.]+)`", may) for room, _, may in ROW.findall(PAGE)}
LAZY = {"kit", "kit.views"}  # their names load on first use
PLAIN = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)


@cache
def modules() -> dict[str, Path]:
    """Every module of the kit by its dotted name."""
    found = {}
    for path in (ROOT / "kit").rglob("*.py"):
        if path.is_relative_to(ROOT / "kit" / "data"):  # handed to SGLang's process, never imported
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(module: str) -> frozenset[str]:
    """What a module imports, inside its functions and for its types too."""
    return frozenset(_imports(ast.parse(modules()[module].read_text(encoding="utf-8"))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else node.module


def room(module: str) -> str:
    """The row of the table that a module stands in: the longest that its name begins with."""
    name = module.removeprefix("kit.")
    fitting = [r for r in ROOMS if name == r or name.startswith(f"{r}.")]
    assert fitting, f"{module} stands in no row of docs/architecture.md"
    return max(fitting, key=len)


def _ours(module: str) -> set[str]:
    return {name for name in imported(module) if name.split(".")[0] == "kit" and name != "kit"}


@pytest.mark.parametrize("module", sorted(set(modules()) - {"kit"}))
def test_a_module_imports_what_its_row_allows(module: str) -> None:
    here = room(module)
    others = {room(name) for name in _ours(module)} - {here}
    assert others <= set(ROOMS[here]), f"{module} imports {others - set(ROOMS[here])}"


def test_every_row_allows_only_rows_above_it_and_nothing_that_no_module_uses() -> None:
    above: set[str] = set()
    for here, allowed in ROOMS.items():
        assert set(allowed) <= above, here
        above.add(here)
    used = {(room(m), room(name)) for m in set(modules()) - {"kit"} for name in _ours(m)}
    unused = {(here, other) for here, may in ROOMS.items() for other in may} - used
    assert not unused


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports for types alone do not count: they run in no program."""
    graph = {module: _at_run_time(module) for module in modules() if module not in LAZY}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def _at_run_time(module: str) -> set[str]:
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for field in ("body", "orelse"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                setattr(node, field, [n for n in body if not _for_types(n)])
    return {name for name in _imports(tree) if name in modules() and name not in LAZY} - {module}


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@pytest.mark.parametrize("module", sorted(m for m, p in modules().items() if p.stem == "__init__"))
def test_an_init_holds_no_logic(module: str) -> None:
    for node in ast.parse(modules()[module].read_text(encoding="utf-8")).body:
        lazy = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
        plain = isinstance(
            node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr | ast.AnnAssign
        )
        assert plain or (lazy and module in LAZY), ast.unparse(node)


def test_import_kit_loads_nothing_heavy() -> None:
    import subprocess

    heavy = ("numpy", "openai", "plotly", "ipywidgets", "pydantic", "jinja2", "PIL", "httpx2")
    line = f"import sys, kit; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_what_the_kit_imports_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {_plain(re.split(r"[<>=;\[ ]", line)[0]) for group in groups for line in group}
    names = {name.split(".")[0] for module in modules() for name in imported(module)}
    in_a_page = {"js", "pyodide"}  # what Python in a browser has
    foreign = names - {"kit"} - in_a_page - set(sys.stdlib_module_names)
    owner = packages_distributions()
    missing = {
        name
        for name in foreign
        if not {_plain(d) for d in owner.get(name, [name])} & (declared | {"pydantic-core"})
    }
    assert not missing


def test_one_module_knows_of_pyodide() -> None:
    words = re.compile(r"pyodide|emscripten|from js\b|import js\b", re.IGNORECASE)
    knowing = {m for m, path in modules().items() if words.search(path.read_text(encoding="utf-8"))}
    assert knowing == {"kit.page"}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
