"""The files of `kit/data`, as they are; read once."""

from __future__ import annotations

import json as _json
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any


def path(name: str) -> Traversable:
    """Where the data file or folder `name` lies: "twin/metrics.toml"."""
    return files("kit") / "data" / name


def text(name: str) -> str:
    return path(name).read_text(encoding="utf-8")


@cache
def toml(name: str) -> dict[str, Any]:
    """A TOML file. It is shared between its readers: do not change it."""
    return tomllib.loads(text(name))


@cache
def json(name: str) -> Any:
    """A JSON file. It is shared between its readers: do not change it."""
    return _json.loads(text(name))


def known_keys(name: str, row: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError where a row of the data file `name` has a key that no reader knows."""
    if unknown := sorted(set(row) - set(known)):
        raise ValueError(f"kit/data/{name}: unknown key {', '.join(unknown)}")
