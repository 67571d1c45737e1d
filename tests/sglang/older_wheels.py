"""The wheels of older versions of SGLang, to be read. `make test-sglang` lays them in
build/sglang-wheels; $SGLANG_WHEELS names another folder."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SGLANG_WHEELS") or Path(__file__).parents[2] / "build/sglang-wheels")


def in_wheel(version: str, path: str) -> str:
    """The text of a file in the wheel of a version; skips where the wheel is not there."""
    wheels = sorted(FOLDER.glob(f"sglang-{version}-*.whl"))
    if not wheels:
        pytest.skip(f"no wheel of sglang {version} in {FOLDER}: make test-sglang puts it there")
    with zipfile.ZipFile(wheels[0]) as wheel:
        return wheel.read(path).decode()
