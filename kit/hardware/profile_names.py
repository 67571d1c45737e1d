"""How a profile is called."""

from __future__ import annotations

import re

_TITLE = re.compile(r"([\d.]+b)-([a-z0-9-]+?)-([a-z0-9]+?)-?x(\d+)")


def title(model_name: str, precision: str, gpu_key: str, count: int) -> str:
    """The long form of a profile's name: "27b-fp8-mi300x-x1"."""
    dash = "-" if gpu_key.endswith("x") else ""
    return f"{model_name}-{precision}-{gpu_key}{dash}x{count}"


def untitled(name: str) -> tuple[str, str, str, int] | None:
    """Model, precision, GPU and count of a long name; None for a name that is none."""
    parts = _TITLE.fullmatch(name)
    return (parts[1], parts[2], parts[3], int(parts[4])) if parts else None
