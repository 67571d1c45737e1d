"""The oldest Python that the kit runs on. On an older one `import kit` ends in two lines, so
nothing here is newer than that one's grammar."""

from __future__ import annotations

import sys

FLOOR = (3, 11)
LEAST = ".".join(map(str, FLOOR))
REMEDY = f"install Python {LEAST} or newer, then: make setup PYTHON=python{LEAST}"


def insist(version: tuple[int, ...]) -> None:
    """Raise SystemExit for a Python that is too old."""
    if version < FLOOR:
        raise SystemExit(
            f"kit: Python {LEAST} or newer is needed; this is {'.'.join(map(str, version))}, "
            f"{sys.executable}\n→ {REMEDY}"
        )


insist(tuple(sys.version_info[:3]))
