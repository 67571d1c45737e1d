"""`python tests/confusion_table.py`: what each log must tell, against what is told of it.

The logs are those that were recorded and those rebuilt from reports. Of one whose expected cause
is "" none must be named. The failures provoked on a real server are in tests/sglang.
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"


def logs() -> Iterator[tuple[str, str, str]]:
    """(kind, the cause that must be named first, log) of all that there are."""
    from kit.course.sample_logs import recordings

    for name, recording in recordings().items():
        yield "recorded", "" if recording.went_well else name, recording.text
    lines = tomllib.loads((DATA / "failing_logs.toml").read_text())
    for cause, log in lines["log"].items():
        yield (
            "a line of each failure",
            cause,
            f"{lines['earlier'].get(log.get('earlier'), '')}\n{log['line']}",
        )
    for text in lines["earlier"].values():
        yield "starts without a failure", "", text
    for report in tomllib.loads((DATA / "reported_logs.toml").read_text()).values():
        yield "reported", report["cause"], report["log"]


def table() -> Counter[tuple[str, str, str]]:
    """(kind, expected, named first) → how many logs."""
    from kit.server.failures import diagnose

    told: Counter[tuple[str, str, str]] = Counter()
    for kind, cause, log in logs():
        found = diagnose(log)
        told[kind, cause, found[0].id if found else ""] += 1
    return told


def show(told: Counter[tuple[str, str, str]]) -> str:
    """Kind by kind how many are right, and every pair that is not."""

    def count(kind: str, *, fails: bool, right: bool, named: bool) -> int:
        return sum(
            n
            for (k, cause, first), n in told.items()
            if (k, bool(cause), cause == first, bool(first)) == (kind, fails, right, named)
        )

    rows = [f"{'':26}{'cause':>8}{'another':>9}{'none':>7}{'serves, and none':>18}{'some':>6}"]
    for kind in dict.fromkeys(kind for kind, _, _ in told):
        fails = [count(kind, fails=True, right=r, named=n) for r, n in ((1, 1), (0, 1), (0, 0))]
        good = [count(kind, fails=False, right=r, named=not r) for r in (True, False)]
        rows.append(f"{kind:26}{fails[0]:>8}{fails[1]:>9}{fails[2]:>7}{good[0]:>18}{good[1]:>6}")
    wrong = [(c, f, n) for (_, c, f), n in sorted(told.items()) if c != f]
    return "\n".join([*rows, *(f"{c or 'none'} → {f or 'none'}: {n}" for c, f, n in wrong)])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(show(table()))
