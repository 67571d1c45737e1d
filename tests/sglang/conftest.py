"""Tests that need the released SGLang: `make test-sglang` runs them in its environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `kit` is not installed in SGLang's environment

# In the course's own environment there is no SGLang, and nothing here to collect.
collect_ignore_glob = [] if importlib.util.find_spec("sglang") else ["test_*.py"]
sys.path.insert(0, str(ROOT / "tests" / "conformance"))  # the captures, and how they are compared
sys.path.insert(0, str(ROOT / "tests" / "reference"))  # the shapes as configs, and pretended GPUs
