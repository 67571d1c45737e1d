"""Rules of data files: `when = { gpu = ["h200"], mtp = true }` against the facts of a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def holds(when: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether each fact that `when` names has the wanted value, or one of a list of them.

    Raises ValueError for a fact that no case has: such a rule would never hold.
    """
    if unknown := sorted(set(when) - set(facts)):
        raise ValueError(f"a rule asks for unknown facts: {', '.join(unknown)}")
    return all(
        facts[key] in wanted if isinstance(wanted, list) else facts[key] == wanted
        for key, wanted in when.items()
    )
