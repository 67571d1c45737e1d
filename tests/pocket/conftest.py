"""The pocket model's making. What needs torch runs where `pocket/requirements.txt` is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `pocket` is a folder of scripts, not an installed package

_NEEDS = ("torch", "transformers", "gguf", "xllamacpp")
_MISSING = [name for name in _NEEDS if not importlib.util.find_spec(name)]
collect_ignore_glob = ["test_made_*.py"] if _MISSING else []
