"""The pocket model by name: what the real SGLang on a CPU serves, and who wrote an answer of it."""

from __future__ import annotations

SERVED_NAME = "pocket-qwen3.5"
