"""How a profile is called."""

from __future__ import annotations


def title(model_name: str, precision: str, gpu_key: str, count: int) -> str:
    """The long form of a profile's name: "27b-fp8-mi300x-x1"."""
    dash = "-" if gpu_key.endswith("x") else ""
    return f"{model_name}-{precision}-{gpu_key}{dash}x{count}"
