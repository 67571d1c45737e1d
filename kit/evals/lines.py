"""JSON lines, read with the line that is wrong, and written so that a torn one costs nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kit.errors import KitError


def json_lines(path: Path, hint: str, torn: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not blank. Where `torn`, a last line that broke
    off is left out, as an interrupted run leaves one. Raises KitError."""
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
            if torn and at == len(lines):
                return
            raise KitError(f"{path}, line {at}: no JSON ({_shown(line)})", hint) from problem
        if not isinstance(row, dict):
            raise KitError(f"{path}, line {at}: not an object ({_shown(line)})", hint)
        yield at, row


class Appender:
    """A file of JSON lines that grows by whole lines. What broke off at its end is cut away
    before the first one is added. Raises KitError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            whole = path.read_bytes().rfind(b"\n") + 1
            os.truncate(path, whole)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError as problem:
            raise self._failed(problem) from problem

    def add(self, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as problem:
            raise self._failed(problem) from problem

    def close(self) -> None:
        os.close(self._file)

    def _failed(self, problem: OSError) -> KitError:
        return KitError(
            f"{self._path}: {problem.strerror}", "give --out a file that can be written"
        )


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace"))
