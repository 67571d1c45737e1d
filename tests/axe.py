"""axe-core in a page: what keeps a reader out, by axe's own rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[1] / ".venv-site/node_modules/axe-core/axe.min.js"


def faults(page: Any, include: str = "") -> list[str]:
    """The serious and critical ones, a line each; only within `include` (CSS) where given."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    where = json.dumps({"include": [[include]]}) if include else "document"
    found = page.evaluate(f"axe.run({where}, {{resultTypes: ['violations'], preload: false}})")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
