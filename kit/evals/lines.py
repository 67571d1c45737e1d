"""JSON lines, read with the line that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kit.errors import KitError


def json_lines(path: Path, hint: str, torn: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not blank. Where `torn`, lines that broke
    off are left out, as interrupted runs leave them. Raises KitError."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as problem:
        raise KitError(f"{path}: {problem.strerror}", hint) from problem
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            if torn:
                continue
            raise KitError(f"{path}, line {at}: no JSON ({_shown(line)})", hint) from problem
        if not isinstance(row, dict):
            raise KitError(f"{path}, line {at}: not an object ({_shown(line)})", hint)
        yield at, row


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace"))
