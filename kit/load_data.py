"""The files of `kit/data`, as they are, read once; their keys checked, their rules applied."""

from __future__ import annotations

import json as _json
import tomllib
from collections.abc import Iterable, Mapping
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


def holds(when: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether a rule holds: each fact that `when` names has the wanted value, or one of a list.

    `when = { gpu = ["h200"], mtp = true }` in a data file, against the facts of a case.

    Raises ValueError for a fact that no case has: such a rule would never hold.
    """
    if unknown := sorted(set(when) - set(facts)):
        raise ValueError(f"a rule asks for unknown facts: {', '.join(unknown)}")
    return all(
        facts[key] in wanted if isinstance(wanted, list) else facts[key] == wanted
        for key, wanted in when.items()
    )
