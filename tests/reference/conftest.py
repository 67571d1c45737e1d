"""Comparisons with transformers and the released SGLang: `make test-reference` runs them.

They need torch, transformers and sglang, and so run in the environment of
`make sglang-cpu`, with `deploy/sglang-cpu/python`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `kit` is not installed in SGLang's environment

# In the course's own environment there is no SGLang, and nothing here to collect.
collect_ignore_glob = [] if importlib.util.find_spec("sglang") else ["test_*.py"]

SIZES = ("397b", "122b", "35b", "27b", "9b", "4b", "2b", "0.8b")


@pytest.fixture(params=SIZES)
def size_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)
