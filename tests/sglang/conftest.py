"""Tests that need the released SGLang: `make test-sglang` runs them in its environment."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waits import patience

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `kit` is not installed in SGLang's environment

# In the course's own environment there is no SGLang, and nothing here to collect.
collect_ignore_glob = [] if importlib.util.find_spec("sglang") else ["test_*.py"]
sys.path.insert(0, str(ROOT / "tests" / "conformance"))  # the captures, and how they are compared
sys.path.insert(0, str(ROOT / "tests" / "reference"))  # the shapes as configs, and pretended GPUs


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test's time limit grows with the machine's load, as its waits do."""
    given = item.get_closest_marker("timeout")
    seconds = given.args[0] if given and given.args else float(item.config.getini("timeout") or 0)
    if seconds:
        item.add_marker(pytest.mark.timeout(seconds * patience()), append=False)
    return (yield)
